"""A last look at the nozzle's heat before the file switches it off.

Motors and heaters share a supply. If it dies in the last seconds of a print, the board, fed by USB, acknowledges the rest and
cools down as it would anyway: nothing tells that plastic is missing. So the file's heater goes off some seconds later, when all
moves are made: by then a nozzle without power has cooled, and one with power has not.
"""

from __future__ import annotations

import re

#: Seconds between two looks, and how often: a nozzle loses the 3 degrees that count in less than half of it.
PAUSE, LOOKS = 2, 6
#: All moves made, then wait; M105 for boards that do not report by themselves.
LINES = ("M400", *(("M105", f"G4 S{PAUSE}") * LOOKS), "M105")
_OFF = re.compile(r"M10[49]\s+(?:T0\s+)?S0*(?:\.0*)?\s*(?:T0\s*)?$", re.IGNORECASE)


class LastLook:
    """Follows a file's lines: only a nozzle that is off the print may wait."""

    def __init__(self) -> None:
        self._off_the_print = self._done = False

    def before(self, cmd: str, gcode: str | None) -> tuple[str, ...]:
        """Lines to send before a line of the file, once a print."""
        if gcode in ("G0", "G1", "G2", "G3"):
            if "E" in cmd and ("X" in cmd or "Y" in cmd):
                self._off_the_print = False
            elif "Z" in cmd:
                self._off_the_print = True
        elif gcode in ("M104", "M109") and not self._done and self._off_the_print and _OFF.match(cmd):
            self._done = True
            return LINES
        return ()
