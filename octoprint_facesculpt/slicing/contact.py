"""What of a sculpture's surface its supports touch, read from the G-code that will be printed.

The slicer's intentions do not matter here: where a line of support ends just below or beside the skin, it leaves a mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from .engine import SliceRequest
from .memory import give_back

if TYPE_CHECKING:
    import numpy as np

    from ..sculpture.preview import Spots
    from ..sculpture.surface import Surface
    from .gcode_moves import Lines

#: Support this near to the skin marks it, mm across and up: half a line, and a layer with the gap that slicers leave above.
ACROSS, BELOW = 0.4, 0.65
#: Lines are looked at in points this far apart, mm.
STEP = 0.5
#: Points that are looked at at most, of which a bust of a day has some 300,000; and at once.
MAX_POINTS, POINTS_AT_ONCE = 4_000_000, 25_000
#: Triangles, lines or points that are looked at at once, and places whose neighbours are.
_BLOCK, _PLACES = 16384, 2048
#: Cells of a bust of 250 mm, a byte each; of larger models all points are searched.
MAX_CELLS = 16_000_000


@dataclass(frozen=True)
class Contact:
    """``touched`` (T,) marks the triangles that supports touch; areas in mm^2, of the whole surface and of the face."""

    touched: np.ndarray
    area_mm2: float
    face_mm2: float


def measure_contact(lines: Lines | np.ndarray | None, surface: Surface, centre: tuple[float, float]) -> Contact:
    """Find what ``lines`` (N, 6) of supports, by their beginnings and ends in mm, touch of a mesh that was sliced to stand with
    its middle at ``centre`` mm."""
    assert lines is not None, "they were to be kept"
    import numpy as np

    touched = np.zeros(len(surface.triangles), bool)
    # Axis by axis, as everything with three numbers in a row is slow.
    axes = np.ascontiguousarray(surface.vertices.T)
    facing, places = _facing_down(axes, surface.triangles)
    if len(lines) and len(facing):
        low, high = axes.min(1), axes.max(1)
        shift = np.array([*(np.asarray(centre) - (low + high)[:2] / 2), -low[2]])
        # In this measure, whatever is near enough lies within 1.
        scale = np.array([1 / ACROSS, 1 / ACROSS, 1 / BELOW], np.float32)
        places += shift.astype(np.float32)[:, None]
        places *= scale[:, None]
        del axes
        touched[facing] = _within_one(_parts(lines, scale), places)
    chosen = np.flatnonzero(touched)
    corners = surface.vertices[surface.triangles[chosen]]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = (np.linalg.norm(normals, axis=1) / 2).astype(np.float32)
    return Contact(touched, float(areas.sum(dtype=float)), float(areas[surface.on_face[chosen]].sum(dtype=float)))


def _facing_down(axes: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The triangles (T, 3) that support may touch, by their numbers (F,), and their middles (3, F); ``axes`` (3, V) are the
    corners. Support holds up; what looks up can only be stood upon, and the foot lies on the bed."""
    import numpy as np

    facing, middles = [], []
    x, y, _ = axes
    above = axes[2] > 0.05
    for begin in range(0, len(triangles), _BLOCK):
        corners = np.ascontiguousarray(triangles[begin : begin + _BLOCK].T)
        (ax, bx, cx), (ay, by, cy) = x.take(corners), y.take(corners)
        down = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax) < 0
        down &= above.take(corners).all(0)
        chosen = np.flatnonzero(down)
        facing.append(chosen + begin)
        a, b, c = (axes.take(corner, axis=1) for corner in corners.take(chosen, axis=1))
        middles.append((a + b + c) / 3)
    return np.concatenate(facing), np.concatenate(middles, axis=1)


