"""A closer look: the face upright in its window, maps read where the points are, and what is seen brought back to the crop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from octoprint_facesculpt.reconstruction.alignment import HeadCrop
from octoprint_facesculpt.reconstruction.camera import Camera
from octoprint_facesculpt.reconstruction.closeup import (
    FIRST,
    HEAD_UNIT,
    PIXELS_PER_MM,
    POSE,
    SIDE,
    STEM_FIRST,
    STEM_STEP,
    STEP,
    Answer,
    Closeup,
    CloseupNet,
    _at,
    closeup_points,
    features,
    look_closer,
    window_of,
)
from octoprint_facesculpt.reconstruction.fitting import Guess
from octoprint_facesculpt.reconstruction.weights import load

#: Head points that are looked at besides the landmarks.
VERTICES = np.arange(100, 1600, 100)


@pytest.fixture
def net() -> CloseupNet:
    torch.manual_seed(3)
    return CloseupNet(len(load().head.landmark_vertices) + len(VERTICES), 147).eval()


def camera(roll: float = 0.0, scale: float = 2.0) -> Camera:
    rotation = Rotation.from_euler("xyz", [5, 20, roll], degrees=True).as_matrix()
    return Camera(rotation, scale, 1 / 900, np.array([210.0, 180.0]))


def closeup_of(net: CloseupNet, spread: np.ndarray | float = 0.0, offset: np.ndarray | float = 0.0) -> Closeup:
    """One whose answers to the features (F,) are ``spread`` (F, C + 1) and ``offset`` (C + 1,)."""
    model = load().head
    count = len(model.identity) + len(model.expression)
    numbers = 2 * len(net.bias) + 2 * count + 1
    answer = Answer(np.zeros(numbers), np.zeros((numbers, count + 1)) + spread, np.zeros(count + 1) + offset, np.eye(count + 1))
    return Closeup(net, closeup_points(model, VERTICES), answer)


@pytest.mark.parametrize("roll", [-140.0, -20.0, 0.0, 35.0])
def test_a_face_is_upright_of_its_size_and_in_the_middle(roll: float) -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(scale=40, size=(60, 3))
    places = camera(roll).project(points)[:, :2]
    window = window_of(camera(roll), places)
    assert window.camera.scale == pytest.approx(PIXELS_PER_MM)
    up = window.camera.rotation[:, 1]
    assert up[0] == pytest.approx(0, abs=1e-9) and up[1] > 0
    seen = window.camera.project(points)[:, :2]
    np.testing.assert_allclose(seen.mean(0), SIDE / 2, atol=1e-3)
    np.testing.assert_allclose(seen, places @ window.matrix[:, :2].T + window.matrix[:, 2], atol=1e-2)
    # However the picture lies, it is the same window.
    upright = window_of(camera(0.0), camera(0.0).project(points)[:, :2])
    np.testing.assert_allclose(window.camera.rotation, upright.camera.rotation, atol=0.1)
    assert window.pose.shape == (POSE,) and np.allclose(window.pose, upright.pose, atol=0.1)


def test_a_window_that_is_off_by_something_shows_the_face_so() -> None:
    points = np.random.default_rng(1).normal(scale=40, size=(60, 3))
    places = camera().project(points)[:, :2]
    moved = window_of(camera(), places, np.array([0.1, 0.2, 5.0, -3.0]))
    assert moved.camera.scale == pytest.approx(PIXELS_PER_MM * np.exp(0.1))
    np.testing.assert_allclose(moved.camera.project(points)[:, :2].mean(0), SIDE / 2 + np.array([5.0, -3.0]), atol=1e-3)
    up = moved.camera.rotation[:, 1]
    assert abs(np.arctan2(up[0], up[1])) == pytest.approx(0.2, abs=1e-6)


@pytest.mark.parametrize(("step", "first", "side"), [(STEP, FIRST, 46), (STEM_STEP, STEM_FIRST, 93)])
def test_maps_are_read_where_the_points_are(step: int, first: int, side: int) -> None:
    """A map whose every place says where in the picture it is."""
    at = first + step * torch.arange(side) + 0.5
    ramp = torch.stack(torch.meshgrid(at, at, indexing="xy"))[None]
    places = torch.tensor([[[20.0, 30.5], [101.3, 77.7], [150.0, 9.0]]])
    np.testing.assert_allclose(_at(ramp, places, step, first)[0].T, places[0], atol=1e-3)


def test_the_maps_have_their_places_where_they_are_read(net: CloseupNet) -> None:
    """What changes most when a spot of the picture does lies at that spot."""
    picture = torch.full((1, 3, SIDE, SIDE), 0.5)
    pose = torch.zeros(1, POSE)
    for x, y in ((61, 101), (125, 93)):
        spot = picture.clone()
        spot[:, :, y - 1 : y + 2, x - 1 : x + 2] = 1.0
        with torch.inference_mode():
            changed = [(b - a).abs().sum(1)[0] for a, b in zip(net.maps(picture, pose), net.maps(spot, pose), strict=True)]
        for change, step, first in zip(changed[:2], (STEP, STEM_STEP), (FIRST, STEM_FIRST), strict=True):
            row, column = np.unravel_index(int(change.argmax()), change.shape)
            assert abs(first + step * column - x) <= 2 * step and abs(first + step * row - y) <= 2 * step


def test_features_are_displacements_in_their_scales_and_both_heads() -> None:
    moved, log_scale = np.array([[[2.0, 4.0], [1.0, -1.0]]]), np.log([[2.0, 0.5]])
    known = features(moved, log_scale, np.array([[0.5, 0.25]]), np.array([[0.1, 0.2, 1.2]]))
    np.testing.assert_allclose(known, [[1, 2, 2, -2, *HEAD_UNIT * np.array([0.5, 0.25, 0.1, 0.2, 1.2])]])


def looking(closeup: Closeup, seed: int = 2, share: float = 1.0) -> tuple[Guess, Guess]:
    """A guess on a crop that is turned, and the one after the look at a picture of noise."""
    turn = np.array([[0.4, 0.3], [-0.3, 0.4]])
    crop = HeadCrop(np.c_[turn, [10.0, 20.0]], np.zeros((478, 3), np.float32), camera())
    guess = Guess(np.full(len(closeup.points.shapes), 0.1), camera().through(crop.matrix))
    image = np.random.default_rng(seed).integers(0, 255, (400, 420, 3), np.uint8)
    return guess, look_closer(closeup, image, crop, guess, share).guess


def test_the_camera_follows_the_points(net: CloseupNet) -> None:
    """Every point is seen a little to the right of the guess's."""
    with torch.no_grad():
        net.bias[:, 0] = 3.0
    guess, found = looking(closeup_of(net))
    np.testing.assert_allclose(found.coefficients, guess.coefficients)
    # To the right of the upright face, three window pixels far.
    up = guess.camera.rotation[:2, 1] / np.hypot(*guess.camera.rotation[:2, 1])
    size = guess.camera.scale / PIXELS_PER_MM
    moved = found.camera.project(load().head.mean)[:, :2] - guess.camera.project(load().head.mean)[:, :2]
    np.testing.assert_allclose(moved, np.tile(3 * size * np.array([up[1], up[0]]), (len(moved), 1)), atol=0.02)
    np.testing.assert_allclose(found.camera.rotation, guess.camera.rotation, atol=1e-3)


