"""The fast volume of training must be the product's: else the network would see other guesses in use than it learned on."""

from __future__ import annotations

import numpy as np
import pytest

from octoprint_facesculpt.reconstruction import volume as product
from octoprint_facesculpt.reconstruction.weights import load


@pytest.fixture(scope="module")
def voxels():
    import voxels

    return voxels


@pytest.fixture(scope="module")
def head() -> tuple[np.ndarray, np.ndarray, product.SurfaceSamples]:
    """The mean head in voxel coordinates of the network's grid, its triangles, and samples of it."""
    model = load().head
    points = (model.mean / 6.0 * [1, -1, 1] + product.GRID / 2).astype(np.float32)
    return points, model.triangles[:, ::-1].copy(), product.surface_samples(model.mean, model.triangles)


def test_normals_agree(voxels, head) -> None:
    points, triangles, _ = head
    used = np.unique(triangles)
    agreement = (voxels.vertex_normals(points, triangles) * product.vertex_normals(points, triangles)).sum(1)[used]
    assert np.quantile(agreement, 0.001) > 0.999


def test_volumes_agree(voxels, head) -> None:
    points, triangles, samples = head
    normals = product.vertex_normals(points, triangles)
    at, out = samples.of(points), samples.of(normals)
    ours = product.signed_distance(at, out, product.GRID, product.TRUNCATION)
    fast = voxels.signed_distance(at.astype(np.float32), out.astype(np.float32), product.GRID, product.TRUNCATION)
    difference = np.abs(ours - fast)
    assert difference.mean() < 0.02 and np.quantile(difference[np.abs(ours) < 1], 0.95) < 0.25
    assert (np.sign(ours) == np.sign(fast)).mean() > 0.998
