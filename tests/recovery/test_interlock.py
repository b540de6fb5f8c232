"""What may not reach a printer with an unfinished print on it."""

from __future__ import annotations

import pytest

from octoprint_facesculpt.recovery.interlock import drags, endangers, shifts


@pytest.mark.parametrize(
    "line",
    [
        "G28", "g28", "G28 Z", "G28 X Y Z", "G28Z", "G28 R0", "N5 G28*44", "G28 ; home X",
        "G29", "G29.1", "G30 X5", "G33", "G34", "G26", "G38.2 Z-5", "G76", "G425 B", "M48 P4",
        "G35 S30", "M1000", "M1000 S",
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
        "M840", "BED_MESH_PROFILE LOAD=default", "PROBED", "M23 bust.gco", "M240", "M25", "M27", "M480", "G350", "M100",
        "M10000",
    ],
)  # fmt: skip
def test_let_through(line: str):
    assert not endangers(line)


@pytest.mark.parametrize(
    ("line", "along"),
    [
        ("G1 X5", True), ("g0y-3", True), ("N5 G1 X5*3", True), ("G01 X5 Z5", True), ("G2 I5", True), ("G3 X1 R5", True),
        ("G5 X1", True), ("G12", True), ("G28 X0 Y0", True), ("G28 Y", True),
        ("G1 Z5", False), ("G1 E5 F100", False), ("G10", False), ("G92 X5", False), ("G90", False), ("M114 X", False),
        ("G1 Z5 ; X", False), ("", False),
    ],
)  # fmt: skip
def test_what_drags_a_print_along(line: str, along: bool):
    assert drags(line) == along


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ("G92", True), ("G92 X0", True), ("G92 Z5 E0", True), ("G92 E0 Z5", True), ("G92.1", True), ("N3 G92 Z1*7", True),
        ("G54", True), ("G59.3", True), ("G10 L2 Z1", True), ("M206 Z1", True), ("M428", True),
        ("M290 Z0.1", True),
        ("SET_GCODE_OFFSET Z=1", True), ("set_kinematic_position Z=1", True), ("RESTORE_GCODE_STATE NAME=a", True),
        ("G92 E0", False), ("G92E0", False), ("G10", False), ("G10 S1", False), ("G1 Z5", False), ("G920", False),
        ("M2060", False), ("SAVE_GCODE_STATE NAME=a", False),
    ],
)  # fmt: skip
def test_what_changes_the_meaning_of_heights_and_places(line: str, other: bool):
    assert shifts(line) == other
