"""What is done to the printer and to the print's file while an interrupted print waits."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from octoprint_facesculpt.desk.answers import ANYWHERE, AnswerFile, Answers, Wanted
from octoprint_facesculpt.desk.guard import HARMLESS
from octoprint_facesculpt.desk.moved import Moves, insisted, moved_unseen
from octoprint_facesculpt.recovery.errors import RecoveryError
from octoprint_facesculpt.recovery.journal import read

from .conftest import Opened, wait_for

API = {"source:api"}
SOMEWHERE = (-ANYWHERE, ANYWHERE)


def jog(opened: Opened, *lines: str) -> None:
    for line in lines:
        assert opened.desk.on_sending(line, line.split()[0], API) is None


def moved(opened: Opened) -> dict:
    """The plan that knows that the nozzle was moved."""

    def known() -> dict | None:
        status = opened.desk.status()
        return status["plan"] if status["state"] == "ready" and status["plan"]["stop"]["moved"] else None

    return wait_for(known, "the move")


def walked_to_height(opened: Opened) -> None:
    opened.until("ready")
    opened.desk.answer(Answers.begin)
    opened.desk.look(confirmed=True)
    opened.desk.answer(Answers.accept_point)


@pytest.mark.parametrize(
    ("lines", "reach"),
    [
        ("G91|G1 Z5 F600|G90", [(0.0, 5.0)]),
        ("G91|G0 X5 Z-2.5", [(-2.5, 0.0)]),
        ("G91|g1z+.5", [(0.0, 0.5)]),
        ("G20|G91|G1 Z1", [(0.0, 25.4)]),
        ("G91|G90|G1 Z5", [SOMEWHERE]),
        ("G1 Z5", [SOMEWHERE]),
        ("G28 X Y", [(0.0, 10.0)]),
        ("M600", [SOMEWHERE]),
        ("G27", [SOMEWHERE]),
        # The firmware's own retraction, and steps beside the coordinates.
        ("G10", [SOMEWHERE]),
        ("G11", [SOMEWHERE]),
        ("M290 Z-0.4", [(-0.4, 0.0)]),
        ("M290 S.2|M290", [(0.0, 0.2)]),
        ("G91|G1 X5 Y5|G1 E5 ; Z5|G1 Z0|G90|G92 Z5", []),
    ],
)
def test_how_far_lines_may_move_the_nozzle(lines: str, reach: list[tuple[float, float]]):
    moves = Moves()
    found = [moves.follow(line, re.match(r"[GM]\d+", line.upper())[0]) for line in lines.split("|")]  # type: ignore[index]
    assert [one for one in found if one] == reach


@pytest.mark.parametrize(
    ("line", "reach"),
    [
        ("M18 E", None), ("m84 x y ; done", None), ("M18 X Z", SOMEWHERE), ("M84", SOMEWHERE), ("M84 S60", SOMEWHERE),
        ("G28", SOMEWHERE), ("G29 X5", SOMEWHERE), ("", SOMEWHERE),
    ],
)  # fmt: skip
def test_a_line_that_is_insisted_on_may_move_it_anywhere_unless_it_lets_go_of_other_motors(line: str, reach) -> None:
    assert insisted(line) == reach


def test_the_height_of_a_nozzle_that_was_moved_must_be_measured(opened: Opened):
    walked_to_height(opened)
    opened.desk.measure(0.8)
    opened.until("ready")
    assert opened.desk.answers.complete
    jog(opened, "G91", "G1 Z10 F600", "G90")
    plan = moved(opened)
    assert plan["asks"] and plan["stop"]["moved"]
    assert (plan["stop"]["z"], plan["stop"]["z_spread"]) == (0.8, 10.0)
    assert [risk["code"] for risk in plan["plan"]["risks"]] == ["moved", "adhesion"]
    assert opened.desk.answers.question == "height"
    opened.desk.answer(Answers.trust)
    assert opened.desk.answers.question == "height" and not opened.desk.answers.complete
    with pytest.raises(RecoveryError) as refused:
        opened.desk.resume(confirmed=True, user=None)
    assert refused.value.code == "not_chosen"
    opened.desk.measure(10.7)
    plan = opened.until("ready")["plan"]
    assert (plan["asks"], plan["stop"]["z"], plan["plan"]["point"][2]) == (False, 10.7, 0.8)
    assert opened.desk.answers.height == {"kind": "decides", "expected": 10.7, "off": 0.0, "measured": 10.7, "moved": True}
    opened.desk.heat(confirmed=True)


def test_a_nozzle_that_was_moved_down_beside_the_print_is_lifted_above_it(opened: Opened):
    opened.until("ready")
    jog(opened, "G91", "G1 Z10", "G1 X60", "G1 Z-10.5", "G90")
    wait_for(lambda: moved(opened)["stop"]["z_spread"] == 10.8, "all moves")
    opened.desk.plan_again(height=0.3)
    wait_for(lambda: (p := opened.until("ready")["plan"]) and p["stop"]["z"] == 0.3, "the height")
    steps = opened.desk.status()["plan"]["plan"]["steps"]
    home = next(step for step in steps if step["line"].startswith("G28"))
    assert home["z"] >= 0.8 + 2.5


def test_moves_outlive_the_server(opened: Opened, folder: Path, gcode: Path):
    opened.until("ready")
    jog(opened, "G91", "G1 Z10", "G90")
    moved(opened)
    opened.desk.close()
    again = Opened(folder, gcode)
    assert again.until("ready")["plan"]["stop"]["z_spread"] == 10.0
    again.desk.close()


def test_a_line_that_somebody_insists_on_leaves_the_height_unknown(opened: Opened):
    opened.until("ready")
    assert opened.desk.on_sending("G28", "G28", API) == HARMLESS
    opened.desk.guard.allow("G28", confirmed=True)
    stop = moved(opened)["stop"]
    assert (stop["z"], stop["z"] + stop["z_spread"]) == (0.0, 250.0)


def test_who_moves_it_while_it_heats_up_is_asked_again(opened: Opened):
    walked_to_height(opened)
    opened.desk.measure(0.8)
    opened.until("ready")
    opened.desk.heat(confirmed=True)
    jog(opened, "G91", "G1 Z1", "G90")
    assert moved(opened)["asks"]
    assert opened.port.sent[-2:] == ["M104 S0", "M140 S0"]
    assert opened.desk.status()["heating"] is None and opened.desk.answers.question == "height"


@pytest.mark.parametrize("order", ["heat", "lift", "resume"])
def test_an_order_that_meets_a_move_on_its_way_is_refused(opened: Opened, monkeypatch: pytest.MonkeyPatch, order: str):
    """The line has left for the printer, and nothing else has been done about it."""
    walked_to_height(opened)
    opened.desk.measure(0.8)
    opened.until("ready")
    if order == "lift":
        opened.desk.heat(confirmed=True)
        opened.warm()
    with monkeypatch.context() as patch:
        patch.setattr("octoprint_facesculpt.desk.desk.threading.Thread.start", lambda _thread: None)
        jog(opened, "G91", "G1 Z3", "G90")
    orders = {
        "heat": opened.desk.heat,
        "lift": opened.desk.lift,
        "resume": lambda confirmed: opened.desk.resume(confirmed, None),
    }
    with pytest.raises(RecoveryError) as refused:
        orders[order](confirmed=True)
    assert refused.value.code == "nothing_to_recover" and opened.port.resumed is None
    assert not any(line.startswith("G1") for line in opened.port.sent)
    assert moved(opened)["asks"]


@pytest.mark.parametrize(("told", "asks"), [("0.00", False), ("12.00", True)])
def test_what_was_moved_at_the_printers_display_is_seen_when_it_heats(opened: Opened, told: str, asks: bool):
    walked_to_height(opened)
    opened.warm(nozzle=25.0, bed=25.0)
    opened.until("ready")
    opened.desk.answer(Answers.trust)
    opened.until("ready")
    opened.port.asked = False
    opened.desk.heat(confirmed=True)
    wait_for(lambda: opened.port.asked, "the question")
    opened.desk.on_received(f"X:7.00 Y:0.00 Z:{told} E:0.00 Count X:0 Y:0 Z:0")
    if asks:
        assert moved(opened)["stop"]["z_spread"] == 12.0
    else:
        assert opened.desk.state == "heating" and opened.desk.answers.moved is None


@pytest.mark.parametrize(
    ("height", "knows", "reach"),
    [
        (0.8, True, None),
        (0.0, False, None),
        (0.8, False, None),
        (10.8, True, (0.0, 10.8)),
        (0.0, True, (-0.8, 0.0)),
        (-2.0, False, (-2.8, 0.0)),
    ],
)
def test_heights_that_a_board_tells(height: float, knows: bool, reach: tuple[float, float] | None):
    assert moved_unseen(height, 0.8, knows) == reach


def test_nothing_comes_between_two_lines_of_the_plan(opened: Opened):
    walked_to_height(opened)
    opened.desk.measure(0.8)
    opened.until("ready")
    opened.desk.heat(confirmed=True)
    opened.warm()
    opened.port.dies_after = 6
    opened.desk.lift(confirmed=True)
    assert opened.desk.state == "preparing"
    for line in ("G91", "G1 Z-5", "G90", "M82", "M290 Z-1", "G11", "M501", "M92 E400", "m420 S1"):
        assert opened.desk.on_sending(line, line.split()[0], API) == HARMLESS
    assert opened.desk.on_sending("M105", "M105", API) is None


@pytest.mark.parametrize(
    ("event", "source", "destination", "path"),
    [
        ("FileMoved", "vase.gcode", "busts/vase 2.gcode", "busts/vase 2.gcode"),
        ("FileMoved", "other.gcode", "new.gcode", "vase.gcode"),
        ("FolderMoved", "vase", "new", "vase.gcode"),
    ],
)
def test_plan_follows_its_file(opened: Opened, folder: Path, event: str, source: str, destination: str, path: str):
    opened.until("ready")
    opened.desk.on_event(event, {"storage": "local", "source_path": source, "destination_path": destination})
    assert opened.until("ready")["path"] == path
    found = read(folder)
    assert found is not None and found.unfinished and found.job["path"] == path
    opened.desk.resume(confirmed=True, user=None)
    assert opened.port.resumed is not None and opened.port.resumed[0] == path


def test_file_that_is_deleted_or_brought_back_is_told_at_once(opened: Opened, gcode: Path):
    printed = gcode.read_bytes()
    opened.until("ready")
    gcode.unlink()
    opened.desk.on_event("FileRemoved", {"storage": "local", "path": "vase.gcode"})
    assert opened.until("refused")["error"]["code"] == "file_missing"
    gcode.write_bytes(printed)
    opened.desk.on_event("FileAdded", {"storage": "local", "path": "vase.gcode"})
    assert opened.until("ready")["error"] is None


def test_answers_damaged_in_any_byte_are_asked_for_again(tmp_path: Path):
    file = AnswerFile(tmp_path / "answers.json")
    answers = Answers("heat", True, Wanted(choice=1, height=12.5), {"kind": "decides", "measured": 12.5}, (-1.0, 2.0))
    file.save(answers, "job", 7)
    assert json.loads(json.dumps(file.load("job", 7).to_json())) == json.loads(json.dumps(answers.to_json()))
    whole = (tmp_path / "answers.json").read_bytes()
    for place in range(len(whole)):
        for damage in (0x01, 0x80):
            (tmp_path / "answers.json").write_bytes(whole[:place] + bytes([whole[place] ^ damage]) + whole[place + 1 :])
            assert file.load("job", 7) == Answers(), place


def test_a_disk_that_cannot_be_written_is_told_and_nothing_else_stops(tmp_path: Path, gcode: Path):
    (tmp_path / "full").write_text("in the way")
    one = Opened(tmp_path / "full", gcode)
    wait_for(lambda: one.desk.status()["journal_error"], "the disk's error")
    (tmp_path / "full").unlink()
    one.desk.on_event("PrintStarted", {"origin": "local", "path": "vase.gcode"})
    wait_for(lambda: one.desk.status()["journal_error"] is None, "the disk's mending")
    assert read(tmp_path / "full") is not None
    one.desk.close()
