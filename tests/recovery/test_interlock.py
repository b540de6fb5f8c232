"""What may not reach a printer with an unfinished print on it."""

from __future__ import annotations

import pytest

from octoprint_facesculpt.recovery.interlock import endangers


@pytest.mark.parametrize(
    "line",
    [
        "G28", "g28", "G28 Z", "G28 X Y Z", "G28Z", "G28 R0", "N5 G28*44", "G28 ; home X",
        "G29", "G29.1", "G30 X5", "G33", "G34", "G26", "G38.2 Z-5", "G76", "G425 B", "M48 P4",
        "M24", "m24", "N7 M24*5", "M32 !/bust.gco#", "SDCARD_PRINT_FILE FILENAME=bust.gcode",
        "M84", "M84 S0", "M18 X",
        "BED_MESH_CALIBRATE", "probe_calibrate", "PROBE", "Z_TILT_ADJUST", "FORCE_MOVE STEPPER=stepper_z",
    ],
)  # fmt: skip
def test_held_back(line: str):
    assert endangers(line)


@pytest.mark.parametrize(
    "line",
    [
        "G28 X Y", "G28 R0 X Y", "G28 X", "G280", "G2 X5", "G1 Z5", "M28", "G290", "; G28", "G92 Z5", "",
        "M840", "BED_MESH_PROFILE LOAD=default", "PROBED", "M23 bust.gco", "M240", "M25", "M27", "M480",
    ],
)  # fmt: skip
def test_let_through(line: str):
    assert not endangers(line)
