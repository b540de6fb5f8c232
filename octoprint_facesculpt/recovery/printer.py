"""What must be known of a printer to take a print up again."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

#: A powered board keeps its heaters on: a nozzle this much below its target, degrees, had no power.
COOLED = 12.0


@dataclass(frozen=True)
class PrinterFacts:
    """What must be known of a printer. ``firmware``: marlin2 (2.0 and later), marlin1 (1.1), klipper. ``bed``: left, front,
    right, back in mm. ``height`` it can reach. ``z_homes_down`` is true where Z homing would meet the print."""

    firmware: str = "marlin2"
    bed: tuple[float, float, float, float] = (0.0, 0.0, 235.0, 235.0)
    height: float = 250.0
    z_homes_down: bool = True

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PrinterFacts:
        """Facts as a journal holds them; what another version knew besides is left out."""
        known = {field.name for field in fields(cls)}
        values: dict[str, Any] = {key: value for key, value in data.items() if key in known}
        if "bed" in values:
            values["bed"] = tuple(values["bed"])
        return cls(**values)
