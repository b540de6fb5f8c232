"""Which heights a nozzle can have stopped at, and which of them a measured height tells apart."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from octoprint_facesculpt.desk.answers import Answers
from octoprint_facesculpt.recovery.errors import RecoveryError
from octoprint_facesculpt.recovery.estimate import Estimate, choose, moved_by
from octoprint_facesculpt.recovery.heights import choices_between
from octoprint_facesculpt.recovery.window import read_window

#: Layer 5, with a hop of 0.4 mm over to its second half, and layer 6.
LAYERS = """G90
M83
G1 Z0.8 F600
G1 X40 E2 F1800
G1 Z1 F600
G1 X0 E2 F1800
G1 Z{hop} F600
G1 Y20 F9000
G1 Z1 F600
G1 X40 E2 F1800
G1 Z1.2 F600
G1 X0 E2 F1800
"""


def stopped(folder: Path, hop: float, first: str = "G1 X0 E2 F1800", last: int = 0) -> Estimate:
    """Motors that died somewhere between the beginning of a line's move and the file's end, or ``last`` moves before it."""
    file = folder / "hop.gcode"
    file.write_text(LAYERS.format(hop=hop))
    window = read_window(file, 0)
    begin = window.moment_of(LAYERS.format(hop=hop).index(first), 0.0)
    end = window.pieces[-1 - last].until
    choices = tuple(choices_between(window, begin, end, None, at_line_end=False))
    lowest = choices[0]
    return Estimate(lowest.at, begin, end, lowest.gap, lowest.overlap, lowest.z, 0.0, exact=False, choices=choices)


def heights(stop: Estimate) -> list[tuple[int, float]]:
    return [(choice.layer, choice.z) for choice in stop.choices]


def test_a_hop_is_of_the_layer_that_goes_on_below_it(tmp_path: Path):
    assert heights(stopped(tmp_path, hop=1.4)) == [(2, 1.0), (3, 1.2), (2, 1.4)]


@pytest.mark.parametrize("hop", [1.16, 1.2])
def test_a_hop_as_high_as_the_next_layer_is_not_taken_for_it(tmp_path: Path, hop: float):
    """Klipper, motors without supply: the print went on in the next layer and left out the rest of this one."""
    stop = stopped(tmp_path, hop)
    assert sorted(heights(stop)) == sorted([(2, 1.0), (2, hop), (3, 1.2)])
    assert stop.asks


@pytest.mark.parametrize("measured", [1.13, 1.16, 1.2])
def test_a_height_within_a_hop_does_not_tell_the_layer(tmp_path: Path, measured: float):
    """The nozzle on its way up to a hop comes to the next layer's height: somebody must say which layer it is."""
    stop = stopped(tmp_path, hop=1.4)
    asked = choose(stop, None, measured)
    assert asked.asks
    assert asked.z == measured
    lower = choose(stop, 0, measured)
    assert (lower.asks, lower.z, lower.at) == (False, measured, stop.choices[0].at)


def test_without_a_hop_a_height_tells_the_layer(tmp_path: Path):
    after_the_hop = "G1 X40 E2 F1800\nG1 Z1.2"
    stop = stopped(tmp_path, hop=1.4, first=after_the_hop)
    assert heights(stop) == [(2, 1.0), (3, 1.2)]
    for measured, layer in ((1.02, 0), (1.17, 1)):
        taken = choose(stop, None, measured)
        assert (taken.asks, taken.at) == (False, stop.choices[layer].at)


def test_a_change_of_layer_alone_asks_nothing_more(tmp_path: Path):
    """Where it has come up to the next layer, but not printed in it, there is one height and one answer."""
    stop = stopped(tmp_path, hop=1.4, first="G1 X0 E2 F1800", last=1)
    assert (3, 1.2) in heights(stop)
    assert [layer for layer, z in heights(stop) if z == 1.0] == [2]


def test_a_measurement_that_does_not_tell_leaves_the_question_open(tmp_path: Path):
    plan = {"stop": asdict(stopped(tmp_path, hop=1.4)), "asks": True, "layer_height": 0.2}
    answers = Answers(question="height", looked=True).measure(1.16, plan)
    assert (answers.question, answers.height and answers.height["kind"]) == ("height", "undecided")
    assert answers.height["layers"] == [2, 3] and not answers.complete
    said = answers.choose(0)
    assert said.complete
    assert (said.wanted.choice, said.wanted.height) == (0, 1.16)


