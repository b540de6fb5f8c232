"""The machine model against Marlin's rules, a case a line."""

from __future__ import annotations

from math import pi

import pytest

from octoprint_facesculpt.recovery.machine import Machine

from ..printer.bench import Bench
from .programs import after_program


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("G1 X10 Y5", {"position": [10, 5, 0]}),
        ("G91|G1 X10|G1 X10 Y-1", {"position": [20, -1, 0]}),
        ("G20|G1 X1 F60", {"position": [25.4, 0, 0], "feed": 1524}),
        ("G1 X1 F1200|G0 X2 F0", {"feed": 1200}),
        ("G1 X7|G92 X0|G1 X5", {"position": [5, 0, 0], "shift": [-7, 0, 0]}),
        ("G1 X7|G92 X0|G1 X5|G92.1", {"position": [12, 0, 0], "shift": [0, 0, 0]}),
        ("G1 X7|G92 X0|G28 X", {"position": [0, 0, 0], "shift": [0, 0, 0], "homed": [True, False, False]}),
        ("M82|G1 E5|G92 E0|G1 E1", {"e": 1, "filament": 6}),
        ("M83|G1 E5|G1 E-2", {"e": 3, "filament": 3, "filament_top": 5}),
        ("M104 S200|M109 R180 T1", {"nozzle": {"0": 200, "1": 180}}),
        ("T1|M104 S190", {"nozzle": {"1": 190}, "tool": 1}),
        ("M140 S60|M190 S0", {"bed": 0}),
        ("M106|M106 P2 S300|M107", {"fans": {"0": 0, "2": 255}}),
        ("M220 S80|M221 S95", {"feed_percent": 80, "flow_percent": {"0": 95}}),
        ("M204 P500|M204 T800|M205 X8", {"limits": {"M204": {"P": 500, "T": 800}, "M205": {"X": 8}}}),
        ("M290 Z0.05|M290 Z-0.02", {"babystep": 0.03}),
        ("G29|M420 S1 Z10", {"leveling": True, "fade_height": 10}),
        ("M420 S1|G28", {"leveling": False}),
        ("M900 K0.2", {"linear_advance": 0.2}),
        ("G10", {"firmware_retracted": True}),
        ("G10|G11", {"firmware_retracted": False}),
        ("G10 P0 X5", {"firmware_retracted": False}),
        ("G28|M84 X", {"homed": [False, True, True], "motors_off": True}),
        ("G28|M84 S0", {"homed": [True, True, True], "motors_off": False}),
        ("M117 G1 X5|;G1 X6|N3 G1 Y2*44", {"position": [0, 2, 0]}),
    ],
)
def test_rule(program: str, expected: dict):
    state = after_program(program).state
    for name, value in expected.items():
        found = getattr(state, name)
        assert found == (value if name == "limits" else pytest.approx(value)), name


@pytest.mark.parametrize(
    ("firmware", "program", "e"),
    [
        ("marlin2", "M83|G90|G1 E2|G1 E3", 3),
        ("marlin1", "M83|G90|G1 E2|G1 E3", 5),
        ("klipper", "M83|G90|G1 E2|G1 E3", 5),
        ("marlin2", "G91|M82|G1 E2|G1 E3", 3),
        ("marlin1", "G91|M82|G1 E2|G1 E3", 5),
    ],
)
def test_which_modes_the_extruder_follows_depends_on_the_firmware(firmware: str, program: str, e: float):
    assert after_program(program, firmware).state.e == e


def test_arcs_are_as_long_as_they_are():
    machine = after_program("M83|G1 X20 Y10|G3 X20 Y10 I-10 J0 E5")
    assert machine.state.printed == pytest.approx(2 * pi * 10, rel=1e-3)
    assert machine.state.high[:2] == pytest.approx([20, 20], abs=0.05)
    half = after_program("M83|G1 X0 Y0|G2 X10 Y0 R5 E1")
    assert half.state.printed == pytest.approx(pi * 5, rel=2e-2)
    assert half.state.position == [10, 0, 0]


def test_hostile_arc_is_bounded():
    move = Machine().execute(b"G2 X1 I900000000\n")
    assert move is not None and len(move.points) <= 10_000


def test_printed_path_counts_only_where_plastic_goes():
    machine = after_program("M83|G1 X10 E1|G1 X20|G1 E5|G1 Z1|G1 X20 Y5 E.1")
    assert machine.state.printed == 15


def test_layers_of_both_slicers():
    machine = after_program("M83|G1 X5 Z.3 E1|;LAYER:0|G1 Z.2|G1 X9 E1|;LAYER:1|G1 Z.9|G1 X1|G1 Z.4|G1 X2 E1")
    assert [layer.z for layer in machine.layers] == [0.2, 0.4]
    assert machine.state.layer == 2
    # The priming line before the first layer does not bound the print.
    assert machine.state.low == [1, 0, 0.2]


def test_the_simulated_printer_agrees():
    """The model and the simulated firmware, written apart from each other, end in the same place."""
    program = [
        "G28", "G1 X50 Y60 Z5 F3000", "G91", "G1 X3 Y-4", "G90", "M83", "G1 X60 E2", "G92 E0 X0", "G1 X5 E-1",
        "G2 X15 Y60 I5 J2", "G20", "G1 Y3 F100", "G21", "M82", "G1 X2 E4",
    ]  # fmt: skip
    bench, machine = Bench(), Machine()
    bench.send("M104 S200", "M109 S200", *program)
    bench.finish()
    for line in program:
        machine.execute(line.encode() + b"\n")
    firmware = bench.firmware
    assert machine.state.position == pytest.approx([firmware.workspace(axis) for axis in range(3)], abs=1e-6)
    assert machine.state.e == pytest.approx(firmware.extruder)
    assert machine.state.feed == pytest.approx(firmware.feed * 60)
