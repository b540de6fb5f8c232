"""How far the print is, on disk: small, never truncated, readable whatever happened to it.

Two files (generations) are written in turn, so that whatever a torn write does to one, the record before it is whole in
the other. Each is a ring of blocks of fixed size: every record fills one block, carries a sequence number and a CRC, and
suffices together with the job's own record, of which each file holds two copies. The files are filled with zeros when they
are made; from then on writing changes no size and no allocation, which a file system could lose in an outage.

What is in the G-code file is not kept here, only where in it the printer is: the rest is rebuilt by reading the file.
"""

from __future__ import annotations

import json
import logging
import os
import struct
import threading
import time
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from .lines import LastLines
from .sound import is_sound

_logger = logging.getLogger(__name__)
NAMES = ("journal.0", "journal.1")
BLOCK = 4096
#: Blocks of a file: two copies of the job, then the ring.
JOB_BLOCKS, RING = 2, 30
_MAGIC = b"FSJ1"
#: Magic, kind, sequence, length of the JSON text.
_HEAD = struct.Struct("<4sBQH")
_CRC = struct.Struct("<I")
_JOB, _STATE = 1, 2
#: A second between syncs at least, unless something happened that must not be lost.
INTERVAL = 1.0
#: Seconds between records while nothing is sent: twice as long each time, up to this.
QUIET = 64.0
#: Phases in which an outage interrupts a print.
UNFINISHED = ("starting", "printing", "paused", "recovering", "interrupted")


@dataclass
class Reading:
    """What a journal says. ``job`` is what the print was begun with, ``record`` how far it was, ``sequence`` its number."""

    job: dict[str, Any]
    record: dict[str, Any]
    sequence: int

    @property
    def unfinished(self) -> bool:
        return self.record.get("phase") in UNFINISHED


@dataclass(slots=True)
class _Found:
    sequence: int
    kind: int
    data: dict[str, Any]


def read(folder: Path) -> Reading | None:
    """The newest sound record with its job; None where there is none. Damage is skipped, never an error."""
    return newest([_content(folder / name) for name in NAMES])


def newest(files: list[bytes]) -> Reading | None:
    """:func:`read` for the files' contents."""
    found = sorted((f for data in files for f in _records(data)), key=lambda f: f.sequence, reverse=True)
    jobs = {f.data.get("job"): f.data for f in reversed(found) if f.kind == _JOB}
    states = [f for f in found if f.kind == _STATE and f.data.get("job") in jobs and is_sound(f.data)]
    if not states:
        return None
    newest = states[0]
    return Reading(jobs[newest.data["job"]], newest.data, newest.sequence)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _records(data: bytes) -> list[_Found]:
    return [found for start in range(0, len(data), BLOCK) if (found := _unpack(data[start : start + BLOCK]))]


def _pack(sequence: int, kind: int, data: dict[str, Any]) -> bytes:
    text = json.dumps(data, separators=(",", ":")).encode()
    if len(text) > BLOCK - _HEAD.size - _CRC.size:
        raise ValueError(f"a record of {len(text)} bytes does not fit a block")
    block = (_HEAD.pack(_MAGIC, kind, sequence, len(text)) + text).ljust(BLOCK - _CRC.size, b"\0")
    return block + _CRC.pack(zlib.crc32(block))


def _unpack(block: bytes) -> _Found | None:
    if len(block) != BLOCK or not block.startswith(_MAGIC):
        return None
    if _CRC.unpack(block[-_CRC.size :])[0] != zlib.crc32(block[: -_CRC.size]):
        return None
    _, kind, sequence, length = _HEAD.unpack_from(block)
    try:
        data = json.loads(block[_HEAD.size : _HEAD.size + length])
    except (ValueError, RecursionError):
        return None
    return _Found(sequence, kind, data) if isinstance(data, dict) and isinstance(data.get("job"), str) else None


