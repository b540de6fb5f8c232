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
    assert kept.all().shape == (0, 6)
    for begin, end in ((0, 3), (3, 3), (3, 25), (25, 40)):
        kept.add(lines[begin:end])
        np.testing.assert_array_equal(kept.all(), lines[:end])
    assert kept.all().dtype == np.float32
