"""What gradients show around points of pictures that are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from octoprint_facesculpt.reconstruction.gradients import DIRECTIONS, PATCH, direction_maps, patches

SIDE = 128


def ramp(angle: float) -> np.ndarray:
    """A picture that gets brighter along ``angle`` (rad, from x towards y, downwards)."""
    across, down = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    grey = 128 + (np.cos(angle) * (across - SIDE / 2) + np.sin(angle) * (down - SIDE / 2))
    return np.repeat(grey[..., None], 3, 2).astype(np.uint8)


def spots(rng: np.random.Generator) -> np.ndarray:
    """A picture of soft spots."""
    grey = gaussian_filter(rng.normal(size=(SIDE, SIDE)), 3)
    grey = 128 + 40 * (grey - grey.mean()) / grey.std()
    return np.repeat(grey[..., None], 3, 2).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("number", range(DIRECTIONS))
def test_a_direction_is_where_it_gets_brighter(number: int) -> None:
    maps = direction_maps(ramp(2 * np.pi * number / DIRECTIONS))[:, 40:-40, 40:-40].mean((1, 2))
    assert maps.argmax() == number
    assert maps[(number + DIRECTIONS // 2) % DIRECTIONS] < 0.01 * maps[number]


def test_exposure_makes_no_difference() -> None:
    picture = spots(np.random.default_rng(0))
    darker = (picture.astype(float) * 0.6 + 20).astype(np.uint8)
    places = np.random.default_rng(1).uniform(30, SIDE - 30, (20, 2))
    one, other = (patches(direction_maps(p), places) for p in (picture, darker))
    assert one.shape == (20, PATCH)
    np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1, atol=1e-3)
    assert (one * other).sum(1).min() > 0.95


def test_a_patch_goes_with_its_picture() -> None:
    """What is around a point is the same when the picture is shifted and the point with it, and another a few pixels off."""
    picture = spots(np.random.default_rng(2))
    shifted = np.roll(picture, (5, 9), (0, 1))
    places = np.random.default_rng(3).uniform(40, SIDE - 40, (20, 2))
    there = places + np.array([9, 5])
    here = patches(direction_maps(picture), places)
    with_it = patches(direction_maps(shifted), there)
    np.testing.assert_allclose(here, with_it, atol=0.02)
    assert np.abs(here - patches(direction_maps(picture), there)).mean() > 0.02


def test_at_the_edge_and_on_an_even_picture_patches_are_finite() -> None:
    even = np.full((SIDE, SIDE, 3), 90, np.uint8)
    places = np.array([[-50.0, 3.0], [SIDE + 4.0, SIDE / 2], [SIDE / 2, SIDE / 2]])
    for picture in (even, spots(np.random.default_rng(4))):
        shown = patches(direction_maps(picture), places)
        assert np.isfinite(shown).all()
        assert (np.linalg.norm(shown, axis=1) <= 1 + 1e-5).all()
