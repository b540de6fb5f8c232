"""What a printer tells of itself once it is connected: whether it is still warm, whether it began anew, and where it is."""

from __future__ import annotations

import re
from typing import Any

#: The board's first words after a reset.
BANNER = "start"
_POSITION = re.compile(r"X:\s*(-?\d+(?:\.\d+)?) Y:\s*(-?\d+(?:\.\d+)?) Z:\s*(-?\d+(?:\.\d+)?) E:")


def position_in(line: str) -> str | None:
    """The position in an answer to M114 as ``X,Y,Z``; None where there is none, or where the board has only just woken up."""
    match = _POSITION.search(line)
    if match is None or not any(float(value) for value in match.groups()):
        return None
    return ",".join(match.groups())


class FirstSight:
    """``nozzle`` and ``bed`` are the first temperatures, degrees; ``position`` is where the printer says to be, if it was not
    reset since it is connected."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """The printer is gone."""
        self.cold_again()
        self.position: str | None = None
        #: Whether it was asked for its position, whether it has begun anew, and whether it was asked for its height alone.
        self.asked = self.booted = self.asked_height = False

    def cold_again(self) -> None:
        """It lost its power: its temperatures must be seen anew."""
        self.nozzle: float | None = None
        self.bed: float | None = None

    def began_anew(self) -> None:
        """Whatever position it gives from now on is not the nozzle's."""
        self.booted, self.position = True, None

    def take_position(self, line: str) -> bool:
        """Whether a line answers for the first time where the printer is."""
        if not self.asked or self.position is not None:
            return False
        self.position = position_in(line)
        return self.position is not None

    def take_height(self, line: str) -> float | None:
        """What a line answers to the question after the printer's height, mm."""
        position = position_in(line) if self.asked_height else None
        if position is None:
            return None
        self.asked_height = False
        return float(position.rpartition(",")[2])

    def take_temperatures(self, parsed: dict[str, Any]) -> bool:
        """Whether these, as OctoPrint read them, are the first."""
        nozzle, bed = (parsed.get("T0") or parsed.get("T") or (None,))[0], (parsed.get("B") or (None,))[0]
        if nozzle is None or self.nozzle is not None:
            return False
        self.nozzle, self.bed = nozzle, bed
        return True

    def ask(self) -> bool:
        """Whether to ask it for its position now: once, and not after it began anew."""
        if self.booted or self.asked:
            return False
        self.asked = True
        return True

    def options(self) -> list[str]:
        """For the command that plans."""
        seen = {"--nozzle-is": self.nozzle, "--position": self.position}
        return [word for name, value in seen.items() if value is not None for word in (name, str(value))]
