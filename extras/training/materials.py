"""What :mod:`prepare` makes once and every picture is drawn from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from appearance import Wardrobe
from heads import PictureHead

from octoprint_facesculpt.reconstruction.head_model import HeadModel

#: Every so many skins and hairstyles one is never shown to training.
HELD_OUT_EVERY = 6


@dataclass(frozen=True)
class Materials:
    """The template with its landmarks, the head that is drawn, and what it can look like."""

    model: HeadModel
    head: PictureHead
    wardrobe: Wardrobe

    def dressed(self, *, held_out: bool) -> Wardrobe:
        """The skins and hairstyles for training, or those kept for measuring."""
        skins = np.arange(len(self.wardrobe.skins)) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
        hair = [style for i, style in enumerate(self.wardrobe.hair) if (i % HELD_OUT_EVERY == HELD_OUT_EVERY - 1) == held_out]
        return replace(self.wardrobe, skins=self.wardrobe.skins[skins == held_out], hair=hair)
