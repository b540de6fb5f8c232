"""The hardware: a carriage that stays where it is without power, heaters that cool, endstops at the lower ends."""

from __future__ import annotations

import random
from copy import copy, deepcopy
from dataclasses import dataclass, field

from .plastic import DEPTH, TIP, Plastic

AXES = "XYZ"
#: Travel of the Ender 3 in mm, from the endstops.
TRAVEL = (240.0, 240.0, 255.0)
STEPS_PER_MM = (80.0, 80.0, 400.0)
AMBIENT = 22.0
#: What a driver makes its motor jump by when it wakes up, at most, mm: it knows one place in four full steps only.
WAKE = (0.4, 0.4, 0.08)
#: Below this the plastic around a nozzle that rests on the print is hard, degrees Celsius.
HARD = 150.0


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
    """What is there whether the firmware knows it or not. ``position`` is the nozzle's true place, mm from the endstops.

    ``powered`` is the board's power, which USB can give, ``supply`` that of motors and heaters. Motors without power let Z be
    pushed, and jump when they wake up, by what ``chance`` makes of it (None: not at all). With ``plastic``, what is printed
    stays, and ``touches`` tells where the nozzle ran into it, deeper than the motors' jumps make it.
    """

    position: list[float] = field(default_factory=lambda: [60.0, 80.0, 5.0])
    filament: float = 0.0
    nozzle: Heater = field(default_factory=lambda: Heater(2.5, 120.0, 300.0))
    bed: Heater = field(default_factory=lambda: Heater(0.8, 400.0, 120.0))
    fan: int = 0
    powered: bool = True
    supply: bool = True
    energised: list[bool] = field(default_factory=lambda: [True, True, True])
    chance: random.Random | None = None
    plastic: Plastic | None = None
    touches: list[str] = field(default_factory=list)
    #: What Z has jumped by since it was homed, mm, which nobody can know, and the highest that it ever came to thereby.
    jumped: float = 0.0
    highest_jump: float = 0.0
    #: The deepest touch, excused or not.
    deepest: float = 0.0

    @property
    def excused(self) -> float:
        """How deep a nozzle that is exactly where it is believed to be can stand in what was printed before it jumped."""
        return max(self.highest_jump, 0.0) - self.jumped

    def shift(self, mm: float) -> None:
        """Z is ``mm`` higher than anybody believes: motors jumped, or somebody measured wrongly."""
        self.jumped += mm
        self.highest_jump = max(self.highest_jump, self.jumped)

    def z_homed(self) -> None:
        """From here on the height is known again."""
        self.jumped = 0.0

    def clear(self) -> None:
        """Somebody takes everything off the bed."""
        if self.plastic is not None:
            self.plastic.clear()
        self.highest_jump = self.jumped

    def copy(self) -> Machine:
        """An independent machine in the same state."""
        other = copy(self)
        other.position, other.energised, other.touches = list(self.position), list(self.energised), list(self.touches)
        other.nozzle, other.bed = copy(self.nozzle), copy(self.bed)
        other.plastic, other.chance = self.plastic.copy() if self.plastic else None, deepcopy(self.chance)
        return other

    def advance(self, seconds: float) -> None:
        """Let time pass for the heaters."""
        hot = self.powered and self.supply
        self.nozzle.advance(seconds, hot)
        self.bed.advance(seconds, hot)

    def release(self, axes: tuple[int, ...] = (0, 1, 2)) -> None:
        """The motors lose their power."""
        for axis in axes:
            self.energised[axis] = False

    def push(self, mm: float) -> None:
        """Z is pushed, or sinks; motors that have power hold it, and so do the bed and the print."""
        if not self.energised[2]:
            floor = self.plastic.under(self.position, 0.3) if self.plastic else 0.0
            self.position[2] = max(self.position[2] + mm, min(floor, self.position[2]))

    def move(self, delta: tuple[float, float, float], filament: float) -> None:
        """Move the carriage; its mechanical ends hold it (the motors then lose steps)."""
        if not self.supply:
            return
        before, excused = list(self.position), self.excused
        for axis in range(3):
            if delta[axis]:
                if not self.energised[axis]:
                    self._wake(axis)
                self.position[axis] = min(max(self.position[axis] + delta[axis], 0.0), TRAVEL[axis])
        self.filament += filament
        if self.plastic is not None and self.position != before:
            self._meet(before, filament, max(excused, self.excused), delta[2] > 0)

    def endstop(self, axis: int) -> bool:
        return self.position[axis] <= 1e-6

    def _wake(self, axis: int) -> None:
        self.energised[axis] = True
        if self.chance is not None:
            before = self.position[axis]
            self.position[axis] = max(before + self.chance.uniform(-WAKE[axis], WAKE[axis]), 0.0)
            if axis == 2:
                self.shift(self.position[axis] - before)

    def _meet(self, before: list[float], filament: float, excused: float, moved_up: bool) -> None:
        assert self.plastic is not None
        depth = self.plastic.depth(before, self.position)
        self.deepest = max(self.deepest, depth)
        place = " ".join(f"{letter}{value:.2f}" for letter, value in zip(AXES, self.position, strict=True))
        # On its way straight up it comes out of where it stood; that the motors jump there when they wake, nobody can help.
        comes_out = before[:2] == self.position[:2] and moved_up
        if depth > excused + DEPTH and not comes_out:
            self.touches.append(f"{depth:.2f} mm deep in the print at {place}")
        under = self.plastic.under(before, TIP)
        if self.nozzle.actual < HARD and under > 0 and before[2] < under + DEPTH + excused:
            self.touches.append(f"torn off the print with a hard nozzle at {place}")
        if filament > 0 and before[:2] != self.position[:2]:
            self.plastic.add(before, self.position)
