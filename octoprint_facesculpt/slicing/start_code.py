"""Start and end code of a printer whose bed begins at 0, on a bed that begins elsewhere.

The slicers' own code for the Ender 3 primes the nozzle along the left edge, which on a bed with its origin in the centre is
the middle: there the print would stand on the primed line, or the line would leave the bed.
"""

from __future__ import annotations

import re

from .engine import Bed

#: A place in a move; one that the slicer computes from the bed, ``Y{...}``, is none.
_PLACE = re.compile(r"\b([XY])(-?\d+(?:\.\d+)?)(?=\s|$)")


def moved(code: str, bed: Bed, newline: str = "\n") -> str:
    """Code with its absolute moves as far from the front left corner of ``bed`` as they are from 0."""
    if not (bed.left or bed.front):
        return code
    corner = {"X": bed.left, "Y": bed.front}
    relative, lines = False, []
    for line in code.split(newline):
        command, semicolon, comment = line.partition(";")
        name = command.strip().partition(" ")[0]
        if name in ("G90", "G91"):
            relative = name == "G91"
        elif name in ("G0", "G1") and not relative:
            command = _PLACE.sub(lambda place: f"{place[1]}{round(float(place[2]) + corner[place[1]], 3):g}", command)
        lines.append(f"{command}{semicolon}{comment}")
    return newline.join(lines)
