"""The way from an interrupted print to one that goes on, as the server keeps it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from octoprint_facesculpt.desk.answers import Answers
from octoprint_facesculpt.desk.guard import HARMLESS
from octoprint_facesculpt.desk.last_look import LINES
from octoprint_facesculpt.recovery.errors import RecoveryError
from octoprint_facesculpt.recovery.journal import read

from .conftest import Opened, wait_for

SCRIPT = {"plugin:facesculpt", "script:beforePrintStarted"}


def code(refused: pytest.ExceptionInfo[RecoveryError]) -> str:
    return refused.value.code


def answered(opened: Opened) -> None:
    """All questions, the height measured."""
    opened.until("ready")
    opened.desk.answer(Answers.begin)
    opened.desk.look(confirmed=True)
    opened.desk.answer(Answers.accept_point)
    opened.desk.measure(0.8)
    assert opened.desk.answers.complete and opened.desk.answers.question == "heat"
    opened.until("ready")


def lifted(opened: Opened) -> None:
    answered(opened)
    opened.desk.heat(confirmed=True)
    opened.warm()
    opened.desk.lift(confirmed=True)
    opened.until("cleaning")


def test_nothing_is_sent_before_the_user_says_so(opened: Opened):
    status = opened.until("ready")
    opened.warm(nozzle=25.0, bed=25.0)
    opened.until("ready")
    assert status["path"] == "vase.gcode" and status["plan"]["layer"] == 4
    assert set(status["pictures"]) == {"layer", "close"}
    for order in (opened.desk.look, opened.desk.heat, opened.desk.lift, lambda confirmed: opened.desk.resume(confirmed, None)):
        with pytest.raises(RecoveryError):
            order(confirmed=False)
    assert opened.port.sent == [] and opened.port.resumed is None


def test_what_is_told_is_numbered_in_its_order(opened: Opened):
    opened.until("ready")
    told = [(one["told"], one["state"]) for one in [*opened.told, opened.desk.status()]]
    assert len({teller for (teller, _), _ in told}) == 1
    in_order = sorted(told, key=lambda row: row[0][1])
    assert len({number for (_, number), _ in told}) == len(told) and in_order[-1][1] == "ready"


def test_heating_moves_nothing_and_waits_until_it_is_warm(opened: Opened):
    answered(opened)
    opened.desk.heat(confirmed=True)
    assert opened.port.sent == ["M84 S0", "M140 S60", "M104 S170"]
    opened.warm(nozzle=100.0, bed=30.0)
    with pytest.raises(RecoveryError) as refused:
        opened.desk.lift(confirmed=True)
    assert code(refused) == "too_cold"
    heating = opened.desk.status()["heating"]
    assert not heating["hot"] and heating["bed"] == {"actual": 30.0, "target": 60.0, "there": False, "stuck": False}
    opened.desk.stop()
    assert opened.port.sent[-2:] == ["M104 S0", "M140 S0"] and opened.desk.state == "ready"


def test_whole_way_sends_the_plan_once_and_in_its_order(opened: Opened):
    lifted(opened)
    steps = [step["line"] for step in opened.desk.status()["plan"]["plan"]["steps"]]
    first = opened.port.sent[3:-1]
    assert opened.port.sent[-1] == HARMLESS
    assert first == steps[: len(first)] and "G28 R0 X Y" in first
    opened.desk.resume(confirmed=True, user="owner")
    assert opened.port.resumed == ("vase.gcode", opened.desk.status()["plan"]["plan"]["offset"])
    script = opened.desk.on_script("gcode", "beforePrintStarted")
    assert script is not None
    # The nozzle may have been moved while it was cleaned: up again before it goes aside.
    assert script[0] == ["G21", "G90", f"G1 Z{0.8 + 5:.3f} F300", "M400", *steps[len(first) :]]
    for line in script[0]:
        opened.desk.on_sending(line, line.split()[0], SCRIPT)
    assert opened.desk.status()["step"] == len(steps) - 1
    opened.desk.on_sending("G1 X1", "G1", {"source:file", "filepos:99"})
    opened.desk.on_event("PrintDone", {"path": "vase.gcode"})
    opened.until("idle")
    assert opened.desk.watch.seconds >= 1234.5


def test_each_step_is_in_the_journal_before_the_next(opened: Opened, folder: Path):
    """A second outage in any phase of the resume is recovered from the height it had come to."""
    answered(opened)
    opened.desk.heat(confirmed=True)
    opened.warm()
    steps = opened.desk.status()["plan"]["plan"]["steps"]
    lift = next(number for number, step in enumerate(steps) if step["z_after"] > step["z"])
    opened.port.dies_after = 3 + lift + 1
    opened.desk.lift(confirmed=True)
    opened.desk.on_event("Disconnected", {})
    status = opened.until("ready")
    found = read(folder)
    assert found is not None and (found.record["step"], found.record["step_phase"]) == (lift, "lift")
    assert (found.record["z_low"], found.record["z_high"]) == (steps[lift]["z"], steps[lift]["z_after"])
    plan = status["plan"]
    assert plan["again"] == ["lift", "disconnected"]
    assert (plan["stop"]["z"], plan["stop"]["z_spread"]) == (0.8, 5.0)
    assert status["answers"]["question"] == "intro", "after an outage everything is asked again"


def test_stopping_after_the_nozzle_was_lifted_plans_from_up_there(opened: Opened):
    lifted(opened)
    opened.desk.stop()
    status = opened.until("ready")
    assert status["plan"]["stop"]["z"] == pytest.approx(5.8)
    assert status["plan"]["plan"]["point"][2] == pytest.approx(0.8)
    assert opened.port.sent[-2:] == ["M104 S0", "M140 S0"]


def test_height_is_certain_while_the_nozzle_waits_to_be_cleaned(opened: Opened, folder: Path):
    """Homing may lift it by itself; where it was brought to after that is known, unless somebody moves it."""
    lifted(opened)
    heights = lambda: [read(folder).record[name] for name in ("z_low", "z_high")]  # type: ignore[union-attr]  # noqa: E731
    assert heights() == [5.8, 5.8]
    for line in ("G91", "G1 X5 Z20", "G90"):
        opened.desk.on_sending(line, line.split()[0], {"source:api"})
    assert heights() == [5.8, 25.8]
    opened.desk.on_event("Disconnected", {})
    stop = opened.until("ready")["plan"]["stop"]
    assert (stop["z"], stop["z_spread"]) == (5.8, 20.0)


@pytest.mark.parametrize("event", ["Disconnected", "start"])
def test_printer_that_goes_away_while_it_heats_costs_nothing(opened: Opened, event: str):
    answered(opened)
    opened.desk.heat(confirmed=True)
    if event == "start":
        opened.desk.on_received("start\n")
    else:
        opened.desk.on_event(event, {})
    status = opened.until("ready")
    assert status["heating"] is None and status["answers"]["question"] == "heat"


def test_print_that_is_stopped_during_the_resume_is_not_given_up(opened: Opened):
    opened.until("ready")
    opened.desk.resume(confirmed=True, user="owner")
    script = opened.desk.on_script("gcode", "beforePrintStarted")
    assert script is not None
    for line in script[0][:9]:
        opened.desk.on_sending(line, line.split()[0], SCRIPT)
    opened.desk.on_event("PrintStarted", {"origin": "local", "path": "vase.gcode"})
    opened.desk.on_event("PrintCancelled", {"user": "owner"})
    status = opened.until("ready")
    assert status["plan"]["again"] == ["lift", "stopped"]
    # Nor does OctoPrint's own script let go of the motors.
    assert opened.desk.on_sending("M84", "M84", {"script:afterPrintCancelled"}) == HARMLESS


def test_height_that_does_not_fit_stops_and_asks(opened: Opened):
    opened.until("ready")
    opened.desk.answer(Answers.begin)
    opened.desk.look(confirmed=True)
    opened.desk.answer(Answers.accept_point)
    opened.desk.measure(12.0)
    answers = opened.desk.answers
    assert answers.question == "height" and not answers.complete
    assert answers.height == {"kind": "disagrees", "measured": 12.0, "expected": 0.8, "off": 11.2}
    for order in (opened.desk.heat, lambda confirmed: opened.desk.resume(confirmed, None)):
        with pytest.raises(RecoveryError) as refused:
            order(confirmed=True)
        assert code(refused) == "height_disagrees"
    opened.desk.answer(Answers.trust)
    opened.desk.heat(confirmed=True)


def test_answers_outlive_the_server_and_another_point_is_planned(opened: Opened, folder: Path, gcode: Path):
    before = opened.until("ready")["plan"]["plan"]
    opened.desk.answer(Answers.begin)
    opened.desk.look(confirmed=True)
    opened.desk.answer(lambda answers: answers.point(0, 3))
    moved = opened.until("ready")["plan"]["plan"]
    assert moved["offset"] > before["offset"] and moved["gap_mm"] > before["gap_mm"]
    opened.desk.close()
    again = Opened(folder, gcode)
    status = again.until("ready")
    again.desk.close()
    assert status["plan"]["plan"]["offset"] == moved["offset"]
    assert (status["answers"]["question"], status["answers"]["wanted"]["moves"]) == ("point", 3)


def test_who_saw_something_older_is_refused(opened: Opened):
    seen = opened.until("ready")["revision"]
    opened.desk.require(seen)
    opened.desk.answer(Answers.begin)
    with pytest.raises(RecoveryError) as refused:
        opened.desk.require(seen)
    assert code(refused) == "state_changed"
    # What only grows warmer is no other state.
    answered(opened)
    opened.desk.heat(confirmed=True)
    seen = opened.desk.revision
    opened.warm(nozzle=90.0)
    opened.desk.require(seen)


def test_a_plan_that_is_made_once_more_refuses_no_answer(opened: Opened):
    """As when the printer's temperatures are seen for the first time, just as somebody answers."""
    seen = opened.until("ready")["revision"]
    opened.desk.plan_again()
    assert opened.desk.status()["state"] == "planning"
    opened.desk.require(seen)
    opened.until("ready")
    opened.desk.require(seen)