def test_the_head_is_changed_by_what_was_learned(net: CloseupNet) -> None:
    offset = np.zeros(148)
    offset[[3, 110, 147]] = 0.5, 0.2, 0.3
    guess, found = looking(closeup_of(net, offset=offset))
    np.testing.assert_allclose(found.coefficients - guess.coefficients, offset[:-1], atol=1e-6)
    assert found.camera.k == pytest.approx(guess.camera.k + 0.3 / 1000)
    _, half = looking(closeup_of(net, offset=offset), share=0.5)
    np.testing.assert_allclose(half.coefficients - guess.coefficients, offset[:-1] / 2, atol=1e-6)


def test_the_answer_is_to_what_the_network_says(net: CloseupNet) -> None:
    with torch.no_grad():
        net.bias[:] = torch.tensor([2.0, -1.0, 0.0])
        net.head.bias[5] = 0.7
        net.head.weight[5] = 0.0
    points = 2 * len(net.bias)
    spread = np.zeros((points + 2 * 147 + 1, 148))
    # The first point's displacement downwards, what is said of coefficient five, and the guess's first.
    spread[1, 7], spread[points + 5, 8], spread[points + 147, 9] = 1.0, 1.0, 1.0
    guess, found = looking(closeup_of(net, spread))
    change = found.coefficients - guess.coefficients
    np.testing.assert_allclose(change[[7, 8, 9]], [-1.0, HEAD_UNIT * 0.7, HEAD_UNIT * 0.1], atol=1e-5)
    assert np.abs(np.delete(change, [7, 8, 9])).max() < 1e-9


def test_the_picture_decides_what_is_said(net: CloseupNet) -> None:
    torch.nn.init.normal_(net.weight)
    spread = np.zeros((2 * len(net.bias) + 2 * 147 + 1, 148))
    spread[:100, 7] = 1.0
    closeup = closeup_of(net, spread)
    one, other, again = (looking(closeup, seed)[1].coefficients[7] for seed in (2, 3, 2))
    assert one == again and abs(one - other) > 1e-3
