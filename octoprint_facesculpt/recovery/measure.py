"""A height that somebody measured on the print, held against what the journal knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: A caliper on soft plastic is not better than this, mm.
CALIPER = 0.2


@dataclass(frozen=True)
class Verdict:
    """``kind``: ``agrees``; ``decides``, when the journal knew two heights and the measurement tells which; ``disagrees``,
    when it is more than about a layer off. ``expected`` is the height that it was held against, ``off`` the difference in
    mm, positive when the print is higher."""

    kind: str
    expected: float
    off: float


def judge(measured: float, candidates: Sequence[float], layer_height: float) -> Verdict:
    """Compare a measured height of the print with the heights, mm, that it can have."""
    expected = min(candidates, key=lambda height: abs(height - measured))
    off = round(measured - expected, 3)
    if abs(off) > max(layer_height, CALIPER) + 1e-6:
        return Verdict("disagrees", expected, off)
    return Verdict("decides" if len(set(candidates)) > 1 else "agrees", expected, off)
