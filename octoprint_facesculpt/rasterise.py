"""A z-buffer in plain numpy: which triangle is seen at each pixel, and where in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Pixels tested at once; bounds the memory of a picture (about 150 bytes each).
CHUNK = 400_000


@dataclass(frozen=True)
class Raster:
    """What is seen: ``triangle`` (H, W) int32, -1 for nothing; ``weights`` (H, W, 3) float32 barycentric in it; ``depth``
    (H, W) float32, -inf for nothing."""

    triangle: np.ndarray
    weights: np.ndarray
    depth: np.ndarray

    def interpolate(self, triangles: np.ndarray, attributes: np.ndarray) -> np.ndarray:
        """Per-pixel values (H, W, C) of vertex ``attributes`` (V, C); zero where nothing is seen."""
        seen = np.flatnonzero(self.triangle.ravel() >= 0)
        values = np.zeros((self.triangle.size, attributes.shape[1]), np.float32)
        values[seen] = self.values_at(seen, triangles, attributes)
        return values.reshape(*self.triangle.shape, -1)

    def values_at(self, pixels: np.ndarray, triangles: np.ndarray, attributes: np.ndarray) -> np.ndarray:
        """The same (P, C) of some ``pixels`` (P,) that show something, counted row by row."""
        corners = attributes[triangles[self.triangle.ravel()[pixels]]]
        return np.einsum("nk,nkc->nc", self.weights.reshape(-1, 3)[pixels], corners)


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
    # Three at a time, as to look for the least along so short an axis is slow.
    least, most = np.minimum(np.minimum(a, b), c)[:, :2], np.maximum(np.maximum(a, b), c)[:, :2]
    low = np.ceil(least - 0.5).clip(0).astype(np.int64)
    high = np.floor(most - 0.5).clip(None, [width - 1, height - 1]).astype(np.int64)
    size = np.maximum(high - low + 1, 0)
    # The picture's y axis points down, so a triangle that faces the viewer is clockwise in it.
    drawn = np.flatnonzero((area < -1e-9) & (size[:, 0] > 0) & (size[:, 1] > 0))
    raster = Raster(
        np.full((height, width), -1, np.int32),
        np.zeros((height, width, 3), np.float32),
        np.full((height, width), -np.inf, np.float32),
    )
    boxes = size[drawn, 0] * size[drawn, 1]
    for part in np.split(drawn, np.searchsorted(boxes.cumsum(), np.arange(CHUNK, boxes.sum(), CHUNK))):
        _draw(raster, part, corners, area, low, size, width)
    return raster


def _draw(raster: Raster, part, corners, area, low, size, width: int) -> None:
    # Columns of their own are gathered faster than rows of a table.
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = np.ascontiguousarray(corners[part].transpose(1, 2, 0))
    wide, high = size[part].T
    count = wide * high
    owner = np.repeat(np.arange(len(part)), count)
    step = np.arange(len(owner)) - (count.cumsum() - count).take(owner)
    down, right = np.divmod(step, wide.take(owner))
    x, y = low[part, 0].take(owner) + right, low[part, 1].take(owner) + down
    px, py = x + np.float32(0.5), y + np.float32(0.5)
    ax, ay, bx, by, cx, cy = (
        column.take(owner) - at for column, at in ((ax, px), (ay, py), (bx, px), (by, py), (cx, px), (cy, py))
    )
    of = area[part].take(owner)
    w0, w1 = (bx * cy - by * cx) / of, (cx * ay - cy * ax) / of
    w2 = 1 - w0 - w1
    inside = np.flatnonzero((w0 >= 0) & (w1 >= 0) & (w2 >= 0))
    owner, w0, w1, w2 = owner.take(inside), w0.take(inside), w1.take(inside), w2.take(inside)
    depth = w0 * az.take(owner) + w1 * bz.take(owner) + w2 * cz.take(owner)
    pixel = y.take(inside) * width + x.take(inside)
    # Written from far to near, so that the nearest triangle stays.
    order = np.flatnonzero(depth > raster.depth.ravel()[pixel])
    order = order[np.argsort(depth[order], kind="stable")]
    at = pixel[order]
    raster.depth.ravel()[at] = depth[order]
    raster.triangle.ravel()[at] = part[owner[order]]
    raster.weights.reshape(-1, 3)[at] = np.stack([w0, w1, w2], 1)[order]
