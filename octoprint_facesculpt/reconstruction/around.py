"""A map of what surrounds a head: its rows from the crown down, its columns around it from the back over the subject's right,
the face and the left, and at each place how far something is from the head's middle.

Above the middle places lie on rays from it, below it on level rays from the axis through it, so that what hangs down to the
shoulders has its place, too. Head frame (x to the subject's left, y up, z out of the face), millimetres.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..rasterise import rasterise

#: Rows and columns, and at how many mm from the middle a row is as high as a column is wide.
SHAPE = (252, 448)
RADIUS = 100.0
STEP = 2 * np.pi * RADIUS / SHAPE[1]
#: Rows above the middle.
UPPER = SHAPE[1] // 4


class Around:
    """The map around a ``middle`` (3,)."""

    def __init__(self, middle: np.ndarray) -> None:
        self.middle = np.asarray(middle, np.float64)

    @property
    def turn(self) -> np.ndarray:
        """The directions (C,) in degrees of the columns: 0 is the face's, 90 the subject's left."""
        return (np.arange(SHAPE[1]) + 0.5) / SHAPE[1] * 360 - 180

    @property
    def down(self) -> np.ndarray:
        """The way (R,) in mm from the crown to the rows, :data:`RADIUS` mm from the middle."""
        return (np.arange(SHAPE[0]) + 0.5) * STEP

    @cached_property
    def directions(self) -> np.ndarray:
        """The directions (R, C, 3) of the places' rays, of length 1."""
        turn, from_above = np.radians(self.turn), np.minimum(self.down / RADIUS, np.pi / 2)[:, None]
        level = np.sin(from_above)
        up = np.broadcast_to(np.cos(from_above), SHAPE)
        return np.stack([level * np.sin(turn), up, level * np.cos(turn)], 2)

    @cached_property
    def origins(self) -> np.ndarray:
        """Where the rays of the rows begin, (R, 1, 3)."""
        below = np.maximum(self.down - RADIUS * np.pi / 2, 0)
        return self.middle - below[:, None, None] * (0, 1, 0)

    def points(self, distance: np.ndarray) -> np.ndarray:
        """The points (R, C, 3) at some ``distance`` (R, C) mm on the rays."""
        return self.origins + self.directions * distance[..., None]

    def outermost(self, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
        """How far, mm, the outermost place of a mesh is on each ray, (R, C); 0 where there is none."""
        column, row, distance = self._places(vertices)
        count, columns = len(vertices), SHAPE[1]
        # What crosses the back of the head is drawn in one piece, beyond the last column.
        points = np.stack([np.r_[column, column + columns], np.r_[row, row], np.r_[distance, distance]], 1)
        corners = column[triangles]
        across = np.ptp(corners, axis=1) > columns / 2
        unrolled = np.where(across[:, None] & (corners < columns / 2), triangles + count, triangles)
        depth = rasterise(points, unrolled, columns + columns // 2, SHAPE[0]).depth
        depth[:, : columns // 2] = np.maximum(depth[:, : columns // 2], depth[:, columns:])
        return _without_holes(depth[:, :columns])

    def _places(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Columns, rows and distances (N,) each of points (N, 3)."""
        x, y, z = (points - self.middle).astype(np.float64).T
        column = (np.arctan2(x, z) / (2 * np.pi) + 0.5) * SHAPE[1]
        level = np.hypot(x, z)
        down = np.where(y > 0, RADIUS * np.arctan2(level, np.maximum(y, 1e-9)), RADIUS * np.pi / 2 - y)
        return column, down / STEP, np.where(y > 0, np.hypot(level, y), level)

    def mesh(self, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The closed mesh, vertices (V, 3) and triangles (T, 3), of the places at some ``distance`` (R, C) > 0 mm."""
        rows, columns = SHAPE
        number = np.arange(rows * columns, dtype=np.int32).reshape(SHAPE)
        beside = np.roll(number, -1, 1)
        a, b, c, d = number[:-1], beside[:-1], number[1:], beside[1:]
        crown, end = rows * columns, rows * columns + 1
        triangles = np.concatenate([
            np.stack([a, c, b], 2).reshape(-1, 3),
            np.stack([b, c, d], 2).reshape(-1, 3),
            np.stack([number[0], beside[0], np.full(columns, crown)], 1),
            np.stack([beside[-1], number[-1], np.full(columns, end)], 1),
        ])  # fmt: skip
        points = self.points(distance)
        return np.concatenate([points.reshape(-1, 3), points[:1].mean(1), self.origins[-1]]), triangles.astype(np.int32)


def smoothed(values: np.ndarray, rows: float, columns: float | None = None) -> np.ndarray:
    """A map (R, C) blurred by so many places, around the head as down it."""
    from scipy.ndimage import gaussian_filter

    columns = rows if columns is None else columns
    return gaussian_filter(values, (rows, columns), mode=("nearest", "wrap"))


def _without_holes(depth: np.ndarray) -> np.ndarray:
    """A map (R, C) whose places without a value, -inf, have that of their neighbours in the row; those of the crown the mean of
    the first row that has all, and rows that have few 0."""
    there = np.isfinite(depth)
    place = np.arange(SHAPE[1])
    for row in np.flatnonzero(~there.all(1) & (there.mean(1) > 0.3)):
        depth[row] = np.interp(place, place[there[row]], depth[row, there[row]], period=SHAPE[1])
    first = int(np.isfinite(depth).all(1).argmax())
    depth[:first] = depth[first].mean()
    return np.where(np.isfinite(depth), depth, 0.0)
