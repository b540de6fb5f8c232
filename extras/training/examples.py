"""From a sample and its first guess to what the hourglass learns: input channels, volumes and displacements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import render
import voxels
from samples import Samples

from octoprint_facesculpt.reconstruction.alignment import CROP
from octoprint_facesculpt.reconstruction.camera import Camera, fit_camera
from octoprint_facesculpt.reconstruction.guides import guide_channels
from octoprint_facesculpt.reconstruction.head_model import HeadModel
from octoprint_facesculpt.reconstruction.predictor import K_RANGE
from octoprint_facesculpt.reconstruction.volume import GRID, TRUNCATION, SurfaceSamples, surface_samples, to_grid


@dataclass(frozen=True)
class Example:
    """One training example of the hourglass.

    ``guides`` (CHANNELS, CROP, CROP); ``guess`` and ``truth`` (GRID, GRID, GRID) signed distances; ``displacement``
    (3, GRID, GRID) from the guess's visible points to the true ones in crop pixels; ``seen`` (GRID, GRID) 0 or 1;
    ``scale`` of the guess's camera.
    """

    guides: np.ndarray
    guess: np.ndarray
    truth: np.ndarray
    displacement: np.ndarray
    seen: np.ndarray
    scale: float


class ExampleMaker:
    """Makes examples of one head model; safe to share between threads."""

    def __init__(self, model: HeadModel) -> None:
        self.model = model
        self.mean_landmarks, self.landmark_shapes = model.landmark_model()
        shapes = np.concatenate([model.identity, model.expression])
        self._shapes = np.ascontiguousarray(shapes.reshape(len(shapes), -1))
        everything = surface_samples(model.mean, model.triangles)
        rng = np.random.default_rng(1)
        some = rng.random(len(everything.vertices)) < 0.4
        self._samples = SurfaceSamples(everything.vertices[some], everything.weights[some])

    def vertices(self, coefficients: np.ndarray) -> np.ndarray:
        return self.model.mean + (coefficients.astype(np.float32) @ self._shapes).reshape(-1, 3)

    def landmarks(self, coefficients: np.ndarray) -> np.ndarray:
        """The 478 landmark points of a head, mm."""
        return self.mean_landmarks + np.tensordot(coefficients, self.landmark_shapes, 1)

    def guess(self, samples: Samples, i: int, prediction: np.ndarray, wrong: float) -> tuple[np.ndarray, Camera]:
        """Coefficients and camera the network starts from: ``wrong`` 1 is the first guess, 0 the truth.

        The network runs again on its own refined guess, so it must know guesses of every quality.
        """
        crop, true_camera = samples.head_crop(i, self.mean_landmarks), samples.true_camera(i)
        truth = samples.coefficients[i]
        coefficients = truth + wrong * (prediction[:-1] - truth)
        k = true_camera.k + wrong * (float(np.clip(prediction[-1] / 1000, *K_RANGE)) - true_camera.k)
        pixels = true_camera.project(self.landmarks(truth))[:, :2]
        pixels = pixels + wrong * (crop.landmarks[:, :2] - pixels)
        start = Camera(crop.camera.rotation, crop.camera.scale, k, crop.camera.centre)
        return coefficients, fit_camera(self.landmarks(coefficients), pixels.astype(np.float64), start)

    def volume(self, projected: np.ndarray, scale: float, offset: float) -> np.ndarray:
        """Signed distance of the template projected to the crop ((V, 3): x, y, depth in mm)."""
        points = to_grid(projected, scale, GRID, offset).astype(np.float32)
        # The picture's y axis points down, which turns every triangle over.
        normals = -voxels.vertex_normals(points, self.model.triangles)
        return voxels.signed_distance(self._samples.of(points), self._samples.of(normals), GRID, TRUNCATION)

    def make(self, samples: Samples, i: int, coefficients: np.ndarray, camera: Camera) -> Example:
        """Example of sample ``i`` with the first guess ``coefficients`` (C,) seen by ``camera``."""
        model = self.model
        true_camera = samples.true_camera(i)
        guess, truth = self.vertices(coefficients), self.vertices(samples.coefficients[i])
        seen_guess, seen_truth = camera.project(guess), true_camera.project(truth)
        guess_depth = camera.scale * model.landmarks(seen_guess)[:468, 2].mean()
        true_depth = true_camera.scale * model.landmarks(seen_truth)[:468, 2].mean()
        offset = (guess_depth - true_depth) / true_camera.scale

        index, weights, depth = render.rasterise(seen_guess, model.triangles, CROP, CROP)
        normals = (voxels.vertex_normals(guess, model.triangles) @ camera.rotation.T).astype(np.float32)
        moved = seen_truth - seen_guess
        moved[:, 2] = (seen_truth[:, 2] + offset) * true_camera.scale - seen_guess[:, 2] * camera.scale
        attributes = np.concatenate([guess, normals, moved], 1).astype(np.float32)
        pixels = render.interpolate(index, weights, model.triangles, attributes)
        covered = (index >= 0).astype(np.float32)[..., None]
        surface = np.concatenate([pixels[..., :6], np.where(covered > 0, depth[..., None], 0), covered], 2)
        crop = samples.head_crop(i, self.mean_landmarks)
        quarter = pixels[..., 6:].reshape(GRID, 2, GRID, 2, 3).sum((1, 3))
        count = covered.reshape(GRID, 2, GRID, 2).sum((1, 3))
        return Example(
            guides=guide_channels(surface, crop.landmarks[:, :2]),
            guess=self.volume(seen_guess, camera.scale, 0.0),
            truth=self.volume(seen_truth, true_camera.scale, offset),
            displacement=(quarter / np.maximum(count, 1)[..., None]).transpose(2, 0, 1).astype(np.float32),
            seen=(count > 0).astype(np.float32),
            scale=camera.scale,
        )
