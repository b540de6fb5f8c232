"""When a print goes on without anybody looking, and when it must not."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest

from octoprint_facesculpt.desk import alone
from octoprint_facesculpt.desk.alone import Wish, obstacle
from octoprint_facesculpt.recovery.clock import Standstill
from octoprint_facesculpt.recovery.journal import read, this_boot

from .conftest import Opened, wait_for

PLAN = {
    "outage": {"kind": "host"}, "again": None, "stop": {"z_spread": 0.0}, "targets": {"nozzle": 205.0, "bed": 60.0},
    "asks": False, "kind": "resume",
}  # fmt: skip
SHORT, WANTED = Standstill(60.0, False, None), Wish(True, 300.0)


def test_warm_printer_after_a_short_stop_goes_on():
    assert obstacle(WANTED, PLAN, {"phase": "printing"}, SHORT, 203.0, 59.0) is None
    # Paused once, and printing again.
    record = {"phase": "printing", "paused": False, "pause_position": None}
    assert obstacle(WANTED, PLAN, record, SHORT, 203.0, 59.0) is None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"wish": Wish()}, "not_wanted"),
        ({"plan": {"outage": {"kind": "both"}}}, "printer_lost_power"),
        ({"plan": {"outage": {"kind": "printer"}}}, "printer_lost_power"),
        ({"plan": {"again": ["lift", None]}}, "resume_interrupted"),
        ({"record": {"phase": "paused"}}, "paused"),
        ({"record": {"phase": "interrupted", "paused": True}}, "paused"),
        ({"stood": Standstill(301.0, False, None)}, "too_long"),
        ({"stood": Standstill(5.0, True, None)}, "too_long"),
        ({"plan": {"stop": {"z_spread": 0.2}}}, "height_uncertain"),
        ({"plan": {"asks": True}}, "height_uncertain"),
        ({"plan": {"kind": "restart"}}, "not_begun"),
        ({"nozzle": 150.0}, "nozzle_cold"),
        ({"nozzle": None}, "nozzle_cold"),
        ({"bed": 50.0}, "bed_cold"),
        ({"bed": None}, "bed_cold"),
    ],
)
def test_anything_else_waits_for_the_user(change: dict, code: str):
    given = {
        "wish": WANTED, "plan": deepcopy(PLAN), "record": {"phase": "printing"}, "stood": SHORT, "nozzle": 203.0, "bed": 59.0,
    }  # fmt: skip
    given["plan"] |= change.pop("plan", {})
    given |= change
    assert obstacle(*given.values()) == code


@pytest.fixture
def short_stop(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal was kept in this run of the operating system, a moment ago."""
    record = read(folder)
    assert record is not None
    monkeypatch.setattr("octoprint_facesculpt.recovery.clock.this_boot", lambda: record.record["boot"])
    monkeypatch.setattr(alone, "KINDS", (*alone.KINDS, "both"))
    assert this_boot() != record.record["boot"]


@pytest.mark.parametrize("stopped", [False, True])
def test_it_counts_down_and_can_be_stopped(
    folder: Path, gcode: Path, short_stop: None, stopped: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("octoprint_facesculpt.desk.patience.COUNTDOWN", 30.0 if stopped else 0.5)
    one = Opened(folder, gcode, wish=lambda: WANTED)
    one.until("ready")
    one.warm(nozzle=204.0, bed=60.0)
    if stopped:
        wait_for(lambda: one.desk.status()["alone_in"], "the countdown")
        one.desk.stop()
        assert one.desk.status()["alone_in"] is None
        # Nor does it begin again by itself.
        one.desk.plan_again()
        one.until("ready")
        assert one.desk.status()["alone_in"] is None and one.port.resumed is None
    else:
        wait_for(lambda: one.port.resumed, "the resume")
        assert one.desk.state == "running"
    one.desk.close()


def test_without_the_setting_it_never_does(folder: Path, gcode: Path, short_stop: None):
    one = Opened(folder, gcode)
    one.until("ready")
    one.warm(nozzle=204.0, bed=60.0)
    one.until("ready")
    assert one.desk.status()["alone_in"] is None and one.port.resumed is None
    one.desk.close()
