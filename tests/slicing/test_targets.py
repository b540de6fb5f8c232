"""Sizes and layers by time and filament, on printers whose laws are known."""

from __future__ import annotations

import math

import pytest

from octoprint_facesculpt.slicing import SlicingError
from octoprint_facesculpt.slicing.targets import (
    GRAMS,
    HEATING,
    HOURS,
    MAX_SLICES,
    TOLERANCE,
    Target,
    Tried,
    experience,
    first_height,
    solve_height,
    solve_layers,
)


def printer(layer: float = 0.16, walls: float = 1.0, infill: float = 1.0):
    """A printer whose walls grow with the square of the height and its infill with the cube; and what it was asked."""
    asked: list[float] = []

    def slice_at(height: float) -> Tried:
        asked.append(height)
        size = height / 160
        hours = (walls * 14 * size**2 + infill * 9 * size**3) * (0.16 / layer) ** 0.75
        return Tried(height, layer, hours * 3600, 60 * walls * size**2 + 135 * infill * size**3)

    return slice_at, asked


@pytest.mark.parametrize("target", [Target(HOURS, 26), Target(HOURS, 3), Target(GRAMS, 240), Target(GRAMS, 30)])
@pytest.mark.parametrize(("walls", "infill"), [(1.0, 1.0), (2.0, 0.1), (0.3, 2.0)])
def test_a_target_is_met_in_few_slices(target: Target, walls: float, infill: float) -> None:
    slice_at, asked = printer(walls=walls, infill=infill)
    tried = solve_height(target, first_height(target, 0.16), (20, 400), slice_at)
    assert abs(target.reached(tried[-1]) / target.value - 1) <= TOLERANCE
    assert len(asked) == len(tried) <= MAX_SLICES and tried[-1].height_mm == asked[-1]


def test_a_printer_like_the_known_one_is_hit_at_once() -> None:
    slice_at, asked = printer()
    solve_height(Target(HOURS, 24), first_height(Target(HOURS, 24), 0.16), (20, 400), slice_at)
    assert len(asked) == 1


def test_a_limit_is_not_passed_and_not_asked_twice() -> None:
    slice_at, asked = printer()
    tried = solve_height(Target(HOURS, 100), 250, (20, 180), slice_at)
    assert asked == [180] and tried[-1].height_mm == 180


def narrow(width: float):
    """A printer on which nothing higher than ``width`` finds room."""
    slice_at, asked = printer()

    def fitting(height: float) -> Tried:
        if height > width:
            asked.append(height)
            raise SlicingError("too_large", "It does not fit.")
        return slice_at(height)

    return fitting, asked


def test_what_proves_too_large_is_made_smaller() -> None:
    """What brim and supports need beside a sculpture is known when it is sliced."""
    slice_at, asked = narrow(215)
    tried = solve_height(Target(HOURS, 100), 250, (20, 230), slice_at)
    assert tried[-1].height_mm == asked[-1] == pytest.approx(207.6) and len(asked) == 3


def test_a_target_below_what_proves_too_large_is_still_met() -> None:
    slice_at, asked = narrow(215)
    tried = solve_height(Target(HOURS, 26), 230, (20, 230), slice_at)
    assert tried[-1].seconds / 3600 == pytest.approx(26, rel=TOLERANCE) and len(asked) <= MAX_SLICES + 2


def test_what_never_fits_is_refused_soon() -> None:
    slice_at, asked = narrow(10)
    with pytest.raises(SlicingError, match="too_large"):
        solve_height(Target(HOURS, 26), 230, (20, 230), slice_at)
    assert len(asked) == 4


def test_the_last_slice_is_the_best_one() -> None:
    """A printer without any law: what is printed is what came nearest."""
    hours = iter([20.0, 60.0, 5.0, 20.0])
    tried = solve_height(Target(HOURS, 26), 160, (20, 400), lambda h: Tried(h, 0.16, next(hours) * 3600, 1))
    assert tried[-1].height_mm == tried[0].height_mm == 160 and len(tried) == MAX_SLICES


@pytest.mark.parametrize(("hours", "layer"), [(23.2, 0.16), (20, 0.20), (30, 0.12), (15.5, 0.28), (4, 0.28), (90, 0.12)])
def test_of_a_given_size_the_finest_layers_within_the_time_are_taken(hours: float, layer: float) -> None:
    asked: list[float] = []

    def slice_with(mm: float) -> Tried:
        asked.append(mm)
        return printer(mm)[0](160)

    tried = solve_layers(Target(HOURS, hours), (0.12, 0.16, 0.20, 0.28), 0.16, slice_with)
    assert tried[-1].layer_mm == layer == asked[-1] and len(asked) <= 4


@pytest.mark.parametrize(("kind", "value"), [(HOURS, 0), (HOURS, math.nan), (HOURS, 1e9), (GRAMS, -1), (GRAMS, math.inf)])
def test_impossible_targets_are_refused(kind: str, value: float) -> None:
    with pytest.raises(SlicingError) as error:
        Target(kind, value)
    assert error.value.code == "target_impossible" and error.value.hint


def test_without_experience_estimates_are_believed() -> None:
    assert experience([]) == (1.0, 0)


def test_experience_grows_with_prints_and_a_single_one_moves_it_little() -> None:
    slow = (10_000, 12_000 + HEATING)
    one, many = experience([slow]), experience([slow] * 20)
    assert 1.0 < one[0] < 1.07 and one[1] == 1
    assert 1.16 < many[0] < 1.2 and many[1] == 20


def test_heating_up_is_no_slow_printing() -> None:
    """Prints of half an hour that take as long as was said must not make a day's print two hours longer."""
    assert experience([(1800, 1800 + heating) for heating in (60, 150, 200)] * 5) == (1.0, 15)
    assert experience([(1800, 1800 + 300)] * 20)[0] == pytest.approx(1.05, abs=0.01)
    assert experience([(1800, 1700)] * 20)[0] == pytest.approx(1700 / 1800, abs=0.01)


def test_what_cannot_be_the_prints_doing_is_not_experience() -> None:
    assert experience([(100, 1000), (100, 10), (0, 5), (100, 0)]) == (1.0, 0)
