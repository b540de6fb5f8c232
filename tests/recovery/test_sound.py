"""Records that are whole, but say what nobody can work with: of another version, or made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from octoprint_facesculpt.recovery.errors import RecoveryError
from octoprint_facesculpt.recovery.identity import identity_of
from octoprint_facesculpt.recovery.journal import Reading
from octoprint_facesculpt.recovery.outage import Seen
from octoprint_facesculpt.recovery.recover import recover
from octoprint_facesculpt.recovery.sound import is_sound

from .outages import Campaign
from .programs import print_file

STRANGE = ("x", float("nan"), float("inf"), -1, 1e9, {}, [], [1], True)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> tuple[Campaign, list[dict[str, Any]]]:
    """Of a print, of a resume, and of motors without supply, as they are on disk."""
    folder: Path = tmp_path_factory.mktemp("sound")
    file = folder / "vase.gcode"
    file.write_bytes(print_file())
    campaign = Campaign(file, folder)
    start, end = campaign.spans()["printing"][20]
    record, seen, _ = campaign.interrupted((start + end) / 2)
    again = record | campaign.recover(record, seen).record(20)
    anchor = {name: record[name] for name in ("sent", "tail", "phase")} | {"parked": None, "moving": False}
    supply = record | {
        "reason": "supply",
        "cold_seconds": 9.0,
        "cold_report": 2.0,
        "cold_anchor": {**anchor, "before": [anchor]},
    }
    return campaign, [json.loads(json.dumps(one)) for one in (record, again, supply)]


def test_what_the_journal_writes_is_sound(records: tuple[Campaign, list[dict[str, Any]]]):
    assert all(is_sound(record) for record in records[1])


def test_sound_records_are_planned_or_refused(records: tuple[Campaign, list[dict[str, Any]]]):
    """Whatever stands in one field, a record that passes never becomes a plan with numbers that are none."""
    campaign, kinds = records
    identity = identity_of(campaign.gcode)
    seen, passed, skipped = Seen("after", "after", nozzle=40.0), 0, 0
    for record in kinds:
        for name in sorted(record.keys() - {"tail", "job"}):
            for value in STRANGE:
                changed = {**record, name: value}
                if not is_sound(changed):
                    skipped += 1
                    continue
                if name in (
                    "step",
                    "babystep",
                    "going",
                    "paused",
                    "pulled",
                    "wall",
                    "mono",
                    "boot",
                    "session",
                    "seconds",
                    "bed",
                ):
                    continue
                passed += 1
                reading = Reading({"job": "1", "identity": identity}, changed, 1)
                try:
                    text = "\n".join(recover(reading, seen, campaign.gcode, campaign.facts, campaign.index_file).plan.lines)
                except RecoveryError:
                    continue
                assert "nan" not in text and "inf" not in text and "e+" not in text, (name, value)
    assert passed > 20 and skipped > 200


@pytest.mark.parametrize("path", ["resume.window", "resume.stop", "resume.stop.at", "z_low", "z_high"])
@pytest.mark.parametrize("value", ["x", None, float("nan"), {}])
def test_a_resume_that_makes_no_sense_is_skipped(records: tuple[Campaign, list[dict[str, Any]]], path: str, value: Any):
    record = json.loads(json.dumps(records[1][1]))
    *way, last = path.split(".")
    inside = record
    for name in way:
        inside = inside[name]
    inside[last] = value
    assert not is_sound(record)
