"""Prints whose firmware retracts (G10, G11), and lifts the nozzle meanwhile by what M207 Z says, which no coordinate tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from octoprint_facesculpt.recovery.estimate import Estimate, choose
from octoprint_facesculpt.recovery.heights import Choice
from octoprint_facesculpt.recovery.machine import Machine
from octoprint_facesculpt.recovery.outage import Seen
from octoprint_facesculpt.recovery.plan import make_plan
from octoprint_facesculpt.recovery.printer import PrinterFacts
from octoprint_facesculpt.recovery.replay import build_index, state_at
from octoprint_facesculpt.recovery.window import read_window

from ..printer.bench import Bench
from .cases import Case
from .outages import Campaign
from .programs import after_program, print_file, retracting_file

LIFT = 0.6
COLD = Seen("after", "after", nozzle=40.0)


@pytest.mark.parametrize(
    ("program", "position", "hop"),
    [
        ("G1 Z2|M207 Z0.6|G10", [0, 0, 2], 0.6),
        ("G1 Z2|M207 Z0.6|G10|G10|G1 X5", [5, 0, 2], 0.6),
        ("G1 Z2|M207 Z0.6|G10|M207 Z2|G1 Z3|G11", [0, 0, 3], 0),
        ("G1 Z2|M207 Z0.6|G10 P0 X3", [0, 0, 2], 0),
        ("G20|M207 Z0.1|G10", [0, 0, 0], 2.54),
        ("G1 Z2|G10", [0, 0, 2], 0),
    ],
)
def test_lift_is_followed_beside_the_coordinates(program: str, position: list[float], hop: float):
    state = after_program(program).state
    assert state.position == pytest.approx(position) and state.hop == pytest.approx(hop)
    assert state.filament == state.filament_top == 0, "what the firmware pulls back is not the file's extruder"


def test_moves_are_as_high_as_the_nozzle():
    machine = after_program("M207 S4 F2400 Z0.6|M208 S0.5 F600|G1 X5 Y5 Z2")
    up = machine.execute(b"G10\n")
    along, round_ = machine.execute(b"G1 X9\n"), machine.execute(b"G2 X19 I5 J0\n")
    down = machine.execute(b"G11\n")
    assert up and along and round_ and down
    assert (up.points, up.filament, up.feed, up.by_itself) == (((5, 5, 2), (5, 5, 2.6)), -4, 2400, True)
    assert along.start == (5, 5, 2.6) and along.end == (9, 5, 2.6) and not along.by_itself
    assert {point[2] for point in round_.points} == {2.6}
    assert (down.points, down.filament, down.feed) == (((19, 5, 2),) * 2, 4.5, 600)
    assert machine.execute(b"G11\n") is None


def test_klipper_lifts_nothing():
    machine = after_program("M207 S4 Z0.6", "klipper")
    assert machine.execute(b"G10\n") is None
    assert machine.state.firmware_retracted and machine.state.hop == 0


@pytest.mark.parametrize("version", ["2.1", "2.0", "1.1"])
def test_the_simulated_printer_lifts_as_the_model_does(version: str):
    """Each G10 and G11 are two blocks of its planner, one without a lift."""
    program = ["G28", "M207 S2 Z0.4", "G1 X9 Z2 F3000", "G10", "G1 X30", "G11", "M207 Z0", "G10", "G1 Y20", "G11", "G1 X5"]
    bench, machine = Bench(version=version), Machine()
    bench.send("M104 S200", "M109 S200", *program[:2])
    bench.finish()
    for line in program[:2]:
        machine.execute(line.encode() + b"\n")
    bench.done.clear()
    points = 0
    for line in program[2:]:
        bench.send(line)
        bench.finish()
        move = machine.execute(line.encode() + b"\n")
        points += len(move.points) if move else 0
        place = machine._place(machine.state.position)
        assert tuple(bench.machine.position) == pytest.approx(place, abs=1e-6), line
    assert len(bench.done) == points == 10
    assert bench.firmware.extruder == machine.state.e == 0


@pytest.fixture(scope="module", params=[(LIFT, "2.1"), (0.0, "2.1"), (0.3, "1.1")], ids=str)
def campaign(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    lift, version = request.param
    folder = tmp_path_factory.mktemp("retracting")
    file = folder / "retracting.gcode"
    file.write_bytes(retracting_file(lift))
    return Campaign(file, folder, version, lines_after=80)


def test_prints_go_on_at_their_height_wherever_they_stop(campaign: Campaign):
    spans = campaign.spans()["printing"]
    start, end = spans[0][0], spans[-1][1]
    kinds = ("both", "host", "restart", "server", "cable", "printer")
    cases = [Case(n, kinds[n % 6], "printing", start + (end - start) * (n + 0.5) / 24, n, None) for n in range(24)]
    for outcome in campaign.run(cases, jobs=2):
        assert outcome.touches == outcome.safe_touches == [], outcome
        assert outcome.lost is None and not outcome.wrong_layer, outcome
        assert outcome.promised, outcome


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("line", ["G10", "G11", "G1 X"])
def test_plan_comes_down_before_the_firmware_lifts_again(tmp_path: Path, line: str, share: float):
    """The file's heights are without the lift, and a firmware that was started anew knows nothing of it."""
    file = tmp_path / "retracting.gcode"
    file.write_bytes(retracting_file(LIFT))
    text = file.read_bytes()
    third = text.index(b";LAYER_CHANGE", text.index(b";Z:0.60"))
    place = text.index(b"\nG10\n", third) + 1
    place = place if line == "G10" else text.index(b"\n" + line.encode(), place) + 1
    index = build_index(file)
    window = read_window(file, place, index)
    pieces = [piece for piece in window.pieces if piece.move.offset == place]
    at = pieces[0].at + (pieces[-1].until - pieces[0].at) * share - 1e-6 * (share == 1.0)
    after = state_at(file, pieces[0].move.end_offset, index)
    z = window.point_at(at)[2]
    stop = Estimate(at, at, at, 0.0, 0.0, z, 0.0, exact=True)
    plan = make_plan(window, stop, after, PrinterFacts(), {"nozzle_target": 205.0})
    lines = plan.lines
    assert ("G10" in lines) == (line != "G11")
    height = f"G1 Z{after.position[2]:.3f} F300"
    assert height in lines
    if line != "G11":
        assert lines.index(height) < lines.index("G10") and lines[lines.index("G10") + 1] == "M400"
        assert (plan.steps[-1].z, plan.steps[-1].z_after) == (pytest.approx(after.position[2] + LIFT),) * 2
    assert "M207 S4 F2400 Z0.6" in lines
    # All that was primed and pulled back is forward again: the firmware itself pulls.
    assert "G1 E3.00000 F1800" in lines


