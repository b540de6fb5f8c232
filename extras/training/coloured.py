"""Meshes with a colour at every vertex, plain pictures of them, and where MediaPipe sees its landmarks on them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import render
from scipy.spatial.transform import Rotation

from octoprint_facesculpt.portrait.reader import find_faces
from octoprint_facesculpt.reconstruction.camera import Camera

#: Side of a render in pixels, the view's width, and the distance of the camera (a field of view of 20 degrees).
SIZE = 640
VIEW_MM, DISTANCE_MM = 300.0, 850.0


@dataclass(frozen=True)
class Coloured:
    """A mesh (V, 3), (T, 3) with colours (V, 3) in 0..1, in millimetres, face towards z, x to the subject's left."""

    vertices: np.ndarray
    triangles: np.ndarray
    colours: np.ndarray


def sample_texture(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Colours (N, 3) of ``texture`` (H, W, 3) at ``uv`` ((N, 2), v upwards)."""
    place = (np.c_[uv[:, 0], 1 - uv[:, 1]] * texture.shape[1::-1] - 0.5).astype(np.float32)
    rows = [cv2.remap(texture, part[None, :, 0], part[None, :, 1], cv2.INTER_LINEAR)[0] for part in np.array_split(place, 8)]
    return np.concatenate(rows)


def facing(turn: tuple[float, float] = (0.0, 0.0), centre: np.ndarray | None = None, size: int = SIZE) -> _Placed:
    """The camera of the protocol's renders: yaw and pitch in degrees around a point of the mesh."""
    rotation = Rotation.from_euler("yx", turn, degrees=True).as_matrix()
    camera = Camera(rotation, size / VIEW_MM, 1 / DISTANCE_MM, np.full(2, size / 2))
    return _Placed(camera, np.zeros(3) if centre is None else centre)


@dataclass(frozen=True)
class _Placed:
    """A camera that looks at ``centre``."""

    camera: Camera
    centre: np.ndarray

    def project(self, points: np.ndarray) -> np.ndarray:
        return self.camera.project(points - self.centre)


def draw(mesh: Coloured, camera: _Placed, size: int = SIZE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A plain picture (size, size, 3) uint8, lit from the upper left, with the triangle and weights at each pixel."""
    projected = camera.project(mesh.vertices)
    index, weights, _ = render.rasterise(projected, mesh.triangles, size, size)
    normals = render.vertex_normals(mesh.vertices, mesh.triangles) @ camera.camera.rotation.T
    pixels = render.interpolate(index, weights, mesh.triangles, np.c_[mesh.colours, normals].astype(np.float32))
    normal = pixels[..., 3:]
    light = 0.35 + 0.5 * np.clip(normal @ np.array([-0.35, 0.45, 0.82]), 0, 1) + 0.2 * np.clip(normal[..., 2], 0, 1)
    image = np.where((index >= 0)[..., None], pixels[..., :3] * light[..., None], 0.82)
    return (np.clip(image, 0, 1) ** (1 / 1.3) * 255 + 0.5).astype(np.uint8), index, weights


def all_landmarks(mesh: Coloured, centre: np.ndarray) -> np.ndarray | None:
    """All 478 (478, 3), NaN where the ray misses the mesh."""
    image, index, weights = draw(mesh, facing(centre=centre))
    found = find_faces(image)
    if not found:
        return None
    x, y = np.floor(found[0].result.landmarks[:, :2]).astype(int).clip(0, SIZE - 1).T
    points = np.einsum("nk,nkd->nd", weights[y, x], mesh.vertices[mesh.triangles[np.maximum(index[y, x], 0)]])
    points[index[y, x] < 0] = np.nan
    return points
