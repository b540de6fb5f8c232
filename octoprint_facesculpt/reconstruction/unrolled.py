"""A map of a head's front, unrolled from an upright axis through it: rows go down from the forehead, columns around from the
subject's right over the face to the left, :data:`STEP` mm to a place where the head is :data:`RADIUS` mm from the axis.

Unlike a map of the face from the front it shows jaw and throat as large as they are, and is fine enough for a lip. Head frame
(x to the subject's left, y up, z out of the face), millimetres.
"""

from __future__ import annotations

import numpy as np

from ..rasterise import rasterise

#: Rows and columns, mm from one to the next, and where rows begin, mm above the eyes.
SHAPE = (260, 350)
STEP, RADIUS, TOP = 1.0, 100.0, 80.0


class Unrolled:
    """The map around an upright ``axis`` (2,): its x and z."""

    def __init__(self, axis: np.ndarray) -> None:
        self.axis = np.asarray(axis, np.float64)

    @property
    def directions(self) -> np.ndarray:
        """The directions (C, 3) of the columns' level rays, of length 1."""
        turn = (np.arange(SHAPE[1]) + 0.5 - SHAPE[1] / 2) * STEP / RADIUS
        return np.stack([np.sin(turn), np.zeros(SHAPE[1]), np.cos(turn)], 1)

    @property
    def heights(self) -> np.ndarray:
        """The heights (R,) of the rows, y in mm."""
        return TOP - (np.arange(SHAPE[0]) + 0.5) * STEP

    def points(self, distance: np.ndarray, begin: tuple[int, int] = (0, 0)) -> np.ndarray:
        """The points (r, c, 3) at some ``distance`` (r, c) mm from the axis, of the part of the map that begins with a row and
        a column."""
        (row, column), (rows, columns), (x, z) = begin, distance.shape, self.axis
        level = distance[..., None] * self.directions[column : column + columns]
        return level + (x, 0, z) + self.heights[row : row + rows, None, None] * (0, 1, 0)

    def places(self, points: np.ndarray) -> np.ndarray:
        """Columns, rows and distances (N, 3) of points (N, 3); places count from their corner."""
        x, y, z = points.astype(np.float64).T
        x, z = x - self.axis[0], z - self.axis[1]
        return np.stack([np.arctan2(x, z) * RADIUS / STEP + SHAPE[1] / 2, (TOP - y) / STEP, np.hypot(x, z)], 1)

    def outermost(self, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
        """How far, mm, the outermost place of a mesh is from the axis, (R, C); 0 where there is none."""
        places = self.places(vertices)
        corners = places[triangles]
        # What crosses the back of the head is no part of its front.
        front = (np.ptp(corners[..., 0], axis=1) < SHAPE[1] / 2) & (corners[..., 1].max(1) > 0)
        depth = rasterise(places, triangles[front & (corners[..., 1].min(1) < SHAPE[0])], SHAPE[1], SHAPE[0]).depth
        return np.where(np.isfinite(depth), depth, 0.0)

    def mesh(self, outer: np.ndarray, inner: np.ndarray, begin: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """The closed mesh, vertices (V, 3) and triangles (T, 3), of what is between two distances (r, c) mm, ``inner`` > 0 and
        ``outer`` more, on a part of the map."""
        number = np.arange(outer.size, dtype=np.int32).reshape(outer.shape)
        a, b, c, d = (part.ravel() for part in (number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]))
        front = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])
        # Counter-clockwise, seen from outside.
        begins = np.concatenate([number[:-1, 0], number[-1, :-1], number[:0:-1, -1], number[0, :0:-1]])
        ends, back = np.roll(begins, -1), outer.size
        rim = [np.stack([ends, begins, begins + back], 1), np.stack([ends, begins + back, ends + back], 1)]
        points = np.concatenate([self.points(distance, begin).reshape(-1, 3) for distance in (outer, inner)])
        return points, np.concatenate([front, front[:, ::-1] + back, *rim])
