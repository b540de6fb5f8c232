"""A rehearsal in OctoPrint's process, with the same questions as a real recovery, and no printer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from octoprint_facesculpt.desk.answers import Answers
from octoprint_facesculpt.desk.drill import Drill
from octoprint_facesculpt.desk.ports import Surroundings
from octoprint_facesculpt.recovery.errors import RecoveryError
from tests.desk.conftest import Recorder, wait_for


def test_a_rehearsal_goes_through_all_steps_and_ends_with_a_verdict(gcode: Path, tmp_path: Path):
    told: list[dict[str, Any]] = []
    drill = Drill(tmp_path / "drill", Recorder(gcode), Surroundings(lambda _kind, what: told.append(what)))
    drill.begin("vase.gcode", "vase")
    with pytest.raises(RecoveryError, match="rehearsal_going_on"):
        drill.begin("vase.gcode", "vase")

    def until(*states: str) -> None:
        wait_for(lambda: drill.status()["state"] in states, f"{states}; it is {drill.status()['state']}")

    until("ready")
    desk = drill.desk
    wait_for(lambda: desk.status()["seen"]["nozzle"] is not None, "the first temperatures")
    until("ready")
    desk.answer(Answers.begin)
    desk.look(confirmed=True)
    desk.answer(Answers.accept_point)
    stop = desk.status()["plan"]["stop"]
    desk.answer((lambda answers: answers.choose(0)) if len(stop["choices"]) > 1 else Answers.trust)
    until("ready")
    desk.heat(confirmed=True)
    wait_for(lambda: (desk.status()["heating"] or {}).get("hot"), "the heaters")
    desk.lift(confirmed=True)
    until("cleaning")
    desk.resume(confirmed=True, user=None)
    until("finished")
    verdict = drill.status()["verdict"]
    assert verdict["collisions"] == [] or verdict["collisions"] == 0
    assert any("Send: G28 R0 X Y" in line for line in drill.status()["log"])
    drill.end()
    assert drill.status()["state"] == "idle" and not (tmp_path / "drill").exists()
