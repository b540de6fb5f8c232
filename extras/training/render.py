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


#: Brightness of what reflects so many parts of ``TONES`` of the light.
TONES = 8192
TONE = (np.arange(TONES + 1) / TONES).astype(np.float32) ** np.float32(0.77)
#: A gloss of this share of its lamp is not seen.
FAINT = 1e-3

#: Columns of ``lamps``: direction (3, towards the lamp), power, tint (3), gloss, gloss exponent.
LAMP = 9


@njit(cache=True, fastmath=True, nogil=True)
def shade(index, weights, triangles, colour, normals, places, sky, lamps, light, light_depth, picture):
    """Light the rasterised head and write it over ``picture`` ((height, width, 3) float32, 0..1), in place.

    Parameters
    ----------
    index, weights
        From :func:`rasterise`.
    colour, normals, places : (V, 3) float32
        Albedo 0..1, and normals and points in camera axes.
    sky : (7,) float32
        Ambient light: tint (3), how much it depends on the direction, that direction (3).
    lamps : (L, LAMP) float32
        The first throws shadows where ``light_depth`` is not empty.
    light : (4, 3) float32
        Axes of the shadow map (right, up, towards the lamp); last row: pixels a side, mm a pixel, bias in mm.
    light_depth : (S, S) float32
        Depth of the head towards the first lamp.
    """
    height, width = index.shape
    size = len(light_depth)
    a, n, p = np.zeros(3, np.float32), np.zeros(3, np.float32), np.zeros(3, np.float32)
    shine = np.zeros(3, np.float32)
    least = FAINT ** (1.0 / lamps[:, 8])
    for y in range(height):
        for x in range(width):
            t = index[y, x]
            if t < 0:
                continue
            for c in range(3):
                a[c] = n[c] = p[c] = 0.0
            for k in range(3):
                w, v = weights[y, x, k], triangles[t, k]
                for c in range(3):
                    a[c] += w * colour[v, c]
                    n[c] += w * normals[v, c]
                    p[c] += w * places[v, c]
            length = math.sqrt(n[0] ** 2 + n[1] ** 2 + n[2] ** 2) + 1e-6
            for c in range(3):
                n[c] /= length
            open_sky = 1.0 + sky[3] * (n[0] * sky[4] + n[1] * sky[5] + n[2] * sky[6])
            for c in range(3):
                shine[c] = sky[c] * open_sky
            gloss = 0.0
            for lamp in range(len(lamps)):
                dx, dy, dz = lamps[lamp, 0], lamps[lamp, 1], lamps[lamp, 2]
                lit = n[0] * dx + n[1] * dy + n[2] * dz
                if lit <= 0.0:
                    continue
                if lamp == 0 and size > 0:
                    lit *= _share_of_light(p, light, light_depth)
                for c in range(3):
                    shine[c] += lamps[lamp, 3] * lit * lamps[lamp, 4 + c]
                if lit > 0.0:
                    half = math.sqrt(dx**2 + dy**2 + (dz + 1.0) ** 2) + 1e-6
                    facing = (n[0] * dx + n[1] * dy + n[2] * (dz + 1.0)) / half
                    if facing > least[lamp]:
                        gloss += lamps[lamp, 3] * lamps[lamp, 7] * facing ** lamps[lamp, 8]
            for c in range(3):
                picture[y, x, c] = TONE[int(TONES * min(1.0, max(0.0, (a[c] + 0.5 * gloss) * shine[c])) + 0.5)]


@njit(cache=True, fastmath=True, nogil=True)
def _share_of_light(place, light, light_depth):
    """Share of the first lamp (0..1) that reaches ``place`` (3,): nine neighbours of the shadow map, for a soft edge."""
    size = len(light_depth)
    u = size / 2 + (place[0] * light[0, 0] + place[1] * light[0, 1] + place[2] * light[0, 2]) / light[3, 1]
    v = size / 2 - (place[0] * light[1, 0] + place[1] * light[1, 1] + place[2] * light[1, 2]) / light[3, 1]
    depth = place[0] * light[2, 0] + place[1] * light[2, 1] + place[2] * light[2, 2] + light[3, 2]
    lit = 0
    for i in range(int(v) - 1, int(v) + 2):
        for j in range(int(u) - 1, int(u) + 2):
            if i < 0 or j < 0 or i >= size or j >= size or light_depth[i, j] < depth:
                lit += 1
    return lit / 9.0


@njit(cache=True, fastmath=True, nogil=True)
def depth_map(points, triangles, size, pitch):
    """Depth (size, size) float32 of ``points`` ((V, 3) mm: right, up, towards the lamp) at ``pitch`` mm a pixel, else -1e9."""
    depth = np.full((size, size), -1e9, np.float32)
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, az = size / 2 + points[a, 0] / pitch, size / 2 - points[a, 1] / pitch, points[a, 2]
        bx, by, bz = size / 2 + points[b, 0] / pitch, size / 2 - points[b, 1] / pitch, points[b, 2]
        cx, cy, cz = size / 2 + points[c, 0] / pitch, size / 2 - points[c, 1] / pitch, points[c, 2]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area >= -1e-9:
            continue
        left, right = max(0, math.ceil(min(ax, bx, cx) - 0.5)), min(size - 1, math.floor(max(ax, bx, cx) - 0.5))
        top, bottom = max(0, math.ceil(min(ay, by, cy) - 0.5)), min(size - 1, math.floor(max(ay, by, cy) - 0.5))
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                px, py = x + 0.5, y + 0.5
                w0 = ((bx - px) * (cy - py) - (by - py) * (cx - px)) / area
                w1 = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) / area
                w2 = 1.0 - w0 - w1
                if w0 >= 0.0 and w1 >= 0.0 and w2 >= 0.0:
                    z = w0 * az + w1 * bz + w2 * cz
                    if z > depth[y, x]:
                        depth[y, x] = z
    return depth


def waves(points: np.ndarray, directions: np.ndarray, phases: np.ndarray) -> np.ndarray:
    """Sum of sines (V,) float32 over ``points`` (V, 3): one for each row of ``directions`` (W, 3) and ``phases`` (W,)."""
    sines = directions @ points.T
    sines += phases[:, None]
    return np.sin(sines, out=sines).sum(0)