@dataclass
class _Disk:
    """The two files. ``syncs`` and ``written`` count what was done to the disk."""

    folder: Path
    sequence: int = 0
    syncs: int = 0
    written: int = 0
    #: Seconds that the slowest sync took.
    slowest: float = 0.0
    _files: list[int] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return len(self._files) == len(NAMES)

    def open(self) -> None:
        self.close()
        self.folder.mkdir(parents=True, exist_ok=True)
        found = [f.sequence for name in NAMES for f in _records(_content(self.folder / name))]
        self.sequence = max(found, default=0)
        for name in NAMES:
            path, size = self.folder / name, (JOB_BLOCKS + RING) * BLOCK
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            self._files.append(handle)
            there = os.fstat(handle).st_size
            if there < size:
                os.pwrite(handle, bytes(size - there), there)
                os.fsync(handle)
        folder = os.open(self.folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def job(self, data: dict[str, Any]) -> None:
        for handle in self._files:
            self.sequence += 1
            for copy in range(JOB_BLOCKS):
                self._write(handle, copy, _pack(self.sequence, _JOB, data))
                self._sync(handle)

    def state(self, data: dict[str, Any], sync: bool) -> None:
        """Write a record. Without ``sync`` it survives the end of this process, and takes the place of the last such one."""
        sequence = self.sequence + 1
        handle = self._files[sequence % 2]
        self._write(handle, JOB_BLOCKS + sequence // 2 % RING, _pack(sequence, _STATE, data))
        if sync:
            self._sync(handle)
            self.sequence = sequence

    def close(self) -> None:
        for handle in self._files:
            os.close(handle)
        self._files.clear()

    def _write(self, handle: int, block: int, data: bytes) -> None:
        os.pwrite(handle, data, block * BLOCK)
        self.written += len(data)

    def _sync(self, handle: int) -> None:
        begun = time.monotonic()
        os.fdatasync(handle)
        self.slowest = max(self.slowest, time.monotonic() - begun)
        self.syncs += 1


class Cadence:
    """When a record is due: a sync ``interval`` seconds after the last when something was sent meanwhile, at once after an
    event, and ever more rarely while nothing happens, so that a record also tells how long nothing has happened."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._last, self._written, self._quiet = 0.0, None, interval

    @property
    def within(self) -> float:
        """Seconds after a synced record within which another follows whatever happens."""
        return self._quiet

    def due(self, now: float, key: Any, urgent: bool) -> bool | None:
        """Whether to write a record, and whether with a sync; None for neither. ``key`` changes when something was sent."""
        news = key != self._written
        if urgent or (news and now - self._last >= self._interval):
            self._quiet = self._interval
        elif not news and now - self._last >= self._quiet:
            self._quiet = min(2 * self._quiet, QUIET)
        else:
            return False if news else None
        self._last, self._written = now, key
        return True


class Journal:
    """Keeps a print's journal.

    :attr:`note` is called for every line, on the threads that talk to the printer: it only remembers. A thread of the
    journal's own writes: at most once ``interval`` seconds, and at once after :meth:`event`. In between, ten times a second,
    it hands the newest record to the operating system without a sync, which costs the disk nothing and survives the end of
    this process, though not of the machine.
    """

    def __init__(
        self,
        folder: Path,
        interval: float = INTERVAL,
        boot_id: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._disk = _Disk(folder)
        self._interval, self._clock = interval, clock
        self._cadence = Cadence(interval)
        self._boot = boot_id or this_boot()
        self._session = uuid.uuid4().hex[:12]
        #: Held for moments only; the comm threads may wait for it.
        self._lock = threading.Lock()
        #: Held while the disk works.
        self._disk_lock = threading.Lock()
        self._wake = threading.Event()
        self._job: str | None = None
        self._fields: dict[str, Any] = {}
        self.lines = LastLines(clock)
        self.note, self.acknowledged = self.lines.note, self.lines.acknowledged
        #: Byte behind the last line before those.
        self._sent = 0
        self._closing = False
        #: How often something was to be on disk at once, and of how many of these the record has been written.
        self._asked = self._answered = 0
        self._thread: threading.Thread | None = None
        self._synced = threading.Condition()
        self.failure: str | None = None

    def open(self) -> Journal:
        # Without a disk that can be written the printer must be kept from its print all the same.
        self._try(lambda: None)
        self._thread = threading.Thread(target=self._run, name="facesculpt-journal", daemon=True)
        self._thread.start()
        return self

    @property
    def session(self) -> str:
        """Names this process's use of the journal."""
        return self._session

    @property
    def wear(self) -> dict[str, int]:
        return {"syncs": self._disk.syncs, "bytes": self._disk.written}

    def begin(self, job: dict[str, Any], **fields: Any) -> str:
        """A print begins: ``job`` says of which file on which printer. On disk when this returns."""
        identifier = uuid.uuid4().hex[:16]
        with self._disk_lock:
            with self._lock:
                self._job, self._fields = identifier, {"phase": "starting", **fields}
                self.lines.clear()
                self._sent = 0
            self._try(partial(self._disk.job, {**job, "job": identifier, "wall": time.time(), "boot": self._boot}))
        self.flush()
        return identifier

    def adopt(self, reading: Reading, sent: int, **fields: Any) -> None:
        """Go on with the job of an earlier session from byte ``sent`` of its file."""
        with self._lock:
            self._job = reading.job["job"]
            self._fields = {k: v for k, v in reading.record.items() if k not in _MADE} | fields
            self.lines.clear()
            self._sent = sent

    def amend(self, job: dict[str, Any]) -> None:
        """What is known of a job has changed, as the place of its file: ``job`` as :class:`Reading` has it. On disk when this
        returns."""
        with self._disk_lock:
            self._try(partial(self._disk.job, job))

    def tail(self) -> list[list[Any]]:
        """The last lines as a record names them: offset, seconds since it was sent, seconds that its ``ok`` took."""
        lines, now = self.lines(), self._clock()
        return [
            [line.offset, round(now - line.sent, 3), None if line.ok is None else round(line.ok - line.sent, 3)]
            for line in lines
            if line.offset >= 0
        ]

    def set(self, **fields: Any) -> None:
        """Remember what is not in the file (temperatures, tuning); goes to disk with the next record."""
        with self._lock:
            self._fields.update(fields)

    def event(self, **fields: Any) -> None:
        """Like :meth:`set`, for what must be on disk at once: a pause, a layer, a changed target. Does not wait for it."""
        self._ask(fields)

    def flush(self, timeout: float = 5.0, **fields: Any) -> bool:
        """Like :meth:`event`, and wait until it is on disk; whether it is."""
        asked = self._ask(fields)
        with self._synced:
            return self._synced.wait_for(lambda: self._answered >= asked, timeout) and self.failure is None

    def _ask(self, fields: dict[str, Any]) -> int:
        with self._lock:
            self._fields.update(fields)
            self._asked += 1
            asked = self._asked
        self._wake.set()
        return asked

    def close(self) -> None:
        """Write what is left and end the thread."""
        if self._thread is None:
            return
        self._closing = True
        self._wake.set()
        self._thread.join(10)
        self._thread = None
        self._disk.close()

    def _run(self) -> None:
        while True:
            idle = self._job is None or self._fields.get("phase") not in UNFINISHED
            self._wake.wait(None if idle else min(self._interval / 10, 0.1))
            self._wake.clear()
            with self._disk_lock:
                with self._lock:
                    closing, asked = self._closing, self._asked
                    sync = self.due(closing or asked != self._answered)
                    record = self.record() if sync is not None else None
                if record is not None and record["job"] is not None:
                    self._try(partial(self._disk.state, record, bool(sync)))
            with self._synced:
                self._answered = asked
                self._synced.notify_all()
            if closing:
                return

    def due(self, urgent: bool) -> bool | None:
        """:meth:`Cadence.due` now."""
        return self._cadence.due(self._clock(), (self._job, self._sent, self.lines.last_sent), urgent)

    def record(self) -> dict[str, Any]:
        """The state of things as it goes to disk."""
        tail = self.tail()
        return {
            **self._fields, "job": self._job, "sent": tail[-1][0] if tail else self._sent, "wall": round(time.time(), 3),
            "mono": round(self._clock(), 3), "boot": self._boot, "session": self._session, "tail": tail,
            "within": self._cadence.within, "slowest_sync": round(self._disk.slowest, 3),
        }  # fmt: skip

    def _try(self, write: Callable[[], None]) -> None:
        try:
            if not self._disk.is_open:
                self._disk.open()
            write()
            self.failure = None
        except (OSError, ValueError) as error:
            # A full or broken disk must not stop the print; the dashboard tells.
            if self.failure is None:
                _logger.error("the journal cannot be written: %s", error)
            self.failure = str(error)


#: Fields of a record that the journal makes itself.
_MADE = frozenset({"job", "sent", "wall", "mono", "boot", "session", "tail", "within", "slowest_sync"})


def this_boot() -> str:
    """Names the present run of this computer's operating system."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        # Elsewhere than on Linux: the moment of the start, to the minute.
        return f"since-{round((time.time() - time.monotonic()) / 60)}"
