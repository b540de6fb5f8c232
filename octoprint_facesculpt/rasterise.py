"""A z-buffer in plain numpy: which triangle is seen at each pixel, and where in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Pixels tested at once; bounds the memory of a picture of large triangles (about 60 bytes each).
CHUNK = 2_000_000


@dataclass(frozen=True)
class Raster:
    """What is seen: ``triangle`` (H, W) int32, -1 for nothing; ``weights`` (H, W, 3) float32 barycentric in it; ``depth``
    (H, W) float32, -inf for nothing."""

    triangle: np.ndarray
    weights: np.ndarray
    depth: np.ndarray

    def interpolate(self, triangles: np.ndarray, attributes: np.ndarray) -> np.ndarray:
        """Per-pixel values (H, W, C) of vertex ``attributes`` (V, C); zero where nothing is seen."""
        corners = attributes[triangles[np.maximum(self.triangle, 0)]]
        values = np.einsum("hwk,hwkc->hwc", self.weights, corners)
        return np.where(self.triangle[..., None] >= 0, values, 0).astype(np.float32)


def rasterise(points: np.ndarray, triangles: np.ndarray, width: int, height: int) -> Raster:
    """Draw a mesh seen along the z axis.

    Parameters
    ----------
    points : (V, 3)
        x right and y down in pixels (centres at halves), depth growing towards the viewer.
    triangles : (T, 3)
        Counter-clockwise from outside; those that face away are not drawn.
    """
    corners = points[triangles].astype(np.float32)
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    low = np.ceil(corners[:, :, :2].min(1) - 0.5).clip(0).astype(np.int64)
    high = np.floor(corners[:, :, :2].max(1) - 0.5).clip(None, [width - 1, height - 1]).astype(np.int64)
    size = np.maximum(high - low + 1, 0)
    # The picture's y axis points down, so a triangle that faces the viewer is clockwise in it.
    drawn = np.flatnonzero((area < -1e-9) & (size.min(1) > 0))
    raster = Raster(
        np.full((height, width), -1, np.int32),
        np.zeros((height, width, 3), np.float32),
        np.full((height, width), -np.inf, np.float32),
    )
    boxes = size[drawn].prod(1)
    for part in np.split(drawn, np.searchsorted(boxes.cumsum(), np.arange(CHUNK, boxes.sum(), CHUNK))):
        _draw(raster, part, corners, area, low, size, width)
    return raster


def _draw(raster: Raster, part, corners, area, low, size, width: int) -> None:
    count = size[part].prod(1)
    owner = np.repeat(part, count)
    step = np.arange(len(owner)) - np.repeat(count.cumsum() - count, count)
    x = low[owner, 0] + step % size[owner, 0]
    y = low[owner, 1] + step // size[owner, 0]
    px, py = x + np.float32(0.5), y + np.float32(0.5)
    a, b, c = corners[owner, 0], corners[owner, 1], corners[owner, 2]
    w0 = ((b[:, 0] - px) * (c[:, 1] - py) - (b[:, 1] - py) * (c[:, 0] - px)) / area[owner]
    w1 = ((c[:, 0] - px) * (a[:, 1] - py) - (c[:, 1] - py) * (a[:, 0] - px)) / area[owner]
    w2 = 1 - w0 - w1
    inside = (w0 >= 0) & (w1 >= 0) & (w2 >= 0)
    depth = w0 * a[:, 2] + w1 * b[:, 2] + w2 * c[:, 2]
    pixel = y * width + x
    nearer = inside & (depth > raster.depth.ravel()[pixel])
    # Written from far to near, so that the nearest triangle stays.
    order = np.flatnonzero(nearer)
    order = order[np.argsort(depth[order], kind="stable")]
    at = pixel[order]
    raster.depth.ravel()[at] = depth[order]
    raster.triangle.ravel()[at] = owner[order]
    raster.weights.reshape(-1, 3)[at] = np.stack([w0, w1, w2], 1)[order]
