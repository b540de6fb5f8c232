"""Signed-distance volumes and their iso-surface, against bodies whose distance is known."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from octoprint_facesculpt.reconstruction.alignment import CROP
from octoprint_facesculpt.reconstruction.camera import Camera
from octoprint_facesculpt.reconstruction.errors import ReconstructionError
from octoprint_facesculpt.reconstruction.predictor import corrected, drawn
from octoprint_facesculpt.reconstruction.surface import iso_surface, zero_surface
from octoprint_facesculpt.reconstruction.volume import (
    curved_samples,
    from_grid,
    signed_distance,
    surface_samples,
    to_grid,
    vertex_normals,
    without_slits,
)
from octoprint_facesculpt.reconstruction.weights import load


def ball(radius: float, centre: tuple[float, float, float]) -> trimesh.Trimesh:
    mesh = trimesh.creation.icosphere(4, radius)
    mesh.apply_translation(centre)
    return mesh


def volume_of(mesh: trimesh.Trimesh, grid: int, reach: float) -> np.ndarray:
    samples = surface_samples(mesh.vertices, np.asarray(mesh.faces))
    normals = vertex_normals(mesh.vertices, np.asarray(mesh.faces))
    return signed_distance(samples.of(mesh.vertices), samples.of(normals), grid, reach)


def centres(grid: int) -> np.ndarray:
    axis = np.arange(grid) + 0.5
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    return np.stack([x, y, z], -1)


def test_distance_to_a_ball_is_exact_near_its_surface() -> None:
    volume = volume_of(ball(12, (20, 18, 22)), 40, 2.0)
    truth = np.clip(np.linalg.norm(centres(40) - (20, 18, 22), axis=-1) - 12, -2, 2)
    assert np.abs(volume - truth).max() < 0.12


def test_samples_of_a_coarse_ball_lie_on_the_ball() -> None:
    mesh = trimesh.creation.icosphere(2, 12)
    points, normals = curved_samples(mesh.vertices, np.asarray(mesh.faces))
    flat = mesh.triangles_center
    assert len(points) >= 0.98 * mesh.area
    assert np.abs(np.linalg.norm(points, axis=1) - 12).max() < 0.3 * np.abs(np.linalg.norm(flat, axis=1) - 12).max()
    np.testing.assert_allclose(normals, points / np.linalg.norm(points, axis=1, keepdims=True), atol=0.03)


def test_triangles_without_area_are_no_samples() -> None:
    points, normals = curved_samples(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 0, 0]]), np.array([[0, 1, 2], [0, 1, 3]]))
    assert len(points) == 1 and normals[0] == pytest.approx([0, 0, 1])


@pytest.mark.parametrize("turn", [0, 20, 37])
def test_edges_keep_their_sides(turn: int) -> None:
    """A box: outside its edges is outside, however sharp; without the second plane an edge grows thorns."""
    mesh = trimesh.creation.box((20, 16, 1.6))
    spin = trimesh.transformations.rotation_matrix(np.radians(turn), [1, 2, 3])
    turned = mesh.copy().apply_transform(spin).apply_translation((20, 20, 20))
    volume = signed_distance(*curved_samples(turned.vertices, np.asarray(turned.faces)), 40, 2.0)
    local = np.abs((centres(40) - 20) @ spin[:3, :3]) - mesh.extents / 2
    truth = np.linalg.norm(local.clip(0), axis=-1) + local.max(-1).clip(max=0)
    wrong = (np.sign(volume) != np.sign(truth)) & (np.abs(truth) > 0.25)
    assert wrong.sum() <= 8  # at a corner of so thin a plate a third side is seen as the second
    assert np.abs(volume - truth)[np.abs(truth) < 1].mean() < 0.03


def test_a_body_that_leaves_the_grid_below_is_filled() -> None:
    mesh = trimesh.creation.cylinder(8, 60)
    mesh.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0]))
    mesh.apply_translation((20, 40, 20))
    volume = volume_of(mesh.subdivide_to_size(2.0), 40, 2.0)
    assert volume[20, 30, 20] < 0 and volume[20, 39, 20] < 0
    assert volume[20, 2, 20] > 0 and volume[2, 39, 2] > 0


def test_grid_and_millimetres_are_inverse() -> None:
    camera = Camera(np.eye(3), 0.35, 1 / 900, np.array([64.0, 60.0]))
    points = np.random.default_rng(0).normal(scale=50, size=(20, 3))
    voxels = to_grid(camera.project(points).astype(float), camera.scale, 96)
    np.testing.assert_allclose(from_grid(voxels, camera, 96), points, atol=1e-2)


def test_iso_surface_is_closed_outward_and_true_to_size() -> None:
    grid, radius_mm = 64, 80.0
    camera = Camera(np.eye(3), 0.35, 0.0, np.array([CROP / 2, CROP / 2]))
    radius = radius_mm * camera.scale * grid / CROP
    volume = (np.linalg.norm(centres(grid) - grid / 2, axis=-1) - radius).astype(np.float32)
    vertices, triangles = iso_surface(volume, camera)
    mesh = trimesh.Trimesh(vertices, triangles, process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0
    assert np.linalg.norm(vertices, axis=1) == pytest.approx(np.full(len(vertices), radius_mm), abs=0.4)


def test_loose_pieces_are_dropped() -> None:
    grid = 48
    here = np.linalg.norm(centres(grid) - (24, 24, 24), axis=-1) - 12
    speck = np.linalg.norm(centres(grid) - (5, 5, 5), axis=-1) - 2
    camera = Camera(np.eye(3), 0.35, 0.0, np.array([CROP / 2, CROP / 2]))
    vertices, triangles = iso_surface(np.minimum(here, speck).astype(np.float32), camera)
    assert len(trimesh.Trimesh(vertices, triangles, process=False).split()) == 1


def test_an_empty_volume_is_an_error() -> None:
    camera = Camera(np.eye(3), 0.35, 0.0, np.zeros(2))
    with pytest.raises(ReconstructionError, match="no_surface"):
        iso_surface(np.ones((16, 16, 16), np.float32), camera)


def test_a_correction_moves_the_surface_by_its_distance() -> None:
    mesh = ball(14, (32, 32, 32))
    coarse = volume_of(mesh, 64, 2.0)
    correction = np.full_like(coarse, 0.8)
    correction[:, :, 32:] = -0.5
    moved = corrected(np.asarray(mesh.vertices), coarse, correction, np.ones(len(mesh.vertices)))
    radius = np.linalg.norm(moved - 32, axis=1)
    left, right = mesh.vertices[:, 0] < 30, mesh.vertices[:, 0] > 34
    assert radius[left] == pytest.approx(np.full(left.sum(), 13.2), abs=0.15)
    assert radius[right] == pytest.approx(np.full(right.sum(), 14.5), abs=0.15)


def test_a_correction_does_not_tear_a_sheet_thinner_than_a_voxel() -> None:
    mesh = trimesh.creation.box((30, 30, 0.4)).subdivide_to_size(1.0)
    mesh.apply_translation((32, 32, 32))
    coarse = volume_of(mesh, 64, 2.0)
    moved = corrected(np.asarray(mesh.vertices), coarse, np.full_like(coarse, 1.0), np.ones(len(mesh.vertices)))
    inner = (np.abs(mesh.vertices[:, :2] - 32) < 10).all(1)
    front, back = inner & (mesh.vertices[:, 2] > 32), inner & (mesh.vertices[:, 2] < 32)
    assert moved[front, 2].mean() > moved[back, 2].mean()


@pytest.mark.parametrize("seed", range(5))
def test_lids_lips_and_skull_of_a_head_are_drawn_whole(seed: int) -> None:
    """Whoever it is and however they look: lids that lie in the eye would leave holes, each of which is a handle."""
    model, rng = load().head, np.random.default_rng(seed)
    identity, expression = rng.normal(size=len(model.identity)), np.zeros(len(model.expression))
    expression[rng.choice(len(expression), 5, replace=False)] = 0.5
    points = model.vertices(np.r_[identity, expression]) * [1, -1, 1]
    points = (points - points[model.face].mean(0)) / 4.4 + [32, 24, 40]
    vertices, triangles = zero_surface(drawn(model, points), lambda voxels: voxels)
    mesh = trimesh.Trimesh(vertices, triangles, process=False)
    assert mesh.is_watertight and (2 - mesh.euler_number) / 2 <= 6


@pytest.mark.parametrize(("gap", "open_behind"), [(1, False), (2, False), (3, True), (6, True)])
def test_a_slit_is_closed_with_the_hollow_behind_it_and_a_wider_opening_is_not(gap: int, open_behind: bool) -> None:
    volume = np.full((40, 40, 40), 1.0, np.float32)
    volume[8:32, 8:32, 8:32] = -1
    # From the front an opening leads into a hollow, as between lips.
    volume[20 : 20 + gap, 10:30, 18:32] = 1
    volume[14:26, 12:28, 12:20] = 1
    closed = without_slits(volume)
    assert (closed[22, 20, 15] > 0) == open_behind
    assert (closed[20, 20, 24] > 0) == open_behind
    assert closed[20, 20, 31] > 0, "its end stays"
    assert (closed[volume < 0] < 0).all()
    if open_behind:
        # All of it stays but what is narrower at its corners.
        assert (closed != volume).sum() < 0.1 * (volume[8:32, 8:32, 8:32] > 0).sum()
