"""Marlin's planner: a buffer of 16 blocks with look-ahead, trapezoids with classic jerk, executed in virtual time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from itertools import zip_longest
from math import sqrt

#: BLOCK_BUFFER_SIZE of Creality's configurations; one place stays free, so 15 blocks can wait or run.
BUFFER = 16
#: Seconds between looks at a buffer that is measured in time.
LOOK = 0.1
JERK = (10.0, 10.0, 0.3, 5.0)


@dataclass
class Limits:
    """Firmware limits, mm/s and mm/s^2 for X, Y, Z, E; M201, M203, M204 change them."""

    speed: list[float]
    acceleration: list[float]
    printing: float = 500.0
    travel: float = 500.0

    @classmethod
    def ender3(cls) -> Limits:
        return cls([500.0, 500.0, 5.0, 25.0], [500.0, 500.0, 100.0, 5000.0])


@dataclass
class Block:
    """One straight move: ``delta`` in X, Y, Z, E (mm), nominal speed and acceleration along its ``length``.

    ``source`` is the G-code line it came from. ``entry`` is the speed at its start; what follows sets its exit.
    """

    delta: tuple[float, float, float, float]
    length: float
    nominal: float
    acceleration: float
    source: str
    number: int
    start: tuple[float, float, float] = (0.0, 0.0, 0.0)
    entry: float = 0.0
    max_entry: float = 0.0
    elapsed: float = 0.0
    duration: float | None = None
    peak: float = 0.0
    exit: float = 0.0

    def settle(self, exit_speed: float) -> float:
        """Fix the trapezoid when the block begins to run; the seconds it takes."""
        self.exit = min(exit_speed, sqrt(self.entry**2 + 2 * self.acceleration * self.length)) if self.length else 0.0
        if not self.length:
            self.duration = 0.0
            return 0.0
        top = sqrt((2 * self.acceleration * self.length + self.entry**2 + self.exit**2) / 2)
        self.peak = min(self.nominal, max(top, self.entry, self.exit))
        up = (self.peak**2 - self.entry**2) / (2 * self.acceleration)
        down = (self.peak**2 - self.exit**2) / (2 * self.acceleration)
        cruise = max(0.0, self.length - up - down)
        self.duration = (2 * self.peak - self.entry - self.exit) / self.acceleration + cruise / self.peak
        return self.duration

    def travelled(self, seconds: float) -> float:
        """Distance along the block ``seconds`` after its start."""
        assert self.duration is not None
        if seconds >= self.duration:
            return self.length
        rise = (self.peak - self.entry) / self.acceleration
        fall = (self.peak - self.exit) / self.acceleration
        cruise = self.duration - rise - fall
        if seconds < rise:
            return self.entry * seconds + self.acceleration * seconds**2 / 2
        ramp = (self.entry + self.peak) / 2 * rise
        if seconds < rise + cruise:
            return ramp + self.peak * (seconds - rise)
        late = seconds - rise - cruise
        return ramp + self.peak * cruise + self.peak * late - self.acceleration * late**2 / 2


class Planner:
    """The buffer. ``moved(block, delta, filament)`` is called for every piece of motion, ``finished(block)`` at its end."""

    def __init__(
        self,
        limits: Limits,
        moved: Callable[[Block, tuple[float, float, float], float], None],
        finished: Callable[[Block], None],
    ) -> None:
        self.limits = limits
        self.blocks: deque[Block] = deque()
        #: Seconds of moves that make it full, where that is not counted in blocks.
        self.ahead: float | None = None
        #: Seconds of the current :meth:`advance` that have been used so far.
        self.spent = 0.0
        self._moved, self._finished = moved, finished

    @property
    def full(self) -> bool:
        if self.ahead is None:
            return len(self.blocks) >= BUFFER - 1
        return self._seconds() > self.ahead

    def _seconds(self) -> float:
        """Seconds of what waits or runs."""
        ends = [block.entry for block in self.blocks][1:]
        rows = zip_longest(self.blocks, ends, fillvalue=0.0)
        return sum((block.duration or copy(block).settle(end)) - block.elapsed for block, end in rows)

    def add(self, delta: tuple[float, float, float, float], feed: float, source: str, number: int, start) -> None:
        """Append a move at ``feed`` mm/s; the caller has made sure that there is a place."""
        xyz = sqrt(delta[0] ** 2 + delta[1] ** 2 + delta[2] ** 2)
        length = xyz or abs(delta[3])
        if not length:
            self.blocks.append(Block(delta, 0.0, 0.0, 1.0, source, number, start))
            return
        share = [abs(d) / length for d in delta]
        nominal = min([feed, *(v / s for v, s in zip(self.limits.speed, share, strict=True) if s > 1e-9)])
        wanted = self.limits.printing if delta[3] > 0 else self.limits.travel
        acceleration = min([wanted, *(a / s for a, s in zip(self.limits.acceleration, share, strict=True) if s > 1e-9)])
        block = Block(delta, length, max(nominal, 0.05), acceleration, source, number, start)
        before = self.blocks[-1] if self.blocks else None
        block.max_entry = self._junction(before, block)
        self.blocks.append(block)
        self._look_ahead()

    def add_sync(self, source: str, number: int, start) -> None:
        """A block without motion: Marlin queues a G92 that changes E behind the moves before it."""
        self.blocks.append(Block((0.0, 0.0, 0.0, 0.0), 0.0, 0.0, 1.0, source, number, start))

    def advance(self, seconds: float) -> float:
        """Run blocks for at most ``seconds``; returns the time that was left when the buffer ran dry."""
        self.spent = 0.0
        while self.blocks and seconds > 1e-12:
            block = self.blocks[0]
            if block.duration is None:
                block.settle(self.blocks[1].entry if len(self.blocks) > 1 else 0.0)
            assert block.duration is not None
            used = min(seconds, block.duration - block.elapsed)
            self._run(block, used)
            seconds -= used
            self.spent += used
            if block.elapsed >= block.duration - 1e-12:
                self.blocks.popleft()
                self._finished(block)
        while self.blocks and not self.blocks[0].length:
            self._finished(self.blocks.popleft())
        return seconds

    def until_free(self) -> float:
        """Seconds until the running block ends, or to the next look at a buffer that is measured in time."""
        block = self.blocks[0]
        if block.duration is None:
            block.settle(self.blocks[1].entry if len(self.blocks) > 1 else 0.0)
        assert block.duration is not None
        left = block.duration - block.elapsed
        return left if self.ahead is None else min(left, LOOK)

    def _run(self, block: Block, seconds: float) -> None:
        assert block.duration is not None
        before = block.travelled(block.elapsed)
        block.elapsed += seconds
        share = (block.travelled(block.elapsed) - before) / block.length if block.length else 0.0
        x, y, z, e = (d * share for d in block.delta)
        self._moved(block, (x, y, z), e)

    def _junction(self, before: Block | None, after: Block) -> float:
        """The highest speed of the corner at which no axis jumps by more than its jerk."""
        if before is None or not before.length:
            return min(after.nominal, min(JERK[:2]) / 2)
        speed = min(before.nominal, after.nominal)
        for axis in range(4):
            jump = abs(after.delta[axis] / after.length - before.delta[axis] / before.length)
            if jump > 1e-9:
                speed = min(speed, JERK[axis] / jump)
        return speed

    def _look_ahead(self) -> None:
        blocks = self.blocks
        exit_speed = 0.0
        for index in range(len(blocks) - 1, 0, -1):
            block = blocks[index]
            if block.duration is None and block.length:
                reach = sqrt(exit_speed**2 + 2 * block.acceleration * block.length)
                block.entry = min(block.max_entry, reach)
                exit_speed = block.entry
        for index in range(len(blocks) - 1):
            block, after = blocks[index], blocks[index + 1]
            if block.duration is not None:
                after.entry = block.exit if after.duration is None else after.entry
            elif block.length and after.length:
                after.entry = min(after.entry, sqrt(block.entry**2 + 2 * block.acceleration * block.length))
