"""Skin colours and hair of the MakeHuman project (CC0), carried over to the head model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import trimesh
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

DECIMETRE = 100.0


@dataclass(frozen=True)
class Hair:
    """A hair mesh in the model frame: vertices (H, 3), triangles (T, 3), and the four nearest head vertices of each."""

    name: str
    vertices: np.ndarray
    triangles: np.ndarray
    neighbours: np.ndarray


@dataclass(frozen=True)
class ObjMesh:
    """Vertices (V, 3), texture coordinates (U, 2) and triangles of one group: (T, 3) each into both."""

    vertices: np.ndarray
    uv: np.ndarray
    triangles: np.ndarray
    uv_triangles: np.ndarray
    top: float = 0.0  #: height of the crown in the file, mm


def read_obj(path: Path, group: str | None = None) -> ObjMesh:
    """Read a Wavefront file; polygons become fans. ``group`` keeps only that group's faces."""
    vertices, uv, triangles, uv_triangles = [], [], [], []
    current = ""
    for line in path.read_text().splitlines():
        kind, *rest = line.split() or [""]
        if kind == "v":
            vertices.append([float(x) for x in rest[:3]])
        elif kind == "vt":
            uv.append([float(x) for x in rest[:2]])
        elif kind == "g":
            current = rest[0] if rest else ""
        elif kind == "f" and (group is None or current == group):
            corners = [([*corner.split("/"), ""])[:2] for corner in rest]
            v = [int(c[0]) - 1 for c in corners]
            t = [int(c[1]) - 1 if c[1] else 0 for c in corners]
            for k in range(1, len(v) - 1):
                triangles.append([v[0], v[k], v[k + 1]])
                uv_triangles.append([t[0], t[k], t[k + 1]])
    return ObjMesh(np.array(vertices), np.array(uv), np.array(triangles), np.array(uv_triangles))


def base_head(path: Path) -> ObjMesh:
    """The head and neck of MakeHuman's base mesh in millimetres, origin inside the head."""
    mesh = read_obj(path, "body")
    vertices = mesh.vertices * DECIMETRE
    body = vertices[np.unique(mesh.triangles)]
    top = body[:, 1].max()
    vertices = vertices - [0.0, top - 140.0, 0.0]
    keep = (vertices[mesh.triangles][:, :, 1] > -200).all(1) & (np.abs(vertices[mesh.triangles][:, :, 0]) < 160).all(1)
    return ObjMesh(vertices, mesh.uv, mesh.triangles[keep], mesh.uv_triangles[keep], float(top))


def register(base_landmarks: np.ndarray, model_landmarks: np.ndarray) -> RBFInterpolator:
    """A smooth map from the base mesh's frame to the model frame through common landmarks ((N, 3) each)."""
    return RBFInterpolator(base_landmarks, model_landmarks, kernel="thin_plate_spline", smoothing=20.0)


def skin_colours(base: ObjMesh, warp: RBFInterpolator, target: np.ndarray, folder: Path) -> dict[str, np.ndarray]:
    """Colours (V, 3) in 0..1 at the ``target`` vertices ((V, 3), model frame) for every skin in ``folder``."""
    used = np.unique(base.triangles)
    warped = base.vertices.copy()
    warped[used] = warp(base.vertices[used])
    surface = trimesh.Trimesh(warped, base.triangles, process=False)
    points, _, triangle = trimesh.proximity.closest_point(surface, target)
    weights = trimesh.triangles.points_to_barycentric(warped[base.triangles[triangle]], points)
    uv = np.einsum("vk,vkd->vd", weights, base.uv[base.uv_triangles[triangle]])
    colours = {}
    for path in sorted(folder.glob("*.png")):
        image = cv2.imread(str(path))[:, :, ::-1].astype(np.float32) / 255
        image = cv2.GaussianBlur(image, (0, 0), 0.7)
        size = np.array(image.shape[1::-1])
        place = (np.c_[uv[:, 0], 1 - uv[:, 1]] * size - 0.5).astype(np.float32)
        colours[path.stem] = cv2.remap(image, place[None, :, 0], place[None, :, 1], cv2.INTER_LINEAR)[0]
    return colours


def hair(base_top: float, warp: RBFInterpolator, head: np.ndarray, normals: np.ndarray, folder: Path) -> list[Hair]:
    """The hair meshes of ``folder``, warped and lifted off the skull (``head``, ``normals``: (V, 3), model frame)."""
    tree = cKDTree(head)
    result = []
    for path in sorted(folder.glob("*.obj")):
        mesh = read_obj(path)
        vertices = warp(mesh.vertices * DECIMETRE - [0.0, base_top - 140.0, 0.0])
        _, nearest = tree.query(vertices)
        clearance = np.einsum("ij,ij->i", vertices - head[nearest], normals[nearest])
        lift = np.clip(4.0 - clearance, 0.0, 30.0)
        vertices += lift[:, None] * normals[nearest]
        _, neighbours = tree.query(vertices, k=4)
        middle = vertices[mesh.triangles].mean(1)
        over_face = (middle[:, 2] > 45) & (middle[:, 1] < 88) & (np.abs(middle[:, 0]) < 68) & (middle[:, 1] > -130)
        mesh = ObjMesh(mesh.vertices, mesh.uv, mesh.triangles[~over_face], mesh.uv_triangles)
        both_sides = np.concatenate([mesh.triangles, mesh.triangles[:, ::-1]]).astype(np.int32)
        result.append(Hair(path.stem, vertices.astype(np.float32), both_sides, neighbours))
    return result
