"""The perspective camera of a head, and finding it from landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Largest k ever taken: a camera 0.25 m from the middle of the head.
MAX_K = 0.004
PLAIN_STEPS, ROBUST_STEPS = 8, 30


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

    @property
    def yaw(self) -> float:
        """Degrees by which the head is turned, negative where the face looks to the picture's right."""
        return float(np.degrees(np.arctan2(self.rotation[2, 0], self.rotation[2, 2])))

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

    def derivatives(self, points: np.ndarray) -> np.ndarray:
        """How (x, y in pixels, depth times scale) of ``points`` (N, 3) change with the camera: (N, 3, 7).

        Parameters: 1000 k, turn about the camera's axes (3, rad), logarithm of the scale, centre (2, pixels).
        """
        x, y, z = (points @ self.rotation.T).T
        near = self.scale / (1 - self.k * z)
        closer = near * self.k / (1 - self.k * z)
        by_k = near * z / (1 - self.k * z) / 1000
        out = np.zeros((len(points), 3, 7))
        out[:, 0, 0], out[:, 1, 0] = x * by_k, -y * by_k
        out[:, 0, 1], out[:, 1, 1], out[:, 2, 1] = closer * x * y, near * z - closer * y**2, self.scale * y
        out[:, 0, 2], out[:, 1, 2], out[:, 2, 2] = near * z - closer * x**2, closer * x * y, -self.scale * x
        out[:, 0, 3], out[:, 1, 3] = -near * y, -near * x
        out[:, 0, 4], out[:, 1, 4], out[:, 2, 4] = near * x, -near * y, self.scale * z
        out[:, 0, 5] = out[:, 1, 6] = 1
        return out

    def by_rotated_point(self, points: np.ndarray) -> np.ndarray:
        """How the same three change with the points' rotated coordinates: (N, 3, 3)."""
        x, y, z = (points @ self.rotation.T).T
        near = self.scale / (1 - self.k * z)
        out = np.zeros((len(points), 3, 3))
        out[:, 0, 0], out[:, 0, 2] = near, near * x * self.k / (1 - self.k * z)
        out[:, 1, 1], out[:, 1, 2] = -near, -near * y * self.k / (1 - self.k * z)
        out[:, 2, 2] = self.scale
        return out

    def moved(self, step: np.ndarray) -> Camera:
        """This camera changed by a ``step`` (7,) of the parameters of :meth:`derivatives`."""
        from scipy.spatial.transform import Rotation

        return Camera(
            Rotation.from_rotvec(step[1:4]).as_matrix() @ self.rotation,
            self.scale * float(np.exp(np.clip(step[4], -1, 1))),
            float(np.clip(self.k + step[0] / 1000, 0, MAX_K)),
            self.centre + step[5:7],
        )

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


def fit_camera(points: np.ndarray, pixels: np.ndarray, start: Camera) -> Camera:
    """The camera with ``start.k`` that brings ``points`` ((N, 3) mm) closest to ``pixels`` ((N, 2)).

    Gauss-Newton. Plain squares come near from afar, where a robust loss is flat; soft L1 at 1 % of the points' spread then
    lets go of a hidden ear or a bad landmark.
    """
    tolerance = 0.01 * float(np.linalg.norm(pixels.std(0)))
    camera = start
    for step in range(PLAIN_STEPS + ROBUST_STEPS):
        residual = pixels - camera.project(points)[:, :2]
        jacobian = camera.derivatives(points)[:, :2, 1:]
        weighted = jacobian
        if step >= PLAIN_STEPS:
            weighted = jacobian / np.sqrt(1 + (residual**2).sum(1) / tolerance**2)[:, None, None]
        weighted = weighted.reshape(-1, 6).T
        normal, gradient = weighted @ jacobian.reshape(-1, 6), weighted @ residual.ravel()
        update = np.linalg.solve(normal + 1e-9 * np.trace(normal) * np.eye(6), gradient)
        camera = camera.moved(np.r_[0.0, update])
        if step > PLAIN_STEPS and np.abs(update[:4]).max() < 1e-5:
            break
    return camera
