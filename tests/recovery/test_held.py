"""Boards that outlive an outage: what G10 lifts the nozzle by, they do not tell, and lower with the next G11."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from octoprint_facesculpt.recovery.outage import Seen

from .cases import Case
from .outages import Campaign
from .programs import retracting_file

LIFT = 0.6


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    folder = tmp_path_factory.mktemp("held")
    file = folder / "retracting.gcode"
    file.write_bytes(retracting_file(LIFT))
    return Campaign(file, folder, lines_after=80)


def moments(campaign: Campaign, count: int) -> list[float]:
    spans = campaign.spans()["printing"]
    start, end = spans[0][0], spans[-1][1]
    return [start + (end - start) * (n + 0.5) / count for n in range(count)]


def test_board_that_holds_the_nozzle_up_does_not_lower_it_into_the_print(campaign: Campaign):
    """A host was killed; its board kept its power and was not reset."""
    for outcome in campaign.run([Case(n, "kept", "printing", at, n) for n, at in enumerate(moments(campaign, 24))]):
        assert outcome.touches == outcome.safe_touches == [], outcome
        assert outcome.lost is None and not outcome.wrong_layer and not outcome.asked, outcome
        assert outcome.promised, outcome


def test_board_is_not_asked_to_let_down_what_a_new_one_cannot_hold(campaign: Campaign):
    """Without a position of its own it was started anew."""
    at = moments(campaign, 24)[13]
    record, seen, host = campaign.interrupted(at, "kept")
    x, y, z = (host.firmware.workspace(axis) for axis in range(3))
    kept, anew = (campaign.recover(record, replace(seen, position=place)) for place in ((x, y, z), None))
    assert kept.stop.held == pytest.approx(LIFT) and "G11" in kept.plan.lines
    assert kept.plan.lines.index("G11") < kept.plan.lines.index("G91")
    assert anew.stop.held is None and "G11" not in anew.plan.lines


@pytest.mark.parametrize("line", ["G10", "G92 E"])
def test_the_plans_own_retraction_is_let_down_too(campaign: Campaign, line: str):
    """The board outlives an outage in the last steps of a resume, behind its G10."""
    seen = Seen("before", "again", nozzle=40.0)
    records = [campaign.interrupted(at, "restart")[0] for at in moments(campaign, 10)]
    record, first = next((r, plan) for r in records if "G10" in (plan := campaign.recover(r, seen)).plan.lines)
    step = next(n for n, one in enumerate(first.plan.lines) if one.startswith(line) and n >= first.plan.lines.index("G10"))
    told = first.plan.steps[-1].z_after - LIFT
    again = campaign.recover(record | first.record(step), Seen("before", "again", nozzle=205.0, position=(1.0, 1.0, told)))
    assert (again.stop.z, again.stop.z_spread, again.stop.held) == (pytest.approx(told), 0.0, pytest.approx(LIFT))
    assert "G11" in again.plan.lines and not again.stop.asks


def test_lift_that_the_file_does_not_state_is_measured(tmp_path: Path):
    """M207 is in the board's memory: where it holds the nozzle, nobody knows."""
    file = tmp_path / "unstated.gcode"
    file.write_bytes(retracting_file(LIFT).replace(b"M207 S4 F2400 Z0.6\n", b""))
    campaign = Campaign(file, tmp_path)
    asked = []
    for at in moments(campaign, 10):
        record, _, host = campaign.interrupted(at, "restart")
        found = campaign.recover(record, Seen("before", "again", nozzle=40.0))
        assert found.stop.exact
        if found.stop.asks:
            asked.append(found)
            measured = campaign.recover(record, Seen("before", "again", nozzle=40.0), height=found.stop.z + LIFT)
            assert not measured.stop.asks and measured.stop.z == pytest.approx(found.stop.z + LIFT)
            assert measured.layer == found.layer
        else:
            assert host.firmware.retracted is False
    assert 1 < len(asked) < 9
