"""Moves of a stretch of G-code as arrays, in millimetres and seconds whatever the text's modes were."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import atan2, ceil, hypot, pi

import numpy as np

from .gcode_arcs import centre_of
from .gcode_blocks import CLOCKWISE, refusal

#: Length of a piece of an arc, mm (Marlin's MM_PER_ARC_SEGMENT), and the most pieces that an arc is cut into.
_PIECE, _MAX_PIECES = 1.0, 10_000
#: Lines of supports, of which a bust of a day has some 300,000, for which there is room at first.
_ROOM = 1_000_000
#: What they are rounded to, mm, and the most of that: 655 mm.
_STEP, _FURTHEST = 0.02, 32_767


@dataclass
class Moves:
    """N rows of G-code as moves.

    ``before`` and ``after`` (3, N): the nozzle's place, mm; ``step`` (N,): mm of filament; ``extruder`` (N,): what the
    extruder counts behind each; ``feed`` (N,) mm/s; ``feature`` (N,): the feature's number; ``starts`` and ``ends`` (N,):
    bytes of the file where each line begins and where the next does; ``setting`` (N,): rows that only give the place or the
    extruder's count a new value; ``relative_e``: how the text writes E; ``begin``: the number of the first row in its block.
    """

    before: np.ndarray
    after: np.ndarray
    step: np.ndarray
    extruder: np.ndarray
    feed: np.ndarray
    feature: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    setting: np.ndarray
    relative_e: bool
    begin: int
    #: (N,) the row of each move, when rows were cut into pieces.
    rows: np.ndarray | None = None

    def first_of(self, rows: np.ndarray) -> np.ndarray:
        """The first move of each of the block's ``rows``, or of a later one."""
        rows = np.maximum(rows - self.begin, 0)
        return rows if self.rows is None else np.searchsorted(self.rows, rows)


class Lines:
    """Lines (N, 6), mm, that come in pieces; slices of them are arrays (M, 6) float32.

    They are kept in steps of ``_STEP`` mm, in half the memory. There is room for so many that hardly ever more is needed: what
    of it is not used is no memory, while all that has come would be there twice when pieces are put together."""

    def __init__(self) -> None:
        self._room, self._count = np.empty((_ROOM, 6), np.int16), 0

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, some: slice) -> np.ndarray:
        return self._room[: self._count][some] * np.float32(_STEP)

    def add(self, lines: np.ndarray) -> None:
        """Add a piece (M, 6) float32. What lies further away than any bed reaches is taken for its edge."""
        begin, self._count = self._count, self._count + len(lines)
        while self._count > len(self._room):
            self._room = np.concatenate([self._room, np.empty_like(self._room)])
        steps = lines * np.float32(1 / _STEP)
        np.rint(steps, out=steps)
        np.clip(steps, -_FURTHEST, _FURTHEST, out=steps)
        self._room[begin : self._count] = steps


def fill(values: np.ndarray, given: np.ndarray, start: float) -> None:
    """Into ``values`` a column with its gaps (NaN) filled by what stands before them."""
    gap = np.isnan(given)
    gaps = np.flatnonzero(gap)
    if 2 * len(gaps) > len(given):
        known = np.flatnonzero(~gap)
        values[:] = held(given.take(known), known, start, len(given))
        return
    values[:] = given
    if not len(gaps):
        return
    # Each stretch of gaps has the value before its first.
    first = np.flatnonzero(np.concatenate([[True], gaps[1:] - gaps[:-1] != 1]))
    before = gaps.take(first) - 1
    known = given.take(before)
    if before[0] < 0:
        known[0] = start
    values[gaps] = np.repeat(known, lengths(first, len(gaps)))


def held(values: np.ndarray, places: np.ndarray, start: float, count: int) -> np.ndarray:
    """A column (``count``,) that has each of the ``values`` from its place (``places``, rising) on, and ``start`` before."""
    return np.repeat(np.concatenate([[start], values]), lengths(np.concatenate([[0], places]), count))


def lengths(begun: np.ndarray, count: int) -> np.ndarray:
    """How long the stretches are into which ``count`` rows are cut, by where they begin; faster than :func:`numpy.diff`."""
    ends = np.empty_like(begun)
    ends[:-1], ends[-1:] = begun[1:], count
    ends -= begun
    return ends


def expand_arcs(moves: Moves, arcs: dict[int, tuple[int, dict[bytes, float]]]) -> Moves:
    """The moves with arcs (move -> its kind, and its words I, J, R in mm) cut into straight pieces, as Marlin does it;
    :class:`SlicingError` ``gcode_bad_arc``."""
    count = len(moves.step)
    pieces = np.ones(count, int)
    ways = {move: _way(moves.before[:, move], moves.after[:, move], kind, words) for move, (kind, words) in arcs.items()}
    for move, way in ways.items():
        pieces[move] = way.shape[1]
    rows = np.repeat(np.arange(count), pieces)
    first = pieces.cumsum() - pieces
    after = moves.after[:, rows]
    step, extruder = (moves.step / pieces)[rows], moves.extruder[rows]
    for move, way in ways.items():
        place = slice(first[move], first[move] + pieces[move])
        after[:, place] = way
        extruder[place] -= moves.step[move] - step[place].cumsum()
    before = np.concatenate([moves.before[:, :1], after[:, :-1]], axis=1)
    alone = moves.setting[rows]
    before[:, alone] = after[:, alone]
    return replace(
        moves, before=before, after=after, step=step, extruder=extruder, feed=moves.feed[rows], feature=moves.feature[rows],
        starts=moves.starts[rows], ends=moves.ends[rows], setting=alone, rows=rows,
    )  # fmt: skip


def _way(start: np.ndarray, end: np.ndarray, kind: int, words: dict[bytes, float]) -> np.ndarray:
    """Points (3, P) of an arc behind its start, in pieces of a millimetre (Marlin ``G2_G3.cpp``, ``plan_arc``);
    :class:`SlicingError` ``gcode_bad_arc``."""
    clockwise = kind == CLOCKWISE
    centre = centre_of(float(end[0] - start[0]), float(end[1] - start[1]), words, clockwise)
    if centre is None:
        raise refusal("bad_arc", f"It contains an arc to X{end[0]:g} Y{end[1]:g} that has no centre")
    i, j = centre
    reach = hypot(i, j)
    x, y = start[0] + i, start[1] + j
    first = atan2(-j, -i)
    sweep = (atan2(end[1] - y, end[0] - x) - first) % (2 * pi)
    if clockwise:
        sweep -= 2 * pi
    if abs(sweep) < 1e-9:
        sweep = -2 * pi if clockwise else 2 * pi
    count = min(max(ceil(abs(sweep) * reach / _PIECE), 1), _MAX_PIECES)
    share = np.arange(1, count + 1) / count
    angle = first + sweep * share
    way = np.stack([x + reach * np.cos(angle), y + reach * np.sin(angle), start[2] + (end[2] - start[2]) * share])
    way[:, -1] = end
    return way
