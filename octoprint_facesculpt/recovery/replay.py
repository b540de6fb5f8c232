"""Whole files through the machine model: fast, in bounded memory, with checkpoints to come back to.

Sliced files are G1 lines with now and then something else. A run of plain G0 and G1 lines is read by numpy in one go; every
other line goes through :class:`Machine`. Both ways give the same floating-point numbers, because the sums are made in the
same order.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .checksum import summed, unsummed
from .identity import identity_of
from .machine import LAYER_COMMENT, LAYER_RISE, Machine
from .state import Layer, MachineState, Move

#: Bytes read at a time, and so the distance of checkpoints.
CHUNK = 1 << 18
#: Lines below which a run is not worth numpy's calls, and bytes above which no honest line is.
SHORT_RUN, LONG_LINE = 48, 128
INDEX_VERSION = 3

_COMMENT = re.compile(rb";[^\n]*")
_NEWLINE, _SPACE, _DIGIT, _DOT, _SIGN, _LETTER, _OTHER = range(7)
_LETTERS = b"GXYZEF"
_CLASS = np.full(256, _OTHER, np.uint8)
for _bytes, _kind in ((b"\n", _NEWLINE), (b" \r\t", _SPACE), (b"0123456789", _DIGIT), (b".", _DOT), (b"+-", _SIGN),
                      (_LETTERS, _LETTER)):  # fmt: skip
    _CLASS[np.frombuffer(_bytes, np.uint8)] = _kind
#: Pairs of neighbours that a plain line does not hold: a number that does not follow its letter, a letter without number.
_STRANGE = np.zeros(49, bool)
for _one, _two in (
    *((_NEWLINE, k) for k in (_DIGIT, _DOT, _SIGN)), *((_SPACE, k) for k in (_DIGIT, _DOT, _SIGN)),
    *((k, _SIGN) for k in (_DIGIT, _DOT, _SIGN)), *((_LETTER, k) for k in (_LETTER, _SPACE, _NEWLINE)),
    *((_SIGN, k) for k in (_LETTER, _SPACE, _NEWLINE)),
    *((_OTHER, k) for k in range(7)), *((k, _OTHER) for k in range(7)),
):  # fmt: skip
    _STRANGE[_one * 7 + _two] = True
_TO_SPACE = bytes.maketrans(_LETTERS, b" " * len(_LETTERS))
_COLUMN = np.zeros(256, np.intp)
_COLUMN[np.frombuffer(_LETTERS, np.uint8)] = np.arange(len(_LETTERS))
_G, _X, _E, _F = 0, 1, 4, 5


@dataclass
class GcodeIndex:
    """A file's layers and the machine's state at places all along it. ``identity`` tells whether the file is still that."""

    identity: str
    firmware: str
    layers: list[Layer]
    checkpoints: list[MachineState]

    @property
    def end(self) -> MachineState:
        return self.checkpoints[-1]

    def before(self, offset: int) -> MachineState:
        """The last checkpoint at or before ``offset``; a copy."""
        place = bisect_right(self.checkpoints, offset, key=lambda state: state.offset)
        return self.checkpoints[max(place - 1, 0)].copy()

    def save(self, path: Path) -> None:
        data = {
            "version": INDEX_VERSION, "identity": self.identity, "firmware": self.firmware,
            "layers": [[layer.offset, layer.printed, layer.z] for layer in self.layers],
            "checkpoints": [asdict(state) for state in self.checkpoints],
        }  # fmt: skip
        half = path.with_name(path.name + ".part")
        half.write_text(summed(json.dumps(data)))
        os.replace(half, path)

    @classmethod
    def load(cls, path: Path, gcode: Path, firmware: str) -> GcodeIndex | None:
        """The saved index, unless there is none or it is of another file or firmware."""
        try:
            data = json.loads(unsummed(path.read_text()))
            if (data["version"], data["identity"], data["firmware"]) != (INDEX_VERSION, identity_of(gcode), firmware):
                return None
            layers = [Layer(*row) for row in data["layers"]]
            return cls(data["identity"], firmware, layers, [MachineState.from_json(row) for row in data["checkpoints"]])
        except (OSError, ValueError, KeyError, TypeError):
            return None


def build_index(gcode: Path, firmware: str = "marlin2") -> GcodeIndex:
    """Read a whole file."""
    machine = Machine(firmware)
    checkpoints = [machine.state.copy()]
    identity = identity_of(gcode)
    with gcode.open("rb") as file:
        for chunk in _chunks(file, None):
            read_chunk(machine, chunk)
            checkpoints.append(machine.state.copy())
    return GcodeIndex(identity, firmware, machine.layers, checkpoints)


def state_at(gcode: Path, offset: int, index: GcodeIndex | None = None, firmware: str = "marlin2") -> MachineState:
    """The machine's state when the first ``offset`` bytes have been read; a line that is only begun does not count."""
    state = index.before(offset) if index is not None else None
    machine = Machine(firmware, state)
    with gcode.open("rb") as file:
        file.seek(machine.state.offset)
        for chunk in _chunks(file, offset - machine.state.offset):
            whole = chunk if machine.state.offset + len(chunk) < offset else chunk[: chunk.rfind(b"\n") + 1]
            read_chunk(machine, whole)
    return machine.state


