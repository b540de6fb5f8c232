"""Where a nozzle can have come to between two moments: the heights on its path, and places that were seen or measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import dist

from .state import Point
from .window import Piece, Window, share_of

#: Heights nearer than this are the same, mm; half of the thinnest layer.
SAME_HEIGHT = 0.05
#: How far from the truth X and Y can be when they are measured at the endstops: drivers jump to their home step, mm.
MEASURED_WITHIN = 0.6
#: How far from the truth a height can be that somebody measures with care, mm.
MEASURED_HEIGHT = 0.1


@dataclass(frozen=True)
class Choice:
    """A height at which the nozzle may have stopped, and the place there that printing would go on from. ``layer`` counts from
    1; ``at``, ``earliest`` and ``latest`` are seconds of the window; ``gap`` and ``overlap`` are the most path, mm,
    that going on there leaves out or prints twice; ``top`` is the highest that the nozzle is lifted to within the layer;
    ``printed`` the window's path, mm, up to ``at``."""

    layer: int
    z: float
    at: float
    earliest: float
    latest: float
    gap: float
    overlap: float
    point: Point
    top: float = 0.0
    printed: float = 0.0


@dataclass
class _Group:
    """What lies at one height and belongs to one layer. ``spans`` are the first and the last moment of each piece."""

    z: float
    layer: int
    spans: list[tuple[float, float, Piece]]


def choices_between(window: Window, earliest: float, latest: float, likely: float | None, at_line_end: bool) -> list[Choice]:
    """What lies between the bounds, by height and layer, lowest first."""
    groups: list[_Group] = []
    tops: dict[int, float] = {}

    def add(first: float, last: float, piece: Piece, layers: tuple[int, ...]) -> None:
        z = min(piece.start[2] + (piece.end[2] - piece.start[2]) * share_of(piece, moment) for moment in (first, last))
        near = [group for group in groups if abs(group.z - z) < SAME_HEIGHT]
        group = next((group for layer in layers for group in near if group.layer == layer), None)
        if group is None:
            group = _Group(z, layers[0], [])
            groups.append(group)
        group.z = min(group.z, z)
        group.spans.append((first, last, piece))
        if len(set(layers)) == 1:
            tops[layers[0]] = max(tops.get(layers[0], z), z)

    moves = []
    for piece, layers in zip(window.pieces, _layers(window.pieces), strict=True):
        first, last = max(piece.at, earliest), min(piece.until, latest)
        if last < first or (last == first and (earliest < latest or window.piece_at(earliest) is not piece)):
            continue
        if piece.prints:
            add(first, last, piece, layers)
        else:
            moves.append((first, last, piece, layers))
    # A way to the next layer begins where the last one was printed, and ends where the next is.
    for first, last, piece, layers in moves:
        if piece.start[2] != piece.end[2]:
            # On its way up or down: it can be anywhere between, which the two ends stand for.
            add(first, first, piece, layers)
            add(last, last, piece, layers)
        else:
            add(first, last, piece, layers)
    rows = [_choice(window, group, tops.get(group.layer, group.z), likely, at_line_end) for group in groups]
    return sorted(rows, key=lambda choice: (choice.z, choice.at))


def _layers(pieces: list[Piece]) -> list[tuple[int, ...]]:
    """Of each piece the layer that is printed next, and that which was printed before; of one that prints its own."""
    after: list[int | None] = []
    layer = None
    for piece in reversed(pieces):
        layer = piece.move.layer if piece.prints else layer
        after.append(layer)
    found, before = [], None
    for piece, following in zip(pieces, reversed(after), strict=True):
        before = piece.move.layer if piece.prints else before
        known = [one for one in (following, before) if one is not None]
        found.append(tuple(known) or (piece.move.layer,))
    return found


def layers_at(height: float, choices: Sequence[Choice]) -> set[int]:
    """The layers in which a nozzle can have been that was measured at ``height``, mm: of one that was lifted within a layer the
    height does not tell whether it is that layer, or one above."""
    return {c.layer for c in choices if c.z - MEASURED_HEIGHT <= height <= max(c.z, c.top) + MEASURED_HEIGHT}


