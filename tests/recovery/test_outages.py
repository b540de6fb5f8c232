"""Outages at random moments on the simulated printer: the print goes on where it stopped, and nothing touches it."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from octoprint_facesculpt.recovery.errors import RecoveryError
from octoprint_facesculpt.recovery.identity import identity_of
from octoprint_facesculpt.recovery.journal import Reading
from octoprint_facesculpt.recovery.outage import Seen, classify
from octoprint_facesculpt.recovery.printer import PrinterFacts
from octoprint_facesculpt.recovery.recover import recover, resume_gcode
from octoprint_facesculpt.recovery.replay import state_at
from octoprint_facesculpt.recovery.window import read_window

from .outages import AFTERWARDS, FACTS, Print, carry_out, interrupt
from .programs import print_file

#: The start code heats for this long; then come about 45 s of print.
CUTS = 24


@pytest.fixture(scope="module")
def gcode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("print") / "vase.gcode"
    file.write_bytes(print_file())
    return file


@pytest.fixture(scope="module")
def printed(gcode: Path) -> Print:
    text = gcode.read_bytes()
    whole = Print(text).run()
    first = next(seconds for offset, seconds in whole.notes if text[:offset].count(b"LAYER_CHANGE")) + 20
    rng = random.Random(7)
    return Print(text, [rng.uniform(first, whole.seconds - 5) for _ in range(CUTS)]).run()


@pytest.mark.parametrize("kind", list(AFTERWARDS))
def test_print_goes_on_where_it_stopped(printed: Print, gcode: Path, kind: str):
    rng = random.Random(kind)
    for cut in printed.cuts:
        found = interrupt(printed, cut, kind, gcode, rng)
        recovery = found.recovery
        assert recovery.outage.kind == {"server": "host"}.get(kind, kind)
        assert found.collisions == []
        # What the report promises holds.
        assert -recovery.stop.overlap - 0.05 <= found.error <= recovery.stop.gap + 0.05
        assert kind != "restart" or found.error == pytest.approx(0, abs=1e-6)
        firmware, state = found.bench.firmware, state_at(gcode, recovery.plan.offset)
        assert [firmware.workspace(axis) for axis in range(3)] == pytest.approx(state.position, abs=1e-3)
        # X and Y were homed: the carriage is where the firmware thinks it is, less what is too short for a move of its own.
        assert found.bench.machine.position[:2] == pytest.approx(state.position[:2], abs=0.075)
        if recovery.stop.z_spread == 0:
            assert found.bench.machine.position[2] == pytest.approx(state.position[2], abs=0.081)
        assert firmware.extruder == pytest.approx(state.e, abs=1e-4)
        assert (firmware.relative, firmware.relative_e) == (state.relative, state.e_relative)
        assert firmware.feed * 60 == pytest.approx(state.feed)
        assert (firmware.machine.nozzle.target, firmware.machine.bed.target) == (205, 60)
        assert firmware.machine.fan == state.fans.get("0", 0)


def test_measuring_x_and_y_finds_the_place(printed: Print, gcode: Path):
    rng = random.Random(3)
    plain = [abs(interrupt(printed, cut, "both", gcode, rng).error) for cut in printed.cuts]
    measured = [abs(interrupt(printed, cut, "both", gcode, rng, measure=True).error) for cut in printed.cuts]
    assert sorted(measured)[CUTS // 2] < 1.0
    assert sorted(measured)[CUTS // 2] < sorted(plain)[CUTS // 2] / 4


def test_executing_move_is_the_acknowledged_one_less_14(printed: Print, gcode: Path):
    """The rule measured on a real Marlin also holds on the simulated one, and so does our count of its blocks."""
    for cut in printed.cuts:
        sent = printed.sent_at(cut.seconds)
        window = read_window(gcode, sent)
        acknowledged = window.blocks_before(printed.notes[[n[0] for n in printed.notes].index(sent) - 1][0])
        if cut.blocks == 15 and cut.offset is not None:
            running = next(p for p in window.pieces if p.move.offset == cut.offset)
            assert running.blocks == acknowledged - 15


@pytest.mark.parametrize("until_phase", ["heat", "lift", "home", "prime", "modes", "approach", "go"])
def test_second_outage_during_the_resume_is_recoverable(printed: Print, gcode: Path, until_phase: str):
    rng = random.Random(until_phase)
    cut = printed.cuts[CUTS // 2]
    first = interrupt(printed, cut, "restart", gcode, rng)
    steps = first.recovery.plan.steps
    place = first.true_point
    step = max(i for i, s in enumerate(steps) if s.phase == until_phase)
    machine = cut.machine
    machine.position = list(place)
    bench, _ = carry_out(steps, machine, rng, place[2], until=step + 1)
    machine = bench.machine
    height = machine.position[2]
    record = printed.record_at(cut.seconds) | first.recovery.record(step)
    # The step was finished: the journal's next record would say so.
    record["z_low"] = record["z_high"] = steps[step].z_after
    reading = Reading({"job": "1", "identity": identity_of(gcode)}, record, 2)
    again = recover(reading, AFTERWARDS["both"], gcode, FACTS)
    assert again.plan.offset == first.recovery.plan.offset
    assert again.stop.z == pytest.approx(height, abs=0.081)
    bench, collisions = carry_out(again.plan.steps, machine, rng, place[2])
    assert collisions == []
    assert bench.machine.position[2] == pytest.approx(place[2], abs=0.17)


def test_plan_never_homes_z_and_softens_before_it_moves(printed: Print, gcode: Path):
    found = interrupt(printed, printed.cuts[3], "both", gcode, random.Random(1)).recovery
    lines = found.plan.lines
    homing = [line for line in lines if line.startswith("G28")]
    assert homing == ["G28 R0 X Y"]
    first_move = next(i for i, line in enumerate(lines) if line.startswith(("G0", "G1", "G28")))
    soft = next(i for i, line in enumerate(lines) if line.startswith("M109"))
    bed = next(i for i, line in enumerate(lines) if line.startswith("M190"))
    assert bed < soft < first_move
    assert lines[first_move].startswith("G1 Z5")
    assert lines[-1].startswith("G92 E")
    assert lines[-2] == "M83"


@pytest.mark.parametrize(
    ("firmware", "has", "has_not"),
    [
        ("marlin2", "G28 R0 X Y", "SET_KINEMATIC"),
        ("marlin1", "G28 X Y", "G28 R0"),
        ("klipper", "SET_KINEMATIC_POSITION", "M84"),
    ],
)
def test_plan_speaks_the_firmwares_language(printed: Print, gcode: Path, firmware: str, has: str, has_not: str):
    record = printed.record_at(printed.cuts[3].seconds)
    reading = Reading({"job": "1", "identity": identity_of(gcode)}, record, 1)
    text = "\n".join(recover(reading, AFTERWARDS["both"], gcode, replace(FACTS, firmware=firmware)).plan.lines)
    assert has in text
    assert has_not not in text


def test_what_was_tuned_by_hand_is_restored(printed: Print, gcode: Path):
    record = printed.record_at(
        printed.cuts[3].seconds, nozzle_target=212, bed_target=55, feed_percent=80, flow_percent=95, fan=99
    )
    reading = Reading({"job": "1", "identity": identity_of(gcode)}, record, 1)
    lines = recover(reading, AFTERWARDS["both"], gcode, FACTS).plan.lines
    for line in ("M109 S212", "M190 S55", "M220 S80", "M221 S95", "M106 S99"):
        assert line in lines


@pytest.mark.parametrize(
    ("change", "seen", "kind"),
    [
        ({}, Seen("before", "after", nozzle=203), "host"),
        ({}, Seen("after", "after", nozzle=203), "host"),
        ({}, Seen("after", "after", nozzle=150), "both"),
        ({}, Seen("before", "after", nozzle=150), "both"),
        ({}, Seen("after", "after", nozzle=150, position=(1, 2, 3)), "host"),
        ({}, Seen("after", "after"), "both"),
        ({}, Seen("before", "before"), "printer"),
        ({"phase": "interrupted", "reason": "printer_reset"}, Seen("after", "after"), "printer"),
        ({"phase": "interrupted", "reason": "shutdown"}, Seen("before", "after"), "restart"),
        ({"phase": "interrupted", "reason": "error"}, Seen("before", "before", nozzle=203), "cable"),
        ({"phase": "interrupted", "reason": "error"}, Seen("before", "before", nozzle=90), "printer"),
        ({"reason": "supply"}, Seen("before", "before"), "supply"),
        ({"phase": "cancelled"}, Seen("before", "before"), "cancelled"),
        ({"phase": "done"}, Seen("after", "after"), "none"),
    ],
)
def test_class_of_an_outage(change: dict, seen: Seen, kind: str):
    record = {"phase": "printing", "boot": "before", "session": "before", "mono": 5.0, "nozzle_target": 205} | change
    assert classify(Reading({}, record, 1), seen).kind == kind


def test_duration_is_told_only_by_a_clock_that_knows():
    record = {"phase": "printing", "boot": "before", "session": "before", "mono": 5.0}
    assert classify(Reading({}, record, 1), Seen("before", "after", mono=65.0)).seconds == 60.0
    assert classify(Reading({}, record, 1), Seen("after", "after", mono=65.0)).seconds is None


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("nothing_to_recover", {"phase": "cancelled"}),
        ("nothing_to_recover", {"phase": "done"}),
        ("not_recoverable", {"sent": 40}),
    ],
)
def test_refusals(printed: Print, gcode: Path, code: str, change: dict):
    record = printed.record_at(printed.cuts[3].seconds) | change
    record["tail"] = record["tail"] if "sent" not in change else [[40, 0.0]]
    reading = Reading({"job": "1", "identity": identity_of(gcode)}, record, 1)
    with pytest.raises(RecoveryError) as refusal:
        recover(reading, AFTERWARDS["both"], gcode, FACTS)
    assert refusal.value.code == code


def test_other_file_is_refused(printed: Print, gcode: Path, tmp_path: Path):
    other = tmp_path / "other.gcode"
    other.write_bytes(gcode.read_bytes() + b"\n")
    reading = Reading({"job": "1", "identity": identity_of(gcode)}, printed.record_at(printed.cuts[3].seconds), 1)
    with pytest.raises(RecoveryError) as refusal:
        recover(reading, AFTERWARDS["both"], other, FACTS)
    assert refusal.value.code == "file_changed"


def test_print_that_fills_the_bed_cannot_prime(printed: Print, gcode: Path):
    reading = Reading({"job": "1", "identity": identity_of(gcode)}, printed.record_at(printed.cuts[3].seconds), 1)
    with pytest.raises(RecoveryError) as refusal:
        recover(reading, AFTERWARDS["both"], gcode, PrinterFacts(bed=(100.0, 100.0, 140.0, 140.0)))
    assert "corner" in refusal.value.message


def test_exported_file_holds_the_plan_and_the_rest(printed: Print, gcode: Path, tmp_path: Path):
    found = interrupt(printed, printed.cuts[3], "both", gcode, random.Random(1)).recovery
    resume_gcode(found, gcode, tmp_path / "resume.gcode")
    text = (tmp_path / "resume.gcode").read_bytes()
    assert text.endswith(gcode.read_bytes()[found.plan.offset :])
    lines = [line.partition(b";")[0].strip().decode() for line in text.splitlines()]
    assert lines[1 : 1 + len(found.plan.lines)] == found.plan.lines
