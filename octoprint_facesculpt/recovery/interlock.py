"""Lines that must not reach a printer with an unfinished print on its bed."""

from __future__ import annotations

import re

_COMMAND = re.compile(r"\s*(?:N\d+\s*)?G\s*0*(\d+)(?:\.\d+)?(?!\d)(.*)", re.IGNORECASE | re.DOTALL)
_RELEASE = re.compile(r"\s*(?:N\d+\s*)?M\s*0*(?:18|84)(?!\d)(?![^*]*S)", re.IGNORECASE)
#: Bed probing, single probe, delta calibration, gantry alignment: each drives Z into whatever is there.
PROBING = frozenset({29, 30, 33, 34})


def endangers(line: str) -> bool:
    """Whether a line would move Z down without knowing where it is: G28 unless it names X or Y only, G29, G30, G33, G34;
    or would let go of the motors, after which Z may sink: M18, M84 without a time."""
    if _RELEASE.match(line.partition(";")[0]):
        return True
    match = _COMMAND.match(line.partition(";")[0])
    if match is None:
        return False
    number, words = int(match[1]), match[2].upper()
    if number in PROBING:
        return True
    return number == 28 and ("Z" in words or not ("X" in words or "Y" in words))