def test_impossible_point_falls_back_to_the_likeliest(opened: Opened):
    offset = opened.until("ready")["plan"]["plan"]["offset"]
    opened.desk.answer(lambda answers: answers.point(0, 900))
    wait_for(lambda: opened.desk.state == "ready" and opened.desk.answers.wanted.moves == 0, "the likeliest point")
    assert opened.desk.status()["plan"]["plan"]["offset"] == offset


def test_resume_as_a_file(opened: Opened, gcode: Path):
    plan = opened.until("ready")["plan"]["plan"]
    text = opened.desk.export().read_bytes()
    assert text.endswith(gcode.read_bytes()[plan["offset"] :])
    assert b"G28 R0 X Y" in text


@pytest.mark.parametrize("what", ["gone", "changed"])
def test_file_that_is_gone_or_changed_is_refused(folder: Path, gcode: Path, what: str):
    if what == "gone":
        gcode.unlink()
    else:
        gcode.write_bytes(gcode.read_bytes() + b"G28\n")
    one = Opened(folder, gcode)
    status = one.until("refused")
    assert status["error"]["code"] == f"file_{'missing' if what == 'gone' else 'changed'}"
    assert one.desk.on_sending("G28", "G28", {"source:api"}) == HARMLESS
    one.desk.dismiss(confirmed=True)
    assert one.desk.on_sending("G28", "G28", {"source:api"}) is None
    one.desk.close()


