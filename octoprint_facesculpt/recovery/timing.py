"""How long moves take: Marlin's trapezoids with look-ahead and classic jerk, as an Ender 3 has them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

#: Creality's settings: fastest feeds mm/s, accelerations mm/s^2, jerk mm/s, for X, Y, Z, E.
FASTEST = (500.0, 500.0, 5.0, 25.0)
ACCELERATION = (500.0, 500.0, 100.0, 5000.0)
JERK = (10.0, 10.0, 0.3, 5.0)
#: M204 P and T, mm/s^2.
PRINTING = TRAVEL = 500.0


@dataclass(slots=True)
class Motion:
    """A straight move: ``delta`` in X, Y, Z, E (mm), ``feed`` mm/s, ``acceleration`` wanted (M204)."""

    delta: tuple[float, float, float, float]
    feed: float
    acceleration: float
    length: float = 0.0
    speed: float = 0.0
    entry: float = 0.0

    def __post_init__(self) -> None:
        x, y, z, e = self.delta
        self.length = sqrt(x * x + y * y + z * z) or abs(e)
        if not self.length:
            return
        share = [max(abs(d) / self.length, 1e-9) for d in self.delta]
        self.speed = max(min([self.feed, *(f / s for f, s in zip(FASTEST, share, strict=True))]), 0.05)
        self.acceleration = max(min([self.acceleration, *(a / s for a, s in zip(ACCELERATION, share, strict=True))]), 1.0)


def durations(motions: list[Motion]) -> list[float]:
    """Seconds of each move when they are made one after the other, from a stop to a stop."""
    for before, after in pairwise(motions):
        after.entry = _corner_speed(before, after)
    if not motions:
        return []
    following = 0.0
    for motion in reversed(motions):
        if motion.length:
            motion.entry = min(motion.entry, sqrt(following**2 + 2 * motion.acceleration * motion.length))
            following = motion.entry
    for before, after in pairwise(motions):
        if before.length:
            after.entry = min(after.entry, sqrt(before.entry**2 + 2 * before.acceleration * before.length))
    exits = [motion.entry for motion in motions[1:]] + [0.0]
    return [_duration(motion, end) for motion, end in zip(motions, exits, strict=True)]


def _corner_speed(before: Motion, after: Motion) -> float:
    """The highest speed at which no axis jumps by more than its jerk."""
    if not before.length or not after.length:
        return 0.0
    speed = min(before.speed, after.speed)
    for axis in range(4):
        jump = abs(after.delta[axis] / after.length - before.delta[axis] / before.length)
        if jump > 1e-9:
            speed = min(speed, JERK[axis] / jump)
    return speed


def _duration(motion: Motion, end: float) -> float:
    if not motion.length:
        return 0.0
    entry, a = motion.entry, motion.acceleration
    top = sqrt((2 * a * motion.length + entry**2 + end**2) / 2)
    peak = min(motion.speed, max(top, entry, end))
    cruise = max(0.0, motion.length - (2 * peak**2 - entry**2 - end**2) / (2 * a))
    return (2 * peak - entry - end) / a + cruise / peak
