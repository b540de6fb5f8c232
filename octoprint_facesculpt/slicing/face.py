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

    from ..sculpture.surface import Surface

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
        from ..sculpture.surface import covered

        return covered(places, self.points, self.reach_mm)

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
    surface = surface_of(model, request)
    until = 91.0 if request.face_care == "free" else holds_until(layer_mm, line_mm)
    mask = surface.on_face & (surface.lean_deg < until)
    return (surface.vertices, surface.triangles, mask) if mask.any() else None


def surface_of(model: Path, request: SliceRequest) -> Surface:
    """The surface of a mesh file that was checked before: what was found of it when the sculpture was made, if the request
    names a file of that which is about just this mesh and this face. :class:`SlicingError` ``face_invalid``."""
    from ..sculpture.surface import read_surface

    if request.surface is not None and request.face is not None:
        read_face(request.face)
        if (found := read_surface(request.surface, model, request.face)) is not None:
            return found
    return find_surface(*read_mesh(model), request)


def find_surface(vertices: np.ndarray, triangles: np.ndarray, request: SliceRequest) -> Surface:
    """The surface of a mesh ((V, 3) mm, (T, 3)) with the face that the request names. :class:`SlicingError`
    ``face_invalid``."""
    import numpy as np

    from ..sculpture.surface import Surface, overhang

    face = read_face(request.face) if request.face is not None else None
    on_face = np.zeros(len(triangles), bool) if face is None else face.covers(vertices[triangles].mean(1))
    return Surface(vertices, triangles, overhang(vertices, triangles), on_face)


def read_mesh(model: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) mm and triangles (T, 3) of a mesh file that was checked before."""
    import numpy as np
    import trimesh

    mesh = trimesh.load_mesh(model)
    return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
