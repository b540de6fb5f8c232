"""Signed-distance volumes aligned with the picture, as in VRN: x and y are the crop's pixels, z has the same pitch.

A volume is an array (D, H, W) = (z, y, x) of ``n`` voxels a side over the head crop. Values are signed distances to the
surface in network voxels (``CROP / GRID`` crop pixels), negative inside, truncated at ``TRUNCATION``. Depth is measured
in crop pixels through the first guess's scale, and perspective is undone first (points go through the camera), so the
volume is the picture's frustum, not the head's box (Jackson et al. 2017, section 3: "spatial alignment").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .alignment import CROP
from .camera import Camera

#: Voxels a side of the network's volume.
GRID = 64
#: Truncation of the signed distance in network voxels.
TRUNCATION = 2.0
#: Surface samples that share in a voxel's distance.
NEIGHBOURS = 6
#: Voxels whose distance is found at a time; bounds the memory.
CHUNK = 200_000
#: Mean surface per sample in mm^2 on large triangles.
SAMPLE_AREA = 6.0
#: Facets that meet at a larger angle (degrees) meet in an edge: the rims of the lids, the cut under the shoulders.
CREASE = 50.0
#: How far a point on a facet moves to the surface its corners' normals tell of: a ball stays a ball (the authors' 3/4 bulges).
CURVED = 0.6
#: Voxels by which a slit stays open.
SLIT_DEPTH = 2


@dataclass(frozen=True)
class SurfaceSamples:
    """Fixed points on a mesh, dense enough to splat it: barycentric, so that they follow every shape of the head."""

    vertices: np.ndarray  #: (S, 3) int32
    weights: np.ndarray  #: (S, 3) float32

    def of(self, attributes: np.ndarray) -> np.ndarray:
        """Values (S, C) of vertex ``attributes`` (V, C)."""
        return np.einsum("sk,skc->sc", self.weights, attributes[self.vertices])


def surface_samples(mean: np.ndarray, triangles: np.ndarray) -> SurfaceSamples:
    """All vertices of a mesh, and more points where its triangles are larger than ``SAMPLE_AREA``."""
    corners = mean[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    count = np.floor(area / SAMPLE_AREA).astype(int)
    owner = np.repeat(np.arange(len(triangles)), count)
    rng = np.random.default_rng(0)
    u, v = np.sqrt(rng.random(len(owner))), rng.random(len(owner))
    extra = np.stack([1 - u, u * (1 - v), u * v], 1)
    used = np.unique(triangles)
    own = np.repeat(used[:, None], 3, 1)
    weights = np.concatenate([np.tile([1.0, 0.0, 0.0], (len(used), 1)), extra])
    return SurfaceSamples(np.concatenate([own, triangles[owner]]).astype(np.int32), weights.astype(np.float32))


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3) weighted by the triangles' angles, with which the sign of a distance is right even at edges.

    Baerentzen and Aanaes, "Signed Distance Computation Using the Angle Weighted Pseudonormal", IEEE TVCG 2005.
    """
    normal, angles = _facets(vertices, triangles)
    total = np.zeros((len(vertices), 3))
    for corner in range(3):
        for axis in range(3):
            total[:, axis] += np.bincount(triangles[:, corner], angles[:, corner] * normal[:, axis], len(vertices))
    return total / (np.linalg.norm(total, axis=1, keepdims=True) + 1e-12)


