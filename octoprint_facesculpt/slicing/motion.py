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
_STEPS = np.array(STEPS_PER_MM)[:, None]
_SHORTEST = tuple(MIN_STEPS / steps for steps in STEPS_PER_MM)
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
        """Tell moves: ``delta`` (4, N) mm in X, Y, Z, E, which is no longer what it was, and ``feed`` (N,) mm/s. Before moves
        of ``stops`` (indices) the printer comes to a stand. ``limits`` says from which move on they hold, from 0 on if it
        says anything."""
        count = delta.shape[1]
        if not count:
            return
        held = _Held(limits or [(0, self.limits)], count)
        self.limits = limits[-1][1] if limits else self.limits
        waiting = self._waiting.shape[1]
        rows = np.empty((4, waiting + count))
        rows[:, :waiting] = self._waiting
        length, speed, acceleration, corner2 = rows[:, waiting:]
        unit = _nominal(delta, feed, held, length, speed, acceleration)
        self._corners(unit, speed, held, corner2)
        corner2[stops] = 0.0
        self._stopped = False
        self._told += count
        self._run(rows, stop=False)

    def stop(self, seconds: float = 0.0) -> None:
        """Let all moves end, and wait."""
        self._run(self._waiting, stop=True)
        self.seconds += seconds
        self._entry2, self._stopped = None, True

    def finish(self) -> list[float]:
        """End, and answer the marks in their order; :attr:`seconds` is then the whole time."""
        self.stop()
        return self._times + [self.seconds] * (len(self._marks) - len(self._times))

    def _corners(self, unit: np.ndarray, speed: np.ndarray, held: _Held, corner2: np.ndarray) -> None:
        """Squares (N,) of the highest speeds at which no axis jumps by more than its jerk where a move begins."""
        turn = np.empty_like(unit)
        np.subtract(unit[:, 0], self._direction, out=turn[:, 0])
        np.subtract(unit[:, 1:], unit[:, :-1], out=turn[:, 1:])
        jump = _largest(np.abs(turn, out=turn), held.jerk)
        np.maximum(jump, 1e-9, out=jump)
        np.divide(1.0, jump, out=corner2)
        np.minimum(corner2, speed, out=corner2)
        np.minimum(corner2[1:], speed[:-1], out=corner2[1:])
        corner2[0] = 0.0 if self._stopped else min(corner2[0], self._speed)
        corner2 *= corner2
        self._direction, self._speed = unit[:, -1].copy(), float(speed[-1])

    def _run(self, rows: np.ndarray, stop: bool) -> None:
        """Time all rows whose followers are known, or all of them when the printer stops behind them."""
        length, speed, acceleration, corner2 = rows
        count = len(length)
        done = count if stop else count - _PENDING
        if done <= 0:
            self._waiting = rows
            return
        gain = 2 * acceleration
        gain *= length
        total = np.empty(count + 1)
        total[0] = 0.0
        gain.cumsum(out=total[1:])
        so_far = total[:-1]
        # What the corners allow, and what lets the printer stop at the end of its buffer.
        best2 = _least_ahead(corner2 + so_far)
        behind = total[LOOK_AHEAD:]
        np.minimum(best2[: len(behind)], behind, out=best2[: len(behind)])
        np.minimum(best2[len(behind) :], total[-1], out=best2[len(behind) :])
        best2 -= so_far
        # What the speed before allows. One more, at the end, where the printer stands if it stops there.
        best2[0] = min(best2[0], self._entry2) if self._entry2 is not None else best2[0]
        best2 -= so_far
        np.minimum.accumulate(best2, out=best2)
        best2 += so_far
        speed2 = np.zeros(count + 1)
        np.maximum(best2, 0.0, out=speed2[:-1])
        following = 0.0 if stop else float(speed2[done])
        entry2, exit2 = speed2[:done], speed2[1 : done + 1]
        gain, length, speed, acceleration = gain[:done], length[:done], speed[:done], acceleration[:done]
        both2 = entry2 + exit2
        peak2 = gain + both2
        peak2 /= 2
        np.maximum(peak2, entry2, out=peak2)
        np.maximum(peak2, exit2, out=peak2)
        np.minimum(peak2, speed * speed, out=peak2)
        peak, roots = np.sqrt(peak2), np.sqrt(speed2[: done + 1])
        cruise = 2 * peak2
        cruise -= both2
        cruise /= 2 * acceleration
        np.maximum(np.subtract(length, cruise, out=cruise), 0.0, out=cruise)
        seconds = 2 * peak
        seconds -= roots[:-1] + roots[1:]
        seconds /= acceleration
        cruise /= peak
        seconds += cruise
        self._answer(seconds)
        self._entry2 = None if stop else following
        self._waiting = rows[:, done:].copy()

    def _answer(self, seconds: np.ndarray) -> None:
        ready = bisect_left(self._marks, self._timed + len(seconds))
        if len(self._times) < ready:
            numbers = np.array(self._marks[len(self._times) : ready]) - self._timed
            running = np.where(numbers > 0, seconds.cumsum().take(numbers - 1, mode="clip"), 0.0)
            self._times += (self.seconds + running).tolist()
        self._timed += len(seconds)
        self.seconds += float(seconds.sum())


