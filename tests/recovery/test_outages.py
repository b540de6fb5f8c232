"""Outages on the simulated printer: the print goes on where it stopped, and nothing touches it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from octoprint_facesculpt.recovery.errors import RecoveryError
from octoprint_facesculpt.recovery.estimate import Estimate, choose, estimate
from octoprint_facesculpt.recovery.heights import Choice
from octoprint_facesculpt.recovery.identity import identity_of
from octoprint_facesculpt.recovery.journal import Reading
from octoprint_facesculpt.recovery.outage import Outage, Seen, classify
from octoprint_facesculpt.recovery.printer import PrinterFacts
from octoprint_facesculpt.recovery.recover import recover, resume_gcode
from octoprint_facesculpt.recovery.window import read_window

from ..printer.firmwares import KLIPPER
from .cases import KINDS, PHASES, Case, make_cases
from .outages import FIRMWARES, Campaign, Outcome
from .programs import busy_file, print_file

#: Cases that are lived through with the newest firmware, and with each of the older ones.
CASES, OLDER = 27, 6


@pytest.fixture(scope="module")
def vase(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    folder = tmp_path_factory.mktemp("vase")
    file = folder / "vase.gcode"
    file.write_bytes(print_file())
    return Campaign(file, folder)


@pytest.fixture(scope="module")
def record(vase: Campaign) -> dict[str, Any]:
    """The journal's record of a power cut in the second layer."""
    start, end = vase.spans()["printing"][20]
    return vase.interrupted((start + end) / 2)[0]


COLD = Seen("after", "after", nozzle=40.0)


@pytest.fixture(scope="module", params=list(FIRMWARES))
def lived(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Outcome]]:
    """Outages of every class in every phase, some with another during the resume."""
    folder = tmp_path_factory.mktemp("lives")
    file = folder / "busy.gcode"
    file.write_bytes(busy_file(layers=5))
    campaign = Campaign(file, folder, request.param, lines_after=80)
    newest = request.param == "2.1"
    spans = campaign.spans()
    cases = make_cases(spans, len(KINDS) * len(PHASES), seed=5)
    step = len(cases) // (CASES if newest else OLDER)
    if not newest:
        yield campaign.run(cases[3::step], jobs=2)
        return
    # The motors die while the nozzle is on its way back to the print: what is known when it cools is of later.
    back = [
        Case(1000 + number, "supply", phase, spans[phase][-1][1] - before, number)
        for number, (phase, before) in enumerate((("pause", 1.0), ("filament_change", 0.3)))
    ]
    plastic_down = spans["end"][-1][0] + 1.0
    # They die in the last moves, when the file is about to switch the heaters off; and the power goes again behind the end.
    end = [Case(1002, "supply", "end", plastic_down - 0.5, 2), Case(1003, "both", "end", plastic_down + 1.0, 7, "resumed")]
    yield campaign.run([*cases[::step], *back, *end], jobs=2)


def test_nozzle_never_touches_the_print_and_no_print_is_lost(lived: list[Outcome]):
    for outcome in lived:
        assert outcome.touches == [], outcome
        assert outcome.safe_touches == [], outcome
        assert outcome.lost is None, outcome


def test_print_goes_on_in_its_layer_as_near_as_promised(lived: list[Outcome]):
    for outcome in lived:
        assert not outcome.wrong_layer, outcome
        assert not outcome.doubled_layer, outcome
        assert outcome.promised, outcome
        if outcome.case.kind == "restart" and outcome.case.second is None and outcome.error is not None:
            assert outcome.error == pytest.approx(0, abs=1e-6), outcome


def test_klippers_queue_is_empty_behind_a_pause_and_takes_seconds_of_moves_at_once(tmp_path: Path):
    file = tmp_path / "busy.gcode"
    file.write_bytes(busy_file(layers=5))
    campaign = Campaign(file, tmp_path, KLIPPER, lines_after=20)
    goes_on = campaign.spans()["pause"][0][1]
    cases = [Case(number, "host", "pause", goes_on + 0.2 * number, number) for number in range(1, 7)]
    for outcome in campaign.run(cases, jobs=2):
        assert outcome.promised, outcome


def test_height_of_a_finished_print_is_where_its_nozzle_was_lifted_to(lived: list[Outcome]):
    for outcome in lived:
        if outcome.action == "finish" and outcome.second is not None:
            assert outcome.estimate["z"] == pytest.approx(outcome.truth["z"], abs=0.06), outcome


