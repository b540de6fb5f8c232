"""Fitting the head model to the dense correspondences the networks read out of the picture.

The networks say where in the picture points of the head are, and how sure they are of that. Head and camera are found by
Gauss-Newton steps on those places, weighted by their Laplace scales (after Wood et al., "3D Face Reconstruction with Dense
Landmarks", ECCV 2022, section 4), against the first guess as prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .camera import Camera
from .head_model import HeadModel

STEPS = 4


@dataclass(frozen=True)
class Guess:
    """A head of the model, and the camera that sees it on the crop.

    ``coefficients`` (I + E,): identity, then expression.
    """

    coefficients: np.ndarray
    camera: Camera

    def vertices(self, model: HeadModel) -> np.ndarray:
        """(V, 3) mm in the model frame."""
        return model.vertices(self.coefficients)


@dataclass(frozen=True)
class Prior:
    """What the first guess is worth: ``precision`` (I + E + 1, I + E + 1) of coefficients and 1000 k (k in 1/mm)."""

    guess: Guess
    precision: np.ndarray

    def expression(self, identity: int) -> np.ndarray:
        """(E, E) precision of the expression, whatever the ``identity`` coefficients and the camera may be."""
        return np.linalg.inv(np.linalg.inv(self.precision)[identity:-1, identity:-1])


@dataclass(frozen=True)
class Correspondence:
    """N surface points and where they were seen.

    Attributes
    ----------
    vertices, weights : (N, 3)
        The points on the mesh: vertex numbers and barycentric weights.
    place : (N, 2) or (N, 3)
        x and y in crop pixels and, where there is a third, the depth in crop pixels up to a constant.
    scale : (N,)
        Laplace scale of the error of ``place`` in crop pixels.
    independence : float
        How much of an independent measurement one of them is: neighbours share their errors.
    """

    vertices: np.ndarray
    weights: np.ndarray
    place: np.ndarray
    scale: np.ndarray
    independence: float

    def points(self, vertices: np.ndarray) -> np.ndarray:
        """The points (N, 3) on a mesh with ``vertices`` (V, 3)."""
        return np.einsum("nk,nkd->nd", self.weights, vertices[self.vertices].astype(np.float64))

    def shapes(self, shapes: np.ndarray) -> np.ndarray:
        """How the points move with each of ``shapes`` (C, V, 3): (C, N, 3)."""
        if (self.weights[:, 0] == 1).all():
            return shapes[:, self.vertices[:, 0]]
        return sum(self.weights[:, k, None] * shapes[:, self.vertices[:, k]] for k in range(3))


def refine(model: HeadModel, prior: Prior, start: Guess, seen: Sequence[Correspondence]) -> Guess:
    """The most probable head and camera given the prior and all that was ``seen``, from ``start`` on."""
    from scipy.linalg import solve

    count = len(prior.guess.coefficients)
    shapes = np.concatenate([model.identity, model.expression])
    terms = [(one, one.points(model.mean), one.shapes(shapes)) for one in seen]
    first = np.r_[prior.guess.coefficients, 1000 * prior.guess.camera.k]
    guess = start
    offsets = [
        float(np.median(one.place[:, 2] - guess.camera.scale * _depth(guess, mean, moves))) if one.place.shape[1] == 3 else 0.0
        for one, mean, moves in terms
    ]
    offset = max(offsets, key=abs, default=0.0)
    for _ in range(STEPS):
        normal = 1e-6 * np.eye(count + 8)
        gradient = np.zeros(count + 8)
        for one, mean, moves in terms:
            residual, jacobian = _linearise(guess, offset, mean, moves, one.place)
            size = np.abs(residual).sum(1)
            weight = one.independence / (one.scale * np.maximum(size, one.scale))
            weighted = (jacobian * weight[:, None, None]).reshape(-1, count + 8)
            normal += weighted.T @ jacobian.reshape(-1, count + 8)
            gradient += weighted.T @ residual.ravel()
        now = np.r_[guess.coefficients, 1000 * guess.camera.k]
        normal[: count + 1, : count + 1] += prior.precision
        gradient[: count + 1] -= prior.precision @ (now - first)
        step = solve(normal, gradient, assume_a="pos")
        camera = guess.camera.moved(step[count : count + 7])
        offset += step[count + 7]
        guess = replace(guess, coefficients=guess.coefficients + step[:count], camera=camera)
    return guess


def _depth(guess: Guess, mean: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    return (mean + np.tensordot(guess.coefficients, shapes, 1)) @ guess.camera.rotation[2]


def _linearise(guess: Guess, offset: float, mean, shapes, place) -> tuple[np.ndarray, np.ndarray]:
    """Residuals (N, D) in crop pixels and their Jacobian (N, D, P) for ``place`` (N, D), D being 2 or 3.

    Parameters: coefficients, 1000 k, turn (3), log scale, centre (2), depth offset.
    """
    camera, axes = guess.camera, place.shape[1]
    points = mean + np.tensordot(guess.coefficients, shapes, 1)
    projected = camera.project(points).astype(np.float64)
    projected[:, 2] = camera.scale * projected[:, 2] + offset
    count = len(shapes)
    by_model_point = camera.by_rotated_point(points)[:, :axes] @ camera.rotation
    jacobian = np.zeros((len(mean), axes, count + 8))
    jacobian[:, :, :count] = by_model_point @ shapes.transpose(1, 2, 0)
    jacobian[:, :, count : count + 7] = camera.derivatives(points)[:, :axes]
    if axes == 3:
        jacobian[:, 2, count + 7] = 1
    return place - projected[:, :axes], jacobian
