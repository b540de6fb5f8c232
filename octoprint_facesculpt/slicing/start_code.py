"""Start and end code that was written for an Ender 3, on a bed that begins elsewhere or is smaller.

The slicers' own code for the Ender 3 primes the nozzle along the left edge. Where the origin is in the centre that is the
middle of the bed: there the print would stand on the primed line, or the line would leave the bed; and on a small bed it is too
long.
"""

from __future__ import annotations

import re

from .engine import Bed

#: A place in a move; one that the slicer computes from the bed, ``Y{...}``, is none.
_PLACE = re.compile(r"\b([XY])(-?\d+(?:\.\d+)?)(?=\s|$)")
#: How far from the far edges of a small bed its places stay, mm, and the farthest of them (Cura's Y200).
_INSET, _FARTHEST = 10.0, 200.0


def fits(bed: Bed) -> bool:
    """Whether the code is right for a bed as it stands."""
    return not (bed.left or bed.front) and min(bed.width, bed.depth) >= _FARTHEST + _INSET


def moved(code: str, bed: Bed, newline: str = "\n") -> str:
    """Code with its absolute moves as far from the front left corner of ``bed`` as they are from 0, and on the bed."""
    if fits(bed):
        return code
    edges = {"X": (bed.left, bed.width - _INSET), "Y": (bed.front, bed.depth - _INSET)}

    def place(match: re.Match) -> str:
        corner, most = edges[match[1]]
        return f"{match[1]}{round(min(float(match[2]), most) + corner, 3):g}"

    relative, lines = False, []
    for line in code.split(newline):
        command, semicolon, comment = line.partition(";")
        name = command.strip().partition(" ")[0]
        if name in ("G90", "G91"):
            relative = name == "G91"
        elif name in ("G0", "G1") and not relative:
            command = _PLACE.sub(place, command)
        lines.append(f"{command}{semicolon}{comment}")
    return newline.join(lines)