def moves_from(gcode: Path, state: MachineState, end: int, firmware: str = "marlin2") -> Iterator[Move]:
    """The moves of the lines from ``state`` on up to byte ``end``; ``state`` is carried along."""
    machine = Machine(firmware, state)
    with gcode.open("rb") as file:
        file.seek(state.offset)
        for chunk in _chunks(file, end - state.offset):
            for line in chunk.splitlines(keepends=True) if b"\r" not in chunk else _lines(chunk):
                move = machine.execute(line)
                if move is not None:
                    yield move


def read_plainly(machine: Machine, text: bytes) -> None:
    """Read whole lines one by one."""
    for line in _lines(text):
        machine.execute(line)


def _lines(text: bytes) -> list[bytes]:
    parts = text.split(b"\n")
    last = parts.pop()
    return [part + b"\n" for part in parts] + ([last] if last else [])


def _chunks(file: BinaryIO, limit: int | None) -> Iterator[bytes]:
    """Whole lines of about CHUNK bytes, up to ``limit`` bytes; a line that is longer comes in pieces."""
    kept = b""
    while limit is None or limit > 0:
        data = file.read(CHUNK if limit is None else min(CHUNK, limit))
        if not data:
            break
        if limit is not None:
            limit -= len(data)
        data = kept + data
        cut = data.rfind(b"\n") + 1
        if not cut and len(data) > 4 * CHUNK:
            cut = len(data)
        kept = data[cut:]
        if cut:
            yield data[:cut]
    if kept:
        yield kept


def read_chunk(machine: Machine, chunk: bytes) -> None:
    """Read whole lines, plain runs of them at once."""
    base = machine.state.offset
    text = _COMMENT.sub(b"", chunk) if b";" in chunk else chunk
    if not text.endswith(b"\n"):
        text += b"\n"
        ends = np.flatnonzero(np.frombuffer(chunk + b"\n", np.uint8) == 10)
    else:
        ends = np.flatnonzero(np.frombuffer(chunk, np.uint8) == 10)
    data = np.frombuffer(text, np.uint8)
    text_ends = np.flatnonzero(data == 10)
    special = _special_lines(data, text_ends)
    for match in LAYER_COMMENT.finditer(chunk):
        special[np.searchsorted(ends, match.start())] = True
    first = 0
    for line in (*np.flatnonzero(special).tolist(), len(ends)):
        if line > first:
            start = int(ends[first - 1]) + 1 if first else 0
            stop = min(int(ends[line - 1]) + 1, len(chunk))
            text_start = int(text_ends[first - 1]) + 1 if first else 0
            plain = text[text_start : int(text_ends[line - 1]) + 1]
            if line - first < SHORT_RUN or not _read_run(
                machine, plain, base + np.concatenate(([start], ends[first : line - 1] + 1))
            ):
                read_plainly(machine, chunk[start:stop])
            machine.state.offset = base + stop
        if line < len(ends):
            start = int(ends[line - 1]) + 1 if line else 0
            machine.execute(chunk[start : int(ends[line]) + 1])
        first = line + 1


