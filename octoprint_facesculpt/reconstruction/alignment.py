"""From landmarks to an upright square picture of the whole head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .camera import Camera
from .resampling import resample

#: Side of the head crop in crop pixels, the unit of everything measured in it.
CROP = 128
#: Samples a side of the picture the network sees of the crop: lids and nostrils need more than one a crop pixel.
PICTURE = 256
#: Side of the head crop in mm of the mean head, and the point of the model frame at its middle.
CROP_MM = 372.0
CROP_CENTRE = np.array([0.0, -25.0, 10.0])


@dataclass(frozen=True)
class HeadCrop:
    """A similarity from picture to crop, and what is known of the head in it before any learning.

    Attributes
    ----------
    matrix : (2, 3)
        Picture pixels to crop pixels.
    landmarks : (478, 3) float32
        Crop pixels; z in crop pixels towards the camera.
    camera : Camera
        Weak-perspective pose of the mean head, crop pixels.
    """

    matrix: np.ndarray
    landmarks: np.ndarray
    camera: Camera

    def resample(self, image: np.ndarray) -> np.ndarray:
        """The crop of ``image`` (H, W, 3) as (PICTURE, PICTURE, 3) uint8; beyond the picture its edge is repeated."""
        return resample(image, self.matrix * (PICTURE / CROP), PICTURE)


def head_crop(landmarks: np.ndarray, mean_landmarks: np.ndarray) -> HeadCrop:
    """Place the mean head ((478, 3), model frame, mm) on MediaPipe's ``landmarks`` ((478, 3), pixels, z away)."""
    from trimesh.registration import procrustes

    seen = landmarks.astype(np.float64) * [1.0, -1.0, -1.0]
    similarity, _, _ = procrustes(mean_landmarks, seen, reflection=False)
    scale = float(np.cbrt(np.linalg.det(similarity[:3, :3])))
    rotation = similarity[:3, :3] / scale
    origin = similarity[:3, 3]
    up = rotation[:, 1]
    length = np.hypot(up[0], up[1])
    sin, cos = up[0] / length, up[1] / length
    zoom = CROP / (scale * CROP_MM)
    turn = zoom * np.array([[cos, sin], [-sin, cos]])
    middle = similarity[:3, :3] @ CROP_CENTRE + origin
    matrix = np.c_[turn, CROP / 2 - turn @ (middle[:2] * [1.0, -1.0])]
    placed = np.c_[landmarks[:, :2] @ turn.T + matrix[:, 2], -zoom * landmarks[:, 2]].astype(np.float32)
    camera = Camera(rotation, scale, 0.0, origin[:2] * [1.0, -1.0]).through(matrix)
    return HeadCrop(matrix, placed, camera)


def after(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The similarity (2, 3) that does ``first``, then ``second``."""
    return np.c_[second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]]
