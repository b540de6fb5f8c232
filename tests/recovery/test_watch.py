"""What OctoPrint's hooks and events make of a print's journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from octoprint_facesculpt.recovery.journal import Journal, read
from octoprint_facesculpt.recovery_watch import PrintWatch

STARTED = {"origin": "local", "path": "bust.gcode"}
FROM_FILE = {"source:file"}


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Journal]:
    with_journal = Journal(tmp_path).open()
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


def test_dead_supply_is_seen_by_a_nozzle_that_cools(
    watch: PrintWatch, kept: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    now = 1000.0
    monkeypatch.setattr("octoprint_facesculpt.recovery_watch.time.monotonic", lambda: now)
    for seconds, nozzle in ((0, 150), (10, 205), (40, 205), (50, 198), (60, 185)):
        now = 1000.0 + seconds
        watch.on_temperatures({"T0": (nozzle, 205.0)})
    monkeypatch.undo()
    record = _record(kept, tmp_path)
    assert (record["reason"], record["cold_seconds"]) == ("supply", 20)


def test_heating_up_is_no_dead_supply(watch: PrintWatch, kept: Journal, tmp_path: Path):
    for nozzle in (20, 100, 180, 205, 204):
        watch.on_temperatures({"T0": (nozzle, 205.0)})
    assert _record(kept, tmp_path).get("reason") is None


def test_a_print_from_the_printers_own_card_is_not_ours(kept: Journal, tmp_path: Path):
    watch = PrintWatch(kept, lambda origin, path: {"path": path} if origin == "local" else None)
    watch.on_event("PrintStarted", {"origin": "sdcard", "path": "x.gco"})
    assert not watch.active
    assert read(tmp_path) is None
