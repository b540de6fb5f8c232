"""The layer at which a print stopped, seen from above, as two SVG drawings: the whole, and a close look at the place."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path

from .replay import GcodeIndex, moves_from, state_at
from .state import Move, Point
from .window import Window

#: Moves of a layer that are drawn at most, before the place and behind it.
MOVES_MAX = 12_000
#: Width of a printed line, and of the close look, mm.
LINE, CLOSE = 0.4, 16.0
#: Pieces of a path drawn as one element.
_TOGETHER = 500
BELOW, DONE, LEFT, UNSURE, POINT = "#eceff1", "#37474f", "#b0bec5", "#ef8a17", "#c62828"


@dataclass(frozen=True)
class LayerView:
    """A layer's paths by what is known of them, and the ``point`` at which printing goes on; mm, y away from the front."""

    below: list[list[Point]]
    done: list[list[Point]]
    left: list[list[Point]]
    unsure: list[list[Point]]
    point: Point


def view_layer(
    gcode: Path, index: GcodeIndex, layer: int, window: Window, bounds: tuple[float, float], at: float, at_window: Window
) -> LayerView:
    """Sort the paths of layer ``layer`` (counted from 1). ``bounds`` are seconds of ``window`` between which it stopped; it
    goes on after ``at`` seconds of ``at_window``."""
    here = at_window.piece_at(at)
    done: list[list[Point]] = []
    left: list[list[Point]] = []
    for move in _layer_moves(gcode, index, layer, here.move.offset):
        if move.prints:
            (done if move.offset < here.move.offset else left).append([move.start, *move.points])
    below = [[m.start, *m.points] for m in _layer_moves(gcode, index, layer - 1, 0) if m.prints] if layer > 1 else []
    unsure = []
    for piece in window.pieces:
        first, last = max(piece.at, bounds[0]), min(piece.at + piece.seconds, bounds[1])
        if piece.prints and last > first:
            unsure.append([window.point_at(first), window.point_at(last - 1e-9)])
    return LayerView(below, done, left, unsure, at_window.point_at(at))


def save_layer(view: LayerView, whole: Path, close: Path) -> None:
    """Write both drawings."""
    paths = [*view.below, *view.done, *view.left]
    xs = [p[0] for path in paths for p in path] or [view.point[0]]
    ys = [-p[1] for path in paths for p in path] or [-view.point[1]]
    side = 1.12 * max(max(xs) - min(xs), max(ys) - min(ys), CLOSE)
    middle = ((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2)
    whole.write_text(_svg(view, middle, side), encoding="ascii")
    close.write_text(_svg(view, (view.point[0], -view.point[1]), CLOSE), encoding="ascii")


def _layer_moves(gcode: Path, index: GcodeIndex, layer: int, around: int) -> list[Move]:
    """Moves of a layer; of one that is too long, those before and behind byte ``around``."""
    first = index.layers[layer - 1].offset if layer > 0 else 0
    last = index.layers[layer].offset if layer < len(index.layers) else index.end.offset
    before: deque[Move] = deque(maxlen=MOVES_MAX)
    after: list[Move] = []
    for move in moves_from(gcode, state_at(gcode, first, index, index.firmware), last, index.firmware):
        if move.offset < around:
            before.append(move)
        else:
            after.append(move)
            if len(after) >= MOVES_MAX:
                break
    return [*before, *after]


def _svg(view: LayerView, middle: tuple[float, float], side: float) -> str:
    """A square drawing of ``side`` mm around ``middle``; x right, y up as one looks at the bed from its front."""
    mark = side / 28
    x, y = view.point[0], -view.point[1]
    cross = f"M{x - mark:.3f} {y:.3f}H{x + mark:.3f}M{x:.3f} {y - mark:.3f}V{y + mark:.3f}"
    box = f"{middle[0] - side / 2:.3f} {middle[1] - side / 2:.3f} {side:.3f} {side:.3f}"
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" width="480" height="480">',
            f'<rect x="{middle[0] - side / 2:.3f}" y="{middle[1] - side / 2:.3f}" width="100%" height="100%" fill="#fff"/>',
            f'<g fill="none" stroke-width="{LINE}" stroke-linecap="round" stroke-linejoin="round">',
            *_strokes(view.below, BELOW), *_strokes(view.left, LEFT), *_strokes(view.done, DONE),
            *_strokes(view.unsure, UNSURE),
            f'</g><g fill="none" stroke="{POINT}" stroke-width="{side / 110:.3f}">',
            f'<circle cx="{x:.3f}" cy="{y:.3f}" r="{0.62 * mark:.3f}"/><path d="{cross}"/></g></svg>',
        ]
    )  # fmt: skip


def _strokes(paths: list[list[Point]], colour: str) -> list[str]:
    out = []
    for start in range(0, len(paths), _TOGETHER):
        words, last = [], None
        for path in paths[start : start + _TOGETHER]:
            if path[0][:2] != last:
                words.append(f"M{path[0][0]:.2f} {-path[0][1]:.2f}")
            words += [f"L{x:.2f} {-y:.2f}" for x, y, _ in path[1:]]
            last = path[-1][:2]
        out.append(f'<path stroke="{colour}" d="{"".join(words)}"/>')
    return out