@pytest.mark.parametrize("hop", [1.2, 1.22])
def test_a_measurement_that_is_a_little_off_decides_between_no_two_layers(tmp_path: Path, hop: float):
    """Further off than two heights are told apart, but not far enough to be wrong: whichever layer came to that height."""
    stop = stopped(tmp_path, hop=hop)
    answers = Answers(question="height", looked=True).measure(1.35, {"stop": asdict(stop), "asks": True, "layer_height": 0.2})
    assert (answers.question, answers.height and answers.height["kind"]) == ("height", "undecided")
    assert answers.height["layers"] == [2, 3] and answers.wanted.choice is None
    assert choose(stop, None, 1.35).asks
    # One that is wrong stays wrong.
    answers = answers.measure(1.6, {"stop": asdict(stop), "asks": True, "layer_height": 0.2})
    assert answers.height["kind"] == "disagrees"


def test_a_measurement_agrees_only_where_nothing_is_asked(tmp_path: Path):
    """Two layers that came to one height: that it was this height does not tell which."""
    both = [c for c in stopped(tmp_path, hop=1.2).choices if c.z == 1.2]
    stop = replace(stopped(tmp_path, hop=1.2), z=1.2, choices=tuple(both))
    assert {c.layer for c in both} == {2, 3}
    answers = Answers(question="height", looked=True).measure(1.31, {"stop": asdict(stop), "asks": True, "layer_height": 0.2})
    assert (answers.question, answers.height and answers.height["kind"]) == ("height", "undecided")


def test_a_nozzle_that_was_moved_away_is_where_it_is_measured(tmp_path: Path):
    """Motors that died about a pause, around a change of layer: far above all layers is no contradiction."""
    stop = replace(stopped(tmp_path, hop=1.4), parked=True, z_spread=20.0)
    plan = {"stop": asdict(stop), "asks": stop.asks, "layer_height": 0.2}
    answers = Answers(question="height", looked=True).measure(20.4, plan)
    assert (answers.question, answers.wanted.height, answers.complete) == ("heat", 20.4, True)
    taken = choose(stop, None, 20.4)
    assert (taken.asks, taken.z) == (False, 20.4)


def test_a_layer_that_was_lifted_to_what_was_measured_is_not_the_only_one(tmp_path: Path):
    """Both layers came to the nearest height, and one of them further up: the measurement may still be a little off."""
    low, high = (c for c in stopped(tmp_path, hop=1.2).choices if c.z == 1.2)
    stop = replace(stopped(tmp_path, hop=1.2), z=1.2, choices=(replace(low, top=1.2), replace(high, top=1.6)))
    answers = Answers(question="height", looked=True).measure(1.303, {"stop": asdict(stop), "asks": True, "layer_height": 0.2})
    assert (answers.question, answers.height and answers.height["kind"]) == ("height", "undecided")
    assert choose(stop, None, 1.303).asks


def test_of_a_nozzle_that_was_moved_height_and_layer_must_both_be_known(tmp_path: Path):
    """What it is lifted by since says nothing of the layer that it had stopped in."""
    stop = moved_by(stopped(tmp_path, hop=1.4), (-0.5, 10.0), 250.0)
    assert (stop.z, stop.z_spread, stop.asks) == (0.5, 10.9, True)
    measured = choose(stop, None, 11.0)
    assert (measured.z, measured.z_spread, measured.asks) == (11.0, 0.0, True)
    assert choose(stop, 1, None).asks
    both = choose(stop, 1, 11.0)
    assert (both.z, both.z_spread, both.asks, both.at) == (11.0, 0.0, False, stop.choices[1].at)
    with pytest.raises(RecoveryError) as refused:
        choose(stop, 1, 13.0)
    assert refused.value.code == "height_invalid"


def test_answers_about_a_nozzle_that_was_moved(tmp_path: Path):
    stop = moved_by(stopped(tmp_path, hop=1.4), (0.0, 10.0), 250.0)
    plan = {"asks": True, "layer_height": 0.2, "stop": asdict(stop)}
    moved = Answers("height").moves(0.0, 10.0)
    measured = moved.measure(11.0, plan)
    assert (measured.question, measured.height["kind"], measured.height["layers"]) == ("height", "undecided", [2, 3])  # type: ignore[index]
    assert measured.choose(1).complete is False and measured.choose(1).question == "heat"
    # Said first, the layer leaves the height open.
    named = moved.choose(1)
    assert (named.question, named.height, named.wanted.choice) == ("height", None, 1)
    decided = named.measure(11.0, plan)
    assert (decided.question, decided.height["kind"]) == ("heat", "decides")  # type: ignore[index]
    assert named.measure(20.0, plan).height["kind"] == "disagrees"  # type: ignore[index]