def test_what_is_done_fits_what_happened(lived: list[Outcome]):
    for outcome in lived:
        if outcome.case.kind == "cancelled":
            assert outcome.action == "nothing_to_recover"
        elif outcome.case.phase == "heat_up":
            assert outcome.action == "restart"
        elif outcome.second is None and outcome.action == "nothing_to_recover":
            # The motors may die when all plastic is down and the file has switched the heaters off: that print is whole.
            assert (outcome.case.kind, outcome.case.phase, outcome.lost) == ("supply", "end", None)
        elif outcome.second is None:
            assert outcome.action in ("resume", "finish", "restart")


def test_measuring_x_and_y_finds_the_place(vase: Campaign):
    """Where the carriage is found when X and Y are driven to their endstops tells more than the journal's last second."""
    plain, measured = [], []
    for start, end in vase.spans()["printing"][10:100:15]:
        record, seen, host = vase.interrupted((start + end) / 2)
        x, y, _ = host.machine.position
        gone = [vase.recover(record, known) for known in (seen, replace(seen, measured=(x + 0.3, y - 0.3)))]
        window = [host.printed - _printed_at(vase, found) for found in gone]
        plain.append(abs(window[0]))
        measured.append(abs(window[1]))
    assert sorted(measured)[len(measured) // 2] < 1.0
    assert sum(measured) < sum(plain) / 3


def _printed_at(campaign: Campaign, found: Any) -> float:
    from .outages import _printed_when_resumed

    return _printed_when_resumed(campaign, found)


def test_position_of_a_board_that_kept_its_power_is_exact(vase: Campaign):
    start, end = vase.spans()["printing"][30]
    record, seen, host = vase.interrupted((start + end) / 2, "server")
    place = tuple(host.firmware.workspace(axis) for axis in range(3))
    found = vase.recover(record, replace(seen, position=place))
    assert found.stop.exact
    assert _printed_at(vase, found) == pytest.approx(host.printed, abs=0.02)


def test_plan_never_homes_z_and_softens_before_it_moves(vase: Campaign, record: dict[str, Any]):
    lines = vase.recover(record, COLD).plan.lines
    homing = [line for line in lines if line.startswith("G28")]
    assert homing == ["G28 R0 X Y"]
    first_move = next(i for i, line in enumerate(lines) if line.startswith(("G0", "G1", "G28")))
    soft = next(i for i, line in enumerate(lines) if line.startswith("M109"))
    bed = next(i for i, line in enumerate(lines) if line.startswith("M190"))
    assert bed < soft < first_move
    assert lines[first_move].startswith("G1 Z5")
    assert lines.index("G28 R0 X Y") < next(i for i, line in enumerate(lines) if line.startswith("G4"))
    assert lines[-1].startswith("G92 E")
    assert lines[-2] == "M83"


@pytest.mark.parametrize(
    ("firmware", "has", "has_not"),
    [
        ("marlin2", "G28 R0 X Y", "SET_KINEMATIC"),
        ("marlin1", "G28 X Y", "G28 R0"),
        # Its ends of travel count from where it woke up: a nozzle that stopped in a hop must come down again.
        ("marlin1", "M211 S0", "SET_KINEMATIC"),
        ("klipper", "SET_KINEMATIC_POSITION", "M211"),
        ("klipper", "SET_KINEMATIC_POSITION", "M84"),
    ],
)
def test_plan_speaks_the_firmwares_language(vase: Campaign, record: dict[str, Any], firmware: str, has: str, has_not: str):
    text = "\n".join(vase.recover(record, COLD, replace(vase.facts, firmware=firmware)).plan.lines)
    assert has in text
    assert has_not not in text


def test_mesh_levelling_comes_back_over_the_place_and_keeps_the_height(tmp_path: Path):
    file = tmp_path / "touch.gcode"
    file.write_bytes(print_file().replace(b"M190 S60\n", b"M190 S60\nG29\nM420 S1 Z10\n", 1))
    campaign = Campaign(file, tmp_path)
    start, _ = campaign.spans()["printing"][20]
    plan = campaign.recover(campaign.interrupted(start)[0], COLD).plan
    lines = plan.lines
    assert "levelling" in {risk["code"] for risk in plan.risks}
    mesh = lines.index("M420 S1 Z10")
    height = next(line for line in lines if line.startswith("G92 Z"))
    assert lines[mesh + 1] == height
    assert lines[mesh - 2].startswith("G1 X")
    assert lines[mesh + 2] == "M211 S0" and lines[mesh + 3].startswith("G1 Z")


def test_what_was_tuned_by_hand_is_restored(vase: Campaign, record: dict[str, Any]):
    tuned = record | {"nozzle_target": 212, "bed_target": 55, "feed_percent": 80, "flow_percent": 95, "fan": 99}
    lines = vase.recover(tuned, COLD).plan.lines
    for line in ("M109 S212", "M190 S55", "M220 S80", "M221 S95", "M106 S99"):
        assert line in lines


@pytest.mark.parametrize("line", [b"T1\n", b"M104 T1 S200\n", b"M209 S1\n"])
def test_what_a_resume_would_get_wrong_is_refused(tmp_path: Path, line: bytes):
    """Tools that would stay cold, and a firmware that retracts, and lifts the nozzle, by itself."""
    file = tmp_path / "tools.gcode"
    file.write_bytes(print_file().replace(b"M190 S60\n", line + b"M190 S60\n", 1))
    campaign = Campaign(file, tmp_path)
    start, _ = campaign.spans()["printing"][20]
    record = campaign.interrupted(start)[0]
    with pytest.raises(RecoveryError) as refusal:
        campaign.recover(record, COLD)
    assert refusal.value.code == "not_recoverable"
    assert "T0" in refusal.value.message or "M209" in refusal.value.message


def test_what_somebody_may_have_set_meanwhile_is_set_as_the_file_has_it(vase: Campaign, record: dict[str, Any]):
    """Percentages and a fan by hand outlive on the board, though the print was made without."""
    lines = vase.recover({**record, "fan": None}, COLD).plan.lines
    assert "M220 S100" in lines and "M221 S100" in lines
    assert any(line.startswith("M106 S") for line in lines)


def test_first_line_after_a_resume_may_have_been_torn(vase: Campaign, record: dict[str, Any]):
    """The cable was pulled while it was on its way: whether it arrived whole, nobody knows."""
    first = vase.recover(record, COLD)
    again = record | first.record(len(first.plan.steps) - 1) | {"phase": "interrupted", "reason": "error"}
    line = vase.text[first.plan.offset :].splitlines(keepends=True)[0]
    sent = first.plan.offset + len(line)
    torn = again | {"sent": sent, "tail": [[sent, 0.0, None]]}
    stop = vase.recover(torn, Seen("before", "before", nozzle=205.0)).stop
    assert stop.overlap == 0.0 and stop.gap > 0.1


@pytest.mark.parametrize(
    ("parked", "phase", "height"), [([5.0, 5.0, 10.4], "paused", 10.4), ([5.0, 5.0, 10.4], "interrupted", 10.4)]
)
def test_paused_print_is_taken_up_from_where_the_nozzle_was_parked(
    vase: Campaign, record: dict[str, Any], parked: list[float], phase: str, height: float
):
    paused = record | {"phase": phase, "parked": parked, "moving": False, "pause_position": [110.0, 110.0, 0.4]}
    found = vase.recover(paused, COLD)
    assert (found.stop.z, found.stop.z_spread, found.stop.asks) == (height, 0.0, False)
    assert found.plan.point[2] < 1.0
    # The firmware's own zero would be above the layer.
    assert "M211 S0" in found.plan.lines


def test_nozzle_on_its_way_is_measured(vase: Campaign, record: dict[str, Any]):
    moving = record | {"phase": "paused", "parked": None, "moving": [0.4, 10.4], "pause_position": [110.0, 110.0, 0.4]}
    asked = vase.recover(moving, COLD)
    assert asked.stop.asks and asked.stop.z_spread == pytest.approx(10.0)
    answered = vase.recover(moving, COLD, height=7.5)
    assert not answered.stop.asks
    assert answered.stop.z == 7.5
    with pytest.raises(RecoveryError) as refusal:
        vase.recover(moving, COLD, height=40.0)
    assert refusal.value.code == "height_invalid"


def test_board_that_brought_the_nozzle_back_by_itself_tells_its_height(vase: Campaign, record: dict[str, Any]):
    """Somebody ends a change of filament while there is no host: what was seen before does not hold any more."""
    moving = record | {"phase": "printing", "parked": None, "moving": [0.4, 20.4]}
    kept = replace(COLD, nozzle=205.0, position=(110.0, 110.0, 0.4))
    found = vase.recover(moving, kept)
    assert (found.stop.z, found.stop.z_spread, found.stop.asks) == (0.4, 0.0, False)
    with pytest.raises(RecoveryError) as refusal:
        vase.recover(moving, kept, height=20.4)
    assert refusal.value.code == "height_invalid"
    # A position that does not fit is of a board that was started anew and moved since.
    assert vase.recover(moving, replace(kept, position=(110.0, 110.0, 90.0))).stop.asks


@pytest.mark.parametrize("nozzle", [198.0, 190.0, 178.0])
def test_a_nozzle_that_cooled_a_little_may_have_had_power(vase: Campaign, record: dict[str, Any], nozzle: float):
    """Opening the port resets the board, and it cools before OctoPrint reads its temperature."""
    target = record["nozzle_target"]
    doubtful = vase.recover(record, replace(COLD, nozzle=target - 205.0 + nozzle)).stop
    without, powered = (vase.recover(record, replace(COLD, nozzle=seen)).stop for seen in (40.0, target))
    assert doubtful.earliest == min(without.earliest, powered.earliest)
    assert doubtful.latest == max(without.latest, powered.latest)
    assert without.earliest < powered.earliest


def test_a_killed_server_may_have_sent_the_line_behind_an_arc(tmp_path: Path):
    """Nothing goes out, and nothing is recorded, until the last of an arc's pieces has found its place in the planner."""
    file = tmp_path / "busy.gcode"
    file.write_bytes(busy_file(layers=3))
    text = file.read_bytes()
    before = text.index(b"G3 ", text.index(b";Z:0.40"))
    first = text.index(b"\n", before) + 1
    second = text.index(b"\n", first) + 1
    window = read_window(file, first)
    tail = [[before - 9 - 25, 0.73, 0.03], [before - 9, 0.70, 0.005], [before, 0.695, 0.0], [first, 0.695]]
    seen = Seen("before", "another", nozzle=200.0)
    record = {"phase": "printing", "sent": first, "tail": tail, "boot": "before", "nozzle_target": 200.0, "within": 1.0}
    stop = estimate(window, record, Outage("host", None, ()), seen)
    given, sent = (window.printed_at(window.after_line(end)) for end in (first, second))
    assert window.printed_at(stop.at) == pytest.approx(given)
    assert stop.overlap == pytest.approx(sent - given, abs=0.01)


def test_layer_change_within_the_last_second_is_asked_about(vase: Campaign):
    start, end = vase.spans()["layer_change"][1]
    record = vase.interrupted((start + end) / 2 - 0.5)[0]
    asked = vase.recover(record, COLD)
    assert asked.stop.asks
    assert [choice.z for choice in asked.stop.choices] == sorted(choice.z for choice in asked.stop.choices)
    # Until somebody answers, the lowest is taken: wrongly taken, the nozzle stays above the print.
    assert asked.stop.z == asked.stop.choices[0].z
    for number, choice in enumerate(asked.stop.choices):
        answered = vase.recover(record, COLD, choice=number)
        assert not answered.stop.asks
        assert answered.plan.point[2] == pytest.approx(choice.z, abs=0.01)
        assert answered.layer == choice.layer
    with pytest.raises(RecoveryError) as refusal:
        vase.recover(record, COLD, choice=9)
    assert refusal.value.code == "choice_invalid"


def test_a_line_of_the_path_can_be_chosen_to_go_on_with(vase: Campaign, record: dict[str, Any]):
    found = vase.recover(record, COLD)
    # Of what lies no lower than the nozzle.
    lower, high = ([row for row in found.path if (row[3] < found.stop.z) is below] for below in (True, False))
    offset, *end, _prints = high[5]
    nudged = vase.recover(record, COLD, line=offset)
    assert vase.text[: nudged.plan.offset].splitlines()[-1] == vase.text[offset:].splitlines()[0]
    assert nudged.plan.steps[-6].line.startswith(f"G1 X{end[0]:.3f} Y{end[1]:.3f}") or nudged.plan.offset > offset
    with pytest.raises(RecoveryError) as refusal:
        vase.recover(record, COLD, line=3)
    assert refusal.value.code == "line_invalid"
    with pytest.raises(RecoveryError) as refusal:
        vase.recover(record, COLD, line=lower[-1][0])
    assert refusal.value.code == "point_unsafe"


def test_resume_heights_are_on_record_for_every_step(vase: Campaign, record: dict[str, Any]):
    """While Z moves, and until the move is known to be made, the record spans both heights."""
    found = vase.recover(record, COLD)
    steps = found.plan.steps
    lift = next(i for i, step in enumerate(steps) if step.line.startswith("G1 Z5"))
    done = next(i for i, step in enumerate(steps) if i > lift and step.line == "M400")
    z = found.stop.z
    for number, step in enumerate(steps):
        if number < lift:
            assert (step.z, step.z_after) == (z, z)
        elif number <= done:
            assert (step.z, step.z_after) == (z, pytest.approx(z + 5))
    assert (steps[-1].z, steps[-1].z_after) == (pytest.approx(found.plan.point[2]),) * 2
    again = record | found.record(lift)
    asked = vase.recover(again, COLD)
    assert asked.stop.asks
    assert (asked.stop.z, asked.stop.z_spread) == (z, pytest.approx(5))
    assert asked.plan.offset == found.plan.offset


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


@pytest.mark.parametrize(("nozzle", "kind"), [(203, "cable"), (90, "printer")])
def test_a_resume_stopped_by_hand_is_no_lost_connection(nozzle: float, kind: str):
    record = {"phase": "interrupted", "reason": "stopped", "session": "before", "mono": 5.0, "nozzle_target": 205}
    found = classify(Reading({}, record, 1), Seen("before", "before", nozzle=nozzle))
    assert (found.kind, found.reasons) == (kind, ("The resume was stopped before the print had gone on.",))


def test_duration_is_told_only_by_a_clock_that_knows():
    record = {"phase": "printing", "boot": "before", "session": "before", "mono": 5.0}
    assert classify(Reading({}, record, 1), Seen("before", "after", mono=65.0)).seconds == 60.0
    assert classify(Reading({}, record, 1), Seen("after", "after", mono=65.0)).seconds is None


@pytest.mark.parametrize("phase", ["cancelled", "done", "dismissed"])
def test_ended_prints_are_not_recovered(vase: Campaign, record: dict[str, Any], phase: str):
    with pytest.raises(RecoveryError) as refusal:
        vase.recover(record | {"phase": phase}, COLD)
    assert refusal.value.code == "nothing_to_recover"


def test_before_the_model_was_begun_the_print_begins_anew(vase: Campaign, record: dict[str, Any]):
    found = vase.recover(record | {"sent": 40, "tail": [[40, 0.0]]}, COLD)
    assert (found.kind, found.plan.steps, found.plan.offset) == ("restart", [], 0)
    assert [risk["code"] for risk in found.plan.risks] == ["bed_clear"]


def test_other_file_is_refused(vase: Campaign, record: dict[str, Any], tmp_path: Path):
    other = tmp_path / "other.gcode"
    other.write_bytes(vase.text + b"\n")
    reading = Reading({"job": "1", "identity": identity_of(vase.gcode)}, record, 1)
    with pytest.raises(RecoveryError) as refusal:
        recover(reading, COLD, other, vase.facts)
    assert refusal.value.code == "file_changed"


def test_print_that_fills_the_bed_cannot_prime(vase: Campaign, record: dict[str, Any]):
    with pytest.raises(RecoveryError) as refusal:
        vase.recover(record, COLD, PrinterFacts(bed=(100.0, 100.0, 140.0, 140.0)))
    assert "corner" in refusal.value.message


def test_exported_file_holds_the_plan_and_the_rest(vase: Campaign, record: dict[str, Any], tmp_path: Path):
    found = vase.recover(record, COLD)
    resume_gcode(found, vase.gcode, tmp_path / "resume.gcode")
    text = (tmp_path / "resume.gcode").read_bytes()
    assert text.endswith(vase.text[found.plan.offset :])
    lines = [line.partition(b";")[0].strip().decode() for line in text.splitlines()]
    assert lines[1 : 1 + len(found.plan.lines)] == found.plan.lines


@pytest.mark.parametrize(
    ("height", "at"),
    [(0.2, 1.0), (0.6, 1.0), (2.1, 2.0), (5.0, 3.0), (9.7, 3.0), (11.0, 3.0)],
    ids=["on the path", "nearly", "hop", "on its way up", "nearly up", "above all"],
)
def test_measured_height_tells_the_place(height: float, at: float):
    point = (0.0, 0.0, 0.0)
    choices = tuple(Choice(1, z, at, at, at, 0.0, 0.0, point) for z, at in ((0.2, 1.0), (2.0, 2.0), (10.0, 3.0)))
    stop = Estimate(1.0, 1.0, 1.0, 0.0, 0.0, 0.2, 9.8, exact=False, choices=choices)
    taken = choose(stop, None, height)
    assert (taken.at, taken.z) == (at, height)
