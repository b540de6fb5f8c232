"""How far heads are from the truth while networks are trained."""

from __future__ import annotations

import numpy as np
from samples import ShapeStack
from trimesh.registration import procrustes

from octoprint_facesculpt.reconstruction.head_model import HeadModel


class FaceError:
    """Mean error in mm of the face of heads (N, C + 1) (the last number is the camera's) after similarity alignment."""

    def __init__(self, model: HeadModel) -> None:
        some = np.flatnonzero(model.face)[::4]
        self._stack = ShapeStack(model.mean[some], np.concatenate([model.identity, model.expression])[:, some])

    def __call__(self, found: np.ndarray, truth: np.ndarray) -> float:
        pairs = zip(self._stack.vertices(found[:, :-1]), self._stack.vertices(truth[:, :-1]), strict=True)
        return float(np.mean([np.linalg.norm(procrustes(a, b, reflection=False)[1] - b, axis=1).mean() for a, b in pairs]))
