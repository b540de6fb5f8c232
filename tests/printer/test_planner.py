"""The planner's time and place agree with trapezoids worked out by hand (500 mm/s2, jerk 10 mm/s)."""

from __future__ import annotations

from math import sqrt

import pytest

from .planner import BUFFER, Block, Limits, Planner


class Track:
    """A planner whose moves are counted where they happen."""

    def __init__(self) -> None:
        self.place, self.filament, self.ended = [0.0, 0.0, 0.0], 0.0, []
        self.planner = Planner(Limits.ender3(), self._moved, lambda block: self.ended.append(block.number))
        self._start = [0.0, 0.0, 0.0]

    def _moved(self, _block: Block, delta: tuple[float, float, float], filament: float) -> None:
        self.place = [p + d for p, d in zip(self.place, delta, strict=True)]
        self.filament += filament

    def line(self, x: float = 0.0, y: float = 0.0, z: float = 0.0, e: float = 0.0, feed: float = 50.0) -> None:
        self.planner.add((x, y, z, e), feed, "", len(self.planner.blocks) + 1, (0.0, 0.0, 0.0))

    def seconds(self) -> float:
        """Run everything; the time it took."""
        return 1000.0 - self.planner.advance(1000.0)


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        # 0.1 s up to 50 mm/s (2.5 mm), 5 mm at 50 mm/s, 0.1 s down.
        ([{"x": 10}], 0.3),
        # Too short for 50 mm/s: a triangle of sqrt(500 * 1) mm/s.
        ([{"x": 1}], 2 * sqrt(500) / 500),
        # Straight on: the joint is not felt. 20 mm in one trapezoid.
        ([{"x": 10}, {"x": 10}], 0.1 + 15 / 50 + 0.1),
        # A right angle is taken at 10 mm/s, the jerk: twice 0.1 up + 5.1 mm cruise + 0.08 down.
        ([{"x": 10}, {"y": 10}], 2 * (0.1 + 5.1 / 50 + 0.08)),
        # Turning back may change the speed by 10 mm/s in all: 5 mm/s before and after.
        ([{"x": 10}, {"x": -10}], 2 * (0.1 + (10 - 2.5 - 2.475) / 50 + 0.09)),
        # Z goes at most 5 mm/s, with 100 mm/s2: 0.05 s and 0.125 mm at each end.
        ([{"z": 5}], 0.05 + 4.75 / 5 + 0.05),
        # A retraction: 5 mm of filament at 25 mm/s, 0.05 s and 0.625 mm at each end.
        ([{"e": -5, "feed": 60}], 0.05 + 3.75 / 25 + 0.05),
        # Diagonal: the way is 50 mm, the speed along it the wanted one.
        ([{"x": 30, "y": 40}], 0.1 + 45 / 50 + 0.1),
    ],
)
def test_moves_take_the_time_of_their_trapezoids(lines: list[dict[str, float]], seconds: float) -> None:
    track = Track()
    for line in lines:
        track.line(**line)
    assert track.seconds() == pytest.approx(seconds, abs=1e-9)
    assert track.place == pytest.approx([sum(line.get(axis, 0) for line in lines) for axis in "xyz"])


def test_the_nozzle_is_where_the_trapezoid_has_it_at_any_moment() -> None:
    track = Track()
    track.line(x=10, e=0.5)
    places = []
    for _ in range(6):
        track.planner.advance(0.05)
        places.append(track.place[0])
    # 500 t2/2; then 50 mm/s; the end mirrors the start.
    assert places == pytest.approx([0.625, 2.5, 5.0, 7.5, 9.375, 10.0])
    assert track.filament == pytest.approx(0.5)


def test_the_end_of_a_move_is_known_to_the_moment() -> None:
    track = Track()
    track.line(x=10)
    track.line(x=10)
    spent = []
    track.planner._finished = lambda _block: spent.append(track.planner.spent)
    track.planner.advance(100)
    assert spent == pytest.approx([0.25, 0.5])


def test_a_later_move_lets_the_waiting_one_keep_its_speed() -> None:
    alone, followed = Track(), Track()
    alone.line(x=10)
    followed.line(x=10)
    followed.line(x=10)
    assert followed.planner.until_free() < alone.planner.until_free()


def test_fifteen_blocks_fill_it() -> None:
    track = Track()
    for _ in range(BUFFER - 1):
        assert not track.planner.full
        track.line(x=10)
    assert track.planner.full
    track.planner.advance(track.planner.until_free() + 1e-9)
    assert not track.planner.full and track.ended == [1]


def test_a_block_without_motion_takes_no_time_and_keeps_its_place_in_the_queue() -> None:
    track = Track()
    track.line(x=10)
    track.planner.add_sync("G92 E0", 2, (0.0, 0.0, 0.0))
    track.line(x=10)
    assert len(track.planner.blocks) == 3
    track.planner.advance(track.planner.until_free() + 1e-6)
    assert track.ended == [1, 2] and track.place[0] == pytest.approx(10, abs=0.01)
