"""Centres of arcs are where Marlin puts them."""

from __future__ import annotations

from math import dist, hypot, inf

import pytest

from octoprint_facesculpt.slicing.gcode_arcs import centre_of


@pytest.mark.parametrize(
    ("words", "clockwise", "centre"),
    [
        # From the origin to (10, 10): the shorter way round, and the longer one with a negative radius.
        ({b"R": 10}, True, (10, 0)), ({b"R": 10}, False, (0, 10)), ({b"R": -10}, True, (0, 10)), ({b"R": -10}, False, (10, 0)),
        ({b"I": 10}, True, (10, 0)), ({b"J": 10}, False, (0, 10)), ({b"I": 3, b"J": 7}, True, (3, 7)),
        # R counts alone.
        ({b"I": 3, b"J": 7, b"R": 10}, True, (10, 0)),
    ],
)  # fmt: skip
def test_a_centre_is_where_marlin_puts_it(words: dict[bytes, float], clockwise: bool, centre: tuple[float, float]) -> None:
    assert centre_of(10, 10, words, clockwise) == pytest.approx(centre)


@pytest.mark.parametrize("radius", [26, -26, 1000, 25.001])
@pytest.mark.parametrize("clockwise", [True, False])
def test_both_ends_lie_on_the_circle(radius: float, clockwise: bool) -> None:
    centre = centre_of(30, -40, {b"R": radius}, clockwise)
    assert centre is not None
    assert hypot(*centre) == pytest.approx(abs(radius)) == pytest.approx(dist(centre, (30, -40)))


@pytest.mark.parametrize("radius", [25, -25, 24.999, 24.96])
def test_a_radius_that_was_rounded_makes_half_a_circle(radius: float) -> None:
    assert centre_of(30, -40, {b"R": radius}, True) == pytest.approx((15, -20))


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (30, -40, {}), (30, -40, {b"I": 0, b"J": 0}), (30, -40, {b"R": 0}), (30, -40, {b"R": 0, b"I": 5}),
        (30, -40, {b"R": 24.9}), (30, -40, {b"R": -24.9}), (0, 0, {b"R": 10}), (0, 0, {b"R": 10, b"I": 5}),
        (30, -40, {b"I": inf}), (30, 0, {b"R": inf}), (30, -40, {b"R": -1e200}),
    ],
)  # fmt: skip
def test_what_is_no_arc_has_no_centre(x: float, y: float, words: dict[bytes, float]) -> None:
    assert centre_of(x, y, words, True) is None
