"""What may not reach a printer with an unfinished print on it."""

from __future__ import annotations

import pytest

from octoprint_facesculpt.recovery.interlock import endangers


@pytest.mark.parametrize(
    "line",
    ["G28", "g28", "G28 Z", "G28 X Y Z", "G28 R0", "N5 G28*44", "G28 ; home X", "G29", "G29.1", "G30 X5", "G33", "G34", "G28Z"],
)
def test_held_back(line: str):
    assert endangers(line)


@pytest.mark.parametrize(
    "line", ["G28 X Y", "G28 R0 X Y", "G28 X", "G280", "G2 X5", "G1 Z5", "M28", "G290", "; G28", "G92 Z5", ""]
)
def test_let_through(line: str):
    assert not endangers(line)
