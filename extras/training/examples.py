"""From a picture and the guess made from it to what the hourglass learns: input channels, volumes and displacements."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import render
import voxels
from samples import Shard
from trimesh.registration import procrustes

from octoprint_facesculpt.reconstruction.alignment import CROP, HeadCrop, head_crop
from octoprint_facesculpt.reconstruction.camera import Camera, fit_camera
from octoprint_facesculpt.reconstruction.guides import SIDEWAYS, guide_channels
from octoprint_facesculpt.reconstruction.head_model import HeadModel
from octoprint_facesculpt.reconstruction.volume import GRID, TRUNCATION, SurfaceSamples, surface_samples, to_grid


@dataclass(frozen=True)
class Sample:
    """A drawn picture, its truth, and the guess the product made from it (coefficients and camera on the crop)."""

    shard: Shard
    row: int
    landmarks: np.ndarray
    coefficients: np.ndarray
    camera: Camera
    mean_landmarks: np.ndarray

    @property
    def crop(self) -> HeadCrop:
        """The crop as it is found from the landmarks."""
        return head_crop(self.landmarks, self.mean_landmarks)

    @property
    def truth(self) -> np.ndarray:
        """(C,) true coefficients."""
        return self.shard.coefficients[self.row]

    def picture(self) -> np.ndarray:
        """The crop's picture, (PICTURE, PICTURE, 3) uint8."""
        return self.crop.resample(self.shard.picture(self.row))


def read_samples(pictures: Path, guesses: Path, kept: np.ndarray, model: HeadModel, most: int | None = None) -> list[Sample]:
    """The first ``most`` samples for which there are guesses."""
    samples: list[Sample] = []
    for path in sorted(guesses.glob("*.npz")):
        samples += samples_of(pictures / path.name, path, kept, model)
        if most is not None and len(samples) >= most:
            return samples[:most]
    return samples


def samples_of(pictures: Path, guesses: Path, kept: np.ndarray, model: HeadModel) -> list[Sample]:
    """The samples of one file of pictures and the file of their guesses."""
    mean_landmarks = model.landmarks(model.mean)
    shard, found = Shard.read(pictures, kept), np.load(guesses)
    columns = (found[key] for key in ("row", "landmarks", "coefficients", "rotation", "camera"))
    samples = []
    for row, landmarks, coefficients, rotation, (scale, k, x, y) in zip(*columns, strict=True):
        camera = Camera(rotation, float(scale), float(k), np.array([x, y]))
        samples.append(Sample(shard, int(row), landmarks, coefficients, camera, mean_landmarks))
    return samples


@dataclass(frozen=True)
class Example:
    """One training example of the hourglass.

    ``guides`` (CHANNELS, CROP, CROP); ``guess`` and ``truth`` (GRID, GRID, GRID) signed distances, the true head where the
    guess has its face; ``displacement`` (3, GRID, GRID) from the guess's visible points to the true ones in crop pixels;
    ``seen`` (GRID, GRID) 0 or 1; ``scale`` of the guess's camera.
    """

    guides: np.ndarray
    guess: np.ndarray
    truth: np.ndarray
    displacement: np.ndarray
    seen: np.ndarray
    scale: float

    def mirrored(self) -> Example:
        """The example of the mirror image: its landmarks' groups are alike on both sides, only what points sideways turns."""
        guides, displacement = self.guides[..., ::-1].copy(), self.displacement[..., ::-1].copy()
        guides[list(SIDEWAYS)] *= -1
        displacement[0] *= -1
        turned = {name: getattr(self, name)[..., ::-1].copy() for name in ("guess", "truth", "seen")}
        return replace(self, guides=guides, displacement=displacement, **turned)


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

    def guess(self, sample: Sample, wrong: float) -> tuple[np.ndarray, Camera]:
        """Coefficients and camera the network starts from: ``wrong`` 1 is the guess, 0 the truth.

        The network runs again on its own refined guess, so it must know guesses of every quality.
        """
        true_camera = sample.shard.true_camera(sample.row).through(sample.crop.matrix)
        if wrong == 1.0:
            return sample.coefficients, sample.camera
        coefficients = sample.truth + wrong * (sample.coefficients - sample.truth)
        k = true_camera.k + wrong * (sample.camera.k - true_camera.k)
        pixels = true_camera.project(self.landmarks(sample.truth))[:, :2]
        guessed = sample.camera.project(self.landmarks(sample.coefficients))[:, :2]
        start = Camera(sample.camera.rotation, sample.camera.scale, k, sample.camera.centre)
        return coefficients, fit_camera(self.landmarks(coefficients), pixels + wrong * (guessed - pixels), start)

    def volume(self, projected: np.ndarray, scale: float) -> np.ndarray:
        """Signed distance of the template projected to the crop ((V, 3): x, y, depth in mm)."""
        points = to_grid(projected, scale, GRID).astype(np.float32)
        # The picture's y axis points down, which turns every triangle over.
        normals = -voxels.vertex_normals(points, self.model.triangles)
        return voxels.signed_distance(self._samples.of(points), self._samples.of(normals), GRID, TRUNCATION)

    def _placed(self, truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
        """The true head (V, 3) moved by a similarity so that its face lies on the guess's: the shape is what is wrong then,
        and a head to be printed can be wrong about nothing else."""
        face = self.model.face
        moved = procrustes(truth[face].astype(np.float64), guess[face].astype(np.float64), reflection=False, return_cost=False)
        return truth @ moved[:3, :3].T + moved[:3, 3]

    def make(self, sample: Sample, coefficients: np.ndarray, camera: Camera) -> Example:
        """Example of ``sample`` with the guess ``coefficients`` (C,) seen by ``camera``."""
        model, crop = self.model, sample.crop
        true_camera = sample.shard.true_camera(sample.row).through(crop.matrix)
        guess, truth = self.vertices(coefficients), self.vertices(sample.truth)
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
        quarter = pixels[..., 6:].reshape(GRID, 2, GRID, 2, 3).sum((1, 3))
        count = covered.reshape(GRID, 2, GRID, 2).sum((1, 3))
        return Example(
            guides=guide_channels(surface, crop.landmarks[:, :2]),
            guess=self.volume(seen_guess, camera.scale),
            truth=self.volume(camera.project(self._placed(truth, guess)), camera.scale),
            displacement=(quarter / np.maximum(count, 1)[..., None]).transpose(2, 0, 1).astype(np.float32),
            seen=(count > 0).astype(np.float32),
            scale=camera.scale,
        )
