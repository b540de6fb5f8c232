"""The product's signed-distance volume, again in numba: training makes two a sample and has no time for a k-d tree.

:func:`signed_distance` must agree with ``octoprint_facesculpt.reconstruction.volume.signed_distance`` (there is a test).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True, fastmath=True, nogil=True)
def vertex_normals(vertices, triangles):
    """Angle-weighted unit normals, (V, 3) float32."""
    out = np.zeros((len(vertices), 3), np.float32)
    for t in range(len(triangles)):
        normal = np.zeros(3, np.float32)
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        normal[0], normal[1], normal[2] = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        length = math.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2) + 1e-12
        for k in range(3):
            p, q, r = triangles[t, k], triangles[t, (k + 1) % 3], triangles[t, (k + 2) % 3]
            dot, one, two = 0.0, 0.0, 0.0
            for i in range(3):
                s, w = vertices[q, i] - vertices[p, i], vertices[r, i] - vertices[p, i]
                dot += s * w
                one += s * s
                two += w * w
            angle = math.acos(min(1.0, max(-1.0, dot / (math.sqrt(one * two) + 1e-12))))
            for i in range(3):
                out[p, i] += angle * normal[i] / length
    for v in range(len(out)):
        length = math.sqrt(out[v, 0] ** 2 + out[v, 1] ** 2 + out[v, 2] ** 2) + 1e-12
        for i in range(3):
            out[v, i] /= length
    return out


@njit(cache=True, fastmath=True, nogil=True)
def signed_distance(points, normals, grid, reach):
    """Signed distance of points (S, 3) with outward normals, voxel coordinates; (grid, grid, grid) float32."""
    box = math.ceil(reach) + 1
    near = np.full((grid, grid, grid), 1e9, np.float32)
    volume = np.full((grid, grid, grid), reach, np.float32)
    for s in range(len(points)):
        x, y, z = points[s, 0], points[s, 1], points[s, 2]
        for k in range(max(0, int(z) - box), min(grid, int(z) + box + 1)):
            dz = k + 0.5 - z
            for j in range(max(0, int(y) - box), min(grid, int(y) + box + 1)):
                dy = j + 0.5 - y
                for i in range(max(0, int(x) - box), min(grid, int(x) + box + 1)):
                    dx = i + 0.5 - x
                    square = dx * dx + dy * dy + dz * dz
                    if square < near[k, j, i]:
                        near[k, j, i] = square
                        value = dx * normals[s, 0] + dy * normals[s, 1] + dz * normals[s, 2]
                        volume[k, j, i] = min(reach, max(-reach, value))
    # Flood from the upper edges through what no sample reached; the rest that no sample reached is inside.
    state = np.zeros((grid, grid, grid), np.uint8)
    stack = np.empty((grid * grid * grid, 3), np.int16)
    count = 0
    for k in (0, grid - 1):
        for i in (0, grid - 1):
            if near[k, 0, i] > 1e8 and state[k, 0, i] == 0:
                state[k, 0, i] = 1
                stack[count, 0], stack[count, 1], stack[count, 2] = k, 0, i
                count += 1
    while count > 0:
        count -= 1
        k, j, i = stack[count, 0], stack[count, 1], stack[count, 2]
        for d in range(6):
            kk = k + (1 if d == 0 else -1 if d == 1 else 0)
            jj = j + (1 if d == 2 else -1 if d == 3 else 0)
            ii = i + (1 if d == 4 else -1 if d == 5 else 0)
            if not (0 <= kk < grid and 0 <= jj < grid and 0 <= ii < grid):
                continue
            if state[kk, jj, ii] == 0 and near[kk, jj, ii] > 1e8:
                state[kk, jj, ii] = 1
                stack[count, 0], stack[count, 1], stack[count, 2] = kk, jj, ii
                count += 1
    for k in range(grid):
        for j in range(grid):
            for i in range(grid):
                if near[k, j, i] > 1e8 and state[k, j, i] == 0:
                    volume[k, j, i] = -reach
    return volume
