"""A head's relief, carved into its surface, which is made fine enough for it, and its teeth, which are set into its mouth."""

from __future__ import annotations

import numpy as np

from ..reconstruction.head import MAP_STEP, MAP_TOP_LEFT, Head

#: Edges of the carved surface that are longer than this, mm of the life-size head, are halved.
EDGE_MM = 1.2
#: What moves by less, mm, is left as it is.
LEAST_MM = 0.05
#: How thick teeth are, mm: enough to reach into what is behind the mouth.
TEETH_MM = 14.0


def carved(head: Head, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) float64 and triangles (T, 3) of a head with a ``share`` of its relief."""
    vertices, triangles = head.vertices.astype(np.float64), head.triangles
    if head.relief is None or share == 0:
        return vertices, triangles
    moved = np.abs(head.relief.heights(vertices)) > LEAST_MM
    vertices, triangles = halved(vertices, triangles, moved[triangles].any(1))
    return head.relief.moved(vertices, share), triangles


def halved(vertices: np.ndarray, triangles: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A mesh with all edges of the triangles of the mask ``chosen`` (T,) halved that are longer than :data:`EDGE_MM`; the
    triangles beside them are cut as well, so that what was closed stays closed."""
    low, high = np.sort(triangles[:, [(0, 1), (1, 2), (2, 0)]].astype(np.int64), axis=2).reshape(-1, 2).T
    different, number = np.unique(low * len(vertices) + high, return_inverse=True)
    number = number.reshape(-1, 3)
    long = np.zeros(len(different), bool)
    long[number[chosen]] = True
    begin, end = (vertices[ends] for ends in np.divmod(different, len(vertices)))
    long &= np.linalg.norm(end - begin, axis=1) > EDGE_MM
    middle = np.where(long, len(vertices) + long.cumsum() - 1, -1)[number]
    points = np.concatenate([vertices, (begin[long] + end[long]) / 2])
    count = (middle >= 0).sum(1)
    parts = [triangles[count == 0]]
    for first in range(3):
        order = np.roll(np.arange(3), -first)
        (a, b, c), (ab, bc, ca) = triangles[:, order].T, middle[:, order].T
        parts += _cut((count == 1) & (ab >= 0), (a, ab, c), (ab, b, c))
        parts += _cut((count == 2) & (ca < 0), (ab, b, bc), (a, ab, bc), (a, bc, c))
    (a, b, c), (ab, bc, ca) = triangles.T, middle.T
    parts += _cut(count == 3, (a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))
    return points, np.concatenate(parts).astype(triangles.dtype)


def _cut(which: np.ndarray, *parts: tuple[np.ndarray, np.ndarray, np.ndarray]) -> list[np.ndarray]:
    return [np.stack(part, 1)[which] for part in parts]


def teeth(head: Head) -> tuple[np.ndarray, np.ndarray]:
    """A closed mesh of a head's teeth, vertices (V, 3) float64 and triangles (T, 3); both are empty where it shows none."""
    none = np.zeros((0, 3)), np.zeros((0, 3), np.int32)
    if head.relief is None:
        return none
    there = np.isfinite(head.relief.teeth)
    number = np.where(there, there.cumsum().reshape(there.shape) - 1, -1)
    a, b, c, d = (part.ravel() for part in (number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]))
    whole = np.minimum(np.minimum(a, b), np.minimum(c, d)) >= 0
    fronts = np.concatenate([np.stack([a, c, b], 1)[whole], np.stack([b, c, d], 1)[whole]])
    if not len(fronts):
        return none
    rows, columns = there.nonzero()
    points = np.c_[MAP_TOP_LEFT[0] + columns * MAP_STEP, MAP_TOP_LEFT[1] - rows * MAP_STEP, head.relief.teeth[there]]
    used, fronts = np.unique(fronts, return_inverse=True)
    fronts, points, count = fronts.reshape(-1, 3), points[used].astype(np.float64), len(used)
    edges = fronts[:, [(0, 1), (1, 2), (2, 0)]].reshape(-1, 2)
    # An edge of the rim has no twin in the other direction.
    rim = edges[~np.isin(edges @ (1, count), edges @ (count, 1))]
    begin, end = rim.T
    walls = [np.stack([end, begin, begin + count], 1), np.stack([end, begin + count, end + count], 1)]
    triangles = np.concatenate([fronts, fronts[:, ::-1] + count, *walls]).astype(np.int32)
    return np.concatenate([points, points - (0, 0, TEETH_MM)]), triangles