def test_steps_of_the_file_are_set_before_anything_moves(tmp_path: Path):
    """Else every height, and every amount of filament, would be in another printer's millimetres."""
    file = tmp_path / "steps.gcode"
    file.write_bytes(print_file().replace(b"G28\n", b"M92 Z800 E415\nG28\n", 1))
    campaign = Campaign(file, tmp_path)
    start, _ = campaign.spans()["printing"][20]
    lines = campaign.recover(campaign.interrupted(start)[0], COLD).plan.lines
    first = next(number for number, line in enumerate(lines) if line.startswith(("G0", "G1", "G28")))
    assert "M92 Z800 E415" in lines[:first]


def test_accelerations_of_older_slicers_are_for_both():
    """M204 S replaces P and T; said after them in one line they would win."""
    assert after_program("M204 P500 T800|M204 S600").state.limits["M204"] == {"P": 600, "T": 600}
    assert after_program("M204 S600 T900").state.limits["M204"] == {"P": 600, "T": 900}


@pytest.mark.parametrize("choice", [None, 1])
def test_a_nozzle_on_its_way_up_or_down_may_be_on_either_side_of_a_row(choice: int | None):
    """Measured between all heights, it is on the way down before the row, or on the way up behind it."""
    here = (0.0, 0.0, 0.0)
    row, up, down = (
        Choice(1, z, at, first, last, half, half, here, 0.6, printed)
        for z, at, first, last, half, printed in (
            (0.2, 22.5, 21.8, 22.9, 8.4, 108.4), (0.264, 23.0, 23.0, 23.0, 0.0, 116.8), (0.6, 21.7, 21.7, 21.7, 0.0, 100.0),
        )
    )  # fmt: skip
    stop = Estimate(22.5, 21.8, 22.9, 8.4, 8.4, 0.2, 0.0, exact=False, choices=(row, up, down))
    taken = choose(stop, choice, 0.42)
    assert (taken.at, taken.z) == (23.0, 0.42)
    assert (taken.gap, taken.overlap) == (pytest.approx(16.8), 0.0)
    assert (taken.earliest, taken.latest) == (21.7, 23.0)