def _facets(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit normals (T, 3) of the triangles and the angles (T, 3) at their corners in radians."""
    corners = vertices[triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
    one, two = np.roll(corners, -1, 1) - corners, np.roll(corners, -2, 1) - corners
    cosine = (one * two).sum(2) / (np.linalg.norm(one, axis=2) * np.linalg.norm(two, axis=2) + 1e-12)
    return normal, np.arccos(np.clip(cosine, -1, 1))


def corner_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals (T, 3, 3) at each triangle's corners: of the facets there that meet it smoothly, by their angles."""
    normal, angles = _facets(vertices, triangles)
    corner = np.argsort(triangles.ravel(), kind="stable")
    at = triangles.ravel()[corner]
    count = np.bincount(at, minlength=len(vertices))[at]
    first = np.searchsorted(at, at)
    own = np.repeat(np.arange(len(corner)), count)
    other = np.repeat(first, count) + np.arange(len(own)) - np.repeat(np.cumsum(count) - count, count)
    own, other = corner[own], corner[other]
    smooth = np.einsum("ij,ij->i", normal[own // 3], normal[other // 3]) > np.cos(np.radians(CREASE))
    weight = smooth * angles.ravel()[other]
    total = np.stack([np.bincount(own, weight * normal[other // 3, axis], triangles.size) for axis in range(3)], 1)
    return (total / (np.linalg.norm(total, axis=1, keepdims=True) + 1e-12)).reshape(-1, 3, 3)


def curved_samples(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points and outward normals (S, 3) on the smooth surface a mesh stands for, at least one for each unit of its area.

    Facets are curved by the normals of their corners (Boubekeur and Alexa, "Phong Tessellation", SIGGRAPH Asia 2008), but not
    across a crease, and no sample lies on one: each has a side.
    """
    normals = corner_normals(points, triangles)
    corners = points[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    rows = np.where(area > 1e-6, np.ceil(np.sqrt(area)), 0).astype(int)
    places, directions = [], []
    for count in np.unique(rows[rows > 0]):
        chosen, weights = rows == count, _middles(count)
        flat = np.einsum("sk,tkc->tsc", weights, corners[chosen])
        out = np.einsum("sk,tkc->tsc", weights, normals[chosen])
        away = ((flat[:, :, None] - corners[chosen][:, None]) * normals[chosen][:, None]).sum(3)
        curved = flat - CURVED * np.einsum("sk,tsk,tkc->tsc", weights, away, normals[chosen])
        places.append(curved.reshape(-1, 3))
        directions.append(out.reshape(-1, 3))
    out = np.concatenate(directions)
    return np.concatenate(places), out / (np.linalg.norm(out, axis=1, keepdims=True) + 1e-12)


def _middles(rows: int) -> np.ndarray:
    """Barycentric weights (rows^2, 3) of the middles of a triangle's parts when every side is cut into ``rows``."""
    i, j = np.divmod(np.arange(rows * rows), rows)
    upright = i + j < rows
    # What lies beyond the diagonal is folded back: the parts that point down.
    u = np.where(upright, i + 1 / 3, rows - i - 1 / 3)
    v = np.where(upright, j + 1 / 3, rows - j - 1 / 3)
    return np.stack([rows - u - v, u, v], 1) / rows


def to_grid(projected: np.ndarray, scale: float, grid: int = GRID) -> np.ndarray:
    """Projected points ((N, 3): crop pixels, depth in mm) to voxel coordinates (N, 3) (x, y, z; centres at halves).

    ``scale`` (crop pixels per mm) places the depth.
    """
    pitch = CROP / grid
    z = projected[:, 2] * scale / pitch + grid / 2
    return np.stack([projected[:, 0] / pitch, projected[:, 1] / pitch, z], 1)


def from_grid(voxels: np.ndarray, camera: Camera, grid: int) -> np.ndarray:
    """The inverse of :func:`to_grid` and the camera: voxel coordinates (N, 3) to millimetres in the model frame."""
    pitch = CROP / grid
    depth = (voxels[:, 2] - grid / 2) * pitch / camera.scale
    return camera.unproject(np.c_[voxels[:, :2] * pitch, depth])


def signed_distance(points: np.ndarray, normals: np.ndarray, grid: int, reach: float) -> np.ndarray:
    """Signed distance of a surface given by ``points`` and outward ``normals`` ((S, 3), voxel coordinates).

    The distance at a voxel is that to the tangent planes of its nearest points, averaged with Gaussian weights one voxel
    wide (Kolluri, "Provably Good Moving Least Squares", 2008), but not across creases. It holds within ``reach`` voxels of
    the surface; beyond, the volume is ``+-reach``. Returns (grid, grid, grid) float32 in voxels of this grid.
    """
    from scipy.ndimage import binary_dilation
    from scipy.spatial import cKDTree

    shape = (grid,) * 3
    cell = np.floor(points).astype(int)
    within = ((cell >= 0) & (cell < grid)).all(1)
    shell = np.zeros(shape, bool)
    shell[tuple(cell[within, ::-1].T)] = True
    band = binary_dilation(shell, iterations=int(np.ceil(reach)) + 1)
    places = (np.argwhere(band)[:, ::-1] + 0.5).astype(np.float32)
    tree, points, normals = cKDTree(points), points.astype(np.float32), normals.astype(np.float32)
    distance = np.empty(len(places), np.float32)
    for start in range(0, len(places), CHUNK):
        here = places[start : start + CHUNK]
        far, nearest = tree.query(here, k=NEIGHBOURS, workers=2)
        weights = np.exp(far[:, :1] ** 2 - far**2)
        distance[start : start + CHUNK] = _distance_to_planes(here, points[nearest], normals[nearest], weights)
    # The band is thick enough to have no leaks at the slits of eyes and lips: what it separates from the grid's upper
    # edges is inside, also where neck and shoulders run out of the grid.
    corners = np.zeros(shape, bool)
    corners[[0, 0, -1, -1], 0, [0, -1, 0, -1]] = True
    volume = np.where(_connected(~band, corners), reach, -reach).astype(np.float32)
    volume[band] = np.clip(distance, -reach, reach)
    pockets = (volume > 0) & ~_connected(volume > 0, _faces(shape))
    volume[pockets] *= -1
    return volume


def without_slits(volume: np.ndarray) -> np.ndarray:
    """A signed distance (D, H, W) in which slits of up to two voxels, and what lies behind them, are solid but for their ends.

    Lips that touch are such a slit, with the hollow of the mouth behind it. A grid cannot hold that: it came out as a row of
    holes. What is open wider, a nostril or a speaking mouth, stays.
    """
    from scipy.ndimage import binary_dilation, binary_erosion

    outside = volume > 0
    wide = _connected(binary_erosion(outside, border_value=1), _faces(volume.shape))
    return np.where(outside & ~binary_dilation(wide, iterations=SLIT_DEPTH), volume.min(), volume)


def _faces(shape: tuple[int, ...]) -> np.ndarray:
    """The voxels at the faces of a grid."""
    faces = np.ones(shape, bool)
    faces[1:-1, 1:-1, 1:-1] = False
    return faces


def _connected(space: np.ndarray, to: np.ndarray) -> np.ndarray:
    """The parts of ``space`` that reach a voxel of ``to``; all (D, H, W) bool."""
    from scipy.ndimage import label

    parts, count = label(space)
    reached = np.zeros(count + 1, bool)
    reached[parts[to & space]] = True
    return reached[parts]


def _distance_to_planes(places: np.ndarray, points: np.ndarray, normals: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Signed distance (N,) of ``places`` (N, 3) from the tangent planes at their nearest ``points`` (N, K, 3).

    Planes that meet that of the nearest point in a crease are a second side: inside is behind both where the crease is
    convex, behind either where it is concave.
    """
    planes = np.einsum("ikj,ikj->ik", places[:, None] - points, normals)
    own = np.einsum("ikj,ij->ik", normals, normals[:, 0]) > np.cos(np.radians(CREASE))
    own[:, 0] = True
    distance = (own * weights * planes).sum(1) / (own * weights).sum(1)
    creased = ~own.all(1)
    other = np.where(own, 0, weights)[creased]
    second = (other * planes[creased]).sum(1) / other.sum(1)
    height = np.einsum("ikj,ij->ik", points[creased] - points[creased, :1], normals[creased, 0])
    convex = (other * height).sum(1) < 0
    distance[creased] = np.where(convex, np.maximum(distance[creased], second), np.minimum(distance[creased], second))
    return distance
