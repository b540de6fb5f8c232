"""Layers as pictures: what the nozzle draws, in the right place and colour, from the bytes of one layer alone."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from octoprint_facesculpt.slicing import SliceRequest, SlicingError, slice_model
from octoprint_facesculpt.slicing.gcode_index import GcodeIndex, read_index
from octoprint_facesculpt.slicing.layer_picture import COLOURS, Stroke, draw_layer, kind_of, save_layer, strokes


@pytest.fixture(scope="module", params=["prusaslicer", "curaengine"])
def printed(
    request: pytest.FixtureRequest, mushroom: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, GcodeIndex]:
    folder = tmp_path_factory.mktemp("layers")
    gcode, index = folder / "m.gcode", folder / "m.index.json"
    slice_model(mushroom, gcode, SliceRequest(engine=request.param, profile="bust_028", index=index))
    return gcode, read_index(index, gcode)


def at(index: GcodeIndex, height: float) -> int:
    return min(range(len(index.layers)), key=lambda number: abs(index.layers[number].z - height))


def kinds(lines: list[Stroke]) -> dict[str, float]:
    """Length drawn of each kind, mm."""
    total: dict[str, float] = {}
    for line in lines:
        total[line.kind] = total.get(line.kind, 0.0) + math.dist(line.start, line.end)
    return total


def test_the_layers_of_the_plate_and_of_its_stem_look_as_they_are(printed: tuple[Path, GcodeIndex]) -> None:
    gcode, index = printed
    plate = strokes(gcode, index, at(index, 13))
    drawn = kinds(plate)
    # The wall of a plate of 24 x 8 mm, and no support that high.
    assert drawn["outer"] == pytest.approx(2 * (24 + 8) - 4 * 0.45, abs=3) and "support" not in drawn
    assert "other" not in drawn
    outer = np.array([line.start for line in plate if line.kind == "outer"])
    np.testing.assert_allclose(outer.max(0) - outer.min(0), (24 - 0.4, 8 - 0.4), atol=0.3)
    np.testing.assert_allclose((outer.max(0) + outer.min(0)) / 2, (117.5, 117.5), atol=0.3)
    stem = [strokes(gcode, index, number) for number in range(at(index, 5), at(index, 7))]
    supported = [kinds(lines).get("support", 0) + kinds(lines).get("interface", 0) for lines in stem]
    assert max(supported) > 20


def test_every_layer_draws_the_filament_that_its_index_knows(printed: tuple[Path, GcodeIndex]) -> None:
    gcode, index = printed
    for number, layer in list(enumerate(index.layers))[2::7]:
        drawn = kinds(strokes(gcode, index, number))
        support = drawn.get("support", 0.0) + drawn.get("interface", 0.0)
        assert bool(support) == (layer.support_mm > 0) and bool(drawn)


def test_the_picture_has_the_colours_of_what_is_in_the_layer(printed: tuple[Path, GcodeIndex], tmp_path: Path) -> None:
    gcode, index = printed
    save_layer(gcode, index, at(index, 13), tmp_path / "l.png", 320)
    picture = np.asarray(Image.open(tmp_path / "l.png").convert("RGB"), int)
    assert picture.shape == (320, 320, 3) and (tmp_path / "l.png").stat().st_size < 60_000

    def near(kind: str) -> int:
        return int((np.abs(picture - COLOURS[kind]).max(2) < 30).sum())

    assert near("outer") > 300 and near("inner") > 300 and near("interface") == 0
    # All layers share one frame, which the brim on the bed fills to its rim.
    rows = np.flatnonzero((np.abs(picture - COLOURS["outer"]).max(2) < 30).any(0))
    assert 30 < rows.min() < 90 and 230 < rows.max() < 290


def test_a_layer_that_is_not_there_is_refused(printed: tuple[Path, GcodeIndex]) -> None:
    gcode, index = printed
    for number in (-1, len(index.layers), 10**9):
        with pytest.raises(SlicingError) as error:
            draw_layer(gcode, index, number)
        assert error.value.code == "layer_unknown"


@pytest.mark.parametrize(
    ("feature", "kind"),
    [
        ("External perimeter", "outer"), ("Perimeter", "inner"), ("Overhang perimeter", "bridge"),
        ("Internal infill", "infill"), ("Solid infill", "skin"), ("Top solid infill", "skin"), ("Bridge infill", "bridge"),
        ("Gap fill", "infill"),
        ("Support material", "support"), ("Support material interface", "interface"), ("Skirt/Brim", "rim"),
        ("WALL-OUTER", "outer"), ("WALL-INNER", "inner"), ("SKIN", "skin"), ("FILL", "infill"), ("SUPPORT", "support"),
        ("SUPPORT-INTERFACE", "interface"), ("SKIRT", "rim"), ("Prime", "other"), ("", "other"),
    ],
)  # fmt: skip
def test_both_slicers_names_are_known(feature: str, kind: str) -> None:
    assert kind_of(feature) == kind


def of(text: str, e: float = 0.0, relative: bool = False, tmp_path: Path | None = None) -> list[Stroke]:
    from octoprint_facesculpt.slicing.gcode_index import Layer
    from octoprint_facesculpt.slicing.layer_picture import _strokes

    layer = Layer(0, 0.2, 0, 1, 0, 0, 0, 50, 50, 10.0, 10.0, 0.2, e, relative, 1500.0, "Perimeter")
    return _strokes(text.encode(), layer)


def test_the_state_at_a_layers_beginning_is_taken_over() -> None:
    assert of("G1 X20 E5.5\n", e=5) == [Stroke((10, 10), (20, 10), "inner")]
    assert of("G1 X20 E4.5\n", e=5) == [] and of("G1 X20 E0.5\n", relative=True)[0].end == (20, 10)


def test_an_arc_is_drawn_round() -> None:
    lines = of("G3 X10 Y30 I0 J10 E1\n")
    points = np.array([line.end for line in lines])
    np.testing.assert_allclose(np.hypot(points[:, 0] - 10, points[:, 1] - 20), 10)
    assert points[:, 0].max() == pytest.approx(20, abs=0.1) and lines[-1].end == (10, 30) and len(lines) > 15
    assert min(line.end[0] for line in of("G2 X10 Y30 I0 J10 E1\n")) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(("arc", "kept"), [("G3 X10 Y30 I0 J10 E1", "J10"), ("G2 X30 Y10 I10 J0 E1", "I10")])
def test_an_arc_is_as_round_without_the_word_that_is_0(arc: str, kept: str) -> None:
    short = arc.replace(" I0", "").replace(" J0", "")
    assert kept in short and short != arc and of(f"{short}\n") == of(f"{arc}\n")
    assert len(of(f"{short}\n")) > 15


@pytest.mark.parametrize(
    ("by_radius", "by_centre"),
    [
        ("G3 X10 Y30 R10 E1", "G3 X10 Y30 J10 E1"), ("G2 X20 Y20 R10 E1", "G2 X20 Y20 I10 E1"),
        ("G2 X20 Y20 R-10 E1", "G2 X20 Y20 J10 E1"), ("G3X20Y20R10E1", "G3 X20 Y20 J10 E1"),
        ("G91\nG3 X10 Y10 R-10 E1", "G91\nG3 X10 Y10 I10 E1"),
    ],
)  # fmt: skip
def test_an_arc_by_its_radius_is_as_round(by_radius: str, by_centre: str) -> None:
    lines, expected = (np.array([[*line.start, *line.end] for line in of(f"{arc}\n")]) for arc in (by_radius, by_centre))
    np.testing.assert_allclose(lines, expected, atol=1e-9)
    assert len(lines) > 10


def test_a_whole_circle_is_drawn() -> None:
    lines = of("G2 I5 E1\n")
    assert len(lines) > 40 and lines[-1].end == (10, 10) and max(line.end[0] for line in lines) == pytest.approx(20, abs=0.1)


@pytest.mark.parametrize(
    "line", ["G1X20E5", "G01 X20 E5", "g1 x20 e5", "N4 G1 X20 E5*33", "G92E0\nG1 X20 E5", "M083\nG1\tX20\tE5"]
)
def test_a_line_is_drawn_however_it_is_written(line: str) -> None:
    assert of(line + "\n") == [Stroke((10, 10), (20, 10), "inner")]


def test_what_is_no_drawing_is_left_out() -> None:
    text = "G1 X50 F9000\nG1 E-5\nG1 X60 ; E1\nM117 X1 E9\nG92 E0\nG1 X61 E1\n;TYPE:SUPPORT\nG91\nG1 X1 E1\n"
    assert of(text) == [Stroke((60, 10), (61, 10), "inner"), Stroke((61, 10), (62, 10), "support")]
