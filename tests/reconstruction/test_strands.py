"""Strands run as the hair in the picture does, run on where it shows none, and are not made up where it shows some."""

from __future__ import annotations

import numpy as np
import pytest

from octoprint_facesculpt.portrait.matte import INPUT
from octoprint_facesculpt.reconstruction.around import SHAPE, STEP, UPPER, Around
from octoprint_facesculpt.reconstruction.face_map import ramp
from octoprint_facesculpt.reconstruction.grain import Grain
from octoprint_facesculpt.reconstruction.hair_mask import MM, View
from octoprint_facesculpt.reconstruction.strands import WHORL, Strands, _along, _Surface, strands_of

#: Pixels of the painted photos for a mm, the radius of the ball on which hair is, mm, and the camera in front of it.
SHARP, BALL, CAMERA = 2.0, 95.0, np.array([0.0, 0.0, 5000.0])
SIDE = round(INPUT * MM * SHARP)
#: Where the photo shows the ball from the front: rows and columns of the map.
FRONT = (slice(UPPER - 35, UPPER + 20), slice(SHAPE[1] // 2 - 35, SHAPE[1] // 2 + 35))


def painted(light: np.ndarray) -> np.ndarray:
    """A photo (SIDE, SIDE, 3) that is so light, -1..1."""
    return np.clip(120 + 60 * light, 0, 255).astype(np.uint8)[..., None].repeat(3, 2)


def stripes(degrees: float, mm: float = 7.0) -> np.ndarray:
    """A photo of stripes that run at an angle from the right towards below."""
    row, column = np.indices((SIDE, SIDE)) / SHARP
    angle = np.radians(degrees)
    return painted(np.sin(2 * np.pi / mm * (row * np.cos(angle) - column * np.sin(angle))))


def rings() -> np.ndarray:
    """A photo of curls."""
    row, column = np.indices((SIDE, SIDE)) / SHARP
    return painted(np.sin(2 * np.pi / 7 * np.hypot(row % 24 - 12, column % 24 - 12)))


def sculpted(image: np.ndarray) -> Strands:
    """The strands of hair all over a ball, of which a photo shows the front."""
    all_of_it = np.ones((INPUT, INPUT), bool)
    view = View(
        picture=np.zeros((INPUT, INPUT, 3), np.uint8), matrix=np.array([[1.0, 0, 0], [0, 1, 0]]) / (MM * SHARP),
        known=all_of_it, person=all_of_it, places=np.zeros((INPUT, INPUT, 3)), bald=all_of_it, landmarks=np.zeros((478, 2)),
    )  # fmt: skip
    around = Around(np.zeros(3))
    reach = np.full(SHAPE, BALL)
    points = around.points(reach)
    pixels = points[..., :2] * (1 / MM, -1 / MM) + INPUT / 2
    seen = ramp(around.directions[..., 2], 0.1, 0.45)
    return strands_of(around, reach, Grain.of(image, view, all_of_it, SHARP), pixels, seen, CAMERA)


@pytest.mark.parametrize("degrees", [0, 35, 90, 140])
def test_grooves_run_as_stripes_in_the_picture(degrees: float) -> None:
    found = sculpted(stripes(degrees))
    angle = np.radians(degrees)
    along = np.array([np.sin(angle), np.cos(angle)])
    assert np.abs(found.way[FRONT] @ along).mean() > 0.98
    # What is high and what is low changes across them, not along them.
    down, east = np.gradient(found.locks[FRONT], STEP * BALL / 100)
    slope_along, slope_across = down * along[0] + east * along[1], down * along[1] - east * along[0]
    assert found.locks[FRONT].std() > 0.4
    assert np.sqrt((slope_along**2).mean() / (slope_across**2).mean()) < 0.3


def test_a_light_stripe_is_high_and_a_dark_one_low() -> None:
    found = sculpted(stripes(90, mm=12.0))
    x = (np.indices(SHAPE)[1] + 0.5 - SHAPE[1] / 2) / SHAPE[1] * 2 * np.pi
    # The photo's middle is the ball's.
    light = -np.sin(2 * np.pi / 12 * (SIDE / SHARP / 2 + BALL * np.sin(x)))
    row = slice(UPPER - 3, UPPER + 3)
    assert np.corrcoef(found.locks[row, FRONT[1]].ravel(), light[row, FRONT[1]].ravel())[0, 1] > 0.8


def test_no_strands_are_made_up_where_the_picture_shows_none() -> None:
    noise = np.random.default_rng(1).normal(0, 0.02, (SIDE, SIDE))
    found = sculpted(painted(noise))
    behind = (FRONT[0], np.r_[0:40, SHAPE[1] - 40 : SHAPE[1]])
    assert np.abs(found.locks[FRONT]).max() < 0.2 and np.abs(found.strands[FRONT]).max() < 0.2
    # Beyond it they are shallow, too, but there are some.
    plain, lively = (one.locks[behind].std() for one in (found, sculpted(stripes(90))))
    assert 0.1 < plain < 0.7 * lively


def test_strands_run_on_where_the_picture_ends() -> None:
    found = sculpted(stripes(0))
    turn = np.abs(Around(np.zeros(3)).turn)
    level = slice(UPPER - 10, UPPER + 10)
    east = np.abs(found.way[..., 1])
    # Level at the ears, where nothing is seen any longer, as in front; down at the back.
    assert east[level][:, (turn > 88) & (turn < 98)].mean() > 0.9
    assert east[level][:, turn > 170].mean() < 0.5


def test_what_is_seen_and_what_is_not_join_without_a_step() -> None:
    found = sculpted(stripes(35))
    rows, turn = slice(UPPER - 40, UPPER + 30), np.abs(Around(np.zeros(3)).turn)
    border = (turn > 60) & (turn < 95)
    double = (found.way[..., 0] + 1j * found.way[..., 1]) ** 2
    turns = np.abs(np.angle(double * np.roll(double, 1, 1).conj()))[rows] / 2
    assert np.degrees(turns[:, border]).max() < 25
    steps = np.abs(found.locks - np.roll(found.locks, 1, 1))[rows]
    assert np.quantile(steps[:, border], 0.99) < 1.3 * np.quantile(steps[:, turn < 60], 0.99)


def test_hair_that_curls_curls_at_the_back() -> None:
    straight, curly = (sculpted(image) for image in (stripes(90), rings()))
    back = (slice(UPPER - 40, UPPER + 20), np.r_[0:50, SHAPE[1] - 50 : SHAPE[1]])

    def order(found: Strands) -> float:
        return float(np.abs(((found.way[..., 0] + 1j * found.way[..., 1]) ** 2)[back].mean()))

    assert order(straight) > 0.8 and order(curly) < 0.6


def test_hair_begins_in_a_whorl_behind_the_crown() -> None:
    found = sculpted(painted(np.zeros((SIDE, SIDE))))
    behind, before = SHAPE[1] - 1, SHAPE[1] // 2
    # Away from it: down at the back of the head, towards the face in front of it, and to both sides beside it.
    assert np.abs(found.way[[round(120 / STEP), round(40 / STEP)], [behind, before], 0]).min() > 0.9
    height, right = np.radians(WHORL)
    beside = round(45 / np.sin(height) / 100 / (2 * np.pi) * SHAPE[1])
    row, column = round(height * 100 / STEP), round(right / np.sin(height) / (2 * np.pi) * SHAPE[1])
    assert np.abs(found.way[row, [column - beside, column + beside], 1]).min() > 0.85


def test_ways_lead_over_the_crown() -> None:
    around = Around(np.zeros(3))
    surface = _Surface.of(around, np.full(SHAPE, 100.0))
    up = np.zeros((*SHAPE, 2), np.float32)
    up[..., 0] = -1
    begin, column = 3, 40
    ways = [(distance, row[begin, column], east[begin, column]) for distance, row, east in _along(surface, up, 30.0)]
    first = ways[: len(ways) // 2]
    for distance, row, east in first:
        over = distance > (begin + 0.5) * STEP
        assert row == pytest.approx(abs(begin + 0.5 - distance / STEP) - 0.5, abs=0.05)
        assert east == pytest.approx(column + SHAPE[1] / 2 * over, abs=0.5)
