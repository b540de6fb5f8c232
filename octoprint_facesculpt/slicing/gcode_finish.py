"""The last touch to sliced G-code: its true head, its picture, and lines that tell a printer's display how far it is.

All of that is comments and ``M73``, which move and heat nothing. So what the check has read of the slicer's file holds for
the finished one, too; only places in the file move, and the index of its layers with them.
"""

from __future__ import annotations

import os
import zlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from io import FileIO
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from .gcode_index import GcodeIndex

if TYPE_CHECKING:
    from .gcode_ahead import Reading
    from .gcode_facts import GcodeFacts

#: G-code is copied in blocks of so many bytes.
COPY_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Change:
    """``new`` in the place of the ``old`` bytes from ``offset`` on."""

    offset: int
    old: int
    new: bytes


def finish(gcode: Path, head: Change, progress: bool, reading: Reading | None, keep_supports: bool = False) -> GcodeFacts:
    """Give a G-code file its head, and lines of progress if wanted, make sure that it is on the disk, and say what it does.

    ``reading`` is what was read of it while it was written. Unless the file is just that, it is read anew, and its supports
    are kept if wanted: :class:`SlicingError` as :func:`.gcode_facts.read`.
    """
    if reading is not None:
        facts = reading.facts
        changes = [head, *(progress_lines(facts.index, head.old) if progress else ())]
        if _rewrite(gcode, changes, (reading.size, reading.checksum)):
            facts.index = moved(facts.index, changes)
            return facts
    from .gcode_facts import read

    _rewrite(gcode, [head])
    facts = read(gcode, keep_supports=keep_supports)
    if progress:
        changes = progress_lines(facts.index, len(head.new))
        _rewrite(gcode, changes)
        facts.index = moved(facts.index, changes)
    return facts


def progress_lines(index: GcodeIndex, head_bytes: int) -> list[Change]:
    """``M73`` with the percentage of time that is over and the minutes that are left: behind the head, at the beginning of
    each layer that changes them, and behind the last. Of no layers there are none."""
    if not index.layers:
        return []
    whole = max(index.seconds, 1e-9)
    times = [(head_bytes, 0.0), *((layer.offset, layer.seconds) for layer in index.layers[1:])]
    said = [(place, int(100 * min(time / whole, 1)), max(round((whole - time) / 60), 0)) for place, time in times]
    said.append((index.end, 100, 0))
    told = said[:1] + [after for before, after in pairwise(said) if after[1:] != before[1:]]
    return [Change(place, 0, b"M73 P%d R%d\n" % (share, minutes)) for place, share, minutes in told]


def moved(index: GcodeIndex, changes: Sequence[Change]) -> GcodeIndex:
    """The index of the file with some changes, which rise; what is inserted where a layer begins belongs to that layer."""
    places = [change.offset for change in changes]
    shifts = list(accumulate((len(change.new) - change.old for change in changes), initial=0))
    if not any(shifts):
        return index

    def place(offset: int) -> int:
        # The file's beginning stays where it is.
        return offset and offset + shifts[bisect_left(places, offset)]

    layers = tuple(layer._replace(offset=place(layer.offset)) for layer in index.layers)
    return replace(index, size=index.size + shifts[-1], end=place(index.end), layers=layers)


def _rewrite(gcode: Path, changes: Sequence[Change], expected: tuple[int, int] | None = None) -> bool:
    """Carry out changes, which rise, and make sure that the file is on the disk. False, with the file as it was, when its size
    and checksum (CRC-32) are not as ``expected``."""
    part = gcode.with_suffix(".part")
    with gcode.open("rb", buffering=0) as source:
        changes = [change for change in changes if os.pread(source.fileno(), change.old, change.offset) != change.new]
        size = checksum = 0
        with part.open("wb") if changes else nullcontext() as target:
            for old, new in _pieces(source, changes):
                size, checksum = size + len(old), zlib.crc32(old, checksum)
                if target is not None:
                    target.write(new)
            if expected not in (None, (size, checksum)):
                return False
            if target is not None:
                target.flush()
            os.fsync((target or source).fileno())
    if target is not None:
        os.replace(part, gcode)
    return True


def _pieces(source: FileIO, changes: Sequence[Change]) -> Iterator[tuple[bytes, bytes]]:
    """A file's old bytes and its new ones, piece by piece."""
    place = 0
    for change in changes:
        while place < change.offset and (block := source.read(min(COPY_BYTES, change.offset - place))):
            place += len(block)
            yield block, block
        old = source.read(change.old)
        place += len(old)
        yield old, change.new
    while block := source.read(COPY_BYTES):
        yield block, block
