"""The perspective camera of a head, and finding it from landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Camera:
    """A camera described from the head: scale, inverse distance, and the head's rotation and place in the picture.

    ``u = centre_x + scale x / (1 - k z)``, ``v = centre_y - scale y / (1 - k z)`` with ``(x, y, z) = rotation @ p``:
    camera axes are x right, y up, z towards the viewer.

    Attributes
    ----------
    rotation : (3, 3)
    scale : float
        Pixels per millimetre at the head's origin.
    k : float
        Inverse distance from the camera to the head's origin, 1/mm; 0 is a weak-perspective camera.
    centre : (2,)
        Pixel of the head's origin.
    """

    rotation: np.ndarray
    scale: float
    k: float
    centre: np.ndarray

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) points in mm to (N, 3) float32: x and y in pixels, depth in mm towards the camera."""
        x, y, z = (points @ self.rotation.T).T
        near = self.scale / (1 - self.k * z)
        return np.stack([self.centre[0] + near * x, self.centre[1] - near * y, z], 1).astype(np.float32)

    def unproject(self, pixels: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`project`: (N, 3) of x, y in pixels and depth in mm to points in mm."""
        z = pixels[:, 2]
        away = (1 - self.k * z) / self.scale
        rotated = np.stack([(pixels[:, 0] - self.centre[0]) * away, (self.centre[1] - pixels[:, 1]) * away, z], 1)
        return rotated @ self.rotation

    def matrix(self) -> np.ndarray:
        """(3, 4) projection of homogeneous points in mm to homogeneous pixels."""
        r, (cx, cy) = self.rotation, self.centre
        depth = -self.k * r[2]
        rows = [self.scale * r[0] + cx * depth, -self.scale * r[1] + cy * depth, depth]
        return np.c_[np.stack(rows), [cx, cy, 1.0]]

    def through(self, similarity: np.ndarray) -> Camera:
        """This camera seen in a picture resampled by ``similarity`` ((2, 3), pixels to pixels, no reflection)."""
        a, b = similarity[0, 0], similarity[1, 0]
        zoom = float(np.hypot(a, b))
        cos, sin = a / zoom, b / zoom
        # The picture's y axis points down, the camera's up: the turn changes its sense.
        turn = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
        centre = similarity[:, :2] @ self.centre + similarity[:, 2]
        return Camera(turn @ self.rotation, self.scale * zoom, self.k, centre)


def fit_camera(points: np.ndarray, pixels: np.ndarray, start: Camera, weights: np.ndarray | None = None) -> Camera:
    """The camera with ``start.k`` that brings ``points`` ((N, 3) mm) closest to ``pixels`` ((N, 2)).

    Robust (soft L1 at 1 % of the points' spread), so that a hidden ear or a bad landmark does not turn the head.
    """
    from scipy.optimize import least_squares
    from scipy.spatial.transform import Rotation

    weight = np.ones(len(points)) if weights is None else weights
    spread = float(np.linalg.norm(pixels.std(0)))

    def camera(parameters: np.ndarray) -> Camera:
        turn = Rotation.from_rotvec(parameters[:3]).as_matrix()
        return Camera(
            turn @ start.rotation,
            start.scale * float(np.exp(parameters[3])),
            start.k,
            start.centre + spread * parameters[4:],
        )

    def residuals(parameters: np.ndarray) -> np.ndarray:
        difference = camera(parameters).project(points)[:, :2] - pixels
        return (weight[:, None] * difference).ravel() / (0.01 * spread)

    # Plain squares come near from afar, where the robust loss is flat; it then lets go of the outliers.
    near = least_squares(residuals, np.zeros(6), max_nfev=10)
    fit = least_squares(residuals, near.x, loss="soft_l1", max_nfev=60)
    return camera(fit.x)
