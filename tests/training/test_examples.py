"""What the volumetric network learns from: a mirrored example is the example of the mirrored person."""

from __future__ import annotations

import numpy as np

from octoprint_facesculpt.reconstruction.alignment import CROP, head_crop
from octoprint_facesculpt.reconstruction.camera import Camera
from octoprint_facesculpt.reconstruction.weights import load

FLIP = np.diag([-1.0, 1.0, 1.0])


def in_mirror(camera: Camera) -> Camera:
    """The camera that sees mirrored heads as ``camera`` sees heads, on a mirrored picture of width ``CROP``."""
    return Camera(FLIP @ camera.rotation @ FLIP, camera.scale, camera.k, camera.centre * [-1, 1] + [CROP, 0])


def test_a_mirrored_example_is_that_of_the_mirrored_person() -> None:
    from examples import ExampleMaker, Sample
    from samples import Shard

    model = load().head
    rng = np.random.default_rng(3)
    people = rng.normal(size=(2, len(model.identity) + len(model.expression))) * 0.4
    people[:, len(model.identity) :] = 0
    mean = model.landmarks(model.mean)
    straight = head_crop(mean[:, :3] * [0.4, -0.4, 0.4] + [64, 64, 0], mean).camera
    turn, tilt = 0.4, 0.1
    yaw = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    roll = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    made = []
    for mirrored in (False, True):
        camera = Camera(roll @ yaw, straight.scale, 0.001, straight.centre)
        camera = in_mirror(camera) if mirrored else camera
        truth, guess = model.mirror.of(people) if mirrored else people
        numbers = np.array([[camera.scale, camera.k, *camera.centre]])
        shard = Shard(np.zeros(0), np.zeros(1), truth[None], camera.rotation[None], numbers)
        landmarks = camera.project(model.landmarks(model.vertices(truth)))
        made.append(ExampleMaker(model).make(Sample(shard, 0, landmarks, guess, camera, mean), guess, camera))
    example, expected = made
    for name in ("guides", "guess", "truth", "displacement", "seen"):
        wanted, got, unturned = (getattr(e, name).astype(float) for e in (expected, example.mirrored(), example))
        assert np.abs(got - wanted).mean() < 0.2 * np.abs(unturned - wanted).mean(), name
