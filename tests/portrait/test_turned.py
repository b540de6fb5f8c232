"""Faces whose tilt the detector misjudges, as it does where they are turned far."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from octoprint_facesculpt.assets import asset_path
from octoprint_facesculpt.portrait.detector import FaceDetector
from octoprint_facesculpt.portrait.landmarker import Landmarker, LandmarkResult, Roi
from octoprint_facesculpt.portrait.portrait import FaceBox
from octoprint_facesculpt.portrait.reader import DETECTOR, LANDMARKS, MIN_PRESENCE, find_faces
from octoprint_facesculpt.portrait.turned import agreed as agreement
from octoprint_facesculpt.portrait.turned import find_turned

SHAPE = np.random.default_rng(0).uniform(0, 100, (478, 3))


def results(*places: tuple[float, float]) -> list[LandmarkResult]:
    """Faces at places (pixels to the right) with their probabilities."""
    return [LandmarkResult(SHAPE + np.array([right, 0, 0]), presence) for right, presence in places]


@pytest.mark.parametrize(
    ("places", "presence"),
    [
        pytest.param([(0, 0.8), (1, 0.95), (2, 0.2), (1, 0.7), (90, 1.0)], 0.95, id="the best of four at one place"),
        pytest.param([(0, 0.8), (1, 0.95), (2, 0.2), (40, 0.7), (90, 1.0)], None, id="only three agree"),
        pytest.param([(0, 0.8), (1, 0.85), (2, 0.2), (1, 0.7), (90, 1.0)], None, id="four agree on what is hardly a face"),
    ],
)
def test_a_face_is_what_several_looks_agree_on(places: list[tuple[float, float]], presence: float | None) -> None:
    found = agreement(results(*places))
    assert (found.presence if found else None) == presence


@pytest.fixture
def misjudged(astronaut: Path, assets_folder: Path) -> tuple[np.ndarray, FaceBox]:
    """A photo, and its face as detected but for a tilt that is far off."""
    image = np.asarray(Image.open(astronaut).convert("RGB"))
    box = max(FaceDetector(asset_path(DETECTOR, assets_folder)).detect(image), key=lambda box: box.score)
    return image, replace(box, roll_rad=box.roll_rad + np.radians(80))


def test_a_misjudged_tilt_is_made_up_for(misjudged, assets_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, box = misjudged
    (true,) = find_faces(image, assets_folder)
    first = Landmarker(asset_path(LANDMARKS, assets_folder)).run(image, Roi.from_box(box))
    assert first.presence < MIN_PRESENCE, "one look would have been enough"
    monkeypatch.setattr(FaceDetector, "detect", lambda _self, _image: (box,))
    (found,) = find_faces(image, assets_folder)
    assert np.abs(found.result.landmarks - true.result.landmarks)[:, :2].mean() < 1.0


def test_what_is_hardly_detected_is_not_looked_at_again(misjudged, assets_folder: Path) -> None:
    image, box = misjudged
    landmarker = Landmarker(asset_path(LANDMARKS, assets_folder))
    assert find_turned(landmarker, image, box) is not None
    assert find_turned(landmarker, image, replace(box, score=0.5)) is None
    elsewhere = replace(box, left=box.left + 2 * box.width, top=box.top + 2 * box.height)
    assert find_turned(landmarker, image, elsewhere) is None
