"""From pictures and guesses to what the close-up network learns: faces in their windows, and how far a guess's points are off.

Guesses are those that :mod:`guesses` made, or invented: the truth with errors as large as those that the descent leaves. Of the
invented ones there are as many as one likes, but what is wrong with them has nothing to do with the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from examples import Sample
from samples import ShapeStack, Shard, decoded
from scipy.spatial.transform import Rotation
from torch import Tensor
from trimesh.registration import procrustes

from octoprint_facesculpt.reconstruction.camera import Camera
from octoprint_facesculpt.reconstruction.closeup import closeup_points, window_of
from octoprint_facesculpt.reconstruction.descent import K_RANGE
from octoprint_facesculpt.reconstruction.fitting import Guess
from octoprint_facesculpt.reconstruction.weights import Weights

#: Standard deviations of invented guesses: turn (rad) about the camera's axes, then what is wrong with where the face was seen:
#: logarithm of the size, roll (rad), shift (2, mm); and by how much all that is multiplied, with the errors of the head.
TURN, SEEN, AMOUNT = np.radians([1.0, 1.0, 0.3]), np.array([0.008, 0.006, 0.5, 0.5]), (0.3, 1.2)
#: The same of the window: logarithm of the size, roll, shift (2, px).
WINDOW = np.array([0.03, 0.03, 3.0, 3.0])


@dataclass(frozen=True)
class Face:
    """A picture, ``coded`` as JPEG, its truth, and a guess in its pixels unless one is to be invented."""

    coded: np.ndarray
    truth: Guess
    guess: Guess | None = None


def drawn(folders: Sequence[Path], kept: np.ndarray) -> list[Face]:
    """All pictures of folders of shards, of which the coefficients ``kept`` are those of the shipped model."""
    shards = (Shard.read(path, kept) for folder in folders for path in sorted(folder.glob("*.npz")))
    return [Face(shard.coded(row), truth_of(shard, row)) for shard in shards for row in range(len(shard))]


def guessed(sample: Sample) -> Face:
    """A picture of which there is a guess."""
    camera = sample.camera.through(cv2.invertAffineTransform(sample.crop.matrix))
    return Face(sample.shard.coded(sample.row), truth_of(sample.shard, sample.row), Guess(sample.coefficients, camera))


def truth_of(shard: Shard, row: int) -> Guess:
    """Head and camera of a picture."""
    return Guess(shard.coefficients[row], shard.true_camera(row))


@dataclass(frozen=True)
class Examples:
    """B of them: ``pictures`` (B, 3, SIDE, SIDE), 0..1, ``pose`` (B, POSE), ``places`` (B, P, 2) of the guess's points and how
    far they are ``off`` (B, P, 2), px of the window; the guesses' and true heads (B, C + 1), and the guesses' ``yaw`` (B,)."""

    pictures: Tensor
    pose: Tensor
    places: Tensor
    off: Tensor
    guess: np.ndarray
    truth: np.ndarray
    yaw: np.ndarray


class CloseupMaker:
    """Makes examples of faces of the head model of ``weights``; safe to share between threads."""

    def __init__(self, weights: Weights) -> None:
        self.points = closeup_points(weights.head, weights.observer.vertices)
        self._stack = ShapeStack(self.points.mean, self.points.shapes)
        self._errors = np.linalg.cholesky(np.linalg.inv(weights.precision))
        self._landmarks = len(weights.head.landmark_vertices)

    def make(self, rng: np.random.Generator, faces: Sequence[Face], varied: bool = True) -> Examples:
        """Examples of ``faces``; ``varied`` as it is good to learn from."""
        jitter = rng.normal(size=(len(faces), 4)) * WINDOW * varied
        truths = [face.truth for face in faces]
        true = self._at(truths)
        guesses = self._guesses(rng, faces, true, varied)
        columns = []
        for face, guess, points, truth, moved in zip(faces, guesses, self._at(guesses), true, jitter, strict=True):
            window = window_of(guess.camera, guess.camera.project(points)[:, :2], moved)
            places = window.camera.project(points)[:, :2]
            off = face.truth.camera.through(window.matrix).project(truth)[:, :2] - places
            columns.append((window.of(decoded(face.coded)), window.pose, places, off))
        pictures, *numbers = (torch.from_numpy(np.stack(column)) for column in zip(*columns, strict=True))
        both = (np.stack([np.r_[one.coefficients, 1000 * one.camera.k] for one in some]) for some in (guesses, truths))
        yaw = np.array([guess.camera.yaw for guess in guesses])
        return Examples(pictures.permute(0, 3, 1, 2).float() / 255, *numbers, *both, yaw)

    def _at(self, guesses: Sequence[Guess]) -> np.ndarray:
        """The points (B, P, 3) on heads."""
        return self._stack.vertices(np.stack([guess.coefficients for guess in guesses]))

    def _guesses(self, rng: np.random.Generator, faces: Sequence[Face], true: np.ndarray, varied: bool) -> list[Guess]:
        amounts = rng.uniform(*AMOUNT, len(faces)) if varied else np.ones(len(faces))
        errors = amounts[:, None] * (rng.normal(size=(len(faces), len(self._errors))) @ self._errors.T)
        points = self._stack.vertices(np.stack([face.truth.coefficients for face in faces]) + errors[:, :-1])
        every = zip(faces, amounts, errors, points, true, strict=True)
        return [face.guess or self._invented(rng, face.truth, *one) for face, *one in every]

    def _invented(
        self, rng: np.random.Generator, truth: Guess, amount: float, error: np.ndarray, points: np.ndarray, true: np.ndarray
    ) -> Guess:
        """A guess wrong by ``error`` (C + 1,), with ``points`` (P, 3) where the ``true`` ones were seen, a little off."""
        camera = truth.camera
        k = float(np.clip(camera.k + error[-1] / 1000, *K_RANGE))
        turned = Rotation.from_rotvec(amount * TURN * rng.normal(size=3)).as_matrix() @ camera.rotation
        start = Camera(turned, camera.scale, k, camera.centre)
        here, there = (one.project(at)[: self._landmarks] * [1, 1, 0] for one, at in ((start, points), (camera, true)))
        size, roll, *shift = amount * SEEN * rng.normal(size=4)
        fitted = procrustes(here, there, reflection=False, return_cost=False)[:2, [0, 1, 3]]
        wrong = np.exp(size) * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        middle = there.mean(0)[:2]
        moved = np.c_[wrong @ fitted[:, :2], wrong @ (fitted[:, 2] - middle) + middle + camera.scale * np.array(shift)]
        return Guess(truth.coefficients + error[:-1], start.through(moved))