def test_heaters_that_nobody_waits_for_go_off(opened: Opened, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("octoprint_facesculpt.desk.desk.UNATTENDED", 0.2)
    answered(opened)
    opened.desk.heat(confirmed=True)
    wait_for(lambda: opened.desk.state == "ready", "the end of patience")
    assert opened.port.sent[-2:] == ["M104 S0", "M140 S0"]


@pytest.mark.parametrize("holds", [True, False])
def test_nothing_of_the_file_passes_the_last_look(tmp_path: Path, gcode: Path, holds: bool):
    """Where the file cannot be held, its lines go as they are."""
    one = Opened(tmp_path / "new", gcode)
    one.port.holds = holds
    one.desk.on_event("PrintStarted", {"origin": "local", "path": "vase.gcode"})
    for number, line in enumerate(("G1 X5 Y5 E0.2", "G1 Z20 F600")):
        assert one.desk.on_sending(line, "G1", {"source:file", f"filepos:{100 + number}"}) is None
    sent = one.desk.on_sending("M104 S0", "M104", {"source:file", "filepos:102"})
    if holds:
        assert sent == LINES[0]
        wait_for(lambda: one.port.sent == [*LINES[1:], "M104 S0"], "the look")
        wait_for(lambda: not one.port.held, "the rest of the file")
    else:
        assert sent is None and not one.port.sent
    assert one.desk._journal.record()["sent"] == 102
    one.desk.close()


def test_printer_is_seen_while_the_plan_is_being_made(folder: Path, gcode: Path):
    """A board that was reset cools while children read whole files: later it would look as if it had lost its power."""
    one = Opened(folder, gcode)
    assert one.desk.state == "planning"
    one.warm(nozzle=204.0)
    one.warm(nozzle=150.0)
    assert one.until("ready")["seen"]["nozzle"] == 204.0
    assert one.desk.status()["plan"]["outage"]["kind"] == "host"
    one.desk.close()


@pytest.mark.parametrize("what", ["missing", "changed"])
def test_nothing_is_heated_or_moved_for_a_file_that_is_another_by_now(opened: Opened, gcode: Path, what: str):
    """The plan names a byte of the file that was printed."""
    printed = gcode.read_bytes()

    def refused(order: Callable[[], None]) -> None:
        gcode.unlink() if what == "missing" else gcode.write_bytes(b";\n" + printed)
        with pytest.raises(RecoveryError) as refusal:
            order()
        assert code(refusal) == f"file_{what}"
        gcode.write_bytes(printed)

    desk = opened.desk
    answered(opened)
    refused(lambda: desk.heat(confirmed=True))
    refused(lambda: desk.resume(confirmed=True, user=None))
    assert (desk.state, opened.port.sent) == ("ready", [])
    desk.heat(confirmed=True)
    opened.warm()
    refused(lambda: desk.lift(confirmed=True))
    assert desk.state == "heating"
    desk.lift(confirmed=True)
    opened.until("cleaning")
    refused(lambda: desk.resume(confirmed=True, user=None))
    assert desk.state == "cleaning" and opened.port.resumed is None
    desk.resume(confirmed=True, user=None)
    assert opened.port.resumed is not None


def test_octoprint_that_does_not_begin_leaves_it_cold_and_planned_anew(
    folder: Path, gcode: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object) -> None:
        raise OSError("no such file")

    resumed: list[dict] = []
    opened = Opened(folder, gcode, resumed=resumed.append)
    lifted(opened)
    with monkeypatch.context() as patch:
        patch.setattr(opened.port, "resume", broken)
        with pytest.raises(RecoveryError) as refused:
            opened.desk.resume(confirmed=True, user=None)
    assert code(refused) == "not_ready"
    assert opened.port.sent[-2:] == ["M104 S0", "M140 S0"] and opened.desk.resumed is None and resumed == []
    # From where the nozzle was lifted to.
    assert opened.until("ready")["plan"]["stop"]["z"] == pytest.approx(5.8)
    # Nothing of it is taken for a print that ends.
    opened.desk.on_event("PrintFailed", {"reason": "error"})
    assert opened.desk.state == "ready"
    opened.desk.close()


def test_a_users_script_does_not_come_behind_the_plan(opened: Opened):
    """It was written for the beginning of a print, and the nozzle is on the print by then."""
    users = {"source:script", "script:beforePrintStarted"}
    lifted(opened)
    opened.desk.resume(confirmed=True, user=None)
    script = opened.desk.on_script("gcode", "beforePrintStarted")
    assert script is not None
    for line in script[0]:
        assert opened.desk.on_sending(line, line.split()[0], SCRIPT) is None
    for line in ("G28", "G92 E0", "G1 X2 Y20 Z0.3 F5000", "M82"):
        assert opened.desk.on_sending(line, line.split()[0], users) == HARMLESS
    wait_for(lambda: any("G1 X2 Y20 Z0.3" in text for text in opened.port.logged), "the explanation")
    assert opened.desk.status()["held_back"] == []
    # Those of a pause are followed as in any print.
    opened.desk.on_sending("G1 X1", "G1", {"source:file", "filepos:99"})
    assert opened.desk.on_sending("G1 Z20", "G1", {"source:script", "script:afterPrintPaused"}) is None


def test_scripts_move_nothing_after_an_interruption(folder: Path, gcode: Path):
    """A printer that began anew is a cancelled print to OctoPrint, whose script would lift the nozzle from where it stands."""
    one = Opened(folder, gcode)
    one.until("ready")
    one.desk.dismiss(confirmed=True)
    one.desk.on_event("PrintStarted", {"origin": "local", "path": "vase.gcode"})
    one.desk.on_sending("G1 X5", "G1", {"source:file", "filepos:120"})
    one.desk.on_received("start")
    cancelled = {"source:script", "script:afterPrintCancelled"}
    lines = ["G91", "G1 Z10 F600", "G90", "G28 X Y", "M104 S0"]
    passed = [line for line in lines if one.desk.on_sending(line, line.split()[0], cancelled) is None]
    assert passed == ["M104 S0"]
    # Who moves it by hand knows.
    assert one.desk.on_sending("G1 Z10", "G1", {"source:api"}) is None
    one.desk.close()


def test_nothing_moves_unless_the_journal_can_tell_of_it(opened: Opened, monkeypatch: pytest.MonkeyPatch):
    """After another outage, one that tells of the nozzle as it was before would have it driven into the print."""
    opened.until("ready")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("octoprint_facesculpt.recovery.journal._Disk.state", full)
    with pytest.raises(RecoveryError) as refusal:
        opened.desk.resume(confirmed=True, user=None)
    assert refusal.value.code == "output_unwritable"
    assert opened.desk.state == "ready" and opened.port.resumed is None
    monkeypatch.undo()
    opened.desk.resume(confirmed=True, user=None)
    assert opened.port.resumed is not None
