"""Klipper as its documentation describes it, where it differs from Marlin."""

from __future__ import annotations

import pytest

from .bench import Bench
from .klipper import AHEAD


@pytest.fixture
def lost() -> Bench:
    """Klipper that has just been started."""
    return Bench(version="klipper")


def test_it_greets_nobody_and_tells_its_name(lost: Bench) -> None:
    lost.firmware.boot()
    assert lost.said == []
    assert lost.answers("M115")[0].endswith("FIRMWARE_NAME:Klipper")


def test_lost_axes_do_not_move_even_relatively(lost: Bench) -> None:
    for lines in (("G1 X10",), ("G91", "G1 Z5")):
        lost.send(*lines)
        assert lost.said[-1].startswith("!! Must home axis first")
    assert lost.machine.position == [60.0, 80.0, 5.0]


def test_homing_x_and_y_leaves_z_where_it_is(lost: Bench) -> None:
    lost.send("SET_KINEMATIC_POSITION X=60 Y=80 Z=5", "G91", "G1 Z2 F300", "G90", "G28 X Y", "M400")
    assert lost.machine.position == pytest.approx([0.0, 0.0, 7.0])
    assert lost.answers("M114") == ["X:0.000 Y:0.000 Z:7.000 E:0.000"]


def test_without_force_move_the_height_cannot_be_told(lost: Bench) -> None:
    lost.firmware.allow_set_position = False
    assert lost.answers("SET_KINEMATIC_POSITION Z=5") == ['// Unknown command:"SET_KINEMATIC_POSITION"']
    assert lost.answers("G1 Z9")[0].startswith("!! Must home")


def test_m84_lets_go_whatever_follows_it(lost: Bench) -> None:
    lost.send("G28", "M84 S0")
    assert lost.machine.energised == [False, False, False]
    assert lost.answers("G1 X5")[0].startswith("!! Must home")


def test_lines_are_acknowledged_by_seconds_ahead_and_not_by_their_number(lost: Bench) -> None:
    lost.send("G28", "G91")
    queued = []
    for _ in range(200):
        lost.send("G1 X0.2 F600")
        queued.append(len(lost.firmware.planner.blocks))
    assert max(queued) > 60
    lost.finish()
    lost.send(*["G1 X40 F600"] * 4)
    # 4 s each: the first is nearly over when the second has been taken.
    assert len(lost.firmware.planner.blocks) <= 2
    assert AHEAD < 4


def test_shutdown_lasts_until_it_is_started_anew(lost: Bench) -> None:
    lost.send("G28")
    lost.firmware.kill("Lost communication with MCU 'mcu'")
    assert lost.answers("G1 X5") == ["!! Lost communication with MCU 'mcu'"]
    assert lost.answers("M105") == ["ok T:0"]


@pytest.mark.parametrize("line", ["M205 X8", "M201 X500", "M900 K0.2", "M420 S1", "M600", "M211 S0"])
def test_unknown(lost: Bench, line: str) -> None:
    assert lost.answers(line) == [f'// Unknown command:"{line.split()[0]}"']


def test_state_is_saved_and_restored(lost: Bench) -> None:
    lost.send("G28", "G1 X50 F3000", "SAVE_GCODE_STATE NAME=here", "G91", "G1 X9 Y9")
    lost.send("RESTORE_GCODE_STATE NAME=here MOVE=1", "M400")
    assert lost.machine.position == pytest.approx([50.0, 0.0, 0.0])
    assert not lost.firmware.relative
    assert lost.answers("RESTORE_GCODE_STATE NAME=there") == ["!! Unknown g-code state: THERE"]


@pytest.mark.parametrize("line", ["M109 S180", "M190 S50"])
def test_it_waits_for_cooling_too(lost: Bench, line: str) -> None:
    heater = lost.machine.nozzle if line.startswith("M109") else lost.machine.bed
    lost.send(line.replace("180", "200").replace("50", "60"), line)
    assert heater.actual == pytest.approx(heater.target, abs=1.0)
