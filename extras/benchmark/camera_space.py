"""The picture's own space: x and y in pixels, y up, and depth in pixels towards the camera, as VRN's volumes have it."""

from __future__ import annotations

import numpy as np
from protocol import nearest_vertex_error

from octoprint_facesculpt.reconstruction.head import Head


def pose(projection: np.ndarray) -> tuple[np.ndarray, float]:
    """Rotation (3, 3) to camera axes (right, up, towards the viewer) and scale (pixels per mm at the origin) of a ``Head``'s
    (3, 4) projection, whose principal point is the head model's origin."""
    last = projection[2, :3] / projection[2, 3]
    rows = projection[:2, :3] / projection[2, 3]
    length = last @ last
    principal = rows @ last / length if length > 1e-18 else np.zeros(2)
    right, down = rows - principal[:, None] * last
    scale = float(np.sqrt(np.linalg.norm(right) * np.linalg.norm(down)))
    right, up = right / np.linalg.norm(right), -down / np.linalg.norm(down)
    return np.stack([right, up, np.cross(right, up)]), scale


def in_picture(head: Head, points: np.ndarray) -> np.ndarray:
    """Head-frame ``points`` (N, 3) in the picture's space."""
    rotation, scale = pose(head.projection)
    return np.c_[head.project(points) * [1, -1], scale * (points @ rotation[2])]


def error_in_picture(vertices: np.ndarray, truth: np.ndarray, eye_distance: float) -> float:
    """VRN's NME without alignment: mean distance of ``truth`` (N, 3) to the nearest of ``vertices``, by the eye distance.

    Depth has no origin in a picture, so its mean is taken off, as VRN's authors do.
    """
    near = np.linalg.norm(vertices[:, :2] - truth[:, :2].mean(0), axis=1) < 1.2 * eye_distance
    front = vertices[near & (vertices[:, 2] > np.median(vertices[near, 2]))]
    shift = truth[:, 2].max() - front[:, 2].max() if len(front) else 0.0
    return nearest_vertex_error(vertices + np.array([0, 0, shift]), truth) / eye_distance
