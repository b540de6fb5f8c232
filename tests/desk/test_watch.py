"""What OctoPrint's hooks and events make of a print's journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from octoprint_facesculpt.desk.watch import PrintWatch
from octoprint_facesculpt.recovery.journal import Journal, read

STARTED = {"origin": "local", "path": "bust.gcode"}
FROM_FILE = {"source:file"}


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Journal]:
    # It writes to disk when it is told to, however long a test takes.
    with_journal = Journal(tmp_path, interval=3600).open()
    yield with_journal
    with_journal.close()


@pytest.fixture
def watch(kept: Journal) -> PrintWatch:
    watching = PrintWatch(kept, lambda origin, path: {"path": path} if origin == "local" else None)
    watching.on_event("PrintStarted", STARTED)
    return watching


def _record(kept: Journal, folder: Path) -> dict:
    assert kept.flush()
    found = read(folder)
    assert found is not None
    return found.record


def test_lines_of_the_file_move_the_journal_on_and_others_do_not(watch: PrintWatch, kept: Journal, tmp_path: Path):
    watch.on_sending("G1 X5", "G1", FROM_FILE | {"filepos:120"})
    watch.on_sending("G1 X9", "G1", {"source:terminal"})
    # A line that is sent again comes without tags.
    watch.on_sending("G1 X5", "G1", None)
    assert _record(kept, tmp_path)["sent"] == 120


def test_what_is_tuned_by_hand_is_kept(watch: PrintWatch, kept: Journal, tmp_path: Path):
    for line, tags in (
        ("M220 S80", {"source:api"}),
        ("M221 S95", {"source:api"}),
        ("M106 S99", {"source:terminal"}),
        ("M221 S50", FROM_FILE | {"filepos:9"}),
    ):
        watch.on_sending(line, line.split()[0], tags)
    record = _record(kept, tmp_path)
    # The file's own M221 came last.
    assert (record["feed_percent"], record["flow_percent"], record["fan"]) == (80, None, 99)


def test_questions_and_other_fans_tune_nothing(watch: PrintWatch, kept: Journal, tmp_path: Path):
    """M220 and M221 without a value ask the printer for theirs; P1 is a fan of its case."""
    for line in ("M220 S80", "M221 S95", "M106 S99", "M220", "M221", "M106 P1 S255", "M107 P1"):
        watch.on_sending(line, line.split()[0], {"source:terminal"})
    record = _record(kept, tmp_path)
    assert (record["feed_percent"], record["flow_percent"], record["fan"]) == (80, 95, 99)


def test_temperatures_are_kept_with_their_targets(watch: PrintWatch, kept: Journal, tmp_path: Path):
    watch.on_temperatures({"T0": (201.5, 205.0), "B": (59.0, 60.0)})
    record = _record(kept, tmp_path)
    assert (record["nozzle"], record["nozzle_target"], record["bed_target"]) == (201.5, 205, 60)


@pytest.mark.parametrize(
    ("events", "phase", "reason"),
    [
        ([("PrintPaused", {})], "paused", None),
        ([("PrintPaused", {}), ("PrintResumed", {})], "printing", None),
        ([("PrintDone", {})], "done", None),
        ([("PrintCancelled", {"user": "owner"}), ("PrintFailed", {"reason": "cancelled"})], "cancelled", None),
        ([("Error", {"reason": "timeout"}), ("Disconnected", {})], "interrupted", "timeout"),
        ([("Disconnected", {})], "interrupted", "disconnected"),
        ([("PrintFailed", {"reason": "error"})], "interrupted", "error"),
    ],
)
def test_events_become_phases(watch: PrintWatch, kept: Journal, tmp_path: Path, events: list, phase: str, reason: str | None):
    for event, payload in events:
        watch.on_event(event, payload)
    record = _record(kept, tmp_path)
    assert (record["phase"], record.get("reason")) == (phase, reason)


def test_a_printer_that_starts_anew_is_not_taken_for_a_cancel(watch: PrintWatch, kept: Journal, tmp_path: Path):
    watch.on_received("start\n")
    watch.on_event("PrintCancelled", {})
    watch.on_event("PrintFailed", {"reason": "cancelled"})
    assert watch.interrupted
    record = _record(kept, tmp_path)
    assert (record["phase"], record["reason"]) == ("interrupted", "printer_reset")
    # The board's first temperatures have no targets; they must not replace the print's.
    watch.on_temperatures({"T0": (150.0, 0.0)})
    assert "nozzle" not in _record(kept, tmp_path)


def test_restart_of_the_server_is_told(watch: PrintWatch, kept: Journal, tmp_path: Path):
    watch.shutdown()
    assert read(tmp_path).record["reason"] == "shutdown"


@pytest.mark.parametrize("halted", [False, True])
def test_dead_supply_is_seen_by_a_nozzle_that_cools(kept: Journal, tmp_path: Path, halted: bool):
    """By itself after a while, and at once when the board halts because of it."""
    now = 1000.0
    watch = PrintWatch(kept, lambda _origin, path: {"path": path}, clock=lambda: now)
    watch.on_event("PrintStarted", STARTED)
    watch.on_sending("G1 X5", "G1", FROM_FILE | {"filepos:120"})
    for seconds, nozzle in ((0, 150), (10, 205), (15 if halted else 40, 205), (50, 198), (60, 195 if halted else 185)):
        now = 1000.0 + seconds
        watch.on_temperatures({"T0": (nozzle, 205.0)})
        if seconds < 45:
            watch.on_sending("G1 X5", "G1", FROM_FILE | {f"filepos:{200 + seconds}"})
    watch.on_sending("G1 X9", "G1", FROM_FILE | {"filepos:900"})
    if halted:
        watch.on_event("Error", {"reason": "firmware", "error": "Thermal Runaway"})
    record = _record(kept, tmp_path)
    assert (record["reason"], record["cold_seconds"]) == ("supply", 45 if halted else 20)
    # What the board acknowledged since was not made.
    assert record["cold_anchor"]["sent"] == 210
    assert record["sent"] == 900


@pytest.mark.parametrize(
    ("reports", "dead"),
    [
        # Cools to a lower target, and rests there.
        ([(205, 205)] * 15 + [(205, 200), (203, 200), (201, 200), (199.8, 200), (200, 200)] + [(200, 200)] * 9, False),
        # Heats up to a higher one.
        ([(200, 200)] * 15 + [(200, 240), (210, 240), (220, 240), (230, 240)] + [(240, 240)] * 9, False),
        # Died before the file asked for less.
        ([(205, 205)] * 15 + [(203, 205), (200, 205), (197, 200), (194, 200), (191, 200), (188, 200), (185, 200)], True),
        # Died on the way down.
        ([(205, 205)] * 15 + [(205, 200), (202, 200), (199, 200), (196, 200), (193, 200), (190, 200), (187, 200)], True),
        # Died on the way up.
        ([(200, 200)] * 15 + [(200, 240), (198, 240), (195, 240), (192, 240), (189, 240), (186, 240), (183, 240)], True),
        # Switched off.
        ([(200, 200)] * 15 + [(200, 0), (190, 0), (180, 0), (170, 0)], False),
    ],
)
def test_cooling_that_was_asked_for_is_no_dead_supply(kept: Journal, tmp_path: Path, reports: list, dead: bool):
    now = 1000.0
    watch = PrintWatch(kept, lambda _origin, path: {"path": path}, clock=lambda: now)
    watch.on_event("PrintStarted", STARTED)
    for number, (nozzle, target) in enumerate(reports):
        now = 1000.0 + 2 * number
        watch.on_sending("G1 X5", "G1", FROM_FILE | {f"filepos:{100 + number}"})
        watch.on_temperatures({"T0": (nozzle, float(target))})
    record = _record(kept, tmp_path)
    assert (record.get("reason") == "supply") is dead
    if dead:
        # It died after this.
        assert 100 + 14 <= record["cold_anchor"]["sent"] <= 100 + 16


@pytest.mark.parametrize(("nozzle", "phase", "reason"), [(198.0, "interrupted", "supply"), (204.0, "done", None)])
def test_end_of_a_file_that_a_board_without_motors_acknowledges_is_no_end(
    kept: Journal, tmp_path: Path, nozzle: float, phase: str, reason: str | None
):
    now = 1000.0
    watch = PrintWatch(kept, lambda _origin, path: {"path": path}, clock=lambda: now)
    watch.on_event("PrintStarted", STARTED)
    for seconds, actual, target in ((0, 205.0, 205.0), (40, 205.0, 205.0), (46, nozzle, 205.0), (48, nozzle - 3, 0.0)):
        now = 1000.0 + seconds
        watch.on_sending("G1 X5", "G1", FROM_FILE | {f"filepos:{200 + seconds}"})
        watch.on_temperatures({"T0": (actual, target)})
    watch.on_event("PrintDone", {})
    record = _record(kept, tmp_path)
    assert (record["phase"], record.get("reason")) == (phase, reason)
    assert watch.finished is (reason is None)


@pytest.mark.parametrize(
    "reports",
    [
        [(20, 205), (100, 205), (180, 205), (205, 205), (204, 205)],
        # Hotter than before, and not there yet.
        [(205, 205), (205, 205), (205, 205), (206, 240), (215, 240), (225, 240)],
    ],
)
def test_heating_up_is_no_dead_supply(kept: Journal, tmp_path: Path, reports: list[tuple[float, float]]):
    now = 1000.0
    watch = PrintWatch(kept, lambda _origin, path: {"path": path}, clock=lambda: now)
    watch.on_event("PrintStarted", STARTED)
    for number, report in enumerate(reports):
        now = 1000.0 + 15 * number
        watch.on_sending("G1 X5", "G1", FROM_FILE | {f"filepos:{100 + number}"})
        watch.on_temperatures({"T0": report})
    assert _record(kept, tmp_path).get("reason") is None


def test_a_print_from_the_printers_own_card_is_not_ours(kept: Journal, tmp_path: Path):
    watch = PrintWatch(kept, lambda origin, path: {"path": path} if origin == "local" else None)
    watch.on_event("PrintStarted", {"origin": "sdcard", "path": "x.gco"})
    assert not watch.active
    assert read(tmp_path) is None


AT_PAUSE = (110.0, 112.0, 4.2)
PARK = ("G91", "G1 Z10 F600", "G90", "G1 X5 Y5 F6000")


def _script(watch: PrintWatch, *lines: str) -> None:
    for line in lines:
        watch.on_sending(line, line.split()[0], {"source:script", "script:afterPrintPaused"})


def test_pause_script_that_parks_the_nozzle_is_followed(kept: Journal, tmp_path: Path):
    now = 1000.0
    watch = PrintWatch(kept, lambda _origin, path: {"path": path}, clock=lambda: now)
    watch.on_event("PrintStarted", STARTED)
    watch.moves_away(AT_PAUSE)
    # On disk before the first of its lines is sent.
    assert read(tmp_path).record["moving"] == [4.2, 4.2]
    watch.on_event("PrintPaused", {"position": dict(zip("xyz", AT_PAUSE, strict=True))})
    _script(watch, *PARK)
    record = _record(kept, tmp_path)
    assert (record["phase"], record["parked"], record["moving"]) == ("paused", [5, 5, pytest.approx(14.2)], [4.2, 14.2])
    now += 30
    watch.on_temperatures({"T0": (205.0, 205.0)})
    assert _record(kept, tmp_path)["moving"] is False
    watch.moves_away(AT_PAUSE)
    _script(watch, "G1 X110 Y112 F6000", "G1 Z4.2 F600")
    # Until the file goes on it may still be anywhere between.
    assert _record(kept, tmp_path)["moving"] == [4.2, 14.2]
    watch.on_event("PrintResumed", {})
    watch.on_sending("G1 X5", "G1", FROM_FILE | {"filepos:120"})
    record = _record(kept, tmp_path)
    assert (record["phase"], record["parked"], record["moving"]) == ("printing", None, False)


@pytest.mark.parametrize("lines", [("G28 Z",), ("G27",), PARK])
def test_nozzle_that_is_moved_nobody_knows_where_is_on_record(watch: PrintWatch, kept: Journal, tmp_path: Path, lines: tuple):
    place = None if lines == PARK else AT_PAUSE
    watch.moves_away(place)
    _script(watch, *lines)
    record = _record(kept, tmp_path)
    assert (record.get("parked"), record["moving"]) == (None, True)


def test_outage_in_a_pause_keeps_what_is_known_of_the_pause(watch: PrintWatch, kept: Journal, tmp_path: Path):
    watch.moves_away(AT_PAUSE)
    watch.on_event("PrintPaused", {"position": dict(zip("xyz", AT_PAUSE, strict=True))})
    _script(watch, *PARK)
    watch.on_event("Disconnected", {})
    record = _record(kept, tmp_path)
    assert (record["phase"], record["pause_position"]) == ("interrupted", list(AT_PAUSE))
    assert record["parked"] == [5, 5, pytest.approx(14.2)]


def test_new_layer_is_on_disk_when_it_is_sent_and_when_it_is_made(watch: PrintWatch, kept: Journal):
    def synced() -> int:
        assert kept.flush()
        return kept.wear["syncs"]

    watch.on_sending("G1 Z0.4 F9000", "G1", FROM_FILE | {"filepos:100"})
    before = synced()
    urgent = []
    kept.event = lambda **fields: urgent.append(fields)  # type: ignore[method-assign]
    for line in range(20):
        watch.on_sending(f"G1 X{line}", "G1", FROM_FILE | {f"filepos:{120 + line}"})
    assert len(urgent) == 1
    watch.on_sending("G1 Z0.6 F9000", "G1", FROM_FILE | {"filepos:300"})
    assert len(urgent) == 2
    del kept.event
    assert synced() == before + 1


STOP = {"at": 3.0, "earliest": 3.0, "latest": 3.0, "gap": 0.0, "overlap": 0.0, "z": 0.4, "z_spread": 0.0, "exact": True}
RECOVERY = {
    "plan": {
        "steps": [
            {"line": "M104 S170", "phase": "heat", "z": 0.4, "z_after": 0.4},
            {"line": "G1 Z5", "phase": "lift", "z": 0.4, "z_after": 5.4},
            {"line": "M400", "phase": "lift", "z": 0.4, "z_after": 5.4},
            {"line": "G92 Z5.4", "phase": "lift", "z": 5.4, "z_after": 5.4},
            {"line": "G92 E0", "phase": "go", "z": 5.4, "z_after": 5.4},
        ]
    },
    "stop": {**STOP, "choices": []},
    "window_offset": 500,
    "resumed": [480, 0.5],
}


def test_steps_that_lift_are_on_disk_before_they_are_sent(watch: PrintWatch, kept: Journal, tmp_path: Path):
    """Read without a flush: what the hook has waited for is there when it returns."""
    watch.go_on(RECOVERY)
    seen = []
    for step in RECOVERY["plan"]["steps"]:
        watch.on_sending(step["line"], step["line"].split()[0], {"plugin:facesculpt", "script:beforePrintStarted"})
        record = read(tmp_path).record
        seen.append((record["step"], record["z_low"], record["z_high"]))
    assert seen[:4] == [(0, 0.4, 0.4), (1, 0.4, 5.4), (2, 0.4, 5.4), (3, 5.4, 5.4)]
    watch.on_sending("G1 X5", "G1", FROM_FILE | {"filepos:520"})
    record = read(tmp_path).record
    assert (record["phase"], record["resumed"]) == ("printing", [480, 0.5])


def test_printer_that_fails_during_the_resume_leaves_the_resume_on_record(watch: PrintWatch, kept: Journal, tmp_path: Path):
    watch.go_on(RECOVERY)
    for step in RECOVERY["plan"]["steps"][:2]:
        watch.on_sending(step["line"], step["line"].split()[0], {"plugin:facesculpt", "script:beforePrintStarted"})
    watch.on_received("start")
    record = _record(kept, tmp_path)
    assert (record["phase"], record["reason"], record["z_low"], record["z_high"]) == ("recovering", "printer_reset", 0.4, 5.4)


def test_targets_of_a_resume_are_not_those_of_the_print(watch: PrintWatch, kept: Journal, tmp_path: Path):
    watch.on_temperatures({"T0": (205.0, 205.0), "B": (60.0, 60.0)})
    step = {"line": "M104 S170", "phase": "heat", "z": 1.0, "z_after": 1.0}
    watch.go_on(
        {"plan": {"steps": [step]}, "window_offset": 0, "window_before": 0, "stop": STOP, "resumed": [0, 0.0]}, seconds=50.0
    )
    watch.on_temperatures({"T0": (60.0, 170.0), "B": (30.0, 60.0)})
    record = _record(kept, tmp_path)
    assert record["nozzle_target"] == 205 and "reason" not in record
    # Stopped by the user before it had gone on: interrupted, not given up.
    watch.on_event("PrintCancelled", {"user": "owner"})
    assert _record(kept, tmp_path)["phase"] != "cancelled"


@pytest.mark.parametrize("back", [True, False])
def test_nozzle_that_is_hot_again_was_no_dead_supply(kept: Journal, tmp_path: Path, back: bool):
    """Whatever interrupts the print later has nothing to do with it."""
    now = 1000.0
    watch = PrintWatch(kept, lambda _origin, path: {"path": path}, clock=lambda: now)
    watch.on_event("PrintStarted", STARTED)
    for number, nozzle in enumerate([205.0] * 15 + [199.0, 193.0, 187.0, 190.0, 200.0] + ([205.0] * 5 if back else [])):
        now = 1000.0 + 2 * number
        watch.on_sending("G1 X5", "G1", FROM_FILE | {f"filepos:{100 + number}"})
        watch.on_temperatures({"T0": (nozzle, 205.0)})
    record = _record(kept, tmp_path)
    assert (record["reason"], record["cold_anchor"] is None) == ((None, True) if back else ("supply", False))


def test_standby_of_a_pause_is_not_what_the_print_is_made_with(watch: PrintWatch, kept: Journal, tmp_path: Path):
    watch.on_temperatures({"T0": (205.0, 205.0), "B": (60.0, 60.0)})
    watch.on_event("PrintPaused", {})
    watch.on_temperatures({"T0": (150.0, 150.0), "B": (40.0, 40.0)})
    record = _record(kept, tmp_path)
    assert [record[name] for name in ("nozzle", "nozzle_target", "bed", "bed_target")] == [150.0, 205.0, 40.0, 60.0]
    # Tuned for the rest of the print.
    watch.on_sending("G1 X5", "G1", FROM_FILE | {"filepos:300"})
    watch.on_temperatures({"T0": (210.0, 210.0), "B": (60.0, 60.0)})
    assert _record(kept, tmp_path)["nozzle_target"] == 210.0


def test_that_a_print_is_paused_is_on_record_until_it_goes_on(watch: PrintWatch, kept: Journal, tmp_path: Path):
    watch.on_event("PrintPaused", {})
    assert _record(kept, tmp_path)["paused"]
    watch.on_event("PrintResumed", {})
    watch.on_sending("G1 X5", "G1", FROM_FILE | {"filepos:300"})
    assert not _record(kept, tmp_path)["paused"]
    watch.on_event("PrintPaused", {})
    watch.shutdown()
    record = _record(kept, tmp_path)
    assert (record["phase"], record["paused"]) == ("interrupted", True)


def test_dead_supply_in_a_pause_fits_its_block(kept: Journal, tmp_path: Path):
    """With reports every second, in a file of 45 MB, of a print that had been gone on with before."""
    now = 100000.0
    watch = PrintWatch(kept, lambda _origin, path: {"path": path}, clock=lambda: now)
    watch.on_event("PrintStarted", STARTED)
    stop = {"at": 123.4567, "earliest": 120.1234, "latest": 125.6789, "gap": 1.234, "overlap": 2.345, "z": 101.36}
    kept.set(resume={"window": 45000000, "before": 400000, "stop": stop | {f"more {i}": 100.0001 for i in range(12)}})
    for number in range(60):
        now += 0.148
        watch.on_sending("G1 X5 E1", "G1", FROM_FILE | {f"filepos:{45000000 + 37 * number}"})
        watch.on_received("ok")
    watch.moves_away((117.53, 120.25, 101.36))
    for line in ("G91", "G1 Z10 F600", "G90", "G1 X0 Y200 F6000"):
        watch.on_sending(line, line.split()[0], {"script:afterPrintPaused"})
    watch.on_event("PrintPaused", {"position": {"x": 117.53, "y": 120.25, "z": 101.36}})
    for nozzle in [205.12] * 300 + [205.12 - 0.8 * second for second in range(30)]:
        now += 1.0
        watch.on_temperatures({"T0": (round(nozzle, 2), 205.0), "B": (60.03, 60.0)})
    record = _record(kept, tmp_path)
    assert record["reason"] == "supply" and record["cold_anchor"]["before"]
