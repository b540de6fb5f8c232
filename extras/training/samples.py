"""Shards of drawn pictures, and what every stage of training shares about them."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from octoprint_facesculpt.reconstruction.camera import Camera
from octoprint_facesculpt.reconstruction.head_model import HeadModel

#: Expressions that move only pupils and eyeballs are left out of the model that is shipped.
LEFT_OUT = ("Pupil", "eyeLook")


@dataclass(frozen=True)
class Shard:
    """N pictures of one file with their truth.

    ``jpeg`` (bytes) and ``ends`` (N,): the coded pictures one behind the other; ``coefficients`` (N, C) of the shipped
    model; ``rotation`` (N, 3, 3) and ``camera`` (N, 4: scale, k, centre) of the camera that drew them.
    """

    jpeg: np.ndarray
    ends: np.ndarray
    coefficients: np.ndarray
    rotation: np.ndarray
    camera: np.ndarray

    @classmethod
    def read(cls, path: Path, kept: np.ndarray) -> Shard:
        """Read a file that :mod:`generate` wrote; ``kept`` are the coefficients of the shipped model."""
        data = np.load(path)
        return cls(data["jpeg"], data["ends"], data["coefficients"][:, kept], data["rotation"], data["camera"])

    def __len__(self) -> int:
        return len(self.ends)

    def coded(self, i: int) -> np.ndarray:
        """The JPEG of picture ``i``."""
        return self.jpeg[self.ends[i - 1] if i else 0 : self.ends[i]]

    def picture(self, i: int) -> np.ndarray:
        """Picture ``i``, (H, W, 3) uint8 RGB."""
        return decoded(self.coded(i))

    def true_camera(self, i: int) -> Camera:
        """The camera that drew picture ``i``."""
        scale, k, x, y = (float(value) for value in self.camera[i])
        return Camera(self.rotation[i].astype(np.float64), scale, k, np.array([x, y]))


def decoded(coded: np.ndarray) -> np.ndarray:
    """A picture in JPEG as (H, W, 3) uint8 RGB."""
    return np.ascontiguousarray(cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1])


def save_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write ``arrays`` to ``path`` (npz) in one go; several processes may be at it."""
    part = path.with_suffix(f".part{os.getpid()}")
    with part.open("wb") as file:
        np.savez(file, **arrays)
    os.replace(part, path)


class ShapeStack:
    """All ``shapes`` (C, V, 3) around a ``mean`` (V, 3) as one matrix: many heads at the price of one."""

    def __init__(self, mean: np.ndarray, shapes: np.ndarray) -> None:
        self.mean = mean.astype(np.float32)
        self._flat = np.ascontiguousarray(shapes.reshape(len(shapes), -1), np.float32)

    @classmethod
    def of(cls, model: HeadModel) -> ShapeStack:
        """Of whole heads."""
        return cls(model.mean, np.concatenate([model.identity, model.expression]))

    def vertices(self, coefficients: np.ndarray) -> np.ndarray:
        """Heads (N, V, 3) of ``coefficients`` (N, C)."""
        return self.mean + (coefficients.astype(np.float32) @ self._flat).reshape(len(coefficients), -1, 3)


def shipped(materials: Path) -> tuple[HeadModel, np.ndarray]:
    """:func:`shipped_model` of the generator's ``materials``."""
    loaded = pickle.loads(materials.read_bytes())
    return shipped_model(loaded.model, loaded.head.expression_names)


def shipped_model(model: HeadModel, expression_names: tuple[str, ...]) -> tuple[HeadModel, np.ndarray]:
    """The head model without the gaze, and which of the generator's coefficients it keeps."""
    kept = np.array([not name.startswith(LEFT_OUT) for name in expression_names])
    smaller = HeadModel(
        model.mean, model.identity, model.expression[kept], model.triangles, model.landmark_vertices,
        model.landmark_weights, model.face,
    )  # fmt: skip
    return smaller, np.r_[np.ones(len(model.identity), bool), kept]