def _parts(lines: Lines | np.ndarray, scale: np.ndarray) -> Iterator[np.ndarray]:
    """The points of lines, in the measure of ``scale`` (3,), some at a time, (3, P)."""
    import numpy as np

    left = MAX_POINTS
    for begin in range(0, len(lines), _BLOCK):
        part = lines[begin : begin + _BLOCK]
        count = _counts(part)
        total = count.cumsum()
        steps = np.arange(POINTS_AT_ONCE, min(int(total[-1]), left) + POINTS_AT_ONCE, POINTS_AT_ONCE)
        for first, end in pairwise([0, *np.searchsorted(total, steps, "right").tolist()]):
            if end > first:
                yield _points(part[first:end], count[first:end]) * scale[:, None]
        left -= int(total[-1])
        if left <= 0:
            return


def _within_one(parts: Iterable[np.ndarray], places: np.ndarray) -> np.ndarray:
    """Which of the ``places`` (3, P) have a point of the ``parts`` (3, N) nearer than 1: mask (P,).

    Most support is far from all skin, and most skin from all support, which cells twice as wide show. What is left is sorted
    into cells of 1, of which a place's own and the 26 around it are searched; three in a row lie one behind the other.
    """
    import numpy as np

    # Room for a cell more on either side, so that no row runs into the next.
    low = places.min(1, keepdims=True) - 2
    size = np.ceil(places.max(1) + 2 - low[:, 0]).astype(np.int64) + 1
    near = _Around(places, low, size)
    points = np.concatenate([part[:, near.has(part)] for part in parts] or [places[:, :0]], axis=1)
    # Its cells take more memory than anything else here, and others come.
    del near
    around = _Around(points, low, size)
    some = range(0, places.shape[1], _BLOCK)
    left = np.concatenate([np.flatnonzero(around.has(places[:, begin : begin + _BLOCK])) + begin for begin in some])
    del around
    key = _cells(points - low, size)
    order = np.argsort(key)
    key, points = key[order], points[:, order]
    touched = np.zeros(places.shape[1], bool)
    for row in (size[0] * (y + size[1] * z) for z in (-1, 0, 1) for y in (-1, 0, 1)):
        left = left[~touched[left]]
        for begin in range(0, len(left), _PLACES):
            few = left[begin : begin + _PLACES]
            middle = _cells(places[:, few] - low, size) + row
            first = np.searchsorted(key, middle - 1)
            count = np.searchsorted(key, middle + 1, "right") - first
            owner = np.repeat(few, count)
            other = np.arange(len(owner)) + np.repeat(first + count - count.cumsum(), count)
            apart = points[:, other] - places[:, owner]
            touched[owner[(apart * apart).sum(0) < 1]] = True
    return touched


