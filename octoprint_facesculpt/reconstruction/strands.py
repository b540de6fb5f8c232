"""Strands of hair: which way it lies on the map around a head, and what stands out of it along that way.

Where the photo shows hair, the direction is that of the picture's light and dark (its structure tensor); from there it is
carried on over the rest of the head, where it goes over into hair's usual way, in a whorl from the crown and down. What is
light and what is dark in the photo, and where it shows nothing a pattern of chance, is drawn out along the direction (line
integral convolution), broad locks further than the fine strands on them, so that strands of the photo run on beyond what it
shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from .around import RADIUS, SHAPE, STEP, Around, smoothed
from .face_map import ramp
from .grain import Grain

#: Cosines between a surface and the line of sight at which the picture shows nothing of its hair, and all; the same for the
#: direction in which it lies, which is drawn out there.
GRAZED, SLANTED = (0.15, 0.45), (0.3, 0.65)
#: Where hair begins: degrees from straight up towards the back and towards the subject's right; the angle at which it leaves
#: there, degrees, and the mm within which that turns straight.
WHORL, TWIST, TWISTS = (34.0, 8.0), 60.0, 28.0
#: How much more than away from the whorl hair lies down, in the end, and from how many mm above the map's middle on it does.
HANGS, HANGS_FROM = 1.5, 50.0
#: Every so many places of the map a direction is carried on; mm up to which places have directions of their own, how this
#: grows with the distance from what is known, and mm within which hair turns to its usual way.
EVERY, OWN, GROWS, FADES = 7, 8.0, 0.4, 70.0
#: How much directions are alike, 0..1, where hair curls, and from where on it is straight; the same in the mean, which is
#: nothing in so few places of the map.
ORDERLY, CURLY, STRAIGHT, LITTLE = (0.55, 0.8), 0.68, 0.84, 200.0
#: By how many degrees curls turn that are not seen, and the mm within which they do.
CURLS, CURL_CELL = 60.0, 13.0
#: How far, mm, locks and strands of the photo and locks of chance are drawn out to each side, and in what steps.
LOCK_LONG, STRAND_LONG, CHANCE_LONG, PACE = 30.0, 18.0, 44.0, 2.0
#: By how much what is drawn out is less than it was, and a share of it that is too small to tell.
LOCK_GAIN, STRAND_GAIN, FEW = 1.4, 1.6, 0.02
#: mm of a cell of chance for locks and for strands, and how many cells each way there are of them.
LOCK_CELL, STRAND_CELL, CELLS = 5.0, 2.2, 48
#: How much of locks of chance is that they are parted, and the mm over which they are evened out.
PARTED, EVENED = 0.8, 30.0
#: What is left of locks and of strands of the photo that have no direction.
SOFT = (0.8, 0.4)
#: Shares of what is seen in what is drawn out at which that begins to count, and is all that does.
RUN_ON = (0.1, 0.6)
#: Contrasts of the photo's locks, and how high those of chance are beside them.
PLAIN = ((0.2, 0.4), (0.6, 1.0))
#: In usual deviations, what nothing stands out much further than.
LIMIT = 1.2


@dataclass(frozen=True)
class Strands:
    """What stands out of hair, (R, C) each, -1..1 and about 0 in the mean: broad ``locks``, and fine ``strands`` on them.
    ``way`` (R, C, 2) is the direction along which they run, mm down and mm east, of length 1."""

    locks: np.ndarray
    strands: np.ndarray
    way: np.ndarray


def strands_of(
    around: Around, reach: np.ndarray, grain: Grain, pixels: np.ndarray, seen: np.ndarray, camera: np.ndarray
) -> Strands:
    """The strands on hair whose surface is ``reach`` (R, C) mm away on a map, and is ``seen`` (R, C) 0..1, at ``pixels``
    (R, C, 2) of a view, from a ``camera`` (3,)."""
    points, surface = around.points(reach), _Surface.of(around, reach)
    locks, strands, double, order, hair = grain.at(pixels)
    facing, sure = _facing(points, camera), np.linalg.norm(double, axis=2)
    seen = seen * hair * ramp(facing, *GRAZED)
    known = seen * sure * ramp(facing, *SLANTED)
    usual = _usual(around)
    turned = _turned(surface, pixels, double, usual)
    angle = usual + _half(_carried_on(points, turned, known)) + _curls(points, order, known)
    way = np.stack([np.cos(angle), np.sin(angle)], 2).astype(np.float32)

    broad, fine, chance = _drawn_out(
        surface,
        way,
        (np.stack([locks * seen, seen, sure * ramp(order, *ORDERLY) * seen], 2), LOCK_LONG),
        (np.stack([strands * seen, seen, _chance(points, STRAND_CELL, 7)], 2), STRAND_LONG),
        (_chance(points, LOCK_CELL, 5) + _chance(points, 2 * LOCK_CELL, 6), CHANCE_LONG),
    )
    straight = broad[..., 2] / (broad[..., 1] + FEW)
    made_locks, made_strands = _even(chance), _even(fine[..., 2])
    # Locks are round, and what parts them is sharp.
    made_locks = _even(made_locks + PARTED * _even(np.sqrt(np.abs(made_locks))))
    run_locks = LOCK_GAIN * broad[..., 0] / (broad[..., 1] + FEW)
    run_strands = STRAND_GAIN * fine[..., 0] / (fine[..., 1] + FEW)
    # A photo that is too coarse for strands has directions all the same. What has none, or curls, stays as it is.
    run_strands = grain.sharp * run_strands + np.sqrt(1 - grain.sharp**2) * made_strands
    still = seen * (1 - straight)
    shown_locks = straight * run_locks + SOFT[0] * still * locks
    shown_strands = straight * run_strands + SOFT[1] * grain.sharp * still * strands
    # Where hair is plain as far as it is seen, it is plain beyond.
    contrast = float(np.sqrt((locks**2 * seen).sum() / (seen.sum() + 1)))
    share = ramp(broad[..., 1], *RUN_ON)
    other = np.sqrt(1 - share**2) * np.interp(contrast, *np.transpose(PLAIN))
    return Strands(
        np.tanh((share * shown_locks + other * made_locks) / LIMIT),
        np.tanh((share * shown_strands + other * made_strands) / LIMIT),
        way,
    )


@dataclass(frozen=True)
class _Surface:
    """The surface of hair on a map: mm from a place to the next, down (``high``) and east (``wide``), (R, C) each."""

    high: np.ndarray
    wide: np.ndarray

    @classmethod
    def of(cls, around: Around, reach: np.ndarray) -> _Surface:
        from_above = np.minimum(around.down / RADIUS, np.pi / 2)[:, None]
        reach = np.maximum(smoothed(reach, 10 / STEP), 20)
        high = np.where(from_above < np.pi / 2, reach / RADIUS, 1) * STEP
        return cls(high, reach * np.sin(from_above) / RADIUS * STEP)


def _slopes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By how much the values (R, C, N) of a map change from place to place, down and east."""
    beside = np.pad(values, ((0, 0), (1, 1), (0, 0)), mode="wrap")
    return np.gradient(values, axis=0), (beside[:, 2:] - beside[:, :-2]) / 2