def _special_lines(data: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Which lines are neither empty nor plain G0 and G1."""
    kinds = _CLASS[data]
    pairs = _STRANGE[kinds[:-1] * np.uint8(7) + kinds[1:]]
    strange = pairs.any() and _any_in_line(np.concatenate((pairs, [False])), ends)
    starts = np.concatenate(([0], ends[:-1] + 1))
    # The line's end stands in for what a short line does not have.
    one, two, three = (data[np.minimum(starts + k, ends)] for k in range(3))
    plain = (one == ord("G")) & ((two == ord("0")) | (two == ord("1"))) & ~np.isin(_CLASS[three], (_DIGIT, _DOT))
    several = np.diff(np.cumsum(data == ord("G"))[ends], prepend=0) > 1
    blank = ~_any_in_line(kinds > _SPACE, ends)
    return strange | several | (ends - starts > LONG_LINE) | ~(plain | blank)


def _any_in_line(marks: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Which of the lines that end at ``ends`` hold a marked byte."""
    return np.diff(np.cumsum(marks)[ends], prepend=0) > 0


def _read_run(machine: Machine, text: bytes, offsets: np.ndarray) -> bool:
    """Read plain lines that begin at ``offsets``; False, with nothing done, when they are not so plain after all."""
    data = np.frombuffer(text, np.uint8)
    letters = np.flatnonzero(_CLASS[data] == _LETTER)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        try:
            numbers = np.fromstring(text.translate(_TO_SPACE).decode("ascii"), sep=" ")
        except (DeprecationWarning, ValueError):
            return False
    if len(numbers) != len(letters) or not len(numbers) or np.abs(numbers).max() >= 1e12:
        return False
    rows = np.cumsum(data == 10)[letters]
    words = np.full((len(offsets), len(_LETTERS)), np.nan)
    words[rows, _COLUMN[data[letters]]] = numbers
    # Blank lines are none.
    used = ~np.isnan(words[:, _G])
    _apply(machine, words[used], offsets[used])
    return True


def _apply(machine: Machine, words: np.ndarray, offsets: np.ndarray) -> None:
    """Make the moves of ``words`` (a line a row: G, X, Y, Z, E, F; NaN for what a line does not name)."""
    state = machine.state
    path = np.stack([_axis(words[:, _X + a] * state.unit, state.position[a], state.relative) for a in range(3)])
    position = path[:, -1].tolist()
    path[2] += state.hop
    e_words = words[:, _E] * state.unit
    e = _axis(e_words, state.e, machine.e_is_relative)
    if machine.e_is_relative:
        filament = np.where(np.isnan(e_words), 0.0, e_words)
    else:
        filament = np.diff(e)
    pushed = np.cumsum(np.concatenate(([state.filament], filament)))
    steps = np.diff(path)
    prints = (filament > 0) & ((steps[0] != 0) | (steps[1] != 0))
    length = np.sqrt(steps[0] * steps[0] + steps[1] * steps[1] + steps[2] * steps[2])
    printed = np.cumsum(np.concatenate(([state.printed], np.where(prints, length, 0.0))))
    printing = np.flatnonzero(prints)
    _note_layers(machine, printing, path[2, 1:], offsets, printed)
    if len(printing):
        used = np.concatenate((path[:, printing], path[:, printing + 1]), axis=1)
        low, high = used.min(axis=1).tolist(), used.max(axis=1).tolist()
        state.low = [min(a, b) for a, b in zip(state.low, low, strict=True)] if state.low else low
        state.high = [max(a, b) for a, b in zip(state.high, high, strict=True)] if state.high else high
    feeds = words[:, _F]
    feeds = feeds[feeds > 0]
    if len(feeds):
        state.feed = float(feeds[-1]) * state.unit
    state.position = position
    state.e = float(e[-1])
    state.filament_top = max(state.filament_top, float(pushed.max()))
    state.filament, state.printed = float(pushed[-1]), float(printed[-1])


def _axis(values: np.ndarray, start: float, relative: bool) -> np.ndarray:
    """An axis's places: before the first line, and after each."""
    if relative:
        return np.cumsum(np.concatenate(([start], np.where(np.isnan(values), 0.0, values))))
    places = np.concatenate(([start], values))
    last = np.maximum.accumulate(np.where(np.isnan(places), 0, np.arange(len(places))))
    return places[last]


def _note_layers(machine: Machine, printing: np.ndarray, heights: np.ndarray, offsets: np.ndarray, printed: np.ndarray) -> None:
    state = machine.state
    while len(printing):
        if state.layer_z is None or state.layer_comments:
            news = printing[:1] if state.layer_z is None else printing[:0]
        else:
            news = printing[np.abs(heights[printing] - state.layer_z) >= LAYER_RISE][:1]
        if not len(news):
            return
        row = int(news[0])
        now, state.printed = state.printed, float(printed[row])
        machine.note_printing(int(offsets[row]), float(heights[row]))
        state.printed = now
        printing = printing[printing > row]
