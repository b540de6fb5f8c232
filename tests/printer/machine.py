"""The hardware: a carriage that stays where it is without power, heaters that cool, endstops at the lower ends."""

from __future__ import annotations

from dataclasses import dataclass, field

AXES = "XYZ"
#: Travel of the Ender 3 in mm, from the endstops.
TRAVEL = (240.0, 240.0, 255.0)
STEPS_PER_MM = (80.0, 80.0, 400.0)
AMBIENT = 22.0


@dataclass
class Heater:
    """A heater under ideal control: heats at ``rate`` degrees a second, loses heat in ``cooling`` seconds to 1/e."""

    rate: float
    cooling: float
    maximum: float
    actual: float = AMBIENT
    target: float = 0.0

    def advance(self, seconds: float, powered: bool) -> None:
        target = self.target if powered else 0.0
        if target > self.actual:
            self.actual = min(target, self.actual + self.rate * seconds)
        else:
            floor = max(AMBIENT, target)
            self.actual = floor + (self.actual - floor) * 2.718281828 ** (-seconds / self.cooling)

    @property
    def reached(self) -> bool:
        return self.target <= 0 or abs(self.actual - self.target) < 1.0


@dataclass
class Machine:
    """What is there whether the firmware knows it or not. ``position`` is the nozzle's true place, mm from the endstops."""

    position: list[float] = field(default_factory=lambda: [60.0, 80.0, 5.0])
    filament: float = 0.0
    nozzle: Heater = field(default_factory=lambda: Heater(2.5, 120.0, 300.0))
    bed: Heater = field(default_factory=lambda: Heater(0.8, 400.0, 120.0))
    fan: int = 0
    powered: bool = True

    def advance(self, seconds: float) -> None:
        """Let time pass for the heaters."""
        self.nozzle.advance(seconds, self.powered)
        self.bed.advance(seconds, self.powered)

    def move(self, delta: tuple[float, float, float], filament: float) -> None:
        """Move the carriage; its mechanical ends hold it (the motors then lose steps)."""
        for axis in range(3):
            self.position[axis] = min(max(self.position[axis] + delta[axis], 0.0), TRAVEL[axis])
        self.filament += filament

    def endstop(self, axis: int) -> bool:
        return self.position[axis] <= 1e-6
