"""Faces are mostly at rest: an expression is few amounts, and what little is measured of the others is noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from octoprint_facesculpt.portrait import read_portrait
from octoprint_facesculpt.reconstruction import reconstruct
from octoprint_facesculpt.reconstruction.plausible import MOST, REST, settled
from octoprint_facesculpt.reconstruction.weights import load


def test_little_is_none_and_much_is_nearly_as_much() -> None:
    found = settled(np.array([0.01, -0.3, 0.6, 2.0]), np.diag([40.0, 40.0, 40.0, 40.0]))
    assert found == pytest.approx([0, 0, 0.6 - REST / 40, MOST])


def test_nothing_more_probable_is_near() -> None:
    rng = np.random.default_rng(3)
    count = 20
    mixed = rng.normal(size=(count, 3 * count))
    precision = mixed @ mixed.T
    measured = rng.uniform(-0.4, 1.6, count)
    found = settled(measured, precision)
    # The slope of the cost: none within the range, outwards at its ends.
    slope = precision @ (found - measured) + REST
    within = (found > 1e-6) & (found < MOST - 1e-6)
    assert 0 < within.sum() < count
    assert slope[within] == pytest.approx(0, abs=1e-6)
    assert (slope[found <= 1e-6] >= -1e-6).all() and (slope[found >= MOST - 1e-6] <= 1e-6).all()


def test_a_photo_shows_few_amounts_of_an_expression(astronaut: Path, assets_folder: Path) -> None:
    head = reconstruct(read_portrait(astronaut, assets=assets_folder))
    amounts = head.details["coefficients"][len(load().head.identity) :]
    assert (amounts >= 0).all() and (amounts <= MOST).all()
    assert (amounts < 1e-6).sum() > len(amounts) / 3
    # She smiles.
    assert amounts.max() > 0.2
