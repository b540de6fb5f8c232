"""The picture of a sculpture cut at the height of an interrupted print."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from octoprint_facesculpt.sculpture.cut import CUT, cut_view, save_cut


@pytest.fixture(scope="module")
def ball() -> trimesh.Trimesh:
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=20.0)
    mesh.apply_translation((117.0, 117.0, 20.0))
    return mesh


def orange(picture: np.ndarray) -> np.ndarray:
    """Pixels of the cut."""
    return np.abs(picture.astype(float) / 255 - CUT).max(2) < 0.05


def test_cut_is_where_the_print_stopped(ball: trimesh.Trimesh):
    rows = []
    for height in (10.0, 20.0, 30.0):
        picture = cut_view(np.asarray(ball.vertices), np.asarray(ball.faces), height, 200)
        cut = orange(picture)
        rows.append(np.nonzero(cut)[0].mean())
        # A disc of the ball's own width at that height, seen from above at 22 degrees.
        width = np.nonzero(cut.any(0))[0]
        radius = np.sqrt(20.0**2 - (height - 20.0) ** 2)
        assert (width[-1] - width[0]) / (0.9 * 200) == pytest.approx(radius / 20.0, abs=0.03)
    assert rows[0] > rows[1] > rows[2]


def test_nothing_and_everything_printed(ball: trimesh.Trimesh):
    for height in (0.0, 100.0):
        assert not orange(cut_view(np.asarray(ball.vertices), np.asarray(ball.faces), height, 120)).any()


def test_file(ball: trimesh.Trimesh, tmp_path: Path):
    ball.export(tmp_path / "ball.stl")
    picture = Image.open(save_cut(tmp_path / "ball.stl", 25.0, tmp_path / "cut.png"))
    assert picture.size == (480, 480) and orange(np.asarray(picture)).any()
