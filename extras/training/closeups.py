"""From pictures and guesses to what the close-up network learns: faces in their windows, and how far a guess's points are off.

Guesses are those that :mod:`guesses` made, or the truth with the error of another picture's guess. Of the latter there are as
many as one likes, but what is wrong with them has nothing to do with the picture.
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
from torch import Tensor

from octoprint_facesculpt.reconstruction.camera import Camera
from octoprint_facesculpt.reconstruction.closeup import closeup_points, window_of
from octoprint_facesculpt.reconstruction.descent import K_RANGE
from octoprint_facesculpt.reconstruction.fitting import Guess
from octoprint_facesculpt.reconstruction.weights import Weights

#: Errors are borrowed from faces turned so far aside (degrees) from one, or from so many if there are fewer.
TURNED, FEWEST = 6.0, 40
#: Guesses whose size is wrong by more than this (logarithm) are of something else than the face.
LOST = 0.2
#: Standard deviations of the window: logarithm of the size, roll (rad), shift (2, px).
WINDOW = np.array([0.03, 0.03, 3.0, 3.0])


@dataclass(frozen=True)
class Face:
    """A picture, ``coded`` as JPEG, its truth, and a guess in its pixels unless the error of one is to be borrowed."""

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
class Wrong:
    """What is wrong with a guess: ``head`` (C,) coefficients and k that it has too much; the ``turn`` (3, 3) about the camera's
    axes, the logarithm of the ``size``, and the ``shift`` ((2,) mm) that lead from the true camera to its own."""

    head: np.ndarray
    k: float
    turn: np.ndarray
    size: float
    shift: np.ndarray

    @classmethod
    def of(cls, guess: Guess, truth: Guess) -> Wrong:
        """That of a ``guess``."""
        said, true = guess.camera, truth.camera
        turn, shift = said.rotation @ true.rotation.T, (said.centre - true.centre) / true.scale
        return cls(
            guess.coefficients - truth.coefficients, said.k - true.k, turn, float(np.log(said.scale / true.scale)), shift
        )

    def on(self, truth: Guess) -> Guess:
        """The guess of another face that is as wrong."""
        true = truth.camera
        k = float(np.clip(true.k + self.k, *K_RANGE))
        placed = true.centre + true.scale * self.shift
        camera = Camera(self.turn @ true.rotation, true.scale * float(np.exp(self.size)), k, placed)
        return Guess(truth.coefficients + self.head, camera)


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
    """Makes examples of faces of the head model of ``weights``; safe to share between threads.

    Faces of which there is no guess borrow the error of one of those that were ``guessed``, turned about as far.
    """

    def __init__(self, weights: Weights, guessed: Sequence[Face] = ()) -> None:
        self.points = closeup_points(weights.head, weights.observer.vertices)
        self._stack = ShapeStack(self.points.mean, self.points.shapes)
        wrongs = [(face.truth.camera.yaw, Wrong.of(face.guess, face.truth)) for face in guessed if face.guess]
        known = sorted(((yaw, wrong) for yaw, wrong in wrongs if abs(wrong.size) < LOST), key=lambda one: one[0])
        self._yaws, self._errors = np.array([yaw for yaw, _ in known]), [wrong for _, wrong in known]

    def make(self, rng: np.random.Generator, faces: Sequence[Face], varied: bool = True) -> Examples:
        """Examples of ``faces``; ``varied`` as it is good to learn from."""
        jitter = rng.normal(size=(len(faces), 4)) * WINDOW * varied
        truths = [face.truth for face in faces]
        guesses = [face.guess or self._borrowed(rng, face.truth) for face in faces]
        columns = []
        for face, guess, points, truth, moved in zip(faces, guesses, self._at(guesses), self._at(truths), jitter, strict=True):
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

    def _borrowed(self, rng: np.random.Generator, truth: Guess) -> Guess:
        """A guess with the error of another face."""
        if not self._errors:
            raise ValueError("a face without a guess, and none to borrow an error from")
        yaw = truth.camera.yaw
        low, high = np.searchsorted(self._yaws, [yaw - TURNED, yaw + TURNED])
        if high - low < FEWEST:
            low = int(np.clip((low + high - FEWEST) // 2, 0, max(0, len(self._yaws) - FEWEST)))
            high = min(low + FEWEST, len(self._yaws))
        return self._errors[rng.integers(low, high)].on(truth)
