"""What has changed around an interrupted print: another printer profile, and OctoPrint running without this plugin."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from octoprint.filemanager.storage import LocalFileStorage

from octoprint_facesculpt.desk.alone import Wish
from octoprint_facesculpt.desk.answers import ANYWHERE, Answers
from octoprint_facesculpt.host import Host
from octoprint_facesculpt.recovery.errors import RecoveryError
from octoprint_facesculpt.recovery.journal import Journal, read, this_boot

from .conftest import Opened, Recorder, wait_for

ENDER = {"key": "ender3", "name": "Ender 3", "bed": "235x235x250@0,0", "nozzle": 0.4, "extruders": 1}


def begun(folder: Path, gcode: Path, port: Recorder | None = None) -> Opened:
    """A desk after a power cut in a print that was begun with :data:`ENDER`."""
    was = read(folder)
    assert was is not None
    # Its own record of the job, as it is made when a print begins.
    first = Recorder(gcode)
    first.profile = dict(ENDER)
    before = Opened(folder.parent / "first", gcode, first)
    job = before.desk._job("local", "vase.gcode")
    before.desk.close()
    assert job is not None
    kept = Journal(folder, boot_id="another boot").open()
    kept.amend({**was.job, **job})
    kept.close()
    port = port or Recorder(gcode)
    port.profile = port.profile or dict(ENDER)
    return Opened(folder, gcode, port)


def refused(order: Callable[[], None]) -> str:
    with pytest.raises(RecoveryError) as refusal:
        order()
    return refusal.value.code


def codes(opened: Opened) -> list[str]:
    return [note["code"] for note in opened.desk.status()["notes"]]


def answered(opened: Opened) -> None:
    opened.desk.answer(Answers.begin)
    opened.desk.look(confirmed=True)
    opened.desk.answer(Answers.accept_point)
    opened.desk.measure(0.8)
    opened.until("ready")


def test_the_same_printer_is_not_spoken_of(folder: Path, gcode: Path):
    one = begun(folder, gcode)
    one.until("ready")
    assert codes(one) == []
    # Its name is only a name; and before it is connected nobody knows which it is.
    one.port.profile = {**ENDER, "name": "The one in the cellar"}
    assert codes(one) == []
    one.port.profile = None
    assert codes(one) == []
    one.desk.on_firmware("Marlin 2.1.2 (Github)")
    one.port.profile = dict(ENDER)
    answered(one)
    one.desk.heat(confirmed=True)
    one.desk.close()


@pytest.mark.parametrize(
    "change",
    [{"key": "prusa"}, {"bed": "180x180x180@0,0"}, {"bed": "235x235x250@-117.5,-117.5"}, {"nozzle": 0.6}, {"extruders": 2}],
)
def test_another_printer_is_told_and_must_be_looked_at(folder: Path, gcode: Path, change: dict[str, Any]):
    one = begun(folder, gcode)
    one.until("ready")
    answered(one)
    seen = one.desk.revision
    one.port.profile = {**ENDER, **change}
    one.desk.on_event("Connected", {})
    assert one.told[-1]["notes"][0]["now"] == {**ENDER, **change, "firmware": "marlin2"}
    assert one.told[-1]["notes"][0]["then"] == {**ENDER, "firmware": "marlin2"}
    assert refused(lambda: one.desk.require(seen)) == "state_changed"
    assert refused(lambda: one.desk.heat(confirmed=True)) == "printer_changed"
    assert refused(lambda: one.desk.resume(True, None)) == "printer_changed"
    assert one.port.sent == [] and one.port.resumed is None
    assert (one.desk.answers.question, one.desk.answers.complete) == ("look", False)
    one.desk.look(confirmed=True)
    one.desk.heat(confirmed=True)
    assert one.port.sent
    one.desk.close()


def test_who_looked_at_one_printer_has_not_looked_at_a_third(folder: Path, gcode: Path):
    one = begun(folder, gcode)
    one.until("ready")
    one.port.profile = {**ENDER, "nozzle": 0.6}
    answered(one)
    one.desk.heat(confirmed=True)
    one.warm()
    one.port.profile = {**ENDER, "key": "prusa"}
    assert refused(lambda: one.desk.lift(confirmed=True)) == "printer_changed"
    assert not any(line.startswith("G1") for line in one.port.sent)
    one.port.profile = {**ENDER, "nozzle": 0.6}
    one.desk.lift(confirmed=True)
    one.until("cleaning")
    one.port.profile = {**ENDER, "key": "prusa"}
    assert refused(lambda: one.desk.resume(True, None)) == "printer_changed"
    one.port.profile = dict(ENDER)
    one.desk.resume(True, None)
    assert one.port.resumed is not None
    one.desk.close()


def test_another_firmware_is_another_printer(folder: Path, gcode: Path):
    one = begun(folder, gcode)
    one.until("ready")
    one.desk.on_firmware("Klipper")
    assert codes(one) == ["printer_changed"]
    assert refused(lambda: one.desk.resume(True, None)) == "printer_changed"
    one.desk.close()


def hot_after_a_kill(folder: Path, gcode: Path, port: Recorder) -> Opened:
    """The server was killed a moment ago, and the owner wants prints to go on by themselves."""
    kept = Journal(folder, boot_id=this_boot()).open()
    was = read(folder)
    assert was is not None
    kept.adopt(was, sent=int(was.record["sent"]))
    for line in was.record["tail"]:
        kept.note(line[0])
    kept.flush(phase="printing")
    kept.close()
    one = Opened(folder, gcode, port, wish=lambda: Wish(True, 600.0))
    one.until("ready")
    one.warm(nozzle=205.0, bed=60.0)
    one.desk.on_received("start")
    wait_for(lambda: one.desk.state == "ready" and one.desk.status()["seen"]["nozzle"], "the temperatures")
    return one


def test_nothing_goes_on_alone_with_another_printer(folder: Path, gcode: Path):
    begun(folder, gcode).desk.close()
    same, other = Recorder(gcode), Recorder(gcode)
    same.profile, other.profile = dict(ENDER), {**ENDER, "key": "prusa"}
    one = hot_after_a_kill(folder, gcode, same)
    assert one.desk.status()["plan"]["outage"]["kind"] == "host"
    wait_for(lambda: one.desk.status()["alone_in"] is not None, "the countdown")
    one.desk.close()
    one = hot_after_a_kill(folder, gcode, other)
    assert one.desk.status()["alone_in"] is None
    one.desk.close()


@pytest.mark.parametrize("trace", ["safe mode", "another print"])
def test_time_without_this_plugin_is_told_and_the_height_must_be_measured(folder: Path, gcode: Path, trace: str):
    begun(folder, gcode).desk.close()
    port = Recorder(gcode)
    port.profile = dict(ENDER)
    if trace == "safe mode":
        port.safe_mode = 1234
    else:
        port.printed = (time.time() + 60, "other.gcode")
    one = hot_after_a_kill(folder, gcode, port)
    assert codes(one) == ["unguarded"]
    plan = one.desk.status()["plan"]
    assert plan["asks"] and plan["stop"]["moved"] and (plan["stop"]["z"], plan["stop"]["z_spread"]) == (0.0, 250.0)
    assert one.desk.status()["alone_in"] is None
    assert refused(lambda: one.desk.resume(True, None)) == "not_chosen"
    one.desk.answer(Answers.begin)
    one.desk.look(confirmed=True)
    one.desk.answer(Answers.accept_point)
    one.desk.answer(Answers.trust)
    assert not one.desk.answers.complete and one.desk.answers.moved == (-ANYWHERE, ANYWHERE)
    one.desk.measure(0.8)
    one.until("ready")
    one.desk.heat(confirmed=True)
    one.desk.close()
    # It is not asked anew by the next server.
    again = Opened(folder, gcode, port)
    assert again.until("ready")["answers"]["height"]["measured"] == 0.8
    again.desk.dismiss(confirmed=True)
    assert codes(again) == []
    again.desk.close()


@pytest.mark.parametrize("printed", [(1.0, "other.gcode"), (time.time() + 60, "vase.gcode")])
def test_earlier_prints_and_its_own_end_are_no_trace(folder: Path, gcode: Path, printed: tuple[float, str]):
    port = Recorder(gcode)
    port.printed = printed
    one = begun(folder, gcode, port)
    one.until("ready")
    assert codes(one) == [] and one.desk.answers.moved is None
    one.desk.close()


class _Files:
    """OctoPrint's file manager, with its real storage."""

    def __init__(self, folder: Path) -> None:
        self.storage = LocalFileStorage(str(folder))

    def list_files(self, _location: str, recursive: bool) -> dict[str, Any]:
        return {"local": self.storage.list_files(recursive=recursive)}


def test_prints_are_found_in_octoprints_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # What OctoPrint would ask its plugins.
    monkeypatch.setattr("octoprint.filemanager.get_file_type", lambda _: ["machinecode", "gcode"])
    (tmp_path / "busts").mkdir()
    for name in ("a.gcode", "busts/b.gcode"):
        (tmp_path / name).write_text("G28\n")
    files = _Files(tmp_path)
    host = Host(None, files, None)
    assert not host.printed_since(0.0, "a.gcode")
    entry = {"timestamp": 1000.0, "printTime": 5.0, "success": False, "printerProfile": "ender3"}
    files.storage.add_history("busts/b.gcode", entry)
    assert host.printed_since(999.0, "a.gcode")
    assert not host.printed_since(1000.0, "a.gcode") and not host.printed_since(999.0, "busts/b.gcode")
    files.list_files = None  # type: ignore[assignment,method-assign]
    assert host.printed_since(2000.0, "a.gcode"), "in doubt there was one"
