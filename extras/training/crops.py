"""From shards to what the correspondence network learns: pictures of faces, and where the points of the head are in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import render
import torch
from maps import MAP
from samples import ShapeStack, Shard
from torch.utils.data import IterableDataset, get_worker_info

from octoprint_facesculpt.portrait.landmarker import Roi
from octoprint_facesculpt.reconstruction.correspondence import REGION
from octoprint_facesculpt.reconstruction.head_model import HeadModel
from octoprint_facesculpt.reconstruction.look import picture_of

#: How far MediaPipe's region of the face is from the one around the true landmarks: shift (of its side), log size, roll.
JITTER = np.array([0.03, 0.03, 0.05, 0.05])


def jittered(region: Roi, rng: np.random.Generator) -> Roi:
    """``region`` as far off as a detector's."""
    shift_x, shift_y, size, roll = rng.normal(size=4) * JITTER
    return Roi(
        region.cx + shift_x * region.size,
        region.cy + shift_y * region.size,
        region.size * float(np.exp(size)),
        region.roll_rad + roll,
    )


def into_region(region: Roi) -> np.ndarray:
    """(2, 3) similarity from picture pixels to region pixels."""
    return cv2.invertAffineTransform(region.matrix())


class Crops(IterableDataset):
    """Endless batches for the correspondence network, each worker from its own shards in an order of its own.

    A batch is: pictures (B, 3, REGION, REGION) uint8, points (B, P, 2) 0..1, coefficients and 1000 k (B, C), and the maps
    (B, 7, MAP, MAP): coordinates in 100 mm, normals, seen; (0, 7, MAP, MAP) where they are not wanted.
    """

    def __init__(
        self,
        folder: Path,
        model: HeadModel,
        kept: np.ndarray,
        points: np.ndarray,
        batch: int,
        seed: int,
        shards: int | None = None,
        maps: bool = True,
    ) -> None:
        self.folder, self.shards, self.maps = folder, shards, maps
        self.model, self.kept, self.points, self.batch, self.seed = model, kept, points, batch, seed

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        rng = np.random.default_rng([self.seed, number])
        stack = ShapeStack.of(self.model)
        while True:
            # Read anew each time round: the generator may still be at work.
            for path in rng.permutation(sorted(self.folder.glob("*.npz"))[: self.shards][number::workers]):
                shard = Shard.read(path, self.kept)
                for rows in np.array_split(rng.permutation(len(shard)), len(shard) // self.batch):
                    yield self.make(shard, rows[: self.batch], stack, rng)

    def make(self, shard: Shard, rows: np.ndarray, stack: ShapeStack, rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
        """The batch of pictures ``rows`` of ``shard``."""
        triangles, mean = self.model.triangles, self.model.mean.astype(np.float32)
        pictures = np.empty((len(rows), REGION, REGION, 3), np.uint8)
        points = np.empty((len(rows), len(self.points), 2), np.float32)
        maps = np.empty((len(rows) if self.maps else 0, MAP, MAP, 7), np.float32)
        heads = stack.vertices(shard.coefficients[rows])
        for n, (row, head) in enumerate(zip(rows, heads, strict=True)):
            camera = shard.true_camera(row)
            region = jittered(Roi.from_landmarks(camera.project(self.model.landmarks(head))), rng)
            pictures[n] = picture_of(shard.picture(row), region)
            seen_by = camera.through(into_region(region))
            points[n] = seen_by.project(head[self.points])[:, :2] / REGION
            if not self.maps:
                continue
            projected = seen_by.project(head)
            projected[:, :2] *= MAP / REGION
            index, weights, _ = render.rasterise(projected, triangles, MAP, MAP)
            normals = render.vertex_normals(head, triangles) @ seen_by.rotation.T.astype(np.float32)
            attributes = np.concatenate([0.01 * mean, normals], 1)
            maps[n, ..., :6] = render.interpolate(index, weights, triangles, attributes)
            maps[n, ..., 6] = index >= 0
        targets = np.c_[shard.coefficients[rows], 1000 * shard.camera[rows, 1]].astype(np.float32)
        return (
            torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(),
            torch.from_numpy(points),
            torch.from_numpy(targets),
            torch.from_numpy(maps).permute(0, 3, 1, 2).contiguous(),
        )
