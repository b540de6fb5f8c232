"""Supervised descent on heads, cameras and maps whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from octoprint_facesculpt.reconstruction.camera import Camera
from octoprint_facesculpt.reconstruction.correspondence import REGION
from octoprint_facesculpt.reconstruction.descent import (
    YAWS,
    ByYaw,
    Deep,
    Linear,
    Points,
    Shown,
    State,
    affine_camera,
    begin,
    down,
    places_of,
    read_at,
    step_arrays,
    step_of,
    yaw_range,
)
from octoprint_facesculpt.reconstruction.weights import load


@pytest.fixture(scope="module")
def points() -> Points:
    rng = np.random.default_rng(0)
    return Points(60 * rng.normal(size=(80, 3)), 2 * rng.normal(size=(4, 80, 3)))


def camera(yaw: float, k: float = 0.0) -> Camera:
    return Camera(Rotation.from_euler("yx", [yaw, 6], degrees=True).as_matrix(), 1.1, k, np.array([120.0, 131.0]))


def test_the_points_of_a_model_are_kept_as_they_are_used() -> None:
    model = load().head
    some = np.arange(5, len(model.mean), 40)
    points = Points.of(model, some)
    coefficients = np.random.default_rng(2).normal(size=len(points.shapes))
    np.testing.assert_allclose(points.at(coefficients), model.vertices(coefficients)[some], atol=1e-3)
    # In any other order each use would copy them.
    assert points.shapes.flags.c_contiguous


@pytest.mark.parametrize("yaw", [-70, 0, 35])
def test_an_affine_camera_is_the_weak_perspective_one_where_there_is_one(points: Points, yaw: float) -> None:
    truth = camera(yaw)
    found = affine_camera(points.mean, truth.project(points.mean)[:, :2].astype(np.float64))
    np.testing.assert_allclose(found.rotation, truth.rotation, atol=1e-4)
    np.testing.assert_allclose(found.centre, truth.centre, atol=1e-2)
    assert found.scale == pytest.approx(truth.scale, rel=1e-4)


@pytest.mark.parametrize("yaw", [-70, 0, 35])
def test_a_descent_begins_at_the_camera_that_sees_its_points(points: Points, yaw: float) -> None:
    coefficients = np.array([1.0, -0.5, 0.3, 2.0])
    truth = camera(yaw, k=1 / 700)
    state = begin(points, np.r_[coefficients, 1000 / 700], truth.project(points.at(coefficients))[:, :2].astype(np.float64))
    np.testing.assert_allclose(state.camera.rotation, truth.rotation, atol=1e-3)
    assert state.camera.scale == pytest.approx(truth.scale, rel=1e-3)


@pytest.mark.parametrize(("yaw", "number"), [(85, 0), (20, 1), (0, 2), (-16, 3), (-60, 4)])
def test_each_range_of_yaw_has_its_own_map(yaw: float, number: int) -> None:
    assert yaw_range(camera(yaw)) == number


def test_maps_are_read_where_the_points_are() -> None:
    """A map that holds its own x (or y) coordinate in pixels of the picture reads as the point's place."""

    def coordinates(side: int) -> torch.Tensor:
        axis = (torch.arange(side) + 0.5) * REGION / side
        return torch.stack([axis.expand(side, side), axis[:, None].expand(side, side)])[None]

    stages = [torch.zeros(1, 1, 128, 128), coordinates(64), coordinates(32)]
    places = np.random.default_rng(1).uniform(20, 230, (1, 30, 2))
    np.testing.assert_allclose(read_at(stages, places)[0], np.tile(places[0], 2), atol=1e-2)


def test_a_step_moves_head_and_points_as_it_has_learned(points: Points) -> None:
    """One feature a point; the step says that the sum of all features is the error of the first coefficient."""
    count = len(points.mean)
    gather = np.ones((count, 1))
    spread = np.zeros((1, 4 + 1 + 2 * count))
    spread[0, 0] = 1.0
    step = ByYaw((Linear(np.zeros(count), gather, spread),) * (len(YAWS) + 1))
    shown = Shown(np.zeros((count, 1)), np.ones((1, 1)))
    start = State(np.zeros(5), camera(10))
    before = places_of(points, [start])
    (moved,), places = down(step, shown, points, [start], before, np.full((1, count, 1), 0.5 / count))
    np.testing.assert_allclose(moved.head, [0.5, 0, 0, 0, 0], atol=1e-9)
    np.testing.assert_allclose(places, before)


def deep(features: int, outputs: int) -> Deep:
    """A step with numbers by chance."""
    rng = np.random.default_rng(2)
    layers = tuple((rng.normal(size=shape), rng.normal(size=shape[1])) for shape in ((5, 4), (4, 4), (4 + 3, 6)))
    return Deep(
        rng.normal(size=features),
        rng.normal(size=(features, 3)),
        layers,
        rng.normal(size=(6, outputs)),
        rng.normal(size=outputs),
    )


def test_a_deep_step_answers_otherwise_at_another_yaw_and_not_in_proportion() -> None:
    step, features = deep(20, 9), np.random.default_rng(3).normal(size=20)
    nothing, once, twice = (step.change(step.mean + share * features, camera(10)) for share in (0.0, 1.0, 2.0))
    assert np.abs((twice - nothing) - 2 * (once - nothing)).max() > 1e-3
    assert np.abs(step.change(step.mean + features, camera(40)) - once).max() > 1e-3
    assert once.shape == (9,)


@pytest.mark.parametrize("kind", ["linear", "deep"])
def test_a_step_is_the_same_after_it_was_written_and_read(kind: str) -> None:
    rng = np.random.default_rng(4)
    parts = (Linear(rng.normal(size=20), rng.normal(size=(20, 2)), rng.normal(size=(2, 9))) for _ in range(len(YAWS) + 1))
    step = deep(20, 9) if kind == "deep" else ByYaw(tuple(parts))
    again, features = step_of(step_arrays(step)), rng.normal(size=20)
    for yaw in (-70, 0, 35):
        np.testing.assert_array_equal(again.change(features, camera(yaw)), step.change(features, camera(yaw)))
