"""Where MediaPipe's 478 points lie on a mesh, found by running it on renders of that mesh.

The landmarks have no definition but the network itself: so pictures of known heads are given to it, and each point is
followed back along its ray to the surface. The median over many pictures is put on the mean head.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import render
import trimesh

from octoprint_facesculpt.portrait.landmarker import Landmarker, Roi


def face_roi(projected: np.ndarray) -> Roi:
    """The landmark network's region for a face whose points (N, 2) in pixels are known roughly."""
    low, high = projected.min(0), projected.max(0)
    centre = (low + high) / 2
    return Roi(float(centre[0]), float(centre[1]), float((high - low).max() * 1.5), 0.0)


def surface_points(
    pictures: Iterable[tuple[np.ndarray, np.ndarray]], mean: np.ndarray, triangles: np.ndarray, landmarker: Landmarker
) -> np.ndarray:
    """The landmarks on the mean mesh, (478, 3).

    ``pictures`` yields an image (H, W, 3) uint8 and the mesh's vertices in it ((V, 3): x, y in pixels, depth);
    ``mean`` (V, 3) and ``triangles`` are the mesh itself. A point seen in under a tenth of the pictures raises ValueError.
    """
    hits = []
    near = np.zeros(len(mean), bool)
    near[triangles] = True
    near &= np.abs(mean[:, 1] - 20) < 110
    near &= mean[:, 2] > mean[near, 2].max() - 70
    for image, projected in pictures:
        index, weights, _ = render.rasterise(projected, triangles, image.shape[1], image.shape[0])
        place = render.interpolate(index, weights, triangles, mean.astype(np.float32))
        roi = face_roi(projected[near, :2])
        result = landmarker.run(image, roi)
        if result.presence < 0.5:
            continue
        result = landmarker.run(image, Roi.from_landmarks(result.landmarks))
        x, y = np.round(result.landmarks[:, :2] - 0.5).astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < image.shape[1]) & (y < image.shape[0])
        found = np.full((478, 3), np.nan)
        seen = inside.copy()
        seen[inside] = index[y[inside], x[inside]] >= 0
        found[seen] = place[y[seen], x[seen]]
        hits.append(found)
    share = np.isfinite(hits).all(2).mean(0)
    if share.min() < 0.1:
        raise ValueError(f"landmark {share.argmin()} was seen in only {share.min():.0%} of the pictures")
    return np.nanmedian(hits, axis=0)


def on_surface(points: np.ndarray, mean: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearest places of ``points`` (N, 3) on the mesh: vertex triples (N, 3) and barycentric weights (N, 3)."""
    surface = trimesh.Trimesh(mean, triangles, process=False)
    nearest, _, triangle = trimesh.proximity.closest_point(surface, points)
    weights = trimesh.triangles.points_to_barycentric(mean[triangles[triangle]], nearest)
    return triangles[triangle].astype(np.int32), np.clip(weights, 0, 1).astype(np.float32)
