"""``facesculpt:recover`` as people and other tools run it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from octoprint_facesculpt.cli import commands
from octoprint_facesculpt.recovery.identity import identity_of
from octoprint_facesculpt.recovery.journal import Journal

from .programs import print_file


@pytest.fixture
def interrupted(tmp_path: Path) -> tuple[Path, Path]:
    """The journal's folder and the file of a print that was interrupted in its third layer."""
    gcode = tmp_path / "vase.gcode"
    gcode.write_bytes(print_file())
    kept = Journal(tmp_path / "journal", boot_id="another boot").open()
    kept.begin(
        {"file": str(gcode), "identity": identity_of(gcode), "printer": {"firmware": "marlin1"}},
        phase="printing", nozzle_target=205.0, bed_target=60.0,
    )  # fmt: skip
    text = gcode.read_bytes()
    third = [i for i in range(len(text)) if text.startswith(b";LAYER_CHANGE", i)][2]
    offset = 0
    for line in text.splitlines(keepends=True):
        offset += len(line)
        kept.note(offset)
        if offset > third + 900:
            break
    kept.close()
    return tmp_path / "journal", gcode


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(commands, ["recover", *map(str, arguments)])


def test_plan_and_report(interrupted: tuple[Path, Path], tmp_path: Path):
    folder, gcode = interrupted
    resume, report = tmp_path / "resume.gcode", tmp_path / "report.json"
    before = [(folder / name).read_bytes() for name in ("journal.0", "journal.1")]
    answer = _run("--journal", folder, "-o", resume, "--report", report, "--nozzle-is", "30")
    assert answer.exit_code == 0, answer.stderr
    data = json.loads(report.read_text())
    assert data["schema"] == 1
    assert data["outage"]["kind"] == "both"
    assert (data["layer"], data["layers"]) == (3, 4)
    assert "Layer 3 of 4" in answer.stdout
    text = resume.read_bytes()
    assert b"G28 X Y" in text and b"G28 R0" not in text
    assert text.endswith(gcode.read_bytes()[data["plan"]["offset"] :])
    assert [(folder / name).read_bytes() for name in ("journal.0", "journal.1")] == before


def test_json_lines(interrupted: tuple[Path, Path]):
    answer = _run("--journal", interrupted[0], "--json", "--firmware", "klipper")
    events = [json.loads(line) for line in answer.stdout.splitlines()]
    assert events[-1]["event"] == "result"
    lines = [step["line"] for step in events[-1]["data"]["plan"]["steps"]]
    assert any(line.startswith("SET_KINEMATIC_POSITION") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--journal", "nowhere"], "journal_empty"),
        (["--journal", "JOURNAL", "--gcode", "gone.gcode"], "file_missing"),
        (["--journal", "JOURNAL", "--gcode", "other.gcode"], "file_changed"),
        (["--journal", "JOURNAL", "--bed", "1,2,3"], "bed_invalid"),
        (["--journal", "JOURNAL", "--position", "1,2,nan"], "position_invalid"),
        (["--journal", "JOURNAL", "-o", "vase.gcode"], "output_is_gcode"),
        (["--journal", "JOURNAL", "--firmware", "teacup"], "usage"),
        ([], "usage"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    interrupted: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: str
):
    monkeypatch.chdir(tmp_path)
    whole = (tmp_path / "vase.gcode").read_bytes()
    (tmp_path / "other.gcode").write_bytes(whole + b"G28\n")
    answer = _run(*("journal" if a == "JOURNAL" else a for a in arguments))
    assert answer.exit_code == 2
    assert answer.stderr.startswith(f"{code}: ")
    assert answer.stderr.count("\n") == 1
    assert (tmp_path / "vase.gcode").read_bytes() == whole


def test_finished_print_is_nothing_to_recover(interrupted: tuple[Path, Path]):
    folder, gcode = interrupted
    kept = Journal(folder).open()
    kept.begin({"file": str(gcode), "identity": identity_of(gcode)})
    kept.flush(phase="done")
    kept.close()
    answer = _run("--journal", folder)
    assert (answer.exit_code, answer.stderr.split(":")[0]) == (2, "nothing_to_recover")
