"""What each G-code does to the machine, and what it answers."""

from __future__ import annotations

import math
import re

import pytest

from .bench import Bench


@pytest.fixture
def bench() -> Bench:
    """A printer that has homed and stands at (100, 100, 10)."""
    bench = Bench()
    bench.send("G28", "G1 X100 Y100 Z10 F3000", "M400")
    bench.said.clear()
    bench.done.clear()
    return bench


# -- homing and ends of travel


def test_before_homing_the_firmware_believes_to_be_at_zero_wherever_it_is() -> None:
    bench = Bench()
    assert bench.machine.position == [60.0, 80.0, 5.0]
    assert bench.answers("M114") == ["X:0.00 Y:0.00 Z:0.00 E:0.00 Count X:0 Y:0 Z:0"]
    bench.send("G1 X10", "M400")
    assert bench.machine.position == pytest.approx([70.0, 80.0, 5.0])


def test_g28_lifts_then_finds_the_endstops_one_by_one() -> None:
    bench = Bench()
    assert "x_min: open" in bench.answers("M119")
    bench.send("G28")
    assert bench.machine.position == pytest.approx([0.0, 0.0, 0.0])
    moved = [[round(d, 6) for d in block.delta[:3]] for block in bench.done]
    assert moved == [[0, 0, 5], [-60, 0, 0], [0, -80, 0], [0, 0, -10]]
    assert bench.answers("M119") == [
        "Reporting endstop status", "x_min: TRIGGERED", "y_min: TRIGGERED", "z_min: TRIGGERED",
    ]  # fmt: skip
    assert bench.answers("M114") == ["X:0.00 Y:0.00 Z:0.00 E:0.00 Count X:0 Y:0 Z:0"]


def test_g28_of_x_and_y_leaves_z_but_for_the_lift() -> None:
    bench = Bench()
    bench.send("G28 X Y")
    assert bench.machine.position == pytest.approx([0.0, 0.0, 10.0])
    assert bench.firmware.homed == [True, True, False]
    no_lift = Bench(raise_mm=0)
    no_lift.send("G28 X Y")
    assert no_lift.machine.position == pytest.approx([0.0, 0.0, 5.0])


def test_the_ends_of_travel_hold_the_carriage_and_a_homed_firmware_keeps_inside(bench: Bench) -> None:
    bench.send("G1 X500 Z-20", "M400")
    assert bench.machine.position == pytest.approx([240.0, 100.0, 0.0])
    lost = Bench()
    lost.send("G1 X-500 F6000", "M400")
    assert lost.machine.position[0] == 0.0 and lost.firmware.native[0] == -500.0


def test_motors_off_forgets_the_position(bench: Bench) -> None:
    bench.send("M84 X")
    assert bench.firmware.homed == [False, True, True]
    bench.send("M84")
    assert bench.firmware.homed == [False, False, False]


# -- coordinates


def test_g92_shifts_the_workspace_and_not_the_carriage(bench: Bench) -> None:
    assert bench.answers("G92 X0 Z2") == ["X:0.00 Y:100.00 Z:2.00 E:0.00 Count X:8000 Y:8000 Z:4000"]
    bench.send("G1 X10 Z3", "M400")
    assert bench.machine.position == pytest.approx([110.0, 100.0, 11.0])
    assert bench.answers("M114") == ["X:10.00 Y:100.00 Z:3.00 E:0.00 Count X:8800 Y:8000 Z:4400"]


def test_homing_ends_the_shift_of_g92(bench: Bench) -> None:
    bench.send("G92 X0 Y0", "G28 X")
    assert bench.answers("M114")[0].startswith("X:0.00 Y:0.00 Z:10.00")


def test_g92_tells_where_the_nozzle_is_and_m114_where_the_queue_ends(bench: Bench) -> None:
    bench.send("G1 X200 F3000")
    assert bench.answers("M114")[0].endswith("Count X:16000 Y:8000 Z:4000")
    assert bench.answers("G92 E0")[0].endswith("Count X:8000 Y:8000 Z:4000")
    bench._pass(0.1)
    # After 0.1 s at 500 mm/s2: 2.5 mm.
    assert bench.answers("G92 E0")[0].endswith("Count X:8200 Y:8000 Z:4000")


