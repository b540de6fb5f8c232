"""What the commands that begin with photos have in common: from their options to a head."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..command import Reporter, UsageError
from . import NETWORKS, check_choices, check_count
from .errors import ReconstructionError

if TYPE_CHECKING:
    from ..portrait.portrait import Portrait
    from .head import Head


@dataclass(frozen=True)
class Photos:
    """Photos of one person, the faces that are chosen in the first of them, how much of the expression is kept (all of it
    where that is None), and the network with its weights."""

    paths: tuple[Path, ...]
    faces: tuple[int, ...] = ()
    expression: float | None = None
    network: str = NETWORKS[0]
    weights: Path | None = None

    @property
    def kept(self) -> float:
        """The share of the expression, 0..1."""
        return 1.0 if self.expression is None else self.expression

    def check(self) -> None:
        """Refuse what cannot be asked, before any photo is read: :class:`ReconstructionError`, :class:`UsageError`."""
        if len(self.paths) > 1:
            check_count(len(self.paths))
            if self.network != NETWORKS[0]:
                raise ReconstructionError(
                    "fusion_impossible", f"The network {self.network} takes one photo.", "Give one photo."
                )
        if len(self.faces) > len(self.paths):
            raise UsageError(
                "usage", "There are more faces chosen than photos.", "Give --face once for each photo, in their order."
            )
        check_choices(self.network, self.kept, self.weights)


def head_of(reporter: Reporter, photos: Photos, share: float, detailed: bool = True) -> tuple[Portrait, Head, dict[str, float]]:
    """Photos to head: first portrait, head (``detailed`` with relief, hair and beard) and seconds so far, within the first
    ``share`` of the progress."""
    start = time.perf_counter()
    from ..portrait.reader import read_portrait
    from . import reconstruct, reconstruct_together

    part = 0.2 * share / len(photos.paths)
    portraits = [
        read_portrait(photo, face=face, progress=reporter.part(part * i, part * (i + 1)))
        for i, (photo, face) in enumerate(zip_longest(photos.paths, photos.faces))
    ]
    seconds = {"portrait": time.perf_counter() - start}
    progress = reporter.part(0.2 * share, share)
    first = portraits[0]
    asked: dict[str, Any] = {"weights": photos.weights, "expression": photos.kept, "detailed": detailed, "progress": progress}
    if len(portraits) > 1:
        return first, reconstruct_together(portraits, **asked), seconds
    return first, reconstruct(first, network=photos.network, **asked), seconds
