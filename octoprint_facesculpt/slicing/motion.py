"""How long a printer takes for its moves: Marlin's look-ahead planner, for all moves of a file at once.

Marlin enters every move as fast as three things allow: the corner before it (classic jerk), the moves behind it in its
buffer, at whose end it must be able to stop, and the speed it has reached. In squares of speeds the last two are sums of
``2 a l`` along the moves, so both passes of the planner are running minima (Marlin ``planner.cpp``: ``recalculate``).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

#: Moves that Marlin can look ahead when one begins: BLOCK_BUFFER_SIZE 16 holds 15, of which one has just ended.
LOOK_AHEAD = 13
#: A move of fewer steps on every axis (MIN_STEPS_PER_SEGMENT) waits for the next one.
MIN_STEPS = 6 - 1e-6
STEPS_PER_MM = (80.0, 80.0, 400.0, 93.0)
_PENDING = LOOK_AHEAD + 2


@dataclass(frozen=True)
class Limits:
    """A printer's limits for X, Y, Z, E (mm/s, mm/s^2, and jerk in mm/s), and its accelerations of printing and travel
    moves. Default: Creality's firmware of the Ender 3."""

    speed: tuple[float, float, float, float] = (500.0, 500.0, 5.0, 25.0)
    acceleration: tuple[float, float, float, float] = (500.0, 500.0, 100.0, 5000.0)
    jerk: tuple[float, float, float, float] = (10.0, 10.0, 0.3, 5.0)
    printing: float = 500.0
    travel: float = 500.0

    def told(self, command: str, words: dict[bytes, float]) -> Limits:
        """The limits after M201, M203, M204 or M205; a value that no printer has changes nothing."""
        if command == "M204":
            both = _sane(words.get(b"S"))
            return replace(
                self,
                printing=_sane(words.get(b"P")) or both or self.printing,
                travel=_sane(words.get(b"T")) or both or self.travel,
            )
        field = {"M201": "acceleration", "M203": "speed", "M205": "jerk"}[command]
        x, y, z, e = getattr(self, field)
        told = (
            _sane(words.get(b"X")) or x, _sane(words.get(b"Y")) or y, _sane(words.get(b"Z")) or z, _sane(words.get(b"E")) or e
        )  # fmt: skip
        changed: dict[str, Any] = {field: told}
        return replace(self, **changed)


def _sane(value: float | None) -> float | None:
    return value if value is not None and 0 < value < 1e6 else None


