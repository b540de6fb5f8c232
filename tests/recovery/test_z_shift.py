"""Files that shift their heights with G92 Z: followed where one height means one thing, refused where it may mean two."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from octoprint_facesculpt.recovery.errors import RecoveryError
from octoprint_facesculpt.recovery.estimate import Estimate
from octoprint_facesculpt.recovery.machine import Machine
from octoprint_facesculpt.recovery.outage import Seen
from octoprint_facesculpt.recovery.recover import View, _require_heights
from octoprint_facesculpt.recovery.shift import Shifted
from octoprint_facesculpt.recovery.state import MachineState
from octoprint_facesculpt.recovery.window import read_window

from .outages import Campaign, _resuming
from .programs import print_file

COLD = Seen("after", "after", nozzle=40.0)
LAYERS = 6


def _state(program: str, firmware: str = "marlin2") -> MachineState:
    machine = Machine(firmware)
    for line in program.split("|"):
        machine.execute(line.encode() + b"\n")
    return machine.state


PRINTED = "G28|M83|;LAYER:0|G1 Z20|G1 X9 E1"


@pytest.mark.parametrize(
    ("then", "top", "shifted"),
    [
        ("G92 Z0", 0.0, True),
        ("G92 Z50|G1 Z30.2|G1 X5 E1", 50.0, True),
        ("G92 Z20", 20.0, False),
        ("G92 X3 E0", 20.0, False),
        ("G92 Z0|G92.1", 20.0, True),
        ("G92 Z5|G28 Z", 20.0, True),
        ("G92 Z5|;LAYER:1|G1 Z5.2|G1 X5 E1", 5.2, True),
    ],
)
def test_what_is_printed_has_other_heights_afterwards(then: str, top: float, shifted: bool):
    """Or a nozzle on its way to a second part would be lifted above that one's top only."""
    state = _state(f"{PRINTED}|{then}")
    assert state.high is not None and state.high[2] == pytest.approx(top)
    assert state.z_shifted == shifted


def test_a_shift_before_the_first_layer_is_where_the_bed_is():
    state = _state("G28|M83|G1 Z0.3|G1 X9 E1|G92 Z0.2|;LAYER:0|G1 X5 E1")
    assert not state.z_shifted and state.high is not None and state.high[2] == pytest.approx(0.2)


def test_g92_alone_is_zero_everywhere_to_klipper_only():
    assert _state("G28|G1 X9 Z5|G92", "klipper").position == [0, 0, 0]
    assert _state("G28|G1 X9 Z5|G92").position == [9, 0, 5]


def _campaign(folder: Path, by: float, first: float = 0.0) -> Campaign:
    """A vase whose file counts its heights ``by`` mm higher from the fourth layer on, ``first`` mm from its start."""
    text = print_file(LAYERS, radius=6.0)
    if first:
        text = text.replace(b"G1 Z0.28 F240", b"G1 Z%.2f F240\nG92 Z0\nG1 Z0.2 F240" % -first, 1)
    fourth = text.index(b";LAYER_CHANGE", text.index(b";Z:0.60"))
    rest = text[fourth:]
    for layer in range(4, LAYERS + 1):
        rest = rest.replace(b"G1 Z%.2f " % (0.2 * layer), b"G1 Z%.2f " % (0.2 * layer + by))
    shift = b"G92 Z%.2f\n" % (0.6 + by) if by else b""
    file = folder / "shifted.gcode"
    file.write_bytes(text[:fourth] + shift + rest)
    return Campaign(file, folder)


@pytest.mark.parametrize(("by", "first"), [(10.0, 0.0), (-10.0, 0.0), (0.3, 0.0), (0.0, -20.0)])
def test_print_goes_on_at_its_true_height(tmp_path: Path, by: float, first: float):
    campaign = _campaign(tmp_path, by, first)
    start, end = campaign.spans()["printing"][0][0], campaign.spans()["printing"][-1][1]
    for share in (0.2, 0.45, 0.55, 0.65, 0.8):
        record, seen, host = campaign.interrupted(start + (end - start) * share, "restart")
        found = campaign.recover(record, seen)
        assert found.kind == "resume" and not found.stop.asks
        host.machine.touches.clear()
        was = host.machine.position[2] - host.machine.jumped
        again = _resuming(campaign, host, found, record, random.Random(1))
        again.send_plan(found.to_json(), campaign.text, 0)
        again.send("M400")
        machine = host.machine
        assert machine.position[2] - machine.jumped == pytest.approx(was, abs=0.01)
        assert machine.touches == []


@pytest.mark.parametrize(("first", "last", "refused"), [(-60, -20, False), (20, 60, False), (-20, 20, True), (-60, 60, True)])
@pytest.mark.parametrize("by", [10.0, -10.0, 0.3])
def test_an_outage_about_the_shift_is_refused(tmp_path: Path, by: float, first: int, last: int, refused: bool):
    """The same height means two things there: the lower of two choices might be the higher one. ``first`` and ``last`` are the
    moves, counted from the shift, between which it may have stopped."""
    campaign = _campaign(tmp_path, by)
    place = campaign.text.index(b"G92 Z", campaign.text.index(b";Z:0.60"))
    window = read_window(campaign.gcode, place, campaign.index)
    here = next(number for number, piece in enumerate(window.pieces) if piece.move.offset > place)
    earliest, latest = (window.pieces[here + by_moves].at + 1e-6 for by_moves in (first, last))
    stop = Estimate(earliest, earliest, latest, 0.0, 0.0, 0.6, 0.0, exact=False)
    view = View(campaign.index, window, stop, Shifted(window, place, 0, stop))
    if not refused:
        return _require_heights(view, campaign.gcode, campaign.facts)
    with pytest.raises(RecoveryError) as refusal:
        _require_heights(view, campaign.gcode, campaign.facts)
    assert refusal.value.code == "not_recoverable"


def test_a_nozzle_that_was_moved_cannot_be_measured_where_heights_count_from_elsewhere(tmp_path: Path):
    """From the bed, or from the plate on it: 20 mm that nobody can tell."""
    campaign = _campaign(tmp_path, 0.0, -20.0)
    start, _ = campaign.spans()["printing"][80]
    record, _, _ = campaign.interrupted(start)
    assert campaign.recover(record, COLD).stop.z < 2
    with pytest.raises(RecoveryError) as refused:
        campaign.recover(record, replace(COLD, moved=(0.0, 10.0)))
    assert refused.value.code == "not_recoverable"
