"""Reading shards, and the numbers derived from a sample that every stage of training shares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from octoprint_facesculpt.reconstruction.alignment import HeadCrop, head_crop
from octoprint_facesculpt.reconstruction.camera import Camera
from octoprint_facesculpt.reconstruction.head_model import HeadModel

#: Expressions that move only pupils and eyeballs are left out of the model that is shipped.
LEFT_OUT = ("Pupil", "eyeLook")


@dataclass(frozen=True)
class Samples:
    """Shards in memory, arrays over N samples."""

    coefficients: np.ndarray  #: (N, C) of the shipped model
    crop: np.ndarray  #: (N, PICTURE, PICTURE, 3) uint8
    landmarks: np.ndarray  #: (N, 478, 3) picture pixels
    activations: np.ndarray  #: (N, A) float16
    rotation: np.ndarray  #: (N, 3, 3) true camera on the crop
    camera: np.ndarray  #: (N, 4) scale, k, centre

    def __len__(self) -> int:
        return len(self.coefficients)

    def true_camera(self, i: int) -> Camera:
        """The camera that drew sample ``i``, crop pixels."""
        scale, k, x, y = (float(value) for value in self.camera[i])
        return Camera(self.rotation[i].astype(np.float64), scale, k, np.array([x, y]))

    def head_crop(self, i: int, mean_landmarks: np.ndarray) -> HeadCrop:
        """The crop of sample ``i`` as it is found from its landmarks."""
        return head_crop(self.landmarks[i], mean_landmarks)


def shipped_model(model: HeadModel, expression_names: tuple[str, ...]) -> tuple[HeadModel, np.ndarray]:
    """The head model without the gaze, and which of the generator's coefficients it keeps."""
    kept = np.array([not name.startswith(LEFT_OUT) for name in expression_names])
    smaller = HeadModel(
        model.mean, model.identity, model.expression[kept], model.triangles, model.landmark_vertices,
        model.landmark_weights, model.face,
    )  # fmt: skip
    return smaller, np.r_[np.ones(len(model.identity), bool), kept]


def read(folder: Path, kept: np.ndarray, limit: int | None = None, without: str = "") -> Samples:
    """All finished shards of ``folder`` in the order of their seeds; the (large) column ``without`` is left empty."""
    shards = [np.load(path) for path in sorted(folder.glob("*.npz"))[:limit]]
    columns = {key: _stack(shards, key) if key != without else np.empty(0) for key in shards[0].files}
    return Samples(coefficients=columns.pop("coefficients")[:, kept], **columns)


def _stack(shards: list, key: str) -> np.ndarray:
    """One column of all shards, without holding it twice."""
    first = shards[0][key]
    column = np.empty((len(shards) * len(first), *first.shape[1:]), first.dtype)
    for i, shard in enumerate(shards):
        column[i * len(first) : (i + 1) * len(first)] = shard[key]
    return column


def features(samples: Samples, mean_landmarks: np.ndarray) -> np.ndarray:
    """First-guess features of all samples, (N, F) float32."""
    rows = [
        samples.head_crop(i, mean_landmarks).features(samples.activations[i].astype(np.float32)) for i in range(len(samples))
    ]
    return np.stack(rows)


def targets(samples: Samples) -> np.ndarray:
    """What the first guess is to say, (N, C + 1): coefficients and 1000 k."""
    return np.c_[samples.coefficients, 1000 * samples.camera[:, 1]].astype(np.float32)
