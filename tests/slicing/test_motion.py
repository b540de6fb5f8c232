"""The vectorised planner takes the time that the simulated printer's planner takes, move by move."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from octoprint_facesculpt.slicing.motion import Clock, Limits, joined
from tests.printer.planner import Limits as PrinterLimits
from tests.printer.planner import Planner

NO_STOPS = np.zeros(0, int)


def path(seed: int, count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """A walk (4, N) as slicers make them: small turns, corners, travels, retractions, steps in Z; and feeds (N,) in mm/s."""
    random = np.random.default_rng(seed)
    angle = np.cumsum(random.choice([0.05, 0.2, np.pi / 2, np.pi], count, p=[0.6, 0.2, 0.15, 0.05]))
    length = random.choice([0.1, 0.5, 2.0, 20.0, 80.0], count)
    delta = np.stack([length * np.cos(angle), length * np.sin(angle), np.zeros(count), 0.033 * length])
    kind = random.random(count)
    delta[3, kind < 0.1] = 0.0
    delta[:3, kind > 0.95] = 0.0
    delta[3, kind > 0.95] = -5.0
    delta[2, kind > 0.98] = 0.2
    return delta, random.choice([5.0, 20.0, 50.0, 150.0], count)


def simulated(delta: np.ndarray, feed: np.ndarray) -> list[float]:
    """When each move ends on the simulated printer whose host is never late."""
    ends: list[float] = []
    passed = 0.0
    planner = Planner(PrinterLimits.ender3(), lambda *_: None, lambda _block: ends.append(passed + planner.spent))
    for number, (move, speed) in enumerate(zip(delta.T, feed, strict=True)):
        while planner.full:
            wait = planner.until_free() + 1e-9
            planner.advance(wait)
            passed += wait
        planner.add(tuple(float(part) for part in move), float(speed), "", number, (0.0, 0.0, 0.0))
    planner.advance(1e9)
    return ends


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("part", [1, 7, 64, 1000])
def test_moves_take_the_time_of_the_printers_planner(seed: int, part: int) -> None:
    """However many are told at once."""
    delta, feed = path(seed)
    clock = Clock()
    for begin in range(0, len(feed), part):
        for number in range(begin, min(begin + part, len(feed))):
            assert clock.mark(number) == number
        clock.add(delta[:, begin : begin + part].copy(), feed[begin : begin + part], NO_STOPS)
    times = clock.finish()
    ends = simulated(delta, feed)
    assert clock.told == len(ends) == len(times)
    np.testing.assert_allclose([*times[1:], clock.seconds], ends, atol=1e-4)
    assert all(a < b for a, b in pairwise(times))


def test_a_stop_and_a_pause_take_their_time() -> None:
    delta, feed = np.tile([[10.0], [0.0], [0.0], [0.3]], 2), np.full(2, 50.0)
    for stops, pause, seconds in (([], 0, 0.1 + 15 / 50 + 0.1), ([1], 0, 0.6), ([], 7, 7 + 0.5)):
        clock = Clock()
        clock.add(delta.copy(), feed, np.array(stops, int))
        clock.stop(pause)
        assert clock.seconds == pytest.approx(seconds)
        assert clock.finish() == []


def test_limits_hold_from_the_move_on_at_which_they_are_told() -> None:
    delta, feed = np.tile([[10.0], [0.0], [0.0], [0.3]], 4), np.full(4, 50.0)
    slow = Limits().told("M204", {b"S": 100.0})
    whole, first, second = Clock(), Clock(Limits()), Clock(slow)
    whole.add(delta.copy(), feed, np.array([2]), [(0, Limits()), (2, slow)])
    first.add(delta[:, :2].copy(), feed[:2], NO_STOPS)
    second.add(delta[:, 2:].copy(), feed[2:], NO_STOPS)
    for clock in (whole, first, second):
        clock.finish()
    assert whole.limits == slow
    assert whole.seconds == pytest.approx(first.seconds + second.seconds, abs=0.06)


def test_limits_are_those_of_marlins_commands() -> None:
    words = {b"X": 700.0, b"Z": -1.0, b"E": float("inf")}
    assert Limits().told("M201", words).acceleration == (700, 500, 100, 5000)
    assert Limits().told("M203", words).speed == (700, 500, 5, 25)
    assert Limits().told("M205", {b"X": 8.0, b"Y": 9.0}).jerk == (8, 9, 0.3, 5)
    assert (Limits().told("M204", {b"P": 300.0}).printing, Limits().told("M204", {b"T": 800.0}).travel) == (300, 800)


def test_moves_under_six_steps_go_on_with_the_next() -> None:
    """80 steps a millimetre: 0.05 mm are 4 steps, 0.1 mm are 8."""
    x = np.array([1.0, 0.05, 0.05, 0.05, 1.0, 0.02, 0.02])
    delta = np.stack([x, 0 * x, 0 * x, 0.01 * x])
    made, which, left = joined(delta.copy(), np.zeros(4))
    np.testing.assert_allclose(made[0], [1.0, 0.1, 1.05])
    np.testing.assert_allclose(made[3], [0.01, 0.001, 0.0105])
    np.testing.assert_allclose(left, [0.04, 0, 0, 0.0004])
    assert which.tolist() == [0, 2, 4]
    assert joined(delta[:, :1], np.zeros(4))[1].tolist() == [0]
    # In whatever pieces they come.
    for cut in range(delta.shape[1] + 1):
        first, _, left = joined(delta[:, :cut].copy(), np.zeros(4))
        second, _, rest = joined(delta[:, cut:].copy(), left)
        np.testing.assert_allclose(np.concatenate([first, second], axis=1), made)
        np.testing.assert_allclose(rest, [0.04, 0, 0, 0.0004])
