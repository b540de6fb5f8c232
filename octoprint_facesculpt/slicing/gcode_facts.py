"""What a G-code file does, found by following the printer's state through it: limits, filament, layers and time."""

from __future__ import annotations

import io
import math
import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import takewhile
from pathlib import Path

import numpy as np

from .gcode_blocks import SET, Block, blocks, letters_of, refusal, words_of
from .gcode_index import GcodeIndex
from .gcode_layers import NOT_MODEL, Layers, is_support
from .gcode_moves import Lines, Moves, expand_arcs, fill, held, lengths
from .motion import Clock, Limits, joined

#: Nozzle temperatures between which a printer extrudes (Marlin's EXTRUDE_MINTEMP and more than any hot end stands).
NOZZLE_RANGE = (170.0, 320.0)
#: Settings that are kept.
_MAX_CONFIG = 5000
#: Features that are told apart, and the longest pause that is believed, s.
_MAX_FEATURES, _LONGEST_PAUSE = 100, 3600.0
_TIME = re.compile(r"estimated printing time \(normal mode\) = (?:(\d+)d )?(?:(\d+)h )?(?:(\d+)m )?(?:(\d+)s)?")
_CURA_TIME = re.compile(r"TIME:(\d+(?:\.\d+)?)$")
_CURA_FILAMENT = re.compile(r"Filament used: (\d+(?:\.\d+)?)m")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def _nowhere(sign: float) -> list[float]:
    return [sign * math.inf] * 3


@dataclass
class GcodeFacts:
    """What a G-code file does. Lengths in mm; ``low`` and ``high`` bound the model's extrusions, ``reach_low`` and
    ``reach_high`` all moves; ``filament`` by feature as the slicer names it; ``seconds`` is the time of all moves as the
    printer's planner makes them, without heating; ``stated_*`` is the slicer's own word; ``support_lines`` (N, 6), if they
    were wanted, are where each line of supports begins and where it ends."""

    low: list[float] = field(default_factory=lambda: _nowhere(1))
    high: list[float] = field(default_factory=lambda: _nowhere(-1))
    reach_low: list[float] = field(default_factory=lambda: _nowhere(1))
    reach_high: list[float] = field(default_factory=lambda: _nowhere(-1))
    filament: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    nozzle_max: float = 0.0
    bed_max: float = 0.0
    commands: int = 0
    extruding_moves: int = 0
    ends_cold: bool = False
    complete: bool = False
    stated_seconds: float | None = None
    stated_filament_mm: float | None = None
    stated_filament_g: float | None = None
    config: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    support_lines: Lines | None = None
    index: GcodeIndex = field(default_factory=lambda: GcodeIndex(0, 0, 0.0, 0.0, ()))

    def stated(self) -> dict[str, float]:
        """What the slicer says of time and filament, as far as it does."""
        names = ("stated_seconds", "stated_filament_mm", "stated_filament_g")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def layers(self) -> int:
        return len(self.index.layers)

    @property
    def filament_mm(self) -> float:
        return sum(self.filament.values())

    @property
    def model_filament_mm(self) -> float:
        return sum(length for name, length in self.filament.items() if name not in NOT_MODEL)

    @property
    def support_share(self) -> float:
        """Share of the filament that goes into supports, 0..1."""
        support = sum(length for name, length in self.filament.items() if is_support(name))
        return support / max(self.filament_mm, 1e-9)


def read(path: Path, limits: Limits | None = None, keep_supports: bool = False) -> GcodeFacts:
    """Read a G-code file as a printer of these ``limits`` prints it; :class:`SlicingError` ``gcode_not_text``,
    ``gcode_placeholder``, ``gcode_bad_number``, ``gcode_bad_arc``, ``gcode_below_bed`` or ``gcode_cold`` for lines that no
    printer should be given."""
    follower = Follower(Clock(limits), keep_supports)
    with path.open("rb") as file:
        for block in blocks(file):
            follower.follow(block)
    return follower.finish(path.stat().st_size)


def follow(text: bytes) -> Follower:
    """What has followed a piece of G-code; :class:`SlicingError` as :func:`read`."""
    follower = Follower(Clock())
    for block in blocks(io.BytesIO(text)):
        follower.follow(block)
    return follower


