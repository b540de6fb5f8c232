"""Another place to go on at, and a height that somebody measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from octoprint_facesculpt.recovery.errors import RecoveryError
from octoprint_facesculpt.recovery.estimate import Estimate
from octoprint_facesculpt.recovery.measure import judge
from octoprint_facesculpt.recovery.replay import GcodeIndex, build_index, state_at
from octoprint_facesculpt.recovery.shift import Shifted, shift
from octoprint_facesculpt.recovery.window import BEFORE, read_window

from .programs import print_file


@pytest.fixture(scope="module")
def gcode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("print") / "vase.gcode"
    file.write_bytes(print_file(layers=6))
    return file


@pytest.fixture(scope="module")
def index(gcode: Path) -> GcodeIndex:
    return build_index(gcode)


def stopped(gcode: Path, index: GcodeIndex, layer: int, moves: int = 20, spread: int = 2) -> Shifted:
    """An estimate in a layer, some moves on, that is uncertain by some moves to both sides."""
    offset = index.layers[layer - 1].offset
    window = read_window(gcode, offset, index)
    pieces = [p for p in window.pieces if p.prints and p.move.layer >= layer]
    early, here, late = (pieces[n].at for n in (moves - spread, moves, moves + spread))
    heights = [p.end[2] for p in window.pieces if early <= p.at <= late]
    gap, overlap = (abs(window.printed_at(here) - window.printed_at(at)) for at in (early, late))
    z = min(heights)
    return Shifted(window, offset, BEFORE, Estimate(here, early, late, gap, overlap, z, round(max(heights) - z, 4), False))


def made(gcode: Path, index: GcodeIndex, found: Shifted, layers: int = 0, moves: int = 0) -> Shifted:
    return shift(found, layers, moves, gcode, index)


def test_without_a_choice_nothing_changes(gcode: Path, index: GcodeIndex):
    found = stopped(gcode, index, 3)
    assert made(gcode, index, found).stop == found.stop


def test_moves_lead_to_where_moves_begin_and_say_what_that_costs(gcode: Path, index: GcodeIndex):
    found = stopped(gcode, index, 3)
    window, stop = found.window, found.stop
    later = made(gcode, index, found, moves=3).stop
    here, there = window.piece_at(stop.at), window.piece_at(later.at)
    assert there.number - here.number == 3 and there.at == later.at
    assert later.gap == pytest.approx(window.printed_at(later.at) - window.printed_at(stop.earliest), abs=1e-3)
    assert later.overlap == 0
    earlier = made(gcode, index, found, moves=-5).stop
    assert earlier.gap == 0
    assert earlier.overlap == pytest.approx(window.printed_at(stop.latest) - window.printed_at(earlier.at), abs=1e-3)


def test_never_before_the_layer_nor_far_beyond_it(gcode: Path, index: GcodeIndex):
    found = stopped(gcode, index, 3)
    bounds = made(gcode, index, found)
    assert bounds.layers == (0, 2)
    first = made(gcode, index, found, moves=bounds.moves[0])
    assert first.window.piece_at(first.stop.at).move.layer == 3
    for wrong in ({"moves": bounds.moves[0] - 1}, {"moves": bounds.moves[1] + 1}, {"layers": -1}, {"layers": 3}):
        with pytest.raises(RecoveryError) as refused:
            made(gcode, index, found, **wrong)
        assert refused.value.code == "point_unsafe"


def test_a_layer_higher_begins_where_that_layer_begins_to_print(gcode: Path, index: GcodeIndex):
    found = stopped(gcode, index, 3)
    chosen = made(gcode, index, found, layers=1)
    piece = chosen.window.piece_at(chosen.stop.at)
    assert piece.move.layer == 4 and piece.prints
    assert chosen.window.point_at(chosen.stop.at)[2] == pytest.approx(0.8)
    # The nozzle itself is where it was; the path left out is counted across the layers.
    assert chosen.stop.z == found.stop.z
    whole = index.layers[3].printed - state_at(gcode, found.window.piece_at(found.stop.earliest).move.offset, index).printed
    assert chosen.stop.gap == pytest.approx(whole, abs=1.0)


def test_a_layer_lower_only_where_it_is_uncertain(gcode: Path, index: GcodeIndex):
    # Across the end of layer 3: 40 sides and 6 rows a layer.
    found = stopped(gcode, index, 3, moves=46, spread=3)
    bounds = made(gcode, index, found)
    assert bounds.layers[0] == 3 - found.window.piece_at(found.stop.at).move.layer
    lowest = made(gcode, index, found, layers=bounds.layers[0])
    assert lowest.window.piece_at(lowest.stop.at).move.layer == 3


@pytest.mark.parametrize(
    ("measured", "candidates", "kind", "off"),
    [
        (91.3, (91.2,), "agrees", 0.1),
        (91.35, (91.2,), "agrees", 0.15),
        (91.0, (91.2,), "agrees", -0.2),
        (90.9, (91.2,), "disagrees", -0.3),
        (12.0, (91.2,), "disagrees", -79.2),
        (91.15, (90.8, 91.2), "decides", -0.05),
        (90.9, (90.8, 91.2), "decides", 0.1),
    ],
)
def test_a_measurement_that_is_more_than_about_a_layer_off_disagrees(
    measured: float, candidates: tuple[float, ...], kind: str, off: float
):
    verdict = judge(measured, candidates, 0.16)
    assert (verdict.kind, verdict.off) == (kind, pytest.approx(off))


def test_thick_layers_allow_for_more():
    assert judge(10.25, (10.0,), 0.28).kind == "agrees"
