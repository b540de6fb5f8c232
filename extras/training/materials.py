"""What training pictures are made of, as one cached file."""

from __future__ import annotations

from dataclasses import dataclass

import appearance
import heads

from octoprint_facesculpt.reconstruction.head_model import HeadModel


@dataclass(frozen=True)
class Materials:
    """What pictures are made of."""

    model: HeadModel
    head: heads.PictureHead
    wardrobe: appearance.Wardrobe
