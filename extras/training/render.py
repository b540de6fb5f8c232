"""A small renderer for training pictures: perspective z-buffer, soft light with shadows, in numba.

All functions work on points already in pixels (x right, y down) with ``depth`` growing towards the camera.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True, fastmath=True, nogil=True)
def rasterise(points, triangles, width, height):
    """Z-buffer of ``points`` ((V, 3): x, y, depth) and ``triangles`` ((T, 3)).

    Returns
    -------
    triangle : (height, width) int32
        Index of the nearest triangle at each pixel centre, -1 where there is none.
    weights : (height, width, 3) float32
        Barycentric weights in that triangle.
    depth : (height, width) float32
        Depth towards the camera, -1e9 where there is no triangle.
    """
    index = np.full((height, width), -1, np.int32)
    weights = np.zeros((height, width, 3), np.float32)
    depth = np.full((height, width), -1e9, np.float32)
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, az = points[a, 0], points[a, 1], points[a, 2]
        bx, by, bz = points[b, 0], points[b, 1], points[b, 2]
        cx, cy, cz = points[c, 0], points[c, 1], points[c, 2]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area >= -1e-9:  # y points down: triangles that face the camera are clockwise
            continue
        left = max(0, math.ceil(min(ax, bx, cx) - 0.5))
        right = min(width - 1, math.floor(max(ax, bx, cx) - 0.5))
        top = max(0, math.ceil(min(ay, by, cy) - 0.5))
        bottom = min(height - 1, math.floor(max(ay, by, cy) - 0.5))
        for y in range(top, bottom + 1):
            py = y + 0.5
            for x in range(left, right + 1):
                px = x + 0.5
                w0 = ((bx - px) * (cy - py) - (by - py) * (cx - px)) / area
                w1 = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) / area
                w2 = 1.0 - w0 - w1
                if w0 < 0.0 or w1 < 0.0 or w2 < 0.0:
                    continue
                z = w0 * az + w1 * bz + w2 * cz
                if z > depth[y, x]:
                    depth[y, x] = z
                    index[y, x] = t
                    weights[y, x, 0] = w0
                    weights[y, x, 1] = w1
                    weights[y, x, 2] = w2
    return index, weights, depth


@njit(cache=True, fastmath=True, nogil=True)
def interpolate(index, weights, triangles, attributes):
    """Per-pixel values of vertex ``attributes`` ((V, C) float32): (height, width, C), zero where there is nothing."""
    height, width = index.shape
    channels = attributes.shape[1]
    out = np.zeros((height, width, channels), np.float32)
    for y in range(height):
        for x in range(width):
            t = index[y, x]
            if t >= 0:
                for k in range(3):
                    w = weights[y, x, k]
                    v = triangles[t, k]
                    for c in range(channels):
                        out[y, x, c] += w * attributes[v, c]
    return out


@njit(cache=True, fastmath=True, nogil=True)
def vertex_normals(vertices, triangles):
    """Area-weighted unit normals, (V, 3) float32."""
    out = np.zeros((len(vertices), 3), np.float32)
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for v in (a, b, c):
            out[v, 0] += nx
            out[v, 1] += ny
            out[v, 2] += nz
    for v in range(len(out)):
        length = math.sqrt(out[v, 0] ** 2 + out[v, 1] ** 2 + out[v, 2] ** 2) + 1e-12
        for k in range(3):
            out[v, k] /= length
    return out


@njit(cache=True, fastmath=True, nogil=True)
def shadow(covered, light_points, light_depth, bias):
    """Share of light (0..1) at each pixel, from a shadow map.

    ``light_points`` (height, width, 3) are the pixels' places in the shadow map (x, y, depth), ``light_depth`` the map;
    four neighbours are averaged for a soft edge.
    """
    height, width = covered.shape
    size_y, size_x = light_depth.shape
    out = np.ones((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            if not covered[y, x]:
                continue
            u, v = light_points[y, x, 0], light_points[y, x, 1]
            lit = 0.0
            for dy in (-1.0, 0.0, 1.0):
                for dx in (-1.0, 0.0, 1.0):
                    i, j = int(v + dy), int(u + dx)
                    if i < 0 or j < 0 or i >= size_y or j >= size_x or light_depth[i, j] < light_points[y, x, 2] + bias:
                        lit += 1.0
            out[y, x] = lit / 9.0
    return out