def test_a_g92_that_changes_e_waits_in_the_queue_and_a_bare_one_does_not(bench: Bench) -> None:
    bench.send("G1 X110 E5", "G92 E0")
    assert len(bench.firmware.planner.blocks) == 2
    bench.send("G92 E0", "G92")
    assert len(bench.firmware.planner.blocks) == 2


def test_relative_and_absolute_moves(bench: Bench) -> None:
    bench.send("G91", "G1 X5", "G1 X5 Y-10", "G90", "G1 Z20", "M400")
    assert bench.machine.position == pytest.approx([110.0, 90.0, 20.0])


@pytest.mark.parametrize(
    ("lines", "filament"),
    [
        (["M82", "G92 E0", "G1 X110 E1", "G1 X120 E3"], 3.0),
        (["M83", "G1 X110 E1", "G1 X120 E3"], 4.0),
        (["M82", "G92 E10", "G1 X110 E11", "G92 E0", "G1 X120 E1"], 2.0),
        # Relative coordinates do not stop the extruder being told otherwise afterwards, and G90 clears M83.
        (["G91", "M82", "G92 E0", "G1 X5 E1", "G1 X5 E3"], 3.0),
        (["M83", "G90", "G92 E0", "G1 X110 E1", "G1 X120 E3"], 3.0),
        (["G91", "G1 X5 E1", "G1 X5 E3"], 4.0),
        (["M83", "M221 S50", "G1 X110 E4"], 2.0),
        (["M83", "G1 E-5 F2400", "G1 X110", "G1 E5"], 0.0),
    ],
)
def test_extruder_modes(bench: Bench, lines: list[str], filament: float) -> None:
    bench.send(*lines, "M400")
    assert bench.machine.filament == pytest.approx(filament)
    assert sum(block.delta[3] for block in bench.done) == pytest.approx(filament)


def test_inches_and_the_speed_factor(bench: Bench) -> None:
    bench.send("G20", "G1 X5", "G21", "M400")
    assert bench.machine.position[0] == pytest.approx(127.0)
    before = bench.seconds
    bench.send("G1 X77 F600", "M400")
    slow = bench.seconds - before
    bench.send("M220 S200", "G1 X127", "M400")
    # 50 mm at 10 mm/s against 20 mm/s, each with its ramps.
    assert (slow, bench.seconds - before - slow) == pytest.approx((5.02, 2.54), abs=1e-6)


def test_moves_too_short_for_a_block_join_the_next(bench: Bench) -> None:
    """Fewer than 6 steps (0.075 mm of X) are no block, yet nothing of the way or the filament is lost."""
    bench.send("M83", "G1 X100.03 E0.001", "G1 X100.06 E0.001", "G1 X100.09 E0.001", "G1 X101 E0.05", "M400")
    assert [round(block.delta[0], 6) for block in bench.done] == [0.09, 0.91]
    assert bench.done[0].start[0] == pytest.approx(100.0)
    assert bench.machine.position[0] == pytest.approx(101.0)
    assert bench.machine.filament == pytest.approx(0.053)


# -- arcs


@pytest.mark.parametrize("line", ["G2 X110 Y90 I0 J-10 E1", "G2 X110 Y90 R10 E1"])
def test_a_quarter_circle_clockwise(bench: Bench, line: str) -> None:
    bench.send("M83", line, "M400")
    assert bench.machine.position == pytest.approx([110.0, 90.0, 10.0])
    length = sum(block.length for block in bench.done)
    assert length == pytest.approx(10 * math.pi / 2, rel=1e-3)
    assert all(math.hypot(block.start[0] - 100, block.start[1] - 90) == pytest.approx(10, abs=1e-6) for block in bench.done)
    assert bench.machine.filament == pytest.approx(1.0)


