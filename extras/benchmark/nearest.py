"""The nearest place of a triangle mesh, in numba: the benchmarks ask for millions of them."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def nearest_places(points, vertices, triangles, candidates):
    """The nearest places on some triangles.

    Parameters
    ----------
    points : (N, 3) float64
    vertices : (V, 3) float64, triangles : (T, 3) int
    candidates : (N, K) int
        The triangles that are tried for each point.

    Returns
    -------
    places : (N, 3), triangle : (N,)
    """
    places = np.empty_like(points)
    triangle = np.empty(len(points), np.int64)
    place = np.empty(3)
    for i in range(len(points)):
        least = np.inf
        for j in range(candidates.shape[1]):
            t = candidates[i, j]
            _on_triangle(points[i], vertices[triangles[t, 0]], vertices[triangles[t, 1]], vertices[triangles[t, 2]], place)
            distance = 0.0
            for k in range(3):
                distance += (place[k] - points[i, k]) ** 2
            if distance < least:
                least = distance
                triangle[i] = t
                places[i] = place
    return places, triangle


@njit(cache=True, nogil=True)
def _on_triangle(p, a, b, c, out):
    """Ericson, "Real-Time Collision Detection", 2005, section 5.1.5: by the Voronoi regions of the triangle."""
    ab, ac, ap = b - a, c - a, p - a
    d1, d2 = _dot(ab, ap), _dot(ac, ap)
    if d1 <= 0 and d2 <= 0:
        out[:] = a
        return
    bp = p - b
    d3, d4 = _dot(ab, bp), _dot(ac, bp)
    if d3 >= 0 and d4 <= d3:
        out[:] = b
        return
    vc = d1 * d4 - d3 * d2
    if vc <= 0 and d1 >= 0 and d3 <= 0 and d1 - d3 > 0:
        out[:] = a + ab * (d1 / (d1 - d3))
        return
    cp = p - c
    d5, d6 = _dot(ab, cp), _dot(ac, cp)
    if d6 >= 0 and d5 <= d6:
        out[:] = c
        return
    vb = d5 * d2 - d1 * d6
    if vb <= 0 and d2 >= 0 and d6 <= 0 and d2 - d6 > 0:
        out[:] = a + ac * (d2 / (d2 - d6))
        return
    va = d3 * d6 - d5 * d4
    along = (d4 - d3) + (d5 - d6)
    if va <= 0 and d4 - d3 >= 0 and d5 - d6 >= 0 and along > 0:
        out[:] = b + (c - b) * ((d4 - d3) / along)
        return
    total = va + vb + vc
    if total <= 0:
        out[:] = a
        return
    out[:] = a + ab * (vb / total) + ac * (vc / total)


@njit(cache=True, nogil=True)
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
