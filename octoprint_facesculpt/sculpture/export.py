"""Sculptures and heads as files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from .settings import SculptureError

#: A point of the surface belongs to the face when it is this near to a landmark, as a share of the distance from forehead to
#: chin (MediaPipe's landmarks 10 and 152).
FACE_REACH, FOREHEAD, CHIN = 0.12, 10, 152
FORMATS = ("stl", "3mf", "ply", "obj", "glb")


def export_mesh(vertices: np.ndarray, triangles: np.ndarray, path: Path, title: str = "FaceSculpt") -> Path:
    """Write a mesh (mm) in the format of ``path``'s suffix (stl, 3mf, ply, obj, glb), whole or not at all.

    GLB is in metres and y up, as its standard says; the others keep millimetres and axes. :class:`SculptureError`
    ``format_unknown`` for another suffix.
    """
    import trimesh

    kind = suffix_of(path)
    mesh = trimesh.Trimesh(vertices, triangles, process=False)
    if kind == "glb":
        mesh.apply_transform(np.array([[0.001, 0, 0, 0], [0, 0, 0.001, 0], [0, -0.001, 0, 0], [0, 0, 0, 1]]))
    if kind == "3mf":
        scene = trimesh.Scene()
        scene.add_geometry(mesh, geom_name=title, node_name=title)
        scene.units = "millimeter"
        data = scene.export(file_type="3mf")
    else:
        data = mesh.export(file_type=kind)
    return write(path, data if isinstance(data, bytes) else data.encode())


def write_face(points: np.ndarray, path: Path) -> Path:
    """Write where the face of a sculpture is: its landmarks (N, 3) mm in the frame of the mesh, and how far the face reaches
    around them."""
    face = {"schema": 1, "reach_mm": round(face_reach(points), 3), "points": points.round(3).tolist()}
    return write(path, json.dumps(face).encode())


def face_reach(points: np.ndarray) -> float:
    """How far, in mm, a face reaches around its landmarks (N, 3)."""
    return FACE_REACH * float(np.linalg.norm(points[FOREHEAD] - points[CHIN]))


def suffix_of(path: Path, also: tuple[str, ...] = ()) -> str:
    """The format a path's suffix names; :class:`SculptureError` ``format_unknown`` when it is none."""
    kind = path.suffix.lower().lstrip(".")
    if kind not in (*FORMATS, *also):
        known = ", ".join((*FORMATS, *also))
        raise SculptureError("format_unknown", f"'{path.suffix}' is no known format.", f"Use {known}.")
    return kind


def write(path: Path, data: bytes) -> Path:
    """Write a file so that it is there whole or not at all, also after a power cut."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    return path
