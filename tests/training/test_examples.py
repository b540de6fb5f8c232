"""What the volumetric network learns from: shape, wherever the head is, and from mirrored people as from others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from octoprint_facesculpt.reconstruction.alignment import CROP, head_crop
from octoprint_facesculpt.reconstruction.camera import Camera
from octoprint_facesculpt.reconstruction.head_model import HeadModel
from octoprint_facesculpt.reconstruction.weights import load

FLIP = np.diag([-1.0, 1.0, 1.0])
#: Deviation of the identities that are drawn here.
SPREAD = 0.4


def in_mirror(camera: Camera) -> Camera:
    """The camera that sees mirrored heads as ``camera`` sees heads, on a mirrored picture of width ``CROP``."""
    return Camera(FLIP @ camera.rotation @ FLIP, camera.scale, camera.k, camera.centre * [-1, 1] + [CROP, 0])


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return load().head


@pytest.fixture(scope="module")
def people(model: HeadModel) -> np.ndarray:
    """Coefficients (2, C) of two people at rest."""
    identities = np.random.default_rng(3).normal(size=(2, len(model.identity))) * SPREAD
    return np.c_[identities, np.zeros((2, len(model.expression)))]


@pytest.fixture(scope="module")
def camera(model: HeadModel) -> Camera:
    """One that sees a head from the side and a little tilted in the middle of the crop."""
    mean = model.landmarks(model.mean)
    straight = head_crop(mean * [0.4, -0.4, 0.4] + [CROP / 2, CROP / 2, 0], mean).camera
    yaw, tilt = 0.4, 0.1
    turned = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    rolled = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    return Camera(rolled @ turned, straight.scale, 0.001, straight.centre)


def example(model: HeadModel, truth: np.ndarray, guess: np.ndarray, true_camera: Camera, camera: Camera):
    """What is made of the head ``truth`` (C,) seen by ``true_camera`` and a guess of both."""
    from examples import ExampleMaker, Sample
    from samples import Shard

    numbers = np.array([[true_camera.scale, true_camera.k, *true_camera.centre]])
    shard = Shard(np.zeros(0), np.zeros(1), truth[None], true_camera.rotation[None], numbers)
    landmarks = true_camera.project(model.landmarks(model.vertices(truth)))
    sample = Sample(shard, 0, landmarks, guess, camera, model.landmarks(model.mean))
    return ExampleMaker(model).make(sample, guess, camera)


def test_a_mirrored_example_is_that_of_the_mirrored_person(model, people, camera) -> None:
    plain = example(model, *people, camera, camera)
    mirrored = in_mirror(camera)
    expected = example(model, *model.mirror.of(people), mirrored, mirrored)
    for name in ("guides", "guess", "truth", "displacement", "seen"):
        wanted, got, unturned = (getattr(e, name).astype(float) for e in (expected, plain.mirrored(), plain))
        assert np.abs(got - wanted).mean() < 0.2 * np.abs(unturned - wanted).mean(), name


def test_the_volume_is_wrong_about_shape_alone(model, people, camera) -> None:
    elsewhere = replace(camera, scale=camera.scale * 1.1, k=0.002, centre=camera.centre + np.array([3, -2]))
    same, other = (example(model, truth, people[1], elsewhere, camera) for truth in people[::-1])
    assert np.abs(same.truth - same.guess).max() < 0.02
    assert np.abs(other.truth - other.guess).max() > 0.2
    # Where its points are in the picture is another matter.
    assert np.abs(same.displacement).max() > 1