def _cells(places: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Numbers (N,) of the cells of 1 in which places (3, N) lie; those of one row follow each other."""
    import numpy as np

    x, y, z = places
    cell = z.astype(np.int64)
    for values, room in ((y, size[1]), (x, size[0])):
        cell *= room
        cell += values.astype(np.int32)
    return cell


class _Around:
    """Cells twice as wide in which something within 1 of ``places`` (3, N) can be; all of the space that ``low`` (3, 1) and
    ``size`` (3,) bound, where they would be too many."""

    def __init__(self, places: np.ndarray, low: np.ndarray, size: np.ndarray) -> None:
        import numpy as np

        self._low, self._size = low, size // 2 + 1
        self._high = low + 2 * self._size[:, None] - 2
        self._near = None
        if self._size.prod() <= MAX_CELLS:
            self._near = np.zeros(self._size.prod(), bool)
            width, depth, _ = self._size.tolist()
            for begin in range(0, places.shape[1], _BLOCK):
                # From 1 before to 1 behind it are two cells on each axis.
                cell = self._cell(places[:, begin : begin + _BLOCK] - 1)
                for x, y, z in np.ndindex(2, 2, 2):
                    self._near[cell + (x + width * (y + depth * z))] = True

    def has(self, places: np.ndarray) -> np.ndarray:
        """Which of ``places`` (3, N) lie there: mask (N,)."""
        import numpy as np

        inside = np.ones(places.shape[1], bool)
        for values, low, high in zip(places, self._low[:, 0] + 1, self._high[:, 0], strict=True):
            inside &= values >= low
            inside &= values < high
        if self._near is not None:
            chosen = np.flatnonzero(inside)
            inside[chosen] = self._near.take(self._cell(places.take(chosen, axis=1)))
        return inside

    def _cell(self, places: np.ndarray) -> np.ndarray:
        return _cells((places - self._low) * 0.5, self._size)


def mark_contact(
    lines: Lines | np.ndarray | None,
    surface: Surface,
    request: SliceRequest,
    picture: Path | None = None,
    model: Path | None = None,
) -> dict[str, float]:
    """:func:`show_contact` of what the ``lines`` of supports touch (see :func:`measure_contact`)."""
    return show_contact(measure_contact(lines, surface, request.centre or request.bed.centre), surface, request, picture, model)


def show_contact(
    contact: Contact, surface: Surface, request: SliceRequest, picture: Path | None = None, model: Path | None = None
) -> dict[str, float]:
    """The areas, mm^2, of a ``contact`` with the surface of a sliced mesh: ``area_mm2`` in all, ``face_mm2`` on the face, where
    the request says where that is; ``picture`` (PNG) shows them, if there are any. ``model`` is the mesh's file, if it lies in
    one."""
    if picture is not None and not contact.touched.any():
        # Of an earlier slice.
        picture.unlink(missing_ok=True)
    elif picture is not None:
        # What was measured with is no longer needed, and the picture needs as much elsewhere.
        give_back()
        _save_picture(contact.touched, surface, request, picture, model)
    figures = {"area_mm2": round(contact.area_mm2, 1)}
    return {**figures, "face_mm2": round(contact.face_mm2, 1)} if request.face is not None else figures


def _save_picture(touched: np.ndarray, surface: Surface, request: SliceRequest, picture: Path, model: Path | None) -> None:
    """Write the picture of what is ``touched`` (T,): with the look from below that was kept when the sculpture was made, or a
    new one."""
    from ..sculpture.preview import coloured, look_from_below, save_marked, spots
    from ..sculpture.surface import read_light

    found = kept = None
    if model is not None and request.surface is not None and request.face is not None:
        found, side = _kept_spots(touched, request.surface, model, request.face)
        # Read when what is seen is no longer needed: both at once would take the most memory of all.
        kept = read_light(request.surface, model, request.face, side)
    if found is None or kept is None:
        seen = look_from_below(surface.vertices, surface.triangles)
        found, kept = spots(seen.triangle, touched), (seen.light, coloured(seen))
    save_marked(found, *kept, touched, picture)


def _kept_spots(touched: np.ndarray, surface: Path, model: Path, face: Path) -> tuple[Spots | None, int]:
    """The spots of the kept look that show something ``touched``, if there is one, and its size."""
    from ..sculpture.preview import spots
    from ..sculpture.surface import read_seen

    seen = read_seen(surface, model, face, len(touched))
    return (spots(seen, touched), len(seen)) if seen is not None else (None, 0)


def _points(lines: np.ndarray, count: np.ndarray) -> np.ndarray:
    """``count`` (N,) points on each of the lines (N, 6), from end to end: (3, P) float32."""
    import numpy as np

    step = np.arange(count.sum()) - np.repeat(count.cumsum() - count, count)
    share = step.astype(np.float32) / np.repeat((count - 1).astype(np.float32), count)
    points = np.empty((3, len(share)), np.float32)
    for axis in range(3):
        np.multiply(share, np.repeat(lines[:, axis + 3] - lines[:, axis], count), out=points[axis])
        points[axis] += np.repeat(lines[:, axis], count)
    return points


def _counts(lines: np.ndarray) -> np.ndarray:
    """How many points (N,) each line has, at least its ends."""
    import numpy as np

    # Column by column, as sums of three each are slow.
    x2, y2, z2 = ((lines[:, axis + 3] - lines[:, axis]) ** 2 for axis in range(3))
    length = np.sqrt(x2 + (y2 + z2))
    return np.maximum(np.ceil(length / STEP).astype(np.int64), 1) + 1
