"""Fitting head and camera to dense correspondences whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from octoprint_facesculpt.rasterise import rasterise
from octoprint_facesculpt.reconstruction.alignment import CROP
from octoprint_facesculpt.reconstruction.camera import Camera
from octoprint_facesculpt.reconstruction.fitting import Correspondence, Guess, Prior, refine
from octoprint_facesculpt.reconstruction.weights import load


@dataclass
class Scene:
    """A true head, and what a perfect network would say of the first guess."""

    truth: Guess
    prior: Prior
    seen: np.ndarray
    weights: np.ndarray
    displacement: np.ndarray


@pytest.fixture(scope="module")
def model():
    return load().head


@pytest.fixture(scope="module")
def scene(model) -> Scene:
    rng = np.random.default_rng(5)
    count = len(model.identity) + len(model.expression)
    coefficients = np.r_[rng.normal(size=len(model.identity)), np.zeros(len(model.expression))]
    turn = Rotation.from_euler("yx", [20, -5], degrees=True).as_matrix()
    truth = Guess(coefficients, Camera(turn, 0.34, 1 / 900, np.array([64.0, 55.0])))
    turn = Rotation.from_euler("yx", [17, -4], degrees=True).as_matrix()
    first = Guess(np.zeros(count), Camera(turn, 0.345, 1 / 1400, np.array([64.5, 55.5])))
    raster = rasterise(first.camera.project(model.vertices(first.coefficients)), model.triangles, CROP, CROP)
    places = []
    for guess in (first, truth):
        place = guess.camera.project(model.vertices(guess.coefficients))
        place[:, 2] *= guess.camera.scale
        places.append(place)
    moved = raster.interpolate(model.triangles, places[1] - places[0])
    return Scene(truth, Prior(first, np.eye(count + 1)), raster.triangle, raster.weights, moved.transpose(2, 0, 1))


def face_error(model, guess: Guess, truth: Guess) -> float:
    from trimesh.registration import procrustes

    a, b = model.vertices(guess.coefficients)[model.face], model.vertices(truth.coefficients)[model.face]
    _, moved, _ = procrustes(a, b, reflection=False)
    return float(np.linalg.norm(moved - b, axis=1).mean())


def at_pixels(model, scene: Scene, displacement: np.ndarray, scale: float) -> Correspondence:
    """Where the guess's points really are that lie at every other pixel, x, y and depth."""
    used = (scene.seen >= 0) & (np.indices(scene.seen.shape) % 2 == 0).all(0)
    vertices, at = model.triangles[scene.seen[used]], scene.weights[used].astype(np.float64)
    first = scene.prior.guess
    points = first.camera.project(np.einsum("nk,nkd->nd", at, first.vertices(model)[vertices]))
    points[:, 2] *= first.camera.scale
    places = points + displacement.transpose(1, 2, 0)[used]
    return Correspondence(vertices, at, places, np.full(len(at), scale), 0.012)


def fitted(model, scene: Scene, noise: float, scale: float) -> Guess:
    rng = np.random.default_rng(0)
    displacement = scene.displacement + noise * rng.normal(size=scene.displacement.shape)
    return refine(model, scene.prior, scene.prior.guess, [at_pixels(model, scene, displacement, scale)])


def named_points(model, scene: Scene) -> Correspondence:
    """Every eleventh vertex of the face where the true camera sees it, without depth."""
    chosen = np.flatnonzero(model.face)[::11]
    pixels = scene.truth.camera.project(model.vertices(scene.truth.coefficients)[chosen])[:, :2].astype(np.float64)
    weights = np.tile([1.0, 0.0, 0.0], (len(chosen), 1))
    return Correspondence(np.repeat(chosen[:, None], 3, 1), weights, pixels, np.full(len(chosen), 0.05), 0.1)


def test_exact_correspondences_give_the_true_face_and_camera(model, scene: Scene) -> None:
    guess = fitted(model, scene, noise=0.0, scale=0.01)
    before = face_error(model, scene.prior.guess, scene.truth)
    assert face_error(model, guess, scene.truth) < 0.1 * before
    assert guess.camera.k == pytest.approx(scene.truth.camera.k, rel=0.3)
    turn = Rotation.from_matrix(guess.camera.rotation @ scene.truth.camera.rotation.T).magnitude()
    assert np.degrees(turn) < 0.5


def test_noise_is_averaged(model, scene: Scene) -> None:
    guess = fitted(model, scene, noise=0.3, scale=0.2)
    assert face_error(model, guess, scene.truth) < 0.5 * face_error(model, scene.prior.guess, scene.truth)


def test_unsure_correspondences_leave_the_prior_alone(model, scene: Scene) -> None:
    guess = fitted(model, scene, noise=0.0, scale=1e4)
    np.testing.assert_allclose(guess.coefficients, scene.prior.guess.coefficients, atol=0.02)


def test_a_hidden_part_that_lies_does_not_win(model, scene: Scene) -> None:
    """A hand over the left half of the picture moves its correspondences far away; they are outvoted."""
    honest = fitted(model, scene, noise=0.0, scale=0.2)
    lying = scene.displacement.copy()
    lying[:, 70:90, 50:60] += 8.0
    hidden = Scene(scene.truth, scene.prior, scene.seen, scene.weights, lying)
    disturbed = fitted(model, hidden, noise=0.0, scale=0.2)
    assert face_error(model, disturbed, honest) < 0.5 * face_error(model, scene.prior.guess, scene.truth)


def test_points_without_depth_give_the_shape_too(model, scene: Scene) -> None:
    guess = refine(model, scene.prior, scene.prior.guess, [named_points(model, scene)])
    assert face_error(model, guess, scene.truth) < 0.5 * face_error(model, scene.prior.guess, scene.truth)


def test_two_kinds_of_correspondences_are_better_than_one(model, scene: Scene) -> None:
    rng = np.random.default_rng(3)
    noisy = scene.displacement + 0.4 * rng.normal(size=scene.displacement.shape)
    pixels = at_pixels(model, scene, noisy, 0.3)
    alone = refine(model, scene.prior, scene.prior.guess, [pixels])
    both = refine(model, scene.prior, scene.prior.guess, [pixels, named_points(model, scene)])
    assert face_error(model, both, scene.truth) < face_error(model, alone, scene.truth)