class _Held:
    """Limits as arrays that fit moves: one value for all, or one for each when they change between them."""

    def __init__(self, limits: Sequence[tuple[int, Limits]], count: int) -> None:
        first = [number for number, _ in limits]

        def spread(name: str) -> np.ndarray:
            values = [getattr(one, name) for _, one in limits]
            if len(set(values)) == 1:
                return np.asarray(values[0], float)
            return np.repeat(np.asarray(values, float).T, np.diff([0, *first[1:], count]), axis=-1)

        self.printing, self.travel = spread("printing"), spread("travel")
        self.speed, self.acceleration, self.jerk = (spread(name).reshape(4, -1) for name in ("speed", "acceleration", "jerk"))


def _nominal(
    delta: np.ndarray, feed: np.ndarray, held: _Held, length: np.ndarray, speed: np.ndarray, acceleration: np.ndarray
) -> np.ndarray:
    """Directions (4, N) of moves, in the place of ``delta``, and into the last three (N,) their lengths, and speeds and
    accelerations within the axes' limits."""
    np.multiply(delta[0], delta[0], out=length)
    for axis in (1, 2):
        length += delta[axis] * delta[axis]
    np.sqrt(length, out=length)
    still = np.flatnonzero(length == 0)
    length[still] = np.abs(delta[3].take(still))
    unit = np.divide(delta, length, out=delta)
    share = np.abs(unit)
    np.divide(1.0, _largest(share, held.speed), out=speed)
    np.minimum(speed, feed, out=speed)
    np.maximum(speed, 0.05, out=speed)
    np.divide(1.0, _largest(share, held.acceleration), out=acceleration)
    np.minimum(acceleration, np.where(unit[3] > 0, held.printing, held.travel), out=acceleration)
    return unit


def _largest(parts: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """The largest of the four axes' parts (4, N), each as a share of its limit (4, 1 or N)."""
    shares = 1 / limits
    largest, other = parts[0] * shares[0], np.empty_like(parts[0])
    for part, share in zip(parts[1:], shares[1:], strict=True):
        np.maximum(largest, np.multiply(part, share, out=other), out=largest)
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


def joined(delta: np.ndarray, left: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Moves (4, N) as Marlin makes them: those of fewer than six steps go on with the next, ``left`` (4,) with the first. The
    moves that are made (4, M), which they were (M,), and what is left over at the end (4,); ``delta`` is no longer what it
    was."""
    count = delta.shape[1]
    if count:
        delta[:, 0] += left
    long = np.abs(delta[0]) >= _SHORTEST[0]
    for axis in (1, 2, 3):
        long |= np.abs(delta[axis]) >= _SHORTEST[axis]
    short = np.flatnonzero(~long)
    rest = np.zeros(4) if count else left
    if not len(short):
        return delta, np.arange(count), rest
    # All stretches of short moves at once, one move of each after the other.
    begun = np.flatnonzero(np.concatenate([[True], short[1:] - short[:-1] != 1]))
    place, more = short.take(begun), np.concatenate([begun[1:], [len(short)]]) - begun
    waiting = np.zeros((4, len(place)))
    while len(place):
        waiting += delta.take(place, axis=1)
        enough = (np.abs(waiting) * _STEPS >= MIN_STEPS).any(0)
        made = place[enough]
        delta[:, made] = waiting[:, enough]
        long[made] = True
        waiting[:, enough] = 0.0
        place, more = place + 1, more - 1
        over = (more == 0) & (place < count)
        # What is left over goes with the long move behind.
        delta[:, place[over]] += waiting[:, over]
        if not more[-1] and place[-1] == count:
            rest = waiting[:, -1]
        going = more > 0
        place, more, waiting = place[going], more[going], waiting[:, going]
    kept = np.flatnonzero(long)
    return delta.take(kept, axis=1), kept, rest