def layers_near(height: float, choices: Sequence[Choice], reach: float) -> set[int]:
    """:func:`layers_at`, and those of the nearest height, if it is within ``reach`` mm: a measurement that is a little off can
    belong to any layer that came to that height, also where another layer was lifted to what was measured."""
    nearest = min((c.z for c in choices if abs(c.z - height) <= reach), key=lambda z: abs(z - height), default=height)
    return layers_at(height, choices) | layers_at(nearest, choices)


def _choice(window: Window, group: _Group, top: float, likely: float | None, at_line_end: bool) -> Choice:
    spans = group.spans
    earliest, latest = min(s[0] for s in spans), max(s[1] for s in spans)
    inside = likely is not None and any(first <= likely <= last for first, last, _ in spans)
    at = likely if inside and likely is not None else _middle(spans, window)
    if at_line_end:
        at = min((last for _, last, p in spans if p.end == p.move.end and at <= last == p.until), default=at)
    gap = max(window.printed_at(at) - window.printed_at(earliest), 0.0)
    overlap = max(window.printed_at(latest) - window.printed_at(at), 0.0)
    point = window.point_at(at)
    printed = round(window.printed_at(at), 3)
    z, top = round(group.z, 4), round(top, 4)
    return Choice(group.layer, z, at, earliest, latest, round(gap, 3), round(overlap, 3), point, top, printed)


def _middle(spans: list[tuple[float, float, Piece]], window: Window) -> float:
    """The moment with as much printed path before as after it, of those in the spans."""
    paths = [window.printed_at(last) - window.printed_at(first) if piece.prints else 0.0 for first, last, piece in spans]
    half = sum(paths) / 2
    for (first, last, _), path in zip(spans, paths, strict=True):
        if path > 0 and half <= path + 1e-9:
            return first + (last - first) * half / path
        half -= path
    return spans[0][0]


def line_end_at(
    window: Window, earliest: float, latest: float, place: tuple[float, float, float]
) -> tuple[float, float] | None:
    """When the last line that ends at ``place`` (mm, as a firmware tells it: without what a retraction of its own lifts the
    nozzle by) about then is made; None where none does. First the earliest moment that cannot be told from it: that of a line
    before it that differs in such a lift only."""
    ends = [p for p in window.pieces if earliest - 1.0 <= p.until <= latest + 1.0 and p.end == p.move.end]
    near = [dist((p.end[0], p.end[1], p.end[2] - p.hop), place) < SAME_HEIGHT for p in ends]
    if not any(near):
        return None
    last = first = len(near) - 1 - near[::-1].index(True)
    while first and near[first - 1] and ends[first].move.by_itself:
        first -= 1
    return ends[first].until, ends[last].until


def located(
    window: Window, earliest: float, latest: float, place: tuple[float, float], guess: float
) -> tuple[float, float, float, bool]:
    """Narrow the bounds to where the path passes a measured place; of several passes, the one nearest to the guess is the
    likeliest, but all of them stay possible."""
    passes = []
    for piece in window.pieces:
        first, last = max(piece.at, earliest), min(piece.until, latest)
        if last < first:
            continue
        share = min(max(_foot(piece, place), share_of(piece, first)), share_of(piece, last))
        x, y = (a + (b - a) * share for a, b in zip(piece.start[:2], piece.end[:2], strict=True))
        off = dist((x, y), place)
        if off <= MEASURED_WITHIN:
            passes.append((off, piece.at + piece.seconds * share, piece))
    if not passes:
        return guess, earliest, latest, False
    best = min(passes, key=lambda p: (round(p[0], 1), abs(p[1] - guess)))
    slack = [MEASURED_WITHIN / max(p[2].length / p[2].seconds, 1.0) if p[2].seconds else 0.0 for p in passes]
    low = min(p[1] - s for p, s in zip(passes, slack, strict=True))
    high = max(p[1] + s for p, s in zip(passes, slack, strict=True))
    close = all(abs(p[1] - best[1]) < 0.2 or p[2].number == best[2].number for p in passes)
    return best[1], max(low, earliest), min(high, latest), close


def _foot(piece: Piece, place: tuple[float, float]) -> float:
    dx, dy = piece.end[0] - piece.start[0], piece.end[1] - piece.start[1]
    square = dx * dx + dy * dy
    return ((place[0] - piece.start[0]) * dx + (place[1] - piece.start[1]) * dy) / square if square else 1.0
