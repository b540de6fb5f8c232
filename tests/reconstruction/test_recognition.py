"""Who it is: the aligned picture, what is seen in it, and how far it is believed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from octoprint_facesculpt.portrait import read_portrait
from octoprint_facesculpt.reconstruction import predictor
from octoprint_facesculpt.reconstruction.alignment import head_crop
from octoprint_facesculpt.reconstruction.look import look
from octoprint_facesculpt.reconstruction.predictor import first_guess
from octoprint_facesculpt.reconstruction.recognition import ALIGNED, CHIP, FEATURES, PLACES, aligned
from octoprint_facesculpt.reconstruction.weights import load


@pytest.fixture(scope="module")
def portrait(astronaut: Path, assets_folder: Path):
    return read_portrait(astronaut, assets=assets_folder)


def turned(image: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A picture and its landmarks turned by a right angle."""
    return np.ascontiguousarray(np.rot90(image)), np.c_[landmarks[:, 1], image.shape[1] - landmarks[:, 0]]


def test_eyes_and_nose_come_to_their_places_however_the_picture_is_turned() -> None:
    rng = np.random.default_rng(1)
    landmarks = np.zeros((478, 2))
    landmarks[list(ALIGNED)] = 90 + 120 * PLACES
    image = rng.integers(0, 80, (300, 320, 3), np.uint8)
    for x, y in landmarks[list(ALIGNED)].astype(int):
        image[y - 3 : y + 4, x - 3 : x + 4] = 255
    for picture, points in ((image, landmarks), turned(image, landmarks)):
        seen = aligned(picture, points[list(ALIGNED)])
        assert seen.shape == (CHIP, CHIP, 3)
        for x, y in (CHIP * PLACES).astype(int):
            assert seen[y, x].min() > 200


def test_the_same_person_in_another_light_is_the_same_person(portrait) -> None:
    learned = load()
    recogniser, face = learned.observer.recogniser, learned.head.face
    darker = (portrait.image * 0.55).astype(np.uint8)
    sideways, landmarks = turned(portrait.image, portrait.landmarks)
    pictures = ((portrait.image, portrait.landmarks), (darker, portrait.landmarks), (sideways, landmarks))
    features = [recogniser.look(*picture) for picture in pictures]
    assert features[0].shape == (2, FEATURES)
    mirror = learned.head.mirror
    first, dark, side = (np.tensordot(recogniser.identity(f, 2, mirror), learned.head.identity[:, face], 1) for f in features)

    def size(shape: np.ndarray) -> float:
        return float(np.linalg.norm(shape, axis=1).mean())

    assert size(first) > 1.0
    assert size(dark - first) < 0.45 * size(first)
    assert size(side - first) < 0.2 * size(first)


def test_the_mirror_image_is_the_mirrored_person(portrait) -> None:
    learned = load()
    recogniser, mirror = learned.observer.recogniser, learned.head.mirror
    features = recogniser.look(portrait.image, portrait.landmarks)
    for number in (1, 2, 4):
        person = recogniser.identity(features, number, mirror)
        image = recogniser.identity(features[::-1], len(recogniser.mean) - 1 - number, mirror)
        assert np.allclose(mirror.of(image), person)


@pytest.mark.parametrize(("trust", "share"), [(1e-9, 0.0), (1e9, 1.0)])
def test_it_is_believed_as_far_as_it_was_right(portrait, monkeypatch: pytest.MonkeyPatch, trust: float, share: float) -> None:
    learned = load()
    model, own = learned.head, learned.observer.recogniser
    crop = head_crop(portrait.landmarks, model.landmarks(model.mean))
    sight = look(learned.observer, portrait.image, portrait.landmarks, crop)

    def guessed(precision: np.ndarray) -> np.ndarray:
        observer = replace(learned.observer, recogniser=replace(own, precision=precision))
        return first_guess(replace(learned, observer=observer), crop, sight).guess.coefficients[: len(model.identity)]

    said = own.identity(sight.person, 2, model.mirror)
    deaf = guessed(1e-12 * own.precision)
    expected = deaf + share * (said - deaf)
    # An improbable head is drawn back to the mean as a whole: the direction is what counts.
    found = guessed(trust * own.precision)
    assert found @ expected / np.linalg.norm(found) / np.linalg.norm(expected) == pytest.approx(1, abs=1e-3)
    # It is granted a share of that.
    monkeypatch.setattr(predictor, "RECOGNISED", 0.0)
    assert guessed(trust * own.precision) == pytest.approx(deaf, abs=1e-4)
