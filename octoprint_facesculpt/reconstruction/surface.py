"""From volume to mesh: the zero iso-surface, back through the camera into millimetres."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .camera import Camera
from .errors import ReconstructionError
from .volume import from_grid


def iso_surface(volume: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """The head's surface: vertices (V, 3) float64 mm in the model frame, triangles (T, 3) int32, closed and outward.

    ``volume`` (n, n, n) holds signed distances in voxels, z first.
    """
    return zero_surface(volume, lambda voxels: from_grid(voxels, camera, len(volume)))


def zero_surface(volume: np.ndarray, place: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The zero surface of ``volume`` ((D, H, W), negative inside): vertices (V, 3) and triangles (T, 3), closed and outward.

    ``place`` brings voxel coordinates (N, 3) (x, y, z; centres at halves) to where the vertices are wanted. Marching cubes on
    the soft values (Lewiner et al. 2003), not on labels: VRN's terraces came from a volume of whole numbers. The largest
    piece is kept. Raises :class:`ReconstructionError` ``no_surface``.
    """
    import trimesh
    from skimage.measure import marching_cubes

    # A frame of outside closes the head where neck and shoulders leave the volume.
    padded = np.pad(volume, 1, constant_values=1.0)
    if not (padded < 0).any():
        raise ReconstructionError("no_surface", "The network found no head in this picture.", "Try another photo.")
    corners, faces, _, _ = marching_cubes(padded, 0.0)
    mesh = trimesh.Trimesh(place(corners[:, ::-1] - 1 + 0.5), faces, process=False)
    largest = _largest_piece(mesh.faces, len(mesh.vertices))
    mesh.update_faces(largest)
    mesh.remove_unreferenced_vertices()
    corner = mesh.triangles
    # Six times the volume; trimesh would work out all moments of inertia with it.
    if np.einsum("ij,ij->", corner[:, 0], np.cross(corner[:, 1], corner[:, 2])) < 0:
        mesh.invert()
    return np.asarray(mesh.vertices), np.asarray(mesh.faces, np.int32)


def _largest_piece(triangles: np.ndarray, vertices: int) -> np.ndarray:
    """(T,) bool: triangles of the connected piece with the most vertices."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]]])
    graph = coo_matrix((np.ones(len(edges), bool), edges.T), (vertices, vertices))
    _, piece = connected_components(graph, directed=False)
    return piece[triangles[:, 0]] == np.bincount(piece).argmax()