class Follower:
    """The printer's state, carried from block to block. Between two commands that change how words are meant, all moves are
    followed at once. The lines of supports are kept if wanted."""

    def __init__(self, clock: Clock, keep_supports: bool = False) -> None:
        self.facts = GcodeFacts()
        self._supports = Lines() if keep_supports else None
        self._clock, self._layers = clock, Layers(clock)
        self._nozzle = self._bed = 0.0
        self._place, self._extruder, self._feed = [0.0, 0.0, 0.0], 0.0, 25.0
        self._known = [False, False, False]
        #: Which axes a G28 has homed.
        self._homed = [False, False, False]
        #: What Marlin keeps of moves that were too short, for the next one.
        self._short = np.zeros(4)
        self._relative, self._relative_e, self._unit, self._hurry = False, False, 1.0, 1.0
        self._features: dict[str, int] = {"": 0}
        #: The lines that began them, and their numbers.
        self._feature_lines: dict[bytes, int] = {}
        #: (row, feature) and (row, limits): from which row of the block on they hold.
        self._feature_rows: list[tuple[int, int]] = [(0, 0)]
        self._limit_rows: list[tuple[int, Limits]] = [(0, clock.limits)]
        self._in_config = False

    def follow(self, block: Block) -> None:
        """Go through a block's lines."""
        self.facts.commands += block.commands
        begin = 0
        for row, line in block.events:
            if (feature := self._feature_lines.get(line)) is not None:
                self._feature_rows.append((row, feature))
                continue
            if line.startswith(b";TYPE:"):
                self._begin_feature(row, line)
                continue
            if line.startswith(b";"):
                self._comment(line[1:].strip().decode("utf-8", errors="replace"))
                continue
            name = line.split(None, 1)[0].upper()
            if name in _LIMITS:
                # Most say again what holds already.
                if (limits := _told(before := self._limit_rows[-1][1], line)) != before:
                    self._limit_rows.append((row, limits))
            elif name in _COMMANDS:
                self._moves(block, begin, row)
                begin = row
                _COMMANDS[name](self, name, (letters_of if name == b"G28" else words_of)(line))
        self._moves(block, begin, len(block.kinds))
        self._feature_rows, self._limit_rows = [(0, self._feature_rows[-1][1])], [(0, self._limit_rows[-1][1])]

    def finish(self, size: int) -> GcodeFacts:
        """The file of ``size`` bytes has ended."""
        facts = self.facts
        facts.ends_cold = self._nozzle == 0 and self._bed == 0
        facts.index = self._layers.finish(size)
        facts.support_lines = self._supports
        facts.seconds = self._clock.seconds
        facts.filament.update({name: length for name, length in self._layers.filament(list(self._features)).items() if length})
        facts.low, facts.high, facts.extruding_moves = self._layers.low, self._layers.high, self._layers.moves
        return facts

    def _begin_feature(self, row: int, line: bytes) -> None:
        feature = line[6:].decode("utf-8", errors="replace")
        if feature in self._features or len(self._features) < _MAX_FEATURES:
            number = self._features.setdefault(feature, len(self._features))
            self._feature_rows.append((row, number))
            if len(self._feature_lines) < _MAX_FEATURES:
                self._feature_lines[line] = number

    def _comment(self, text: str) -> None:
        """PrusaSlicer tells time, filament and settings at the end, CuraEngine time and filament at the start."""
        facts = self.facts
        if text == "prusaslicer_config = begin":
            self._in_config = True
        elif text == "prusaslicer_config = end":
            self._in_config, facts.complete = False, True
        elif self._in_config:
            key, equals, value = text.partition(" =")
            if equals and len(facts.config) < _MAX_CONFIG:
                facts.config[key] = value.strip()
        elif match := _TIME.match(text):
            days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
            facts.stated_seconds = ((days * 24 + hours) * 60 + minutes) * 60.0 + seconds
        elif text.startswith("filament used [mm] = "):
            facts.stated_filament_mm = _sum(text)
        elif text.startswith("total filament used [g] = "):
            facts.stated_filament_g = _sum(text)
        elif match := _CURA_TIME.match(text):
            facts.stated_seconds = float(match[1])
        elif match := _CURA_FILAMENT.match(text):
            facts.stated_filament_mm = float(match[1]) * 1000
        elif text == "End of Gcode":
            facts.complete = True

    def _set_mode(self, name: bytes, _words: dict[bytes, float]) -> None:
        if name in (b"G90", b"G91"):
            # Marlin 2: an absolute or relative mode for all axes clears M82 and M83.
            self._relative = self._relative_e = name == b"G91"
        elif name in (b"M82", b"M83"):
            self._relative_e = name == b"M83"
        else:
            self._unit = 25.4 if name == b"G20" else 1.0

    def _heat(self, name: bytes, words: dict[bytes, float]) -> None:
        target = words.get(b"S", words.get(b"R", 0.0))
        if name in (b"M104", b"M109"):
            self._nozzle = target
            self.facts.nozzle_max = max(self.facts.nozzle_max, target)
        else:
            self._bed = target
            self.facts.bed_max = max(self.facts.bed_max, target)
        if name in (b"M109", b"M190"):
            self._clock.stop()

    def _wait(self, name: bytes, words: dict[bytes, float]) -> None:
        pause = (words.get(b"S", 0.0) or words.get(b"P", 0.0) / 1000) if name == b"G4" else 0.0
        self._clock.stop(min(max(pause, 0.0), _LONGEST_PAUSE))

    def _home(self, _name: bytes, words: dict[bytes, float]) -> None:
        if words.get(b"O") and all(self._homed):
            # Only if need be (Marlin ``G28.cpp``).
            return
        named = [axis for axis, letter in enumerate((b"X", b"Y", b"Z")) if letter in words]
        for axis in named or range(3):
            self._place[axis], self._known[axis], self._homed[axis] = 0.0, False, True
        self._clock.stop()

    def _hasten(self, _name: bytes, words: dict[bytes, float]) -> None:
        self._hurry = min(max(words.get(b"S", 100.0), 1.0), 999.0) / 100

    def _moves(self, block: Block, begin: int, end: int) -> None:
        """Follow rows ``begin``..``end`` of a block, in which nothing changes the meaning of words."""
        if end <= begin:
            return
        setting = block.kinds[begin:end] == SET
        sets = bool(setting.any())
        if self._relative and sets and end - begin > 1:
            for row in range(begin, end):
                self._moves(block, row, row + 1)
            return
        moves = self._positions(block, begin, end, setting if sets else None)
        if block.arcs and (arcs := self._arcs(block, begin, end)):
            moves = expand_arcs(moves, arcs)
            self._reach_round(moves, list(arcs))
        self._place, self._feed = moves.after[:, -1].tolist(), float(moves.feed[-1])
        delta = np.empty((4, len(moves.step)))
        np.subtract(moves.after, moves.before, out=delta[:3])
        delta[3] = moves.step
        across = delta[0] != 0
        across |= delta[1] != 0
        across &= moves.step > 0
        extruding = np.flatnonzero(across)
        # Rows that move nothing are joined to others like all that is too short.
        delta, told, self._short = joined(delta, self._short)
        if len(extruding):
            if self._nozzle < NOZZLE_RANGE[0]:
                raise refusal("cold", "It extrudes with a cold nozzle")
            features = list(self._features)
            supporting = np.array([is_support(name) for name in features]).take(moves.feature.take(extruding))
            self._layers.add(moves, extruding, supporting, told, features)
            if self._supports is not None:
                lines = extruding[supporting]
                ends = (moves.before.take(lines, axis=1), moves.after.take(lines, axis=1))
                self._supports.add(np.concatenate(ends, dtype=np.float32, casting="same_kind").T)
        # Behind the end are others when a stretch is followed row by row.
        changes = list(takewhile(lambda change: change[0] <= end, self._limit_rows))
        if len(told):
            stops = np.searchsorted(told, np.flatnonzero(moves.setting)) if sets else np.zeros(0, int)
            rows, limits = zip(*changes, strict=True)
            first = np.searchsorted(told, moves.first_of(np.array(rows))).tolist()
            held_from = list(zip(first, limits, strict=True))
            self._clock.add(delta, moves.feed.take(told) * self._hurry, stops[stops < len(told)], held_from)
        self._limit_rows[: len(changes)] = [(end, changes[-1][1])]

    def _arcs(self, block: Block, begin: int, end: int) -> dict[int, tuple[int, dict[bytes, float]]]:
        """The arcs among rows ``begin``..``end``: their kinds, and their words in mm."""
        return {
            row - begin: (int(block.kinds[row]), {letter: value * self._unit for letter, value in words.items()})
            for row, words in block.arcs.items()
            if begin <= row < end
        }

    def _positions(self, block: Block, begin: int, end: int, setting: np.ndarray | None) -> Moves:
        """Where the rows lead, and their filament and feed."""
        words = block.words[:, begin:end] if self._unit == 1.0 else block.words[:, begin:end] * self._unit
        places = np.empty((3, end - begin + 1))
        places[:, 0] = self._place
        before, after = places[:, :-1], places[:, 1:]
        for axis in range(3):
            if self._relative and setting is None:
                after[axis] = self._place[axis] + np.where(np.isnan(words[axis]), 0.0, words[axis]).cumsum()
            else:
                fill(after[axis], words[axis], self._place[axis])
        # Most of what sets anything sets the extruder's count, and leaves the nozzle where it is.
        sets = None if setting is None else np.flatnonzero(setting)
        moved = None if sets is None or np.isnan(words[:3].take(sets, axis=1)).all() else setting
        if moved is not None:
            before = before.copy()
            before[:, moved] = after[:, moved]
        self._reach(words, after, moved)
        step, extruder = self._steps(words[3], sets)
        told = np.flatnonzero(words[4] > 0)
        feed = held(words[4].take(told) / 60, told, self._feed, end - begin)
        return Moves(
            before, after, step, extruder, feed, self._feature_of(begin, end), block.starts[begin:end], block.ends[begin:end],
            np.zeros(end - begin, bool) if setting is None else setting, self._relative_e, begin,
        )  # fmt: skip

    def _steps(self, given: np.ndarray, sets: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Filament of each row, and what the extruder counts behind it; rows ``sets`` only give that a new value."""
        if self._relative_e:
            step = np.where(np.isnan(given), 0.0, given)
            if sets is not None:
                step[sets] = 0.0
                sets = sets[~np.isnan(given.take(sets))]
            count = step.cumsum()
            if sets is not None and len(sets):
                count += held(given.take(sets) - count.take(sets), sets, self._extruder, len(count))
            else:
                count += self._extruder
        else:
            count = np.empty(len(given))
            fill(count, given, self._extruder)
            step = np.empty_like(count)
            step[0] = count[0] - self._extruder
            np.subtract(count[1:], count[:-1], out=step[1:])
            if sets is not None:
                step[sets] = 0.0
        self._extruder = float(count[-1])
        return step, count

    def _reach(self, words: np.ndarray, after: np.ndarray, setting: np.ndarray | None) -> None:
        """Note how far moves go; where an axis stood before its first move, nobody knows."""
        lowest = float(after[2].min())
        if lowest < -1e-6:
            raise refusal("below_bed", f"It moves to {lowest:g} mm, below the bed")
        for axis in range(3):
            places = after[axis]
            if not self._known[axis] or setting is not None:
                told = ~np.isnan(words[axis])
                self._known[axis] = self._known[axis] or bool(told.any())
                places = places[told if setting is None else told & ~setting]
            if len(places):
                self.facts.reach_low[axis] = min(self.facts.reach_low[axis], float(places.min()))
                self.facts.reach_high[axis] = max(self.facts.reach_high[axis], float(places.max()))

    def _reach_round(self, moves: Moves, arcs: list[int]) -> None:
        """Note how far some ``arcs`` (rows) go: further than their ends."""
        pieces = moves.after.compress(np.isin(np.asarray(moves.rows), arcs), axis=1)
        for axis in range(2):
            if self._known[axis]:
                self.facts.reach_low[axis] = min(self.facts.reach_low[axis], float(pieces[axis].min()))
                self.facts.reach_high[axis] = max(self.facts.reach_high[axis], float(pieces[axis].max()))

    def _feature_of(self, begin: int, end: int) -> np.ndarray:
        """The feature (a number) of each row."""
        while len(self._feature_rows) > 1 and self._feature_rows[1][0] <= begin:
            self._feature_rows.pop(0)
        # Behind the end are others when a stretch is followed row by row.
        begun = list(takewhile(lambda one: one[0] < end, self._feature_rows))
        rows = np.array([max(row, begin) for row, _ in begun])
        return np.repeat([feature for _, feature in begun], lengths(rows, end))


@lru_cache(maxsize=64)
def _told(limits: Limits, line: bytes) -> Limits:
    """The limits after a line that tells some."""
    return limits.told(line.split(None, 1)[0].upper().decode(), words_of(line))


def _sum(text: str) -> float:
    """The sum of the numbers behind ``=``: one for each extruder."""
    return sum(float(number) for number in _NUMBER.findall(text.rpartition("=")[2]))


_LIMITS = frozenset((b"M201", b"M203", b"M204", b"M205"))
_COMMANDS = {
    **dict.fromkeys((b"G90", b"G91", b"M82", b"M83", b"G20", b"G21"), Follower._set_mode),
    **dict.fromkeys((b"M104", b"M109", b"M140", b"M190"), Follower._heat),
    **dict.fromkeys((b"G4", b"G29", b"M0", b"M1", b"M400", b"M600", b"M84", b"M18"), Follower._wait),
    b"G28": Follower._home,
    b"M220": Follower._hasten,
}
