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
#: Mean surface per sample in mm^2 on large triangles.
SAMPLE_AREA = 6.0


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
    corners = vertices[triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
    total = np.zeros((len(vertices), 3))
    for corner in range(3):
        one = corners[:, (corner + 1) % 3] - corners[:, corner]
        two = corners[:, (corner + 2) % 3] - corners[:, corner]
        cosine = np.einsum("ij,ij->i", one, two) / (np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1) + 1e-12)
        angle = np.arccos(np.clip(cosine, -1, 1))
        for axis in range(3):
            total[:, axis] += np.bincount(triangles[:, corner], angle * normal[:, axis], len(vertices))
    return total / (np.linalg.norm(total, axis=1, keepdims=True) + 1e-12)


def to_grid(projected: np.ndarray, scale: float, grid: int = GRID, depth_offset: float = 0.0) -> np.ndarray:
    """Projected points ((N, 3): crop pixels, depth in mm) to voxel coordinates (N, 3) (x, y, z; centres at halves).

    ``scale`` (crop pixels per mm) and ``depth_offset`` (mm) place the depth.
    """
    pitch = CROP / grid
    z = (projected[:, 2] + depth_offset) * scale / pitch + grid / 2
    return np.stack([projected[:, 0] / pitch, projected[:, 1] / pitch, z], 1)


def from_grid(voxels: np.ndarray, camera: Camera, grid: int) -> np.ndarray:
    """The inverse of :func:`to_grid` and the camera: voxel coordinates (N, 3) to millimetres in the model frame."""
    pitch = CROP / grid
    depth = (voxels[:, 2] - grid / 2) * pitch / camera.scale
    return camera.unproject(np.c_[voxels[:, :2] * pitch, depth])


def signed_distance(points: np.ndarray, normals: np.ndarray, grid: int, reach: float) -> np.ndarray:
    """Signed distance of a surface given by ``points`` and outward ``normals`` ((S, 3), voxel coordinates).

    The distance at a voxel is that to the tangent planes of its nearest points, averaged with Gaussian weights one voxel
    wide (Kolluri, "Provably Good Moving Least Squares", 2008: the folds of lids and ears, thinner than a voxel, stay
    smooth). It holds within ``reach`` voxels of the surface; beyond, the volume is ``+-reach``. Returns (grid, grid, grid)
    float32 in voxels of this grid.
    """
    from scipy.ndimage import binary_dilation, binary_fill_holes, label
    from scipy.spatial import cKDTree

    shape = (grid,) * 3
    cell = np.floor(points).astype(int)
    within = ((cell >= 0) & (cell < grid)).all(1)
    shell = np.zeros(shape, bool)
    shell[tuple(cell[within, ::-1].T)] = True
    band = binary_dilation(shell, iterations=int(np.ceil(reach)) + 1)
    places = np.argwhere(band)[:, ::-1] + 0.5
    far, nearest = cKDTree(points).query(places, k=NEIGHBOURS, workers=2)
    planes = np.einsum("ikj,ikj->ik", places[:, None] - points[nearest], normals[nearest])
    weights = np.exp(far[:, :1] ** 2 - far**2)
    distance = (weights * planes).sum(1) / weights.sum(1)
    # The band is thick enough to have no leaks at the slits of eyes and lips: what it separates from the grid's upper
    # edges is inside, also where neck and shoulders run out of the grid.
    regions, _ = label(~band)
    outside = np.isin(regions, np.setdiff1d(regions[[0, 0, -1, -1], 0, [0, -1, 0, -1]], 0))
    volume = np.where(outside, reach, -reach).astype(np.float32)
    volume[band] = np.clip(distance, -reach, reach)
    enclosed = binary_fill_holes(volume < 0) & (volume > 0)
    volume[enclosed] *= -1
    return volume
