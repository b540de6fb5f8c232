"""Aligned faces to learn from: the same face each time, but never the same picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from octoprint_facesculpt.reconstruction.camera import Camera
from octoprint_facesculpt.reconstruction.descent import YAWS
from octoprint_facesculpt.reconstruction.recognition import ALIGNED, CHIP, PLACES
from octoprint_facesculpt.reconstruction.weights import load

SIZE, COUNT = 240, 40
YAW = 25.0


@pytest.fixture(scope="module")
def model():
    return load().head


@pytest.fixture
def chips(model, tmp_path: Path):
    """Pictures of one person, black but for a white disc at the left eye's corner, as :mod:`generate` writes them."""
    from chips import Chips

    turn = np.radians(YAW)
    rotation = np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]])
    camera = Camera(rotation, 0.8, 0.001, np.array([SIZE / 2, SIZE / 2]))
    coefficients = np.zeros((COUNT, len(model.identity) + len(model.expression)), np.float32)
    coefficients[:, :2] = [0.5, -1.0]
    eye = camera.project(model.landmarks(model.vertices(coefficients[0])))[ALIGNED[0], :2]
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    cv2.circle(picture, np.round(eye * 16 - 8).astype(int).tolist(), 16 * 4, (255, 255, 255), -1, shift=4)
    coded = cv2.imencode(".png", picture)[1]
    truth = np.tile(np.float32([camera.scale, camera.k, *camera.centre]), (COUNT, 1))
    np.savez(
        tmp_path / "000000.npz", jpeg=np.tile(coded, COUNT), ends=len(coded) * np.arange(1, COUNT + 1),
        coefficients=coefficients, rotation=np.tile(rotation.astype(np.float32), (COUNT, 1, 1)), camera=truth,
    )  # fmt: skip
    found = Chips.read([tmp_path], model, np.ones(coefficients.shape[1], bool))
    assert found.yaw == pytest.approx(np.full(COUNT, camera.yaw), abs=1e-3)
    return found


def bright(chip: torch.Tensor) -> np.ndarray:
    """Where the middle of what is bright in a chip (3, CHIP, CHIP) lies, x and y."""
    light = chip.mean(0).numpy()
    return np.array([(light * axis).sum() for axis in np.indices(light.shape)[::-1]]) / light.sum() + 0.5


def test_a_face_comes_near_its_place_and_never_to_the_same_one(chips) -> None:
    assert len(chips) == COUNT and chips.identity[:, :2] == pytest.approx(np.tile([0.5, -1.0], (COUNT, 1)))
    seen = chips.aligned(np.random.default_rng(1), np.arange(COUNT))
    assert seen.shape == (COUNT, 3, CHIP, CHIP) and 0.9 < seen.max() <= 1
    places = np.stack([bright(chip) for chip in seen])
    # Turned by 25 degrees the corner lies a little off the place it has in frontal faces.
    assert np.abs(places.mean(0) - CHIP * PLACES[0]).max() < 8
    assert (places.std(0) > 0.3).all() and (places.std(0) < 4).all()


def test_half_of_them_are_mirrored_with_their_people(chips, model) -> None:
    mirror = model.mirror
    seen, identity, number = chips.varied(np.random.default_rng(2), np.arange(COUNT), mirror)
    left = np.array([bright(chip)[0] < CHIP / 2 for chip in seen])
    assert 10 < left.sum() < COUNT - 10
    person = chips.identity[:1]
    for turned, people in ((left, person), (~left, mirror.of(person))):
        assert identity.numpy()[turned] == pytest.approx(np.repeat(people, turned.sum(), 0), abs=1e-6)
        yaw = chips.yaw[0] if turned is left else -chips.yaw[0]
        assert set(number.numpy()[turned]) == {np.searchsorted(YAWS, yaw)}


def test_colours_differ(chips, model) -> None:
    seen, *_ = chips.varied(np.random.default_rng(3), np.arange(COUNT), model.mirror)
    red, green, blue = seen.amax((2, 3)).T
    assert red.std() > 0.02 and (red - green).abs().max() > 0.01 and (green - blue).abs().max() > 0.01
