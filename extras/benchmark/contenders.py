"""What is compared: our reconstruction, the average head, MediaPipe's mesh, and eos where its files are given."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from protocol import SEVEN, Surface

from octoprint_facesculpt.portrait.errors import PortraitError
from octoprint_facesculpt.portrait.portrait import Portrait
from octoprint_facesculpt.portrait.reader import read_portrait
from octoprint_facesculpt.reconstruction import reconstruct
from octoprint_facesculpt.reconstruction import weights as stored
from octoprint_facesculpt.reconstruction.head import Head
from octoprint_facesculpt.reconstruction.head_model import HeadModel
from octoprint_facesculpt.reconstruction.vrn2017 import BOX_LANDMARKS

OURS, AVERAGE, MEDIAPIPE, EOS = "this plugin", "average head", "MediaPipe's mesh", "eos"


@dataclass(frozen=True)
class Eos:
    """Files of an eos installation: its morphable model (``.bin``) and the folder with its mapping and edge topology."""

    model: Path
    share: Path


def portrait_in(image: np.ndarray) -> Portrait | None:
    """The portrait of the largest face in a picture ((H, W, 3) uint8) as the product reads it; None where there is none."""
    import cv2

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "picture.png")
        path.write_bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())
        try:
            return read_portrait(path, face=0)
        except PortraitError:
            return None


def head_model(weights: Path | None) -> HeadModel:
    return stored.load(weights or stored.PACKAGED).head


def average_head(model: HeadModel) -> Surface:
    return Surface(model.mean.astype(float), model.triangles, model.landmarks(model.mean)[list(SEVEN)], AVERAGE)


def head_surface(head: Head) -> Surface:
    return Surface(head.vertices.astype(float), head.triangles, head.landmarks[list(SEVEN)].astype(float), OURS)


def mediapipe_mesh(portrait: Portrait, weights: Path | None) -> Surface:
    """MediaPipe's 468 points as a mesh, pixels with y up and z towards the camera."""
    points = portrait.landmarks[:468] * [1.0, -1.0, -1.0]
    return Surface(points.astype(float), _landmark_triangles(weights), points[list(SEVEN)].astype(float), MEDIAPIPE)


@lru_cache(maxsize=2)
def _landmark_triangles(weights: Path | None) -> np.ndarray:
    """Triangles of the 468 landmarks: Delaunay on the average head, unrolled around an upright axis."""
    from scipy.spatial import Delaunay

    model = head_model(weights)
    points = model.landmarks(model.mean)[:468]
    axis = points[:, 2].min() - 20
    around = np.arctan2(points[:, 0], points[:, 2] - axis)
    flat = np.c_[around * (points[:, 2].max() - axis), points[:, 1]]
    triangles = Delaunay(flat).simplices
    corners = points[triangles]
    longest = np.linalg.norm(corners - np.roll(corners, 1, 1), axis=2).max(1)
    triangles = triangles[longest < 45]
    a, b, c = flat[triangles].transpose(1, 0, 2)
    clockwise = np.cross(b - a, c - a) < 0
    triangles[clockwise] = triangles[clockwise][:, ::-1]
    return triangles.astype(np.int32)


def eos_mesh(portrait: Portrait, files: Eos) -> Surface | None:
    """eos' Surrey face model fitted to 68 of MediaPipe's landmarks; None where the package or its files are missing."""
    try:
        import eos
    except ImportError:
        return None
    model = eos.morphablemodel.load_model(str(files.model))
    numbers = {str(i + 1): point for i, point in enumerate(portrait.landmarks[list(BOX_LANDMARKS), :2])}
    landmarks = [eos.core.Landmark(name, point.astype(np.float32)) for name, point in numbers.items()]
    share, (height, width) = files.share, portrait.image.shape[:2]
    mapper = eos.core.LandmarkMapper(str(share / "ibug_to_sfm.txt"))
    edges = eos.morphablemodel.load_edge_topology(str(share / "sfm_3448_edge_topology.json"))
    contour = eos.fitting.ContourLandmarks.load(str(share / "ibug_to_sfm.txt"))
    model_contour = eos.fitting.ModelContour.load(str(share / "sfm_model_contours.json"))
    mesh, *_ = eos.fitting.fit_shape_and_pose(model, landmarks, mapper, width, height, edges, contour, model_contour)
    vertices = np.array(mesh.vertices)[:, :3]
    at = [int(mapper.convert(str(n))) for n in (37, 40, 43, 46, 34, 49, 55)]
    return Surface(vertices, np.array(mesh.tvi, np.int32), vertices[at], EOS)


def contenders(image: np.ndarray, weights: Path | None, eos_files: Eos | None = None) -> tuple[dict[str, Surface], Head] | None:
    """Everything that can be made of one picture, and our head itself; None where no face is found."""
    portrait = portrait_in(image)
    if portrait is None:
        return None
    model = head_model(weights)
    head = reconstruct(portrait, weights=weights, detailed=False)
    surfaces: dict[str, Any] = {
        OURS: head_surface(head),
        AVERAGE: average_head(model),
        MEDIAPIPE: mediapipe_mesh(portrait, weights),
    }
    if eos_files is not None:
        surfaces[EOS] = eos_mesh(portrait, eos_files)
    return {name: surface for name, surface in surfaces.items() if surface is not None}, head
