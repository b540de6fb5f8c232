"""Moves and lines as arrays."""

from __future__ import annotations

import numpy as np
import pytest

from octoprint_facesculpt.slicing import gcode_moves
from octoprint_facesculpt.slicing.gcode_moves import Lines


@pytest.mark.parametrize("room", [1, 7, 100])
def test_lines_are_kept_in_their_order_whatever_room_there_was(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcode_moves, "_ROOM", room)
    lines = np.arange(6 * 40, dtype=np.float32).reshape(40, 6)
    kept = Lines()
    assert len(kept) == 0 and kept[:].shape == (0, 6)
    for begin, end in ((0, 3), (3, 3), (3, 25), (25, 40)):
        kept.add(lines[begin:end])
        assert len(kept) == end
        np.testing.assert_allclose(kept[:], lines[:end], rtol=1e-6)
    np.testing.assert_allclose(kept[5:9], lines[5:9], rtol=1e-6)
    assert kept[:].dtype == np.float32


def test_lines_are_kept_to_a_hundredth_of_a_millimetre() -> None:
    lines = np.random.default_rng(0).uniform(-400, 400, (500, 6)).astype(np.float32)
    kept = Lines()
    kept.add(lines)
    np.testing.assert_allclose(kept[:], lines, atol=0.0101)


def test_a_line_that_no_bed_reaches_ends_far_away() -> None:
    kept = Lines()
    kept.add(np.float32([[1e6, -1e6, 0, 700, -700, 1]]))
    np.testing.assert_allclose(kept[:], [[655.34, -655.34, 0, 655.34, -655.34, 1]], rtol=1e-5)