def _facing(points: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Cosines (R, C) between the surface of points (R, C, 3) on a map and the lines of sight from a camera (3,)."""
    normal = np.cross(*_slopes(points))
    towards = camera - points
    return (normal * towards).sum(2) / (np.linalg.norm(normal, axis=2) * np.linalg.norm(towards, axis=2) + 1e-9)


def _usual(around: Around) -> np.ndarray:
    """The angle (R, C) from down towards east in which hair usually lies: away from its whorl, and down."""
    back, right = np.radians(WHORL)
    whorl = np.array([-np.sin(right), np.cos(back) * np.cos(right), -np.sin(back) * np.cos(right)])
    turn, from_above = np.radians(around.turn), np.minimum(around.down / RADIUS, np.pi / 2)[:, None]
    # How much of the direction away from the whorl, along the map, is down and how much is east.
    down = -(np.cos(from_above) * (np.sin(turn) * whorl[0] + np.cos(turn) * whorl[2]) - np.sin(from_above) * whorl[1])
    east = -(np.cos(turn) * whorl[0] - np.sin(turn) * whorl[2])
    length = np.hypot(down, east) + 1e-6
    middle = RADIUS * np.pi / 2
    hanging = HANGS * ramp(around.down, middle - HANGS_FROM, middle + 10)[:, None]
    apart = RADIUS * np.arccos(np.clip(around.directions @ whorl, -1, 1))
    return np.arctan2(east / length, down / length + hanging) + np.radians(TWIST) * np.exp(-((apart / TWISTS) ** 2))


def _turned(surface: _Surface, pixels: np.ndarray, double: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Cosine and sine (R, C, 2) of twice the angle between the direction of the picture and the ``usual`` one."""
    x, y = np.cos(_half(double)), np.sin(_half(double))
    down, east = _slopes(pixels)
    down, east = down / surface.high[..., None], east / surface.wide[..., None]
    on_map = np.arctan2(down[..., 0] * y - down[..., 1] * x, x * east[..., 1] - y * east[..., 0])
    twice = 2 * (on_map - usual)
    return np.stack([np.cos(twice), np.sin(twice)], 2)


def _carried_on(points: np.ndarray, turned: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Directions (R, C, 2), as much as they are ``known`` (R, C) 0..1, carried on to where they are not, up to (1, 0)."""
    from scipy.spatial import cKDTree
    from scipy.spatial.distance import cdist

    some = (slice(EVERY // 2, None, EVERY),) * 2
    soft = smoothed(known, EVERY / 2)
    mean = np.stack([smoothed(turned[..., part] * known, EVERY / 2) for part in (0, 1)], 2)
    places, weight, vectors = points[some].reshape(-1, 3), soft[some].ravel(), mean[some].reshape(-1, 2)
    seen = np.flatnonzero(weight > 0.1)
    carried = np.broadcast_to([1.0, 0.0], turned.shape)
    if len(seen):
        nearest = cKDTree(places[seen]).query(places)[0][:, None]
        apart = cdist(places, places[seen], "sqeuclidean") - nearest**2
        weights = np.exp(-apart / (2 * np.maximum(OWN, GROWS * nearest) ** 2))
        found = (weights @ vectors[seen]) / (weights @ weight[seen])[:, None]
        own = np.exp(-((nearest / FADES) ** 2))
        found = (own * found + (1 - own) * (1.0, 0.0)).reshape(*soft[some].shape, 2)
        wrapped = np.pad(found, ((0, 0), (2, 2), (0, 0)), mode="wrap").astype(np.float32)
        carried = cv2.resize(wrapped, None, fx=EVERY, fy=EVERY, interpolation=cv2.INTER_LINEAR)
        carried = carried[: SHAPE[0], 2 * EVERY : 2 * EVERY + SHAPE[1]]
    share = known[..., None]
    mixed = share * turned + (1 - share) * carried
    return np.stack([smoothed(mixed[..., part], 1.5 / STEP) for part in (0, 1)], 2)


def _half(double: np.ndarray) -> np.ndarray:
    """The angle (R, C) of which cosine and sine of the double are given, (R, C, 2)."""
    return 0.5 * np.arctan2(double[..., 1], double[..., 0])


def _curls(points: np.ndarray, order: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Angles (R, C) by which hair curls where that is not ``known``, as much as the rest has little ``order``."""
    # Hair of which hardly anything is known is straight.
    mean = ((order * known).sum() + STRAIGHT * LITTLE) / (known.sum() + LITTLE)
    curly = float(np.interp(mean, (CURLY, STRAIGHT), (1, 0)))
    return np.radians(CURLS) * curly * (1 - smoothed(known, 3 / STEP)) * _even(_chance(points, CURL_CELL, 8))


def _chance(points: np.ndarray, cell: float, seed: int) -> np.ndarray:
    """A pattern of chance (R, C) at points (R, C, 3), whose spots are as large as a ``cell``, mm."""
    from scipy.ndimage import map_coordinates

    cells = np.random.default_rng(seed).normal(size=(CELLS,) * 3).astype(np.float32)
    return map_coordinates(cells, np.moveaxis(points / cell, 2, 0), order=1, mode="grid-wrap")


def _along(surface: _Surface, way: np.ndarray, length: float) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """Rows and columns (R, C) of the places that are reached from each on its way, both ways, and how far, mm, they are."""
    rows, columns = SHAPE
    # At the crown columns are next to nothing wide.
    wide = np.maximum(surface.wide, PACE * 4 / columns)
    down, east = way[..., 0].ravel(), way[..., 1].ravel()
    by_row, by_column = (PACE * down / surface.high.ravel()).astype(np.float32), (PACE * east / wide.ravel()).astype(np.float32)
    begin = np.indices(SHAPE, np.float32)
    for side in (np.float32(1), np.float32(-1)):
        row, column = begin[0].copy(), begin[1].copy()
        last_down, last_east = side * way[..., 0], side * way[..., 1]
        for number in range(1, int(length / PACE) + 1):
            place = (row + 0.5).astype(np.int32) * columns + (column + 0.5).astype(np.int32) % columns
            last_down, was_down = down.take(place), last_down
            last_east, was_east = east.take(place), last_east
            same = np.where(last_down * was_down + last_east * was_east < 0, np.float32(-1), np.float32(1))
            last_down *= same
            last_east *= same
            row += same * by_row.take(place)
            column += same * by_column.take(place)
            over = np.flatnonzero(row < -0.5)
            if len(over):
                # Beyond the crown it goes down again on the other side.
                row.ravel()[over] = -1 - row.ravel()[over]
                column.ravel()[over] += columns / 2
                last_down.ravel()[over] *= -1
                last_east.ravel()[over] *= -1
            np.clip(row, 0, rows - 1, out=row)
            np.mod(column, columns, out=column)
            yield number * PACE, row, column


def _drawn_out(surface: _Surface, way: np.ndarray, *maps: tuple[np.ndarray, float]) -> list[np.ndarray]:
    """Maps (R, C) or (R, C, N) drawn out along a way as far, mm, as is given with each."""

    def weight(distance: float, length: float) -> np.float32:
        return np.float32(0.5 + 0.5 * np.cos(np.pi * distance / length))

    parts = [(part.astype(np.float32), length) for part, length in maps]
    totals, counts = [part.copy() for part, _ in parts], np.ones(len(parts), np.float32)
    for distance, row, column in _along(surface, way, max(length for _, length in parts)):
        for number, (part, length) in enumerate(parts):
            if distance < length:
                there = cv2.remap(part, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
                totals[number] += weight(distance, length) * there
                counts[number] += weight(distance, length)
    return [total / count for total, count in zip(totals, counts, strict=True)]


def _even(values: np.ndarray) -> np.ndarray:
    """A map (R, C) with a mean of 0 and a deviation of 1 everywhere."""
    values = values - smoothed(values, EVENED / STEP)
    return values / (np.sqrt(smoothed(values**2, EVENED / STEP)) + 1e-3)
