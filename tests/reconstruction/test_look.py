"""Looking at a real photo with the shipped correspondence network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from octoprint_facesculpt.portrait import read_portrait
from octoprint_facesculpt.portrait.landmarker import Roi
from octoprint_facesculpt.reconstruction.alignment import CROP, head_crop
from octoprint_facesculpt.reconstruction.correspondence import REGION, STAGES, FaceEncoder
from octoprint_facesculpt.reconstruction.look import look, picture_of
from octoprint_facesculpt.reconstruction.weights import load


@pytest.fixture(scope="module")
def portrait(astronaut: Path, assets_folder: Path):
    return read_portrait(astronaut, assets=assets_folder)


@pytest.fixture(scope="module")
def crop(portrait):
    model = load().head
    return head_crop(portrait.landmarks, model.landmarks(model.mean))


@pytest.fixture(scope="module")
def sight(portrait, crop):
    return look(load().observer, portrait.image, portrait.landmarks, crop)


def test_the_encoder_has_a_map_for_every_stage() -> None:
    with torch.inference_mode():
        maps = FaceEncoder().eval()(torch.zeros(1, 3, REGION, REGION))
    assert [tuple(m.shape[1:]) for m in maps] == [(w, REGION >> i, REGION >> i) for i, w in enumerate(STAGES, 1)]


def test_head_points_are_where_mediapipe_sees_them(sight, crop) -> None:
    """Each landmark's nearest head point lies about where MediaPipe put the landmark: two networks, one face."""
    model = load().head
    landmarks = model.landmarks(model.mean)
    points = sight.points.points(model.mean)
    nearest = np.linalg.norm(landmarks[:468, None] - points[None], axis=2)
    close = np.flatnonzero(nearest.min(1) < 2.0)
    assert len(close) > 30
    off = crop.landmarks[close, :2] - sight.points.place[nearest.argmin(1)[close]]
    eyes = np.linalg.norm(crop.landmarks[33, :2] - crop.landmarks[263, :2])
    assert np.median(np.linalg.norm(off, axis=1)) < 0.07 * eyes


def test_a_mirrored_picture_shows_the_mirrored_head(portrait, sight) -> None:
    model, mirror = load().head, load().head.mirror
    width = portrait.image.shape[1]
    landmarks = portrait.landmarks.copy()
    landmarks[:, 0] = width - landmarks[:, 0]
    # MediaPipe's landmark on the other side of the face is the one whose place on the head is.
    here = model.landmarks(model.mean)
    other = np.linalg.norm(here[:, None] * [-1, 1, 1] - here[None], axis=2).argmin(1)
    landmarks = landmarks[other]
    crop = head_crop(landmarks, here)
    seen = look(load().observer, np.ascontiguousarray(portrait.image[:, ::-1]), landmarks, crop)
    head, image, unturned = (
        model.vertices(coefficients)[model.face]
        for coefficients in (sight.head[:-1], mirror.of(seen.head[:-1]), seen.head[:-1])
    )
    assert np.linalg.norm(head - image, axis=1).mean() < 0.1
    assert np.linalg.norm(head - unturned, axis=1).mean() > 0.3
    # The points of each side are seen where those of the other were.
    half = len(sight.points.place) // 2
    assert np.abs(np.roll(seen.points.place, half, 0) * [-1, 1] + [CROP, 0] - sight.points.place).mean() < 0.1


def test_the_last_step_reads_the_picture_itself(portrait, crop, sight) -> None:
    """Without it the same maps lead to another head, and points that lie on edges are put elsewhere, not far away."""
    observer = load().observer
    short = replace(observer, descent=replace(observer.descent, last=None))
    without = look(short, portrait.image, portrait.landmarks, crop)
    off = np.linalg.norm(without.points.place - sight.points.place, axis=1)
    assert 0.05 < off.mean() < 3
    assert np.abs(without.head - sight.head).max() > 0.01


@pytest.mark.parametrize("factor", [1, 4])
def test_resample_shows_the_same_at_every_size(factor: int) -> None:
    """A region of a picture enlarged ``factor`` times looks like the region of the picture itself."""
    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 255, (40, 40, 3), np.uint8), (400, 400), interpolation=cv2.INTER_CUBIC)
    large = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    here = picture_of(picture, Roi(200, 190, 180, 0.2)).astype(int)
    there = picture_of(large, Roi(200 * factor, 190 * factor, 180 * factor, 0.2)).astype(int)
    assert np.abs(here - there).mean() < 4
