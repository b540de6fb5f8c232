"""A nozzle that stands on an interrupted print, cold: what would drag the print along does not reach the printer."""

from __future__ import annotations

import re

import pytest

from octoprint_facesculpt.desk.answers import Answers
from octoprint_facesculpt.desk.moved import ANYWHERE_REACH, Moves, insisted

from .conftest import Opened, wait_for

API = {"source:api"}
SCRIPT = {"source:script", "script:afterPrintCancelled"}
#: OctoPrint's buttons for X and Y.
HOME_XY, JOG_X = "G28 X0 Y0", "G1 X10 F6000"


def sent(opened: Opened, *lines: str, tags: set[str] = API) -> list[bool]:
    """Which of the lines reach the printer."""
    gcodes = [match and match[0] for match in (re.match(r"[GMT]\d+", line) for line in lines)]
    return [opened.desk.on_sending(line, gcode, tags) is None for line, gcode in zip(lines, gcodes, strict=True)]


def cleaning(opened: Opened) -> None:
    opened.until("ready")
    opened.desk.answer(Answers.begin)
    opened.desk.look(confirmed=True)
    opened.desk.answer(Answers.accept_point)
    opened.desk.measure(0.8)
    opened.until("ready")
    opened.desk.heat(confirmed=True)
    opened.warm()
    opened.desk.lift(confirmed=True)
    opened.until("cleaning")


@pytest.mark.parametrize("line", [HOME_XY, JOG_X, "G0 Y-5", "G1 X5 Z5", "G2 I5 J0", "G12"])
def test_a_cold_nozzle_is_not_moved_along_the_bed(opened: Opened, line: str):
    opened.until("ready")
    opened.warm(nozzle=25.0, bed=25.0)
    assert sent(opened, line) == [False]
    wait_for(lambda: opened.port.logged, "the explanation")
    assert "drag it off the bed" in opened.port.logged[0] and f"@facesculpt allow {line}" in opened.port.logged[0]
    assert opened.desk.status()["held_back"] == [line]


def test_nor_one_of_which_no_temperature_is_known(opened: Opened):
    assert sent(opened, HOME_XY, "M105", "G1 E5 F100") == [False, True, True]


def test_once_it_was_raised_it_may_be_moved(opened: Opened):
    opened.until("ready")
    assert sent(opened, "G91", JOG_X, "G1 Z0.5", JOG_X, "G1 Z1", JOG_X, HOME_XY, "G1 Z-1.2", JOG_X) == [
        True, False, True, False, True, True, True, True, False,
    ]  # fmt: skip


def test_a_nozzle_that_was_moved_to_some_height_counts_as_not_raised(opened: Opened):
    opened.until("ready")
    assert sent(opened, "G90", "G1 Z50", JOG_X) == [True, True, False]


def test_a_hot_nozzle_may_be_moved_until_it_is_cold_or_gone(opened: Opened):
    opened.until("ready")
    opened.warm(nozzle=190.0)
    assert sent(opened, HOME_XY) == [True]
    opened.warm(nozzle=120.0)
    assert sent(opened, HOME_XY) == [False]
    opened.warm(nozzle=190.0)
    opened.desk.on_event("Disconnected", {})
    assert sent(opened, HOME_XY) == [False]


def test_a_nozzle_that_the_resume_has_lifted_may_be_moved(opened: Opened):
    cleaning(opened)
    opened.desk.stop()
    opened.until("ready")
    opened.warm(nozzle=25.0)
    assert sent(opened, HOME_XY) == [True]


