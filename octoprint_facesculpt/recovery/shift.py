"""Another place to go on at than the likeliest: what somebody chose who stands before the print.

Only places are offered at which the nozzle stays clear of what is printed: never lower than the layer it stopped in, never
before the beginning of that layer, and not so far on that a gap of whole layers would be left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from .errors import RecoveryError
from .estimate import Estimate
from .replay import GcodeIndex
from .window import BEFORE, Piece, Window, read_window

#: Moves back and forth, and layers ahead, that may be chosen.
MOVES, LAYERS_AHEAD = 200, 2
#: Heights that differ by less are the same, mm.
SAME = 0.005


@dataclass(frozen=True)
class Shifted:
    """A place: ``stop`` in ``window``, which was read around byte ``offset`` from ``before`` bytes before it on; how far
    ``moves`` and ``layers`` may go from the likeliest place (lowest, highest)."""

    window: Window
    offset: int
    before: int
    stop: Estimate
    moves: tuple[int, int] = (0, 0)
    layers: tuple[int, int] = (0, 0)


def shift(
    likeliest: Shifted, layers: int, moves: int, gcode: Path, index: GcodeIndex, feed_percent: float | None = None
) -> Shifted:
    """Go on ``layers`` up (or down, where it is uncertain in which one it stopped) and then ``moves`` on or back from the
    likeliest place; :class:`RecoveryError` ``point_unsafe`` when that leads where it must not."""
    window, offset, reach, stop = likeliest.window, likeliest.offset, likeliest.before, likeliest.stop
    here = window.piece_at(stop.at).move.layer
    between = _between(window, stop)
    lowest = min((p.move.layer for p in between), default=here)
    floor = floor_of(window, stop)
    up = (min(lowest - here, 0), max(min(LAYERS_AHEAD, len(index.layers) - here), 0))
    bounds = (_printed(window, stop.earliest), _printed(window, stop.latest))
    target, at = window, stop.at
    if layers:
        if not up[0] <= layers <= up[1]:
            raise RecoveryError("point_unsafe", "That layer is too far from where the print stopped.", "Choose a nearer one.")
        place = index.layers[here + layers - 1].offset
        target = read_window(gcode, place, index, index.firmware, feed_percent)
        begins = [p for p in _starts(target, floor) if p.move.layer == here + layers]
        if not begins:
            raise RecoveryError("point_unsafe", "That layer has no place to go on at.", "Choose another one.")
        offset, reach, at = place, BEFORE, begins[0].at
    begins = [p for p in _starts(target, floor) if p.move.layer >= lowest]
    before, after = [p.at for p in begins if p.at < at - 1e-9], [p.at for p in begins if p.at > at + 1e-9]
    along = (-min(len(before), MOVES), min(len(after), MOVES))
    if not along[0] <= moves <= along[1]:
        raise RecoveryError("point_unsafe", "That place is too far from where the print stopped.", "Choose a nearer one.")
    if moves:
        at = before[moves] if moves < 0 else after[moves - 1]
    if layers or moves:
        printed = _printed(target, at)
        gap, overlap = max(printed - bounds[0], 0.0), max(bounds[1] - printed, 0.0)
        stop = replace(stop, at=at, earliest=at, latest=at, gap=round(gap, 3), overlap=round(overlap, 3))
    return Shifted(target, offset, reach, stop, along, up)


def floor_of(window: Window, stop: Estimate) -> float:
    """The height, mm, below which the nozzle may meet what is printed."""
    return min((piece.end[2] for piece in _between(window, stop)), default=window.point_at(stop.at)[2])


def _between(window: Window, stop: Estimate) -> list[Piece]:
    """What it may have been printing when it stopped."""
    return [p for p in window.pieces if p.prints and p.until > stop.earliest - 1e-9 and p.at <= stop.latest]


def _starts(window: Window, floor: float) -> list[Piece]:
    """The first pieces of the moves that print, at height ``floor`` or above."""
    found, last = [], -1
    for piece in window.pieces:
        if piece.prints and piece.number != last and min(piece.start[2], piece.end[2]) >= floor - SAME:
            found.append(piece)
        last = piece.number
    return found


def _printed(window: Window, at: float) -> float:
    """Path printed up to then since the file's beginning, mm."""
    return window.start.printed + window.printed_at(at)
