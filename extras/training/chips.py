"""Drawn faces as the recognition network sees them, aligned a little differently each time.

MediaPipe's landmarks are off a little, differently in every picture of a person. A network that always saw a picture aligned in
the same way learned it by heart: on pictures it had learned from it was off by 1.34 mm, by 1.40 on the same ones aligned anew,
and by 1.48 on others.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from samples import Shard, decoded
from torch import Tensor

from octoprint_facesculpt.reconstruction.descent import YAWS
from octoprint_facesculpt.reconstruction.head_model import HeadModel, Mirror
from octoprint_facesculpt.reconstruction.recognition import ALIGNED, aligned

#: Those of the landmarks ``ALIGNED`` that are the eyes' outer corners.
LEFT, RIGHT = ALIGNED.index(33), ALIGNED.index(263)
#: Standard deviation of MediaPipe's landmarks from the true ones, share of the distance between the eyes' outer corners.
DETECTION = 0.02
#: Colours of a picture are made stronger or weaker by up to so much, all of them and each.
LIGHTER, TINTED = 0.15, 0.05


@dataclass(frozen=True)
class Chips:
    """N pictures, ``coded`` as JPEG, of people of ``identity`` (N, I), turned by ``yaw`` (N,) degrees.

    ``places`` (N, 5, 2) px are those of the landmarks ``ALIGNED``.
    """

    coded: list[np.ndarray]
    places: np.ndarray
    identity: np.ndarray
    yaw: np.ndarray

    @classmethod
    def read(cls, folders: list[Path], model: HeadModel, kept: np.ndarray) -> Chips:
        """All pictures of folders of shards, of which the coefficients ``kept`` are those of ``model``."""
        coded, places, identity, yaw = [], [], [], []
        mean, shapes = (points[..., list(ALIGNED), :] for points in model.landmark_model())
        for path in (path for folder in folders for path in sorted(folder.glob("*.npz"))):
            shard = Shard.read(path, kept)
            points = mean + np.tensordot(shard.coefficients, shapes, 1)
            for row in range(len(shard)):
                camera = shard.true_camera(row)
                coded.append(shard.coded(row))
                places.append(camera.project(points[row])[:, :2])
                yaw.append(camera.yaw)
            identity.append(shard.coefficients[:, : len(model.identity)])
        return cls(coded, np.stack(places), np.concatenate(identity).astype(np.float32), np.array(yaw))

    def __len__(self) -> int:
        return len(self.coded)

    def aligned(self, rng: np.random.Generator, rows: np.ndarray) -> Tensor:
        """Some of them, aligned by landmarks that are a little off: (B, 3, CHIP, CHIP), 0..1."""
        chips = []
        for row in rows:
            picture = decoded(self.coded[row])
            places = self.places[row]
            off = DETECTION * np.linalg.norm(places[LEFT] - places[RIGHT]) * rng.normal(size=places.shape)
            chips.append(aligned(picture, places + off))
        return torch.from_numpy(np.stack(chips)).permute(0, 3, 1, 2).float().div(255)

    def varied(self, rng: np.random.Generator, rows: np.ndarray, mirror: Mirror) -> tuple[Tensor, Tensor, Tensor]:
        """Some of them to learn from, half of them mirrored and all in other colours, with identity (B, I) and range of yaw
        (B,)."""
        chips = self.aligned(rng, rows)
        strength = rng.uniform(1 - LIGHTER, 1 + LIGHTER, (len(rows), 1)) * rng.uniform(1 - TINTED, 1 + TINTED, (len(rows), 3))
        chips = (chips * torch.from_numpy(strength).float()[..., None, None]).clamp(0, 1)
        turned = rng.random(len(rows)) < 0.5
        chips[turned] = chips[turned].flip(3)
        identity = np.where(turned[:, None], mirror.of(self.identity[rows]), self.identity[rows])
        return chips, torch.from_numpy(identity.astype(np.float32)), range_of(np.where(turned, -1, 1) * self.yaw[rows])


def range_of(yaw: np.ndarray) -> Tensor:
    """The range of yaw (B,) of faces turned by ``yaw`` (B,) degrees."""
    return torch.from_numpy(np.searchsorted(YAWS, yaw))
