"""What of a sculpture's surface its supports touch, read from the G-code that will be printed.

The slicer's intentions do not matter here: where a line of support ends just below or beside the skin, it leaves a mark.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .engine import SliceRequest
from .face import Face, read_face

if TYPE_CHECKING:
    import numpy as np

#: Support this near to the skin marks it, mm across and up: half a line, and a layer with the gap that slicers leave above.
ACROSS, BELOW = 0.4, 0.65
#: Lines are looked at in points this far apart, mm.
STEP = 0.5
#: Points that are kept at most; a bust of a day has some 300,000.
MAX_POINTS = 4_000_000
#: Cells of a bust of 250 mm, a byte each; of larger models all points are searched.
MAX_CELLS = 80_000_000


@dataclass(frozen=True)
class Contact:
    """``touched`` (T,) marks the triangles that supports touch; areas in mm^2, of the whole surface and of the face."""

    touched: np.ndarray
    area_mm2: float
    face_mm2: float


def measure_contact(
    lines: np.ndarray, vertices: np.ndarray, triangles: np.ndarray, centre: tuple[float, float], face: Face | None = None
) -> Contact:
    """Find what ``lines`` (N, 6) of supports, by their beginnings and ends in mm, touch of a mesh ((V, 3) mm, (T, 3)) that was
    sliced to stand with its middle at ``centre`` mm."""
    import numpy as np
    from scipy.spatial import cKDTree

    points = support_points(lines)
    corners = vertices[triangles]
    places = corners.mean(1)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.linalg.norm(normals, axis=1) / 2
    touched = np.zeros(len(triangles), bool)
    # Support holds up; what looks up can only be stood upon.
    facing = np.flatnonzero((normals[:, 2] < 0) & (corners[:, :, 2].min(1) > 0.05))
    if len(points) and len(facing):
        low, high = vertices[:, :2].min(0), vertices[:, :2].max(0)
        there = places[facing] + np.array([*(np.asarray(centre) - (low + high) / 2), -vertices[:, 2].min()])
        # In this measure, whatever is near enough lies within 1.
        scale = np.array([1 / ACROSS, 1 / ACROSS, 1 / BELOW])
        there = there * scale
        distance, _ = cKDTree(_around(points * scale, there)).query(there, distance_upper_bound=1.0)
        touched[facing] = np.isfinite(distance)
    on_face = face.covers(places) if face is not None else np.zeros(len(triangles), bool)
    return Contact(touched, float(areas[touched].sum()), float(areas[touched & on_face].sum()))


def _around(points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Those of ``points`` (N, 3) that can lie within 1 of any of the ``places`` (P, 3): in their cells, or next to one. Most
    support is far from all skin, and need not be searched."""
    import numpy as np

    low = places.min(0) - 1
    size = np.ceil(places.max(0) + 1 - low).astype(np.int64) + 1
    if size.prod() > MAX_CELLS:
        return points
    near = np.zeros(size, bool)
    x, y, z = (places - low).astype(np.int64).T
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            for k in (-1, 0, 1):
                near[x + i, y + j, z + k] = True
    inside = points[((points >= low) & (points < low + size)).all(1)]
    x, y, z = (inside - low).astype(np.int64).T
    return inside[near[x, y, z]]


def mark_contact(
    lines: np.ndarray, vertices: np.ndarray, triangles: np.ndarray, request: SliceRequest, picture: Path | None = None
) -> dict[str, float]:
    """The areas, mm^2, that the ``lines`` of supports of a sliced mesh touch (see :func:`measure_contact`): ``area_mm2`` in
    all, ``face_mm2`` on the face, where the request says where that is; ``picture`` (PNG) shows them, if there are any.
    :class:`SlicingError` ``face_invalid``."""
    face = read_face(request.face) if request.face is not None else None
    contact = measure_contact(lines, vertices, triangles, request.centre or request.bed.centre, face)
    if picture is not None and not contact.touched.any():
        # Of an earlier slice.
        picture.unlink(missing_ok=True)
    elif picture is not None:
        from ..sculpture.preview import save_marked

        save_marked(vertices, triangles, contact.touched, picture)
    figures = {"area_mm2": round(contact.area_mm2, 1)}
    return {**figures, "face_mm2": round(contact.face_mm2, 1)} if face is not None else figures


def support_points(lines: np.ndarray) -> np.ndarray:
    """(N, 3) points mm, :data:`STEP` apart, on all ``lines`` (N, 6) of supports."""
    import numpy as np

    a, b = np.hsplit(lines.astype(np.float64), 2)
    count = np.maximum(np.ceil(np.linalg.norm(b - a, axis=1) / STEP).astype(np.int64), 1) + 1
    count = np.where(count.cumsum() <= MAX_POINTS, count, 0)
    owner = np.repeat(np.arange(len(a)), count)
    share = (np.arange(len(owner)) - np.repeat(count.cumsum() - count, count)) / np.maximum(count[owner] - 1, 1)
    return a[owner] + share[:, None] * (b - a)[owner]
