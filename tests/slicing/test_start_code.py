"""The Ender 3's start and end code on beds that do not begin at 0."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from octoprint_facesculpt.slicing import ENGINES, Bed, SliceRequest, SlicingError, slice_model
from octoprint_facesculpt.slicing.curaengine import CuraEngine
from octoprint_facesculpt.slicing.profiles import resolve
from octoprint_facesculpt.slicing.start_code import moved

CENTRED = Bed(200, 200, 200, -100, -100)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_priming_line_is_no_longer_than_a_small_bed(engine: str, mushroom: Path, tmp_path: Path) -> None:
    result = slice_model(mushroom, tmp_path / "out.gcode", SliceRequest(engine, "bust_028", bed=Bed(120, 120, 120)))
    assert max(float(y) for y in re.findall(r"^G1 X\S+ Y([\d.]+)", result.gcode.read_text(), re.M)) <= 110


@pytest.mark.parametrize("engine", ENGINES)
def test_own_code_that_leaves_a_small_bed_is_refused(engine: str, mushroom: Path, tmp_path: Path) -> None:
    key = {"prusaslicer": "start_gcode", "curaengine": "machine_start_gcode"}[engine]
    newline = {"prusaslicer": "\\n", "curaengine": "\n"}[engine]
    own = {key: newline.join(("G28", "G1 Z5 F300", "G1 X2 Y140 F3000"))}
    with pytest.raises(SlicingError) as refusal:
        slice_model(mushroom, tmp_path / "out.gcode", SliceRequest(engine, "bust_028", overrides=own, bed=Bed(120, 120, 120)))
    assert refusal.value.code == "gcode_out_of_bounds" and "140.0 mm in Y" in refusal.value.message


def test_only_absolute_places_are_moved() -> None:
    code = "G28 X0 ; home X5\nG1 X2 Y10.5 F3000;to Y10\nG1 Y{print_bed_max[1]*0.8} X5\nG91\nG1 X5 Y5\nG90\nG0 Y-3 Z2"
    assert moved(code, Bed(left=-100, front=-50)) == (
        "G28 X0 ; home X5\nG1 X-98 Y-39.5 F3000;to Y10\nG1 Y{print_bed_max[1]*0.8} X-95\nG91\nG1 X5 Y5\nG90\nG0 Y-53 Z2"
    )
    assert moved(code, Bed()) is code and moved(code, Bed(210, 210)) is code
    assert moved("G1 X2 Y140\nG1 Y0 X-3", Bed(100, 120)) == "G1 X2 Y110\nG1 Y0 X-3"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("bed", [CENTRED, Bed(320, 320, 200, -160, -160)], ids=["smaller", "larger"])
def test_a_nozzle_is_primed_at_the_edge_of_a_bed_and_not_in_its_middle(
    engine: str, bed: Bed, mushroom: Path, tmp_path: Path
) -> None:
    gcode = slice_model(mushroom, tmp_path / "out.gcode", SliceRequest(engine, "bust_028", bed=bed)).gcode
    first = gcode.read_text().partition("G28")[2].partition("\nG1 X")[2].split(maxsplit=2)
    assert bed.left <= float(first[0]) <= bed.left + 3 and bed.front <= float(first[1][1:]) <= bed.front + 20


def test_a_copy_of_a_preset_is_moved_and_code_of_ones_own_is_not() -> None:
    copy = resolve(SliceRequest())
    usual, moves = copy["start_gcode"], resolve(SliceRequest(bed=CENTRED))["start_gcode"]
    assert usual != moves == resolve(SliceRequest(config=copy, bed=CENTRED))["start_gcode"]
    own = {**copy, "start_gcode": "G28\\nG1 X2 Y10"}
    assert resolve(SliceRequest(config=own, bed=CENTRED))["start_gcode"] == own["start_gcode"]
    assert resolve(SliceRequest(overrides={"start_gcode": "G1 X2"}, bed=CENTRED))["start_gcode"] == "G1 X2"


def test_code_of_another_printer_of_cura_is_left_alone() -> None:
    key, request = "machine_start_gcode", SliceRequest("curaengine", bed=CENTRED)
    own = replace(request, overrides={key: "G28\nG1 X2 Y10"})
    assert CuraEngine().resolve(own).machine[key] == "G28\nG1 X2 Y10"
    other = replace(request, config={"machine": "creality_ender5", "quality": "standard"})
    assert CuraEngine().resolve(other).machine[key] == CuraEngine().resolve(replace(other, bed=Bed())).machine[key]
