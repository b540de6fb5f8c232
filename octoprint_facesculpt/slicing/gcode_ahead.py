"""G-code that is checked while the slicer still writes it, so that little is left to be read when it has ended.

It stays a reading of the finished file: every byte that was read goes into a sum, and unless the file in the end has just
that sum, as it has not when the slicer has gone back to write over its beginning, it counts for nothing and the file is read
from the start.
"""

from __future__ import annotations

import io
import os
import threading
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .beside import Beside
from .engine import SlicingError
from .memory import give_back, keep_freed

if TYPE_CHECKING:
    from .gcode_facts import Follower, GcodeFacts

#: Seconds between two looks, at first: for a file of which nothing is to be seen, for one that is about to come (what it is
#: made from is there), and at how far it has grown. Later it is looked at less often: this share of the time that has gone by,
#: and so many seconds at most, so that a slicer that takes long costs no more looks.
_LOOK_FAR, _LOOK_NEAR, _LOOK_GROWING = 0.2, 0.03, 0.1
_LOOK_SHARE, _LOOK_SELDOM = 0.05, 0.5


@dataclass(frozen=True)
class Reading:
    """What a file does of which so many bytes were read, with this checksum (CRC-32); places are those of that file."""

    facts: GcodeFacts
    size: int
    checksum: int


class Ahead:
    """Reads a file in a thread as it grows; ``written`` says that nothing will be added any more. The lines of supports are
    kept if wanted."""

    def __init__(self, path: Path, keep_supports: bool = False) -> None:
        self.written = threading.Event()
        self._path, self._keep_supports = path, keep_supports
        self._sum = self._size = 0
        self._thread = Beside(self._read)

    def __enter__(self) -> Ahead:
        self._thread.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        # It may be waiting for more.
        self.written.set()
        self._thread.__exit__()
        # The thread's work is a method of this, and what it has read would be kept with both.
        del self._thread
        give_back()

    def reading(self, old_head: bytes, head: bytes) -> Reading | None:
        """What the G-code does when ``old_head``, with which it begins, is replaced by ``head``, both of them comments alone:
        what the new one says of time and filament counts. None when that is not known; the finished file then tells."""
        from .gcode_facts import follow

        self.written.set()
        try:
            follower = self._thread.result()
            if follower is None:
                return None
            facts, made_up, true = follower.facts, follow(old_head).facts, follow(head).facts
            if made_up.commands or true.commands:
                return None
            for name, value in {**dict.fromkeys(made_up.stated()), **true.stated()}.items():
                setattr(facts, name, value)
            return Reading(follower.finish(self._size), self._size, self._sum)
        except (SlicingError, OSError):
            return None

    def _read(self, stop: threading.Event) -> Follower | None:
        # Here, as it takes longer to load numpy than to start a slicer.
        from .gcode_blocks import blocks
        from .gcode_facts import Follower
        from .motion import Clock

        follower = Follower(Clock(), self._keep_supports)
        begun = self._path.name.partition(".")[0] + "."
        since, near = time.monotonic(), False
        while self._path.name not in (there := os.listdir(self._path.parent)):
            if self.written.is_set() or stop.is_set():
                return None
            if not near and any(name.startswith(begun) for name in there):
                since, near = time.monotonic(), True
            self.written.wait(_pause(_LOOK_NEAR if near else _LOOK_FAR, since))
        keep_freed()
        with self._path.open("rb", buffering=0) as file:
            for block in blocks(_Growing(self, file, stop)):
                if stop.is_set():
                    return None
                follower.follow(block)
        return follower


def _pause(least: float, since: float) -> float:
    """Seconds until the next look, of something that began at a moment of the clock."""
    return max(least, min(_LOOK_SELDOM, _LOOK_SHARE * (time.monotonic() - since)))


class _Growing:
    """A file whose end is only its end when it has been written."""

    def __init__(self, ahead: Ahead, file: io.FileIO, stop: threading.Event) -> None:
        self._ahead, self._file, self._stop = ahead, file, stop
        self._since = time.monotonic()

    def readinto(self, place: memoryview) -> int:
        """Fill ``place`` as soon as there is enough; less of it, or nothing, only at the end."""
        ahead, room = self._ahead, len(place)
        while not ahead.written.is_set() and not self._stop.is_set():
            if os.fstat(self._file.fileno()).st_size - ahead._size >= room:
                break
            ahead.written.wait(_pause(_LOOK_GROWING, self._since))
        filled = 0
        while filled < room and (count := self._file.readinto(place[filled:])):
            filled += count
        ahead._sum = zlib.crc32(place[:filled], ahead._sum)
        ahead._size += filled
        return filled