def test_it_sticks_again_after_the_next_interruption(opened: Opened):
    opened.until("ready")
    assert sent(opened, "G91", "G1 Z10", "G90", JOG_X) == [True] * 4
    wait_for(lambda: opened.desk.state == "ready" and opened.desk.status()["plan"]["stop"]["moved"], "the move")
    opened.desk.plan_again(height=10.8)
    wait_for(lambda: opened.desk.state == "ready" and not opened.desk.status()["plan"]["asks"], "the height")
    opened.desk.resume(confirmed=True, user=None)
    script = opened.desk.on_script("gcode", "beforePrintStarted")
    assert script is not None
    for line in script[0]:
        opened.desk.on_sending(line, line.split()[0], {"plugin:facesculpt", "script:beforePrintStarted"})
    opened.desk.on_event("PrintStarted", {"origin": "local", "path": "vase.gcode"})
    offset = opened.desk.status()["plan"]["plan"]["offset"]
    opened.desk.on_sending("G1 X1", "G1", {"source:file", f"filepos:{offset}"})
    opened.desk.on_event("Disconnected", {})
    opened.until("ready")
    assert sent(opened, JOG_X) == [False]


def test_a_relative_move_that_is_insisted_on_stays_one(opened: Opened):
    opened.until("ready")
    assert sent(opened, "G91", JOG_X, "G90") == [True, False, True]
    opened.desk.guard.allow(JOG_X, confirmed=True)
    assert opened.port.sent == ["G91", JOG_X, "G90"]
    assert opened.desk.answers.moved is None
    assert sent(opened, HOME_XY) == [False]
    opened.desk.guard.allow(HOME_XY, confirmed=True)
    assert opened.port.sent[3:] == [HOME_XY] and opened.desk.answers.moved == (0.0, 10.0)


@pytest.mark.parametrize(
    ("line", "relative", "reach"),
    [
        (JOG_X, True, None),
        (JOG_X, False, None),
        ("G1 X5 Z2", True, (0.0, 2.0)),
        ("G1 X5 Z2", False, ANYWHERE_REACH),
        (HOME_XY, False, (0.0, 10.0)),
        ("G28 X Z", False, ANYWHERE_REACH),
        ("G12", False, ANYWHERE_REACH),
    ],
)
def test_how_far_a_line_moves_it_that_is_insisted_on(line: str, relative: bool, reach):
    assert insisted(line, relative) == reach


@pytest.mark.parametrize("line", ["M125", "M600", "M702", "G61", "END_PRINT", "G1 Z10"])
def test_scripts_neither_park_nor_call_macros(opened: Opened, line: str):
    """OctoPrint sends the script for a cancelled print when the printer was reset."""
    opened.until("ready")
    assert sent(opened, line, "M104 S0", tags=SCRIPT) == [False, True]


@pytest.mark.parametrize(
    ("line", "reach"),
    [
        ("PARK_TOOLHEAD", ANYWHERE_REACH),
        ("_my_macro Z=5", ANYWHERE_REACH),
        ("FIRMWARE_RESTART", None),
        ("QUERY_ENDSTOPS", None),
        ("SET_HEATER_TEMPERATURE HEATER=extruder TARGET=0", None),
        ("?", None),
    ],
)
def test_a_macro_may_move_the_nozzle_anywhere(line: str, reach):
    assert Moves().follow(line, None) == reach


@pytest.mark.parametrize("line", ["G5 X1 Y1 I1 J1 P1 Q1", "G42 I1", "G61", "M401", "M402"])
def test_so_may_commands_whose_way_only_the_firmware_knows(opened: Opened, line: str):
    opened.until("ready")
    opened.warm(nozzle=200.0)
    sent(opened, line)
    wait_for(lambda: opened.desk.answers.moved, "the move")


@pytest.mark.parametrize(
    "line",
    [
        "G92 Z20",
        "G92 X0",
        "G92",
        "G92.1",
        "M206 Z3",
        "G54",
        "G10 L2 P1 Z5",
        "SET_GCODE_OFFSET Z=-3",
        "SET_KINEMATIC_POSITION Z=9",
    ],
)
def test_nothing_changes_what_heights_mean_between_lift_and_resume(opened: Opened, line: str):
    """The rest of the plan goes to heights as it has set them: a G92 Z20 at 6 mm would be 14 mm of way down."""
    cleaning(opened)
    assert sent(opened, line, "G92 E0", "G1 E5 F100") == [False, True, True]
    opened.desk.stop()
    opened.until("ready")
