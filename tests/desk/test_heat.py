"""A heater that gets warm is told from one that does not."""

from __future__ import annotations

import pytest

from octoprint_facesculpt.desk import heat
from octoprint_facesculpt.desk.heat import PATIENCE, Heater, Heating


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(heat.time, "monotonic", lambda: self.now)

    def report(self, heater: Heater, *actual: float) -> None:
        """A temperature every 10 s."""
        for degrees in actual:
            self.now += 10
            heater.see(degrees)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_heater_that_rises_slowly_is_not_stuck(clock: Clock) -> None:
    bed = Heater(60, since=clock.now)
    clock.report(bed, *(20 + 0.2 * number for number in range(180)))
    assert not bed.there and not bed.stuck


@pytest.mark.parametrize("change", [0.0, 0.05, -0.5])
def test_a_heater_that_hardly_changes_is_stuck_after_a_while(clock: Clock, change: float) -> None:
    nozzle = Heater(205, since=clock.now)
    for number in range(int(PATIENCE / 10) + 1):
        assert not nozzle.stuck
        clock.report(nozzle, 25 + change * number)
    clock.report(nozzle, 25)
    assert nozzle.stuck
    # It was only slow to begin.
    clock.report(nozzle, 40)
    assert not nozzle.stuck


def test_one_that_is_hot_has_all_the_time_it_wants(clock: Clock) -> None:
    nozzle = Heater(205, since=clock.now)
    clock.report(nozzle, *[203] * 60)
    assert nozzle.there and not nozzle.stuck
    assert not Heater(205, actual=201.9).there


def test_bed_and_nozzle_are_read_from_what_octoprint_tells(clock: Clock) -> None:
    heating = Heating(Heater(60, since=clock.now), Heater(0, since=clock.now))
    assert not heating.hot
    heating.see({"T0": (25.0, 0.0), "B": (None, 60.0)})
    assert (heating.nozzle.actual, heating.bed.actual) == (25.0, None)
    heating.see({"T": (26.0, 0.0), "B": (58.0, 60.0)})
    assert heating.nozzle.actual == 26.0 and heating.hot and heating.to_json()["bed"]["there"]
