"""The measures of the accuracy benchmark measure what they say."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from octoprint_facesculpt.reconstruction.camera import Camera
from octoprint_facesculpt.reconstruction.weights import load

BENCHMARK = Path(__file__).resolve().parents[2] / "extras" / "benchmark"


def module(name: str) -> ModuleType:
    sys.path.insert(0, str(BENCHMARK))
    try:
        return __import__(name)
    finally:
        sys.path.remove(str(BENCHMARK))


protocol = module("protocol")
SEVEN = list(protocol.SEVEN)


@pytest.fixture(scope="module")
def model():
    return load().head


@pytest.fixture(scope="module")
def scan(model):
    vertices = model.mean.astype(float)
    surface = protocol.Surface(vertices, model.triangles, model.landmarks(vertices)[SEVEN])
    return protocol.Scan(surface, np.ones(len(vertices), bool))


def elsewhere(surface):
    """The surface in another frame and unit."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", [20, -40, 10], degrees=True).as_matrix() * 0.01
    matrix[:3, 3] = [1, 2, 3]
    return surface.moved(matrix)


def test_nearest_places_are_those_of_a_well_kept_library(scan) -> None:
    points = scan.points[:300] + np.random.default_rng(0).normal(scale=4, size=(300, 3))
    places, _ = scan.surface.closest(points)
    mesh = trimesh.Trimesh(scan.surface.vertices, scan.surface.triangles, process=False)
    _, distance, _ = trimesh.proximity.closest_point(mesh, points)
    np.testing.assert_allclose(np.linalg.norm(places - points, axis=1), distance, atol=0.01)


def test_a_surface_is_no_distance_from_itself_wherever_it_lies(scan) -> None:
    result = protocol.judge(elsewhere(scan.surface), scan)
    assert result.inner[1] < 0.02 and result.full[1] < 0.02 and result.normals < 8
    assert result.profile[0] < 0.1


def test_errors_come_out_in_the_scans_millimetres(model, scan) -> None:
    """A bump of three millimetres on the forehead: found there, in the profile, and nowhere else."""
    names = module("regions")
    vertices = scan.surface.vertices.copy()
    top = vertices[np.abs(vertices[:, 0]) < 3][:, 2].max()
    forehead = np.exp(-(((vertices - [0, 75, 100]) / [25, 12, 60]) ** 2).sum(1))
    assert top > 0
    vertices += 3.0 * forehead[:, None] * [0, 0, 1]
    other = protocol.Surface(vertices, scan.surface.triangles, model.landmarks(vertices)[SEVEN])
    regions = names.regions(scan, model.landmarks(model.mean))
    result = protocol.judge(elsewhere(other), scan, regions)
    assert all(len(numbers) > 100 for numbers in regions.values())
    assert result.regions["forehead"] > 3 * result.regions["mouth"]
    assert 1.5 < result.profile[1] < 3.5
    assert 0.05 < result.inner[1] < 1.0


def test_the_mask_is_nows(model, scan) -> None:
    seven = model.landmarks(model.mean)[SEVEN]
    bridge = (seven[1] + seven[2]) / 2
    radius = 0.7 * (np.linalg.norm(seven[0] - seven[3]) + np.linalg.norm(bridge - seven[4]))
    away = np.linalg.norm(scan.points - (seven[4] + 0.3 * (bridge - seven[4])), axis=1)
    assert away.max() < radius and away.max() > 0.97 * radius
    assert (away[scan.inner] < 0.7 * radius).all() and (away[~scan.inner] >= 0.7 * radius).all()


def test_points_are_spread_over_the_area_not_over_the_vertices(scan) -> None:
    eyes = scan.surface.landmarks[:4].mean(0)
    near = np.linalg.norm(scan.points - scan.surface.landmarks[[0, 1]].mean(0), axis=1) < 12
    vertices = scan.surface.vertices[np.linalg.norm(scan.surface.vertices - scan.centre, axis=1) < scan.radius]
    dense = np.linalg.norm(vertices - scan.surface.landmarks[[0, 1]].mean(0), axis=1) < 12
    assert np.isfinite(eyes).all() and near.mean() < 0.6 * dense.mean()


def test_an_open_mesh_is_not_pulled_by_what_lies_beyond_its_edge(scan) -> None:
    """A mask of the middle of the face fits as well as the whole head does."""
    away = np.linalg.norm(scan.surface.vertices - scan.centre, axis=1) < 0.55 * scan.radius
    mask = scan.surface.triangles[away[scan.surface.triangles].all(1)]
    small = protocol.Surface(scan.surface.vertices, mask, scan.surface.landmarks)
    start = elsewhere(small)
    fitted = protocol.fitted(start, scan)
    used = np.unique(mask)
    assert np.linalg.norm(fitted.vertices[used] - scan.surface.vertices[used], axis=1).max() < 0.2


def test_the_pose_of_a_projection_is_the_cameras(model) -> None:
    space = module("camera_space")
    turn = Rotation.from_euler("yxz", [30, -10, 5], degrees=True).as_matrix()
    for k in (0.0, 1 / 600):
        rotation, scale = space.pose(Camera(turn, 1.7, k, np.array([200.0, 150.0])).matrix())
        np.testing.assert_allclose(rotation, turn, atol=1e-9)
        assert scale == pytest.approx(1.7)


def test_identity_counts_pairs() -> None:
    identity = module("identity")
    rng = np.random.default_rng(0)
    people = [name for name in "abcd" for _ in range(3)]
    own = {name: rng.normal(size=(40, 3)) * 20 for name in "abcd"}
    shapes = [own[name] + rng.normal(size=(40, 3)) for name in people]
    for distance in (identity.root_mean_square, identity.cosine):
        result = identity.compare(shapes, people, distance)
        assert result["AUC"] == 1.0 and result["same"] == 12 and result["different"] == 54
    unlike = identity.compare([rng.normal(size=(40, 3)) for _ in people], people, identity.root_mean_square)
    assert 0.2 < unlike["AUC"] < 0.8
    assert identity.area_under_curve(np.array([1.0, 3.0]), np.array([2.0, 3.0])) == pytest.approx((1 + 1 + 0 + 0.5) / 4)


def test_a_photo_of_somebody_else_counts_as_a_person_of_its_own() -> None:
    identity = module("identity")
    photos = [Path("anna/1.jpg"), Path("anna/2.jpg"), Path("anna/7.jpg"), Path("bert/7.jpg")]
    found = [identity.person_of(photo, ["anna/*[5-8].jpg"]) for photo in photos]
    assert found == ["anna", "anna", "anna/7.jpg", "bert"]


def test_a_scan_in_any_unit_and_direction_is_set_upright(model, assets_folder, tmp_path: Path) -> None:
    meshes = module("meshes")
    turned = (model.mean @ Rotation.from_euler("x", 90, degrees=True).as_matrix().T) * 0.001
    path = tmp_path / "scan.ply"
    trimesh.Trimesh(turned, model.triangles[:, ::-1], process=False).export(path)  # inside out as well
    scan, _ = meshes.as_scan(meshes.read_mesh(path), "scan")
    assert scan.eye_distance == pytest.approx(meshes.EYE_DISTANCE_MM, rel=0.03)
    frame = protocol.upright(scan.surface.landmarks)
    np.testing.assert_allclose(frame, np.eye(3), atol=0.06)
    result = protocol.judge(
        protocol.Surface(model.mean.astype(float), model.triangles, model.landmarks(model.mean)[SEVEN]), scan
    )
    assert result.inner[0] < 0.15
