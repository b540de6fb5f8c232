"""Fitting the head model to the dense correspondences the network read out of the picture.

The network says, for every part of the guess that is seen, where in the picture it really is, and how sure it is of that.
Head and camera are found by Gauss-Newton steps on those displacements, weighted by their Laplace scales (after Wood et
al., "3D Face Reconstruction with Dense Landmarks", ECCV 2022, section 4), against the first guess as prior.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .camera import Camera
from .head_model import HeadModel

#: How much of an independent measurement one pixel is: neighbours share their errors.
INDEPENDENCE = 0.003
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


@dataclass(frozen=True)
class Correspondence:
    """N surface points and where they were seen.

    ``vertices`` (N, 3) and ``weights`` (N, 3) name the points on the mesh; ``place`` (N, 3) is x and y in crop pixels and
    the depth in crop pixels up to a constant; ``scale`` (N,) the Laplace scale of its error in pixels.
    """

    vertices: np.ndarray
    weights: np.ndarray
    place: np.ndarray
    scale: np.ndarray


def correspondences(
    model: HeadModel, guess: Guess, seen: np.ndarray, weights: np.ndarray, displacement: np.ndarray, log_scale: np.ndarray
) -> Correspondence:
    """From the network's displacements to places of surface points.

    Parameters
    ----------
    seen : (H, W) int32
        The triangle of the guess at each crop pixel, -1 for none; ``weights`` (H, W, 3) the place in it.
    displacement : (3, h, w) float32, log_scale : (h, w) float32
        The network's reading, any size.
    """
    import cv2

    moved = cv2.resize(displacement.transpose(1, 2, 0), seen.shape[::-1], interpolation=cv2.INTER_LINEAR)
    scale = np.exp(cv2.resize(log_scale, seen.shape[::-1], interpolation=cv2.INTER_LINEAR))
    # A quarter of the pixels is as good as all of them, whose readings are interpolated anyway.
    used = (seen >= 0) & (np.indices(seen.shape) % 2 == 0).all(0)
    vertices, at = model.triangles[seen[used]], weights[used].astype(np.float64)
    points = guess.camera.project(np.einsum("nk,nkd->nd", at, model.vertices(guess.coefficients)[vertices]))
    points[:, 2] *= guess.camera.scale
    return Correspondence(vertices, at, points + moved[used], scale[used])


def refine(model: HeadModel, prior: Prior, start: Guess, seen: Correspondence) -> Guess:
    """The most probable head and camera given the prior and what was ``seen``, from ``start`` on."""
    from scipy.linalg import solve

    count = len(prior.guess.coefficients)
    mean = np.einsum("nk,nkd->nd", seen.weights, model.mean[seen.vertices].astype(np.float64))
    shapes = np.concatenate([model.identity, model.expression])
    shapes = sum(seen.weights[:, k, None] * shapes[:, seen.vertices[:, k]] for k in range(3))  # (I + E, N, 3)
    first = np.r_[prior.guess.coefficients, 1000 * prior.guess.camera.k]
    guess = start
    offset = np.median(seen.place[:, 2] - guess.camera.scale * _depth(guess, mean, shapes))
    for _ in range(STEPS):
        residual, jacobian = _linearise(guess, offset, mean, shapes, seen.place)
        weight = INDEPENDENCE / (seen.scale * np.maximum(np.abs(residual).sum(1), seen.scale))
        weighted = jacobian * weight[:, None, None]
        normal = np.einsum("ncp,ncq->pq", weighted, jacobian, optimize=True)
        gradient = np.einsum("ncp,nc->p", weighted, residual)
        now = np.r_[guess.coefficients, 1000 * guess.camera.k]
        normal[: count + 1, : count + 1] += prior.precision
        gradient[: count + 1] -= prior.precision @ (now - first)
        normal[np.diag_indices_from(normal)] += 1e-6
        step = solve(normal, gradient, assume_a="pos")
        camera = guess.camera.moved(step[count : count + 7])
        offset += step[count + 7]
        guess = replace(guess, coefficients=guess.coefficients + step[:count], camera=camera)
    return guess


def _depth(guess: Guess, mean: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    return (mean + np.tensordot(guess.coefficients, shapes, 1)) @ guess.camera.rotation[2]


def _linearise(guess: Guess, offset: float, mean, shapes, place) -> tuple[np.ndarray, np.ndarray]:
    """Residuals (N, 3) in crop pixels and their Jacobian (N, 3, P).

    Parameters: coefficients, 1000 k, turn (3), log scale, centre (2), depth offset.
    """
    camera = guess.camera
    points = mean + np.tensordot(guess.coefficients, shapes, 1)
    projected = camera.project(points).astype(np.float64)
    projected[:, 2] = camera.scale * projected[:, 2] + offset
    count = len(shapes)
    turned = (camera.rotation @ shapes.transpose(2, 1, 0).reshape(3, -1)).reshape(3, len(mean), count)
    jacobian = np.zeros((len(mean), 3, count + 8))
    jacobian[:, :, :count] = np.einsum("nci,inp->ncp", camera.by_rotated_point(points), turned, optimize=True)
    jacobian[:, :, count : count + 7] = camera.derivatives(points)
    jacobian[:, 2, count + 7] = 1
    return place - projected, jacobian
