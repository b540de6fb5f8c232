"""The journal: readable after whatever happened to it, and cheap where it counts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from octoprint_facesculpt.recovery import journal
from octoprint_facesculpt.recovery.journal import BLOCK, JOB_BLOCKS, NAMES, RING, Journal, newest, read
from octoprint_facesculpt.recovery.lines import TAIL

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


def _last_blocks(files: list[bytes]) -> list[tuple[int, int, int]]:
    """File, first byte and sequence number of the block with the newest record of each file, the older one first."""
    found = []
    for which, data in enumerate(files):
        starts = range(JOB_BLOCKS * BLOCK, len(data), BLOCK)
        sequence, start = max((f.sequence, start) for start in starts if (f := journal._unpack(data[start : start + BLOCK])))
        found.append((which, start, sequence))
    return sorted(found, key=lambda row: row[2])


def test_any_flipped_bit_of_the_last_records_costs_no_more_than_that_record(folder: Path):
    """Both generations: the newest record, and the one before it, which is the newest of the other file."""
    files = _written(folder, 5)
    for which, start, _sequence in _last_blocks(files):
        block = bytearray(files[which][start : start + BLOCK])
        for bit in range(8 * BLOCK):
            block[bit // 8] ^= 1 << bit % 8
            # Not accepted; so reading falls back to what the next assertions show.
            assert journal._unpack(bytes(block)) is None
            block[bit // 8] ^= 1 << bit % 8
    for which, start, sequence in _last_blocks(files):
        other = max(row[2] for row in _last_blocks(files) if row[2] != sequence)
        for byte in range(start, start + BLOCK, 7):
            torn = list(files)
            flipped = bytearray(torn[which])
            flipped[byte] ^= 1 << byte % 8
            torn[which] = bytes(flipped)
            found = newest(torn)
            # The other generation's newest is whole.
            assert found is not None and found.sequence == other
    for file in (0, 1):
        for bit in range(0, 8 * len(files[0]), 4099):
            torn = list(files)
            flipped = bytearray(torn[file])
            flipped[bit // 8] ^= 1 << bit % 8
            torn[file] = bytes(flipped)
            found = newest(torn)
            assert found is not None and found.record["sent"] >= 4


def test_write_torn_at_any_byte_leaves_the_record_before_it(folder: Path):
    """The beginning of the newest block arrived, the rest is what the ring held there before: nothing, or an older record."""
    files = _written(folder, 2 * RING + 5)
    (_, _, before), (which, start, _) = _last_blocks(files)
    older = _written(folder.with_name("older"), 5)[which][start : start + BLOCK]
    for rest in (bytes(BLOCK), older):
        for cut in range(BLOCK):
            torn = list(files)
            block = files[which][start : start + cut] + rest[cut:]
            torn[which] = files[which][:start] + block + files[which][start + BLOCK :]
            if block == files[which][start : start + BLOCK]:
                continue
            if cut % 64 == 0 or cut < 128 or cut > BLOCK - 8:
                found = newest(torn)
                assert found is not None and found.sequence == before
            else:
                assert journal._unpack(block) is None


@pytest.mark.parametrize(
    "record",
    [
        b"[]", b"5", b"{", b"[" * 4000, b'{"job": 5}', b'{"job": "another", "sent": 6, "mono": 1}', b'{"job": JOB}',
        b'{"job": JOB, "sent": "x", "mono": 1}', b'{"job": JOB, "sent": 6, "mono": 1, "tail": 7}',
        b'{"job": JOB, "sent": 6, "mono": 1, "tail": [[1]]}', b'{"job": JOB, "sent": 6, "mono": 1, "tail": [7]}',
        b'{"job": JOB, "sent": 6, "mono": 1, "tail": [[1, "x"]]}', b'{"job": JOB, "sent": 6, "mono": 1, "tail": [[-1, 0]]}',
        b'{"job": JOB, "sent": -1, "mono": 1}', b'{"job": JOB, "sent": 1e400, "mono": 1}', b'{"job": JOB, "sent": 6}',
        b"\xff\xfe",
    ],
)  # fmt: skip
def test_record_that_somebody_else_has_written_is_passed_over(folder: Path, record: bytes):
    """With a right CRC, as no torn write has it, and for the very job."""
    files = _written(folder, 5)
    sequence, job = newest(files).sequence + 1, newest(files).job["job"]
    record = record.replace(b"JOB", f'"{job}"'.encode())
    block = (journal._HEAD.pack(b"FSJ1", 2, sequence, len(record)) + record).ljust(BLOCK - 4, b"\0")
    block += journal._CRC.pack(journal.zlib.crc32(block))
    files[0] = files[0][: JOB_BLOCKS * BLOCK] + block + files[0][(JOB_BLOCKS + 1) * BLOCK :]
    found = newest(files)
    assert found is not None and found.record["sent"] == 5


def test_a_sound_record_of_the_job_counts(folder: Path):
    """Or nothing would be shown by those that are passed over."""
    files = _written(folder, 5)
    reading = newest(files)
    block = journal._pack(
        reading.sequence + 1, journal._STATE, {"job": reading.job["job"], "sent": 6, "mono": 1, "tail": [[1, 0]]}
    )
    files[0] = files[0][: JOB_BLOCKS * BLOCK] + block + files[0][(JOB_BLOCKS + 1) * BLOCK :]
    assert newest(files).record["sent"] == 6


def test_nothing_happening_is_told_ever_more_rarely():
    cadence = journal.Cadence(1.0)
    now, written = 100.0, []
    assert cadence.due(now, "line 1", urgent=False)
    promised = cadence.within
    for tenth in range(3000):
        now = 100.0 + tenth / 10
        if cadence.due(now, "line 1", urgent=False):
            # Never later than the record before has promised.
            assert now - (written[-1] if written else 100.0) <= promised + 0.1
            written.append(now)
            promised = cadence.within
    assert [round(b - a) for a, b in pairwise(written)] == [2, 4, 8, 16, 32, 64, 64, 64]
    # News after a silence is on disk at once.
    assert cadence.due(now + 0.1, "line 2", urgent=False) is True
    assert cadence.within == 1.0


def test_how_long_an_acknowledgement_took_is_on_record(folder: Path):
    now = 50.0
    kept = Journal(folder, clock=lambda: now)
    kept.note(100)
    now += 0.25
    kept.acknowledged()
    kept.note(130)
    now += 0.5
    assert kept.record()["tail"] == [[100, 0.75, 0.25], [130, 0.5, None]]


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


def test_flush_waits_for_its_own_record(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Not for that of an event before it, which the slow disk is still at."""
    kept = Journal(folder, interval=3600).open()
    kept.begin(JOB, phase="printing")
    begun, go_on, sync = threading.Event(), threading.Event(), os.fdatasync

    def slow(handle: int) -> None:
        begun.set()
        go_on.wait(10)
        sync(handle)

    monkeypatch.setattr(os, "fdatasync", slow)
    kept.event(z_high=1.0)
    assert begun.wait(10)
    threading.Timer(0.2, go_on.set).start()
    assert kept.flush(z_high=10.0)
    assert read(folder).record["z_high"] == 10.0
    assert kept.wear["syncs"] >= 2
    kept.close()


