"""The camera: projecting, unprojecting, being resampled, and being found from landmarks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from octoprint_facesculpt.reconstruction.camera import Camera, fit_camera


def camera(yaw: float = 25.0, k: float = 1 / 800) -> Camera:
    rotation = Rotation.from_euler("yxz", [yaw, -8, 12], degrees=True).as_matrix()
    return Camera(rotation, 0.4, k, np.array([60.0, 70.0]))


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(3).normal(scale=60, size=(40, 3))


def test_a_frontal_camera_sees_left_as_right_and_up_as_up() -> None:
    frontal = Camera(np.eye(3), 2.0, 0.0, np.array([50.0, 50.0]))
    np.testing.assert_allclose(frontal.project(np.array([[10.0, 5.0, 3.0]])), [[70, 40, 3]])


def test_nearer_points_are_larger() -> None:
    close = Camera(np.eye(3), 1.0, 1 / 500, np.zeros(2))
    near, far = close.project(np.array([[10.0, 0, 50], [10.0, 0, -50]]))
    assert near[0] == pytest.approx(10 / 0.9) and far[0] == pytest.approx(10 / 1.1)


def test_unproject_inverts_project(points: np.ndarray) -> None:
    seen = camera().project(points)
    np.testing.assert_allclose(camera().unproject(seen.astype(float)), points, atol=1e-3)


def test_matrix_projects_alike(points: np.ndarray) -> None:
    homogeneous = np.c_[points, np.ones(len(points))] @ camera().matrix().T
    np.testing.assert_allclose(homogeneous[:, :2] / homogeneous[:, 2:], camera().project(points)[:, :2], atol=1e-4)


def test_through_a_similarity_equals_moving_the_pixels(points: np.ndarray) -> None:
    cos, sin = 1.5 * np.cos(0.3), 1.5 * np.sin(0.3)
    similarity = np.array([[cos, -sin, 7.0], [sin, cos, -4.0]])
    expected = camera().project(points)[:, :2] @ similarity[:, :2].T + similarity[:, 2]
    np.testing.assert_allclose(camera().through(similarity).project(points)[:, :2], expected, atol=1e-4)


def test_fit_finds_the_camera_in_spite_of_a_wrong_landmark(points: np.ndarray) -> None:
    pixels = camera().project(points)[:, :2].astype(float)
    pixels[7] += (25, -18)
    start = Camera(Rotation.from_euler("y", 10, degrees=True).as_matrix(), 0.35, 1 / 800, np.array([64.0, 64.0]))
    found = fit_camera(points, pixels, start)
    others = np.arange(len(points)) != 7
    error = np.linalg.norm(found.project(points)[others, :2] - pixels[others], axis=1)
    assert error.max() < 0.5


def test_derivatives_are_those_of_the_projection(points: np.ndarray) -> None:
    here = camera()

    def seen(step: np.ndarray) -> np.ndarray:
        place = here.moved(step).project(points).astype(float)
        place[:, 2] *= here.moved(step).scale
        return place

    for parameter, size in enumerate((0.05, 1e-3, 1e-3, 1e-3, 1e-3, 0.1, 0.1)):
        step = size * np.eye(7)[parameter]
        numeric = (seen(step) - seen(-step)) / (2 * size)
        np.testing.assert_allclose(here.derivatives(points)[:, :, parameter], numeric, atol=0.05)
