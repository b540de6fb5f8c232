"""Where the centre of an arc (G2, G3) lies."""

from __future__ import annotations

from collections.abc import Mapping
from math import hypot, inf, sqrt

#: What a radius may be too short for its ends, mm: to write it and them to a thousandth of an inch makes up so much.
_ROUNDED = 0.05


def centre_of(x: float, y: float, words: Mapping[bytes, float], clockwise: bool) -> tuple[float, float] | None:
    """From an arc's start to its centre, mm, by its words I and J, or R, which counts alone where it is given (Marlin
    ``G2_G3.cpp``); its end lies (``x``, ``y``) mm from its start.

    None for what is no arc: Marlin does not move without a centre, and a radius must lead to another place that it can
    reach. Where it cannot, Marlin 2 makes half a circle, and Marlin 1 computes with the root of a negative number.
    """
    i, j = words.get(b"I", 0.0), words.get(b"J", 0.0)
    if b"R" in words:
        radius, half = words[b"R"], hypot(x, y) / 2
        if not radius or not half or abs(radius) < half - _ROUNDED:
            return None
        height = sqrt(max(0.0, (radius - half) * (radius + half)))
        # A negative radius is meant for the longer way round.
        side = height / (2 * half) * (-1 if clockwise != (radius < 0) else 1)
        i, j = x / 2 - side * y, y / 2 + side * x
    return (i, j) if 0 < hypot(i, j) < inf else None