def test_record_names_the_last_lines_and_the_state_that_is_not_in_the_file(folder: Path):
    kept = Journal(folder).open()
    kept.begin(JOB, phase="printing")
    for offset in range(100, 200):
        kept.note(offset)
    kept.set(nozzle=205.0, flow=95)
    kept.close()
    record = read(folder).record
    assert [row[0] for row in record["tail"]] == list(range(200 - TAIL, 200))
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


def test_a_file_that_was_renamed_is_known_by_its_new_name(folder: Path):
    """Whichever write the power is lost in, and the place in the print stays."""
    files = _written(folder, 5)
    before = newest(files)
    assert before is not None
    kept = Journal(folder).open()
    kept.amend({**before.job, "path": "new.gcode"})
    kept.close()
    after = read(folder)
    assert after is not None and after.job == {**before.job, "path": "new.gcode"}
    assert (after.record, after.sequence) == (before.record, before.sequence)
    halves = [(folder / NAMES[0]).read_bytes(), files[1]]
    half = newest(halves)
    assert half is not None and half.record == before.record


def test_a_disk_that_is_full_at_the_start_is_tried_again(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal.os, "pwrite", full)
        kept = Journal(folder).open()
        assert kept.failure and "No space" in kept.failure
        kept.begin(JOB, phase="printing")
        assert kept.failure
    kept.begin(JOB, phase="printing")
    kept.note(77)
    assert kept.flush() and kept.failure is None
    kept.close()
    assert read(folder).record["sent"] == 77  # type: ignore[union-attr]
