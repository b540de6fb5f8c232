"""A rehearsal: an outage that never was, and a printer that exists only in the machine model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from octoprint_facesculpt.cli import commands
from octoprint_facesculpt.recovery.drill import rehearse

from .programs import print_file


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict]:
    """A file, the folder of a rehearsal of it, and its plan; made by the commands."""
    folder = tmp_path_factory.mktemp("drill")
    gcode = folder / "vase.gcode"
    gcode.write_bytes(print_file(layers=12))
    plan = folder / "journal" / "plan.json"
    for arguments in (
        ["rehearse", gcode, "--journal", folder / "journal", "--begin", "--seed", 5],
        ["recover", "--journal", folder / "journal", "--report", plan, "--nozzle-is", 25],
    ):
        answer = CliRunner().invoke(commands, list(map(str, arguments)))
        assert answer.exit_code == 0, answer.output
    return gcode, folder / "journal", json.loads(plan.read_text())


def test_plan_of_a_made_up_outage_touches_nothing(planned: tuple[Path, Path, dict]):
    gcode, folder, plan = planned
    found = rehearse(gcode, folder, plan)
    assert found["collisions"] == 0
    assert found["layer_right"] and found["true_layer"] == plan["layer"]
    assert found["height"] == pytest.approx(0.2 * plan["layer"])
    assert found["gap_mm"] <= plan["plan"]["gap_mm"] + 0.05 and found["overlap_mm"] <= plan["plan"]["overlap_mm"] + 0.05
    assert any(line.startswith("G28 R0 X Y") for line in found["log"])


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        # Too little lift for the way, a height that is too low, and one that would home Z into the print.
        ("G1 Z5.000 F300", "G1 Z-0.300 F300"),
        ("G92 Z", "G92 Z9"),
    ],
)
def test_plan_that_is_wrong_is_caught(planned: tuple[Path, Path, dict], line: str, instead: str):
    gcode, folder, plan = planned
    wrong = json.loads(json.dumps(plan))
    steps = [step for step in wrong["plan"]["steps"] if step["line"].startswith(line)]
    assert steps
    for step in steps:
        step["line"] = instead
    found = rehearse(gcode, folder, wrong)
    assert found["collisions"] > 0
    assert any("TOUCHES" in entry for entry in found["log"])


def test_same_seed_same_outage(planned: tuple[Path, Path, dict], tmp_path: Path):
    gcode, folder, _ = planned
    CliRunner().invoke(commands, ["rehearse", str(gcode), "--journal", str(tmp_path / "j"), "--begin", "--seed", "5"])
    assert json.loads((tmp_path / "j" / "truth.json").read_text()) == json.loads((folder / "truth.json").read_text())


def test_file_without_layers_cannot_be_rehearsed(tmp_path: Path):
    gcode = tmp_path / "empty.gcode"
    gcode.write_text("G28\nM104 S200\n")
    answer = CliRunner().invoke(commands, ["rehearse", str(gcode), "--journal", str(tmp_path / "j"), "--begin"])
    assert (answer.exit_code, answer.stderr.split(":")[0]) == (2, "not_recoverable")
