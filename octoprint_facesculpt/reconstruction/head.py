"""What the reconstruction room hands on: a head in millimetres and the camera that saw it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Head:
    """A reconstructed head, life size, in the head frame.

    Head frame: origin midway between the outer corners of the eyes, x to the subject's left, y up, z out of the
    face; millimetres.

    Attributes
    ----------
    vertices : (V, 3) float32
    triangles : (T, 3) int32
        Counter-clockwise seen from outside. The mesh is closed: head, neck and shoulders with a cut bottom.
    landmarks : (478, 3) float32
        MediaPipe's points on the surface, head frame.
    projection : (3, 4) float64
        Maps homogeneous head-frame points to homogeneous pixels of the upright image.
    model : dict
        ``name``, ``version``, ``sha256`` of the weights.
    seconds : dict
        Wall time of each step.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    landmarks: np.ndarray
    projection: np.ndarray
    model: dict[str, str]
    seconds: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project (N, 3) head-frame points to (N, 2) pixels of the upright image."""
        homogeneous = np.c_[points, np.ones(len(points))] @ self.projection.T
        return homogeneous[:, :2] / homogeneous[:, 2:]

    def save(self, path: Path) -> None:
        """Write the head to an ``.npz`` file, for the next stage."""
        with path.open("wb") as file:
            np.savez(
                file,
                vertices=self.vertices,
                triangles=self.triangles,
                landmarks=self.landmarks,
                projection=self.projection,
            )

    @classmethod
    def load(cls, path: Path) -> Head:
        """Read what :meth:`save` wrote; :class:`ValueError` or :class:`OSError` when it is damaged."""
        with np.load(path, allow_pickle=False) as data:
            return cls(data["vertices"], data["triangles"], data["landmarks"], data["projection"], model={})
