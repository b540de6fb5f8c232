"""The journal: readable after whatever happened to it, and cheap where it counts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from octoprint_facesculpt.recovery import journal
from octoprint_facesculpt.recovery.journal import BLOCK, JOB_BLOCKS, NAMES, RING, Journal, newest, read

JOB = {"path": "facesculpt/bust.gcode", "identity": "abc"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def _written(folder: Path, records: int) -> list[bytes]:
    """Both files after a job and so many synced records, whose ``sent`` counts from 1."""
    kept = Journal(folder).open()
    kept.begin(JOB, phase="printing")
    for number in range(1, records + 1):
        kept.note(number)
        assert kept.flush()
    kept.close()
    return [(folder / name).read_bytes() for name in NAMES]


def test_last_record_is_read_back(folder: Path):
    _written(folder, 3)
    found = read(folder)
    assert found is not None
    assert found.job["path"] == JOB["path"]
    assert found.record["sent"] == 3
    assert found.record["phase"] == "printing"
    assert found.unfinished
    assert found.older is not None


def test_no_journal_is_no_error(folder: Path):
    assert read(folder) is None
    folder.mkdir()
    (folder / NAMES[0]).write_bytes(b"FSJ1 nonsense" * 1000)
    assert read(folder) is None


def test_ring_goes_round_and_files_never_change_their_size(folder: Path):
    files = _written(folder, 3 * RING)
    assert [len(data) for data in files] == [(JOB_BLOCKS + RING) * BLOCK] * 2
    assert newest(files).record["sent"] == 3 * RING


def _block_of(files: list[bytes], reading: journal.Reading) -> tuple[int, int]:
    """File and byte at which the block with the newest record begins."""
    for which, data in enumerate(files):
        for start in range(JOB_BLOCKS * BLOCK, len(data), BLOCK):
            found = journal._unpack(data[start : start + BLOCK])
            if found and found.sequence == reading.sequence:
                return which, start
    raise AssertionError("the newest record is in no block")


def test_cut_at_any_byte_there_is_still_a_record(folder: Path):
    files = _written(folder, 5)
    which, start = _block_of(files, newest(files))
    cuts = {*range(start, start + BLOCK + 1), *range(0, len(files[0]), 509), 0}
    for file in (0, 1):
        for cut in sorted(cuts):
            torn = list(files)
            torn[file] = files[file][:cut]
            found = newest(torn)
            assert found is not None and found.job["path"] == JOB["path"]
            # At most what stood in this file is lost: the record before the newest is in the other.
            assert found.record["sent"] >= 4
            if file != which or cut == start + BLOCK:
                assert found.record["sent"] == 5


def test_any_flipped_bit_of_the_last_records_costs_no_more_than_that_record(folder: Path):
    files = _written(folder, 5)
    reading = newest(files)
    which, start = _block_of(files, reading)
    block = bytearray(files[which][start : start + BLOCK])
    for bit in range(8 * BLOCK):
        block[bit // 8] ^= 1 << bit % 8
        # Not accepted; so reading falls back to what the next assertion shows.
        assert journal._unpack(bytes(block)) is None
        block[bit // 8] ^= 1 << bit % 8
    for file in (0, 1):
        for bit in range(0, 8 * len(files[0]), 4099):
            torn = list(files)
            flipped = bytearray(torn[file])
            flipped[bit // 8] ^= 1 << bit % 8
            torn[file] = bytes(flipped)
            found = newest(torn)
            assert found is not None and found.record["sent"] >= 4


def test_cut_files_are_made_whole_and_numbering_goes_on(folder: Path):
    _written(folder, 5)
    before = read(folder).sequence
    os.truncate(folder / NAMES[0], 100)
    kept = Journal(folder).open()
    kept.begin(JOB | {"path": "next.gcode"})
    kept.close()
    found = read(folder)
    assert found.job["path"] == "next.gcode"
    assert found.sequence > before
    assert (folder / NAMES[0]).stat().st_size == (JOB_BLOCKS + RING) * BLOCK


def test_second_print_replaces_the_first_and_an_ended_one_is_not_unfinished(folder: Path):
    kept = Journal(folder).open()
    kept.begin(JOB)
    kept.flush(phase="done")
    assert not read(folder).unfinished
    kept.begin(JOB | {"path": "second.gcode"})
    kept.close()
    assert read(folder).job["path"] == "second.gcode"
    assert read(folder).unfinished


def test_later_session_goes_on_with_the_job(folder: Path):
    _written(folder, 5)
    kept = Journal(folder).open()
    kept.adopt(read(folder), sent=2, phase="recovering", bed=60)
    assert kept.flush()
    found = read(folder)
    assert (found.job["path"], found.record["sent"], found.record["phase"]) == (JOB["path"], 2, "recovering")
    assert found.record["session"] == kept.session
    kept.close()


def test_record_names_the_last_lines_and_the_state_that_is_not_in_the_file(folder: Path):
    kept = Journal(folder).open()
    kept.begin(JOB, phase="printing")
    for offset in range(100, 200):
        kept.note(offset)
    kept.set(nozzle=205.0, flow=95)
    kept.close()
    record = read(folder).record
    assert [row[0] for row in record["tail"]] == list(range(200 - journal.TAIL, 200))
    assert all(row[1] >= 0 and row[2] is None for row in record["tail"])
    assert (record["nozzle"], record["flow"]) == (205.0, 95)


def test_syncs_are_rare_however_many_lines_there_are(folder: Path):
    kept = Journal(folder, interval=3600).open()
    kept.begin(JOB, phase="printing")
    before = kept.wear["syncs"]
    for offset in range(50_000):
        kept.note(offset)
    assert kept.wear["syncs"] - before <= 1
    kept.close()


def test_broken_disk_does_not_stop_the_print(folder: Path, monkeypatch: pytest.MonkeyPatch):
    kept = Journal(folder).open()
    kept.begin(JOB)

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        kept.note(1)
        assert not kept.flush()
        assert "Input/output" in kept.failure
    assert kept.flush()
    assert kept.failure is None
    kept.close()


_CHILD = """
import sys, time
from pathlib import Path
from octoprint_facesculpt.recovery.journal import Journal
kept = Journal(Path(sys.argv[1]), interval=3600).open()
kept.begin({"path": "x"}, phase="printing")
kept.note(1)
kept.flush()
kept.note(77)
from octoprint_facesculpt.recovery.journal import read
while read(Path(sys.argv[1])).record["sent"] != 77:
    time.sleep(0.01)
print("ready", flush=True)
time.sleep(600)
"""


def test_killed_server_loses_less_than_a_sync_interval(folder: Path):
    child = subprocess.Popen([sys.executable, "-c", _CHILD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline().strip() == "ready"
    child.send_signal(signal.SIGKILL)
    child.wait(20)
    child.stdout.close()
    assert read(folder).record["sent"] == 77
