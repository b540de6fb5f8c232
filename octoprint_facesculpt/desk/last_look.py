"""A last look at the nozzle's heat before the file switches it off.

Motors and heaters share a supply. If it dies in the last seconds of a print, the board, fed by USB, acknowledges the rest and
cools down as it would anyway: nothing tells that plastic is missing. So the file's heater goes off some seconds later, when all
moves are made: by then a nozzle without power has cooled, and one with power has not.
"""

from __future__ import annotations

import re

#: Seconds between two looks, and how often: a nozzle loses the 3 degrees that count in less than half of it.
PAUSE, LOOKS = 2, 6
#: All moves made, then wait (in ms: Klipper knows no seconds); M105 for boards that do not report by themselves.
LINES = ("M400", *(("M105", f"G4 P{1000 * PAUSE}") * LOOKS), "M105")
#: Commands of which one may switch the nozzle's heater off.
HEATING = ("M104", "M109")
_OFF = re.compile(r"M10[49]\s+(?:T0\s+)?S0*(?:\.0*)?\s*(?:T0\s*)?$", re.IGNORECASE)


class LastLook:
    """Follows a file's lines: only a nozzle that is off the print may wait."""

    def __init__(self) -> None:
        #: Whether the nozzle has moved up or down since it last printed.
        self.lifted = self._done = False

    def move(self, cmd: str) -> None:
        """A move of the file; one that neither prints nor has a height may be left out."""
        if "E" in cmd and ("X" in cmd or "Y" in cmd):
            self.lifted = False
        elif "Z" in cmd:
            self.lifted = True

    def before(self, cmd: str) -> tuple[str, ...]:
        """Lines to send before one of :data:`HEATING` of the file, once a print."""
        if self._done or not self.lifted or not _OFF.match(cmd):
            return ()
        self._done = True
        return LINES