class Clock:
    """Adds up the time of moves that are told in their order, in bounded memory.

    :meth:`mark` asks for the time at which the next move that is told begins; :meth:`finish` gives all answers.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.seconds = 0.0
        self._told = self._timed = 0
        self._marks: list[int] = []
        self._times: list[float] = []
        #: Rows that wait for what comes behind them: length, speed, acceleration, square of the corner's speed.
        self._waiting = np.zeros((4, 0))
        #: Square of the speed at which the first of them begins; None after a stop, when its corner decides.
        self._entry2: float | None = None
        self._direction, self._speed = np.zeros(4), 0.0
        self._stopped = True

    @property
    def told(self) -> int:
        """How many moves have been told."""
        return self._told

    def mark(self, number: int) -> int:
        """Ask for the time at which move ``number`` (from 0) begins, which has not been told yet; numbers must not fall. The
        place of the answer in :meth:`finish`."""
        self._marks.append(number)
        return len(self._marks) - 1

    def add(self, delta: np.ndarray, feed: np.ndarray, stops: np.ndarray, limits: Sequence[tuple[int, Limits]] = ()) -> None:
        """Tell moves: ``delta`` (4, N) mm in X, Y, Z, E and ``feed`` (N,) mm/s. Before moves of ``stops`` (indices) the
        printer comes to a stand. ``limits`` says from which move on they hold, from 0 on if it says anything."""
        count = delta.shape[1]
        if not count:
            return
        held = _Held(limits or [(0, self.limits)], count)
        self.limits = limits[-1][1] if limits else self.limits
        length, speed, acceleration, unit = _nominal(delta, feed, held)
        corner2 = self._corners(unit, speed, held)
        corner2[stops] = 0.0
        self._stopped = False
        self._told += count
        self._run(np.concatenate([self._waiting, np.stack([length, speed, acceleration, corner2])], axis=1), stop=False)

    def stop(self, seconds: float = 0.0) -> None:
        """Let all moves end, and wait."""
        self._run(self._waiting, stop=True)
        self.seconds += seconds
        self._entry2, self._stopped = None, True

    def finish(self) -> list[float]:
        """End, and answer the marks in their order; :attr:`seconds` is then the whole time."""
        self.stop()
        return self._times + [self.seconds] * (len(self._marks) - len(self._times))

    def _corners(self, unit: np.ndarray, speed: np.ndarray, held: _Held) -> np.ndarray:
        """Squares (N,) of the highest speeds at which no axis jumps by more than its jerk where a move begins."""
        before = np.concatenate([self._direction[:, None], unit[:, :-1]], axis=1)
        jump = _largest(np.abs(unit - before), held.jerk)
        corner = np.minimum(speed, np.concatenate([[self._speed], speed[:-1]]))
        np.minimum(corner, 1 / np.maximum(jump, 1e-9), out=corner)
        if self._stopped:
            corner[0] = 0.0
        self._direction, self._speed = unit[:, -1].copy(), float(speed[-1])
        return corner * corner

    def _run(self, rows: np.ndarray, stop: bool) -> None:
        """Time all rows whose followers are known, or all of them when the printer stops behind them."""
        length, speed, acceleration, corner2 = rows
        count = len(length)
        done = count if stop else count - _PENDING
        if done <= 0:
            self._waiting = rows
            return
        gain = 2 * acceleration * length
        total = np.concatenate([[0.0], gain.cumsum()])
        # What the corners allow, and what lets the printer stop at the end of its buffer.
        allowed = _least_ahead(corner2 + total[:-1])
        last = np.minimum(np.arange(count) + LOOK_AHEAD, count)
        entry2 = np.minimum(allowed, total[last]) - total[:-1]
        # What the speed before allows.
        entry2[0] = min(entry2[0], self._entry2) if self._entry2 is not None else entry2[0]
        entry2 = np.maximum(np.minimum.accumulate(entry2 - total[:-1]) + total[:-1], 0.0)
        exit2 = np.concatenate([entry2[1:], [0.0]])
        following = 0.0 if stop else float(entry2[done])
        entry2, exit2, gain, length = entry2[:done], exit2[:done], gain[:done], length[:done]
        speed, acceleration = speed[:done], acceleration[:done]
        peak2 = np.minimum(speed * speed, np.maximum((gain + entry2 + exit2) / 2, np.maximum(entry2, exit2)))
        peak, change = np.sqrt(peak2), np.sqrt(entry2) + np.sqrt(exit2)
        cruise = np.maximum(length - (2 * peak2 - entry2 - exit2) / (2 * acceleration), 0.0)
        seconds = (2 * peak - change) / acceleration + cruise / peak
        self._answer(seconds)
        self._entry2 = None if stop else following
        self._waiting = rows[:, done:].copy()

    def _answer(self, seconds: np.ndarray) -> None:
        ready = bisect_left(self._marks, self._timed + len(seconds))
        if len(self._times) < ready:
            running = np.concatenate([[0.0], seconds.cumsum()])
            numbers = self._marks[len(self._times) : ready]
            self._times += [self.seconds + float(running[max(number - self._timed, 0)]) for number in numbers]
        self._timed += len(seconds)
        self.seconds += float(seconds.sum())


class _Held:
    """Limits as arrays that fit moves: one value for all, or one for each when they change between them."""

    def __init__(self, limits: Sequence[tuple[int, Limits]], count: int) -> None:
        first = [number for number, _ in limits]
        counts = np.diff([0, *first[1:], count])

        def spread(values: list) -> np.ndarray:
            return np.repeat(np.asarray(values, float), counts, axis=0).T if len(values) > 1 else np.asarray(values[0], float)

        self.printing = spread([one.printing for _, one in limits])
        self.travel = spread([one.travel for _, one in limits])
        self.speed, self.acceleration, self.jerk = (
            spread([getattr(one, name) for _, one in limits]).reshape(4, -1) for name in ("speed", "acceleration", "jerk")
        )


def _nominal(delta: np.ndarray, feed: np.ndarray, held: _Held) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Lengths, speeds, accelerations (N,) and directions (4, N) within the axes' limits."""
    length = np.sqrt(delta[0] * delta[0] + delta[1] * delta[1] + delta[2] * delta[2])
    still = length == 0
    if still.any():
        length[still] = np.abs(delta[3][still])
    unit = delta / length
    share = np.abs(unit)
    speed = np.minimum(feed, 1 / _largest(share, held.speed))
    wanted = np.where(delta[3] > 0, held.printing, held.travel)
    return length, np.maximum(speed, 0.05), np.minimum(wanted, 1 / _largest(share, held.acceleration)), unit


def _largest(parts: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """The largest of the four axes' parts (4, N), each as a share of its limit (4, 1 or N)."""
    largest = parts[0] / limits[0]
    for part, limit in zip(parts[1:], limits[1:], strict=True):
        np.maximum(largest, part / limit, out=largest)
    return largest


def _least_ahead(values: np.ndarray) -> np.ndarray:
    """The smallest of each value and the ``LOOK_AHEAD - 1`` behind it."""
    least = values
    reach = 1
    while reach < LOOK_AHEAD:
        step = min(reach, LOOK_AHEAD - reach)
        least = np.concatenate([np.minimum(least[:-step], least[step:]), least[-step:]]) if len(least) > step else least
        reach += step
    return least


def joined(delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Moves (4, N) as Marlin makes them: those of fewer than six steps go on with the next. The moves that are left (4, M),
    and which they were (M,)."""
    long = np.abs(delta[0]) >= MIN_STEPS / STEPS_PER_MM[0]
    for axis in (1, 2, 3):
        long |= np.abs(delta[axis]) >= MIN_STEPS / STEPS_PER_MM[axis]
    short = np.flatnonzero(~long)
    if not len(short):
        return delta, np.arange(delta.shape[1])
    delta = delta.copy()
    x_steps, y_steps, z_steps, e_steps = STEPS_PER_MM
    x = y = z = e = 0.0
    expected = -1
    for index, dx, dy, dz, de in zip(short.tolist(), *delta[:, short].tolist(), strict=True):
        if index != expected:
            if expected >= 0:
                delta[:, expected] += (x, y, z, e)
            x = y = z = e = 0.0
        x, y, z, e = x + dx, y + dy, z + dz, e + de
        expected = index + 1
        if max(abs(x) * x_steps, abs(y) * y_steps, abs(z) * z_steps, abs(e) * e_steps) >= MIN_STEPS:
            delta[:, index] = (x, y, z, e)
            long[index] = True
            x = y = z = e = 0.0
    if 0 <= expected < delta.shape[1]:
        delta[:, expected] += (x, y, z, e)
    kept = np.flatnonzero(long)
    return delta[:, kept], kept
