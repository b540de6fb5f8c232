"""The face of a sculpture, which supports should not scar: where it is, and which of it prints without them.

A support that touches skin leaves a rough patch that sanding hardly removes, so the face is kept free of supports wherever
its layers still rest on those below; the underside of chin and nose, which would print into the air, keeps its supports.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .engine import SliceRequest, SlicingError

if TYPE_CHECKING:
    import numpy as np

#: How supports may meet the face: kept off where it prints without them, kept off everywhere, or as the slicer likes.
CARES = ("spare", "free", "ignore")
MAX_POINTS, MAX_BYTES = 2000, 1024 * 1024
#: Largest overhang of a line beyond the one below it, as a share of its width, that cooled PLA still holds.
HELD_SHARE = 0.75
#: Steeper than this, no line holds, however thin the layers, degrees from the vertical.
STEEPEST_DEG = 75.0
#: Width of a line, mm, where a profile does not say it.
LINE_WIDTH = 0.45


@dataclass(frozen=True)
class Face:
    """Where a mesh's face is: ``points`` (N, 3) mm on it, in the mesh's own frame, and how far around them it reaches."""

    points: np.ndarray
    reach_mm: float

    def covers(self, places: np.ndarray) -> np.ndarray:
        """Which of ``places`` (P, 3) belong to the face: mask (P,)."""
        import numpy as np
        from scipy.spatial import cKDTree

        distance, _ = cKDTree(self.points).query(places, distance_upper_bound=self.reach_mm)
        return np.isfinite(distance)

    def to_json(self) -> dict[str, Any]:
        """As :func:`read_face` reads it."""
        return {"schema": 1, "reach_mm": round(float(self.reach_mm), 3), "points": self.points.round(3).tolist()}


def read_face(path: Path) -> Face:
    """A face from a JSON file (``points``, ``reach_mm``); :class:`SlicingError` ``face_invalid``."""
    import numpy as np

    invalid = SlicingError("face_invalid", f"{path.name} does not say where a face is.", "Make the sculpture again.")
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise invalid
        data = json.loads(text)
        points, reach = np.asarray(data["points"], np.float64), float(data["reach_mm"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise invalid from error
    if points.ndim != 2 or points.shape[1] != 3 or not 1 <= len(points) <= MAX_POINTS:
        raise invalid
    if not np.isfinite(points).all() or not 0 < reach <= 200:
        raise invalid
    return Face(points, reach)


def holds_until(layer_mm: float, line_mm: float = LINE_WIDTH) -> float:
    """The steepest overhang, degrees from the vertical, that prints without supports in layers of ``layer_mm``: there each
    line lies :data:`HELD_SHARE` of its width beyond the one below."""
    return min(math.degrees(math.atan(HELD_SHARE * line_mm / layer_mm)), STEEPEST_DEG)


def to_spare(
    model: Path, request: SliceRequest, layer_mm: float, line_mm: float = LINE_WIDTH
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The model's vertices and triangles, and the mask of those that no support shall touch; None when there are none.

    :class:`SlicingError` ``face_invalid``.
    """
    if request.face is None or request.face_care == "ignore":
        return None
    face = read_face(request.face)
    vertices, triangles = read_mesh(model)
    until = 91.0 if request.face_care == "free" else holds_until(layer_mm, line_mm)
    mask = spared(vertices, triangles, face, until)
    return (vertices, triangles, mask) if mask.any() else None


def read_mesh(model: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) mm and triangles (T, 3) of a mesh file that was checked before."""
    import numpy as np
    import trimesh

    mesh = trimesh.load_mesh(model)
    return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)


def overhang(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(T,) degrees by which each triangle leans out from the vertical, smoothed over its neighbours; negative: looks up."""
    import numpy as np

    corners = vertices[triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    around = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(around, triangles[:, corner], normals)
    mean = around[triangles].sum(1)
    length = np.linalg.norm(mean, axis=1)
    return np.degrees(np.arcsin(np.clip(-mean[:, 2] / np.maximum(length, 1e-12), -1, 1)))


def spared(vertices: np.ndarray, triangles: np.ndarray, face: Face, until_deg: float) -> np.ndarray:
    """The triangles of the face, mask (T,), that no support shall touch: those that lean out less than ``until_deg``."""
    return face.covers(vertices[triangles].mean(1)) & (overhang(vertices, triangles) < until_deg)