def test_a_full_circle_and_a_helix_against_the_clock(bench: Bench) -> None:
    bench.send("G3 X100 Y100 Z12 I10 J0", "M400")
    assert bench.machine.position == pytest.approx([100.0, 100.0, 12.0])
    assert max(block.start[0] for block in bench.done) == pytest.approx(120, abs=0.1)
    # Against the clock, from the left end of the circle, the lower half comes first.
    assert bench.done[len(bench.done) // 4].start[1] < 95


# -- the queue


def test_the_host_is_fourteen_to_sixteen_lines_ahead(bench: Bench) -> None:
    """As measured on real firmware: an ok means a place in the queue, not a move made."""
    ahead = []
    for number in range(1, 101):
        bench.send(f"G1 X{100 + number % 2 * 20} Y{100 + number / 2:g} F3000")
        ahead.append(number - len(bench.done))
    assert set(ahead[20:]) <= {14, 15, 16} and max(ahead) == 15
    bench.finish()
    assert len(bench.done) == 100


def test_what_makes_no_motion_takes_no_place(bench: Bench) -> None:
    bench.send("G1 F1200", "M104 S50", "M106 S128", "G1 X100")
    assert not bench.firmware.planner.blocks and bench.machine.fan == 128


def test_dwell_waits_for_the_queue_and_then_its_time(bench: Bench) -> None:
    before = bench.seconds
    bench.send("G1 X110 F3000", "G4 P500", "G4 S2")
    assert bench.seconds - before == pytest.approx(0.3 + 2.5, abs=1e-6)


# -- heaters


def test_waiting_for_heat_takes_the_time_of_the_heater() -> None:
    bench = Bench()
    bench.send("M140 S60", "M104 S200")
    assert bench.machine.nozzle.target == 200 and bench.seconds == 0
    bench.send("M109 S200")
    # 2.5 degrees a second from 22; a degree of tolerance.
    assert bench.seconds == pytest.approx((200 - 22) / 2.5, abs=1.0)
    bench.send("M190 S60")
    assert bench.machine.bed.actual == pytest.approx(60, abs=1)
    assert re.fullmatch(r"ok T:(199|200)\.\d\d /200\.00 B:(59|60)\.\d\d /60\.00 @:0 B@:0", bench.answers("M105")[0])


def test_m109_s_does_not_wait_for_cooling_and_r_does() -> None:
    bench = Bench()
    bench.send("M109 S200")
    before = bench.seconds
    bench.send("M109 S100")
    assert bench.seconds == before
    bench.send("M109 R100")
    assert bench.seconds > before and bench.machine.nozzle.actual == pytest.approx(100, abs=1)


def test_no_target_above_what_the_heater_may_have() -> None:
    bench = Bench()
    bench.send("M104 S999", "M140 S999")
    assert (bench.machine.nozzle.target, bench.machine.bed.target) == (285.0, 105.0)


# -- answers


def test_m115_names_the_firmware_and_what_it_can() -> None:
    lines = Bench().answers("M115")
    assert lines[0].startswith("FIRMWARE_NAME:Marlin 2.1") and "MACHINE_TYPE:Ender-3" in lines[0]
    assert "Cap:AUTOREPORT_TEMP:1" in lines and "Cap:EMERGENCY_PARSER:0" in lines


@pytest.mark.parametrize("line", ["G1000", "M9999", "HELLO", "T7", "*", "M"])
def test_unknown_commands_are_named(line: str) -> None:
    assert Bench().answers(line) == [f'echo:Unknown command: "{line}"']


@pytest.mark.parametrize("line", ["", "; a comment", "M73 P10 R60", "M117 Hello", "T0", "g1 x1 ; lower case"])
def test_what_needs_no_answer_gets_none(line: str) -> None:
    assert Bench().answers(line) == []


def test_a_change_of_filament_tells_the_host_when_it_begins_and_ends(bench: Bench) -> None:
    bench.send("M600", "M400")
    assert bench.said.index("//action:paused") < bench.said.index("//action:resumed")
    assert bench.machine.position == pytest.approx([100.0, 100.0, 10.0])


def test_m112_stops_everything_until_the_next_boot(bench: Bench) -> None:
    bench.send("M104 S200", "G1 X200 F600")
    assert bench.answers("M112") == ["Error:M112 Shutdown", "Error:Printer halted. kill() called!"]
    assert bench.answers("M105") == []
    bench._pass(10)
    assert bench.machine.position[0] == pytest.approx(100.0) and bench.machine.nozzle.target == 0


def test_limits_can_be_set(bench: Bench) -> None:
    bench.send("M203 X10", "M201 X100", "M204 P100 T100")
    before = bench.seconds
    bench.send("G1 X110 F6000", "M400")
    # 10 mm/s with 100 mm/s2: 0.1 s and 0.5 mm at each end.
    assert bench.seconds - before == pytest.approx(0.1 + 0.9 + 0.1, abs=1e-6)
