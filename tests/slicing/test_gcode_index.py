"""The index says truly where each layer lies, when it begins and what it takes; and a broken one is not believed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from octoprint_facesculpt.slicing import SliceRequest, SlicingError, slice_model
from octoprint_facesculpt.slicing.gcode_facts import read
from octoprint_facesculpt.slicing.gcode_index import GcodeIndex, read_index, write_index
from tests.printer.bench import Bench

from .conftest import Sliced


@pytest.fixture(scope="module")
def index(sliced: Sliced) -> GcodeIndex:
    return read(sliced.result.gcode).index


@pytest.fixture(scope="module", params=["prusaslicer", "curaengine"])
def made(request: pytest.FixtureRequest, mushroom: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, GcodeIndex]:
    """G-code of each engine, and the index that was written beside it."""
    folder = tmp_path_factory.mktemp(request.param)
    order = SliceRequest(request.param, "bust_028", index=folder / "index.json")
    result = slice_model(mushroom, folder / "out.gcode", order)
    assert sorted(path.name for path in folder.iterdir()) == ["index.json", "out.gcode"]
    return result.gcode.read_text(), read_index(folder / "index.json", result.gcode)


def test_layers_of_supports_alone_are_known(made: tuple[str, GcodeIndex]) -> None:
    _, index = made
    assert len(index.supports_alone) + index.model_layers == len(index.layers)
    assert all(index.layers[number].support_mm > 0 for number in index.supports_alone)
    first = index.layers[0]
    bare = replace(index, layers=(first._replace(filament_mm=3.0, support_mm=2.99), first._replace(support_mm=0.0), first))
    assert bare.supports_alone == [0]


def test_layers_lie_where_their_height_changes(made: tuple[str, GcodeIndex]) -> None:
    text, index = made
    data = text.encode()
    assert len(data) == index.size
    marks = re.findall(r"^;Z:([\d.]+)", text, re.MULTILINE) or re.findall(r"^G0 .*Z([\d.]+)$", text, re.MULTILINE)
    heights = list(dict.fromkeys(float(mark) for mark in marks))
    assert [layer.z for layer in index.layers] == pytest.approx(heights, abs=1e-3)
    for number, layer in enumerate(index.layers):
        begin, end = index.span(number)
        assert begin == layer.offset < end and data[begin - 1 : begin] == b"\n"
        part = data[begin:end].decode()
        # Each has one height, and its last line extrudes.
        climbed = [float(z) for z in re.findall(r"^G[01] [^;]*Z([\d.]+)", part, re.MULTILINE)]
        assert number == 0 or (climbed[-1] == pytest.approx(layer.z) and layer.below == index.layers[number - 1].z)
        assert re.match(r"G1 .*E\.?\d", part.splitlines()[-1])
        assert index.at(begin) == index.at(end - 1) == number
    assert index.at(0) == -1
    assert not re.search(r"^G1 X.*E\.?\d", data[index.end :].decode(), re.MULTILINE)


def test_filament_and_boxes_are_those_of_the_lines(made: tuple[str, GcodeIndex]) -> None:
    text, index = made
    data = text.encode()
    for number, layer in enumerate(index.layers):
        feature, support, total = layer.feature, 0.0, 0.0
        x, y, xs, ys = layer.x, layer.y, [], []
        for line in data[slice(*index.span(number))].decode().splitlines():
            if line.startswith(";TYPE:"):
                feature = line[6:]
            elif line.startswith(("G0 ", "G1 ")):
                words = {word[0]: float(word[1:]) for word in line.partition(";")[0].split()[1:]}
                there = words.get("X", x), words.get("Y", y)
                if words.get("E", 0.0) > 0 and there != (x, y):
                    total += words["E"]
                    support += words["E"] if feature.lower().startswith("support") else 0.0
                    xs += [x, there[0]]
                    ys += [y, there[1]]
                x, y = there
        assert layer.filament_mm == pytest.approx(total, abs=1e-3) and layer.support_mm == pytest.approx(support, abs=1e-3)
        box = (layer.left, layer.front, layer.right, layer.back)
        assert box == pytest.approx((min(xs), min(ys), max(xs), max(ys)), abs=1e-3)


def test_layers_begin_when_the_printer_begins_them(made: tuple[str, GcodeIndex]) -> None:
    """The simulated printer's clock, without heating and homing, at each layer's first byte; the planner is then up to 15
    moves behind."""
    text, index = made
    bench, free, offset, clocks = Bench(), 0.0, 0, []
    starts = {layer.offset for layer in index.layers}
    for line in text.splitlines(keepends=True):
        if offset in starts:
            clocks.append(bench.seconds - free)
        waits = line.startswith(("M109", "M190", "G28"))
        if waits:
            bench.finish()
        before = bench.seconds
        bench.send(line)
        free += bench.seconds - before if waits else 0.0
        offset += len(line.encode())
    bench.finish()
    assert bench.seconds - free == pytest.approx(index.seconds, rel=0.01)
    late = np.array([layer.seconds for layer in index.layers]) - clocks
    assert len(clocks) == len(index.layers) and late.min() > -1 and late.max() < 25
    moments = [*(layer.seconds for layer in index.layers), index.end_seconds, index.seconds]
    assert moments == sorted(moments)


def test_it_is_read_back_as_it_was_written(index: GcodeIndex, tmp_path: Path) -> None:
    write_index(index, tmp_path / "index.json")
    again = read_index(tmp_path / "index.json")
    assert [path.name for path in tmp_path.iterdir()] == ["index.json"]
    assert len(again.layers) == len(index.layers) and again.size == index.size
    for was, now in zip(index.layers, again.layers, strict=True):
        assert (now.offset, now.feature, now.relative_e) == (was.offset, was.feature, was.relative_e)
        assert now.z == pytest.approx(was.z, abs=1e-4) and now.seconds == pytest.approx(was.seconds, abs=1e-4)


DAMAGES: dict[str, Callable[[dict], object]] = {
    "another schema": lambda data: data.update(schema=99),
    "a column missing": lambda data: data["layers"].pop("z"),
    "a column too short": lambda data: data["layers"]["z"].pop(),
    "text for a number": lambda data: data["layers"]["z"].__setitem__(0, "high"),
    "not a number": lambda data: data["layers"]["seconds"].__setitem__(0, float("nan")),
    "layers in disorder": lambda data: data["layers"]["offset"].reverse(),
    "beyond the file": lambda data: data.update(size=100),
    "before the file": lambda data: data["layers"]["offset"].__setitem__(0, -1),
    "endless": lambda data: data.update(seconds=float("inf")),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_index_is_refused(damage: Callable[[dict], object], index: GcodeIndex, tmp_path: Path) -> None:
    data = json.loads(json.dumps(index.to_json()))
    damage(data)
    (tmp_path / "index.json").write_text(json.dumps(data))
    with pytest.raises(SlicingError) as refused:
        read_index(tmp_path / "index.json")
    assert refused.value.code == "index_invalid"


def test_an_index_of_another_file_is_refused(index: GcodeIndex, sliced: Sliced, tmp_path: Path) -> None:
    write_index(index, tmp_path / "index.json")
    assert read_index(tmp_path / "index.json", sliced.result.gcode).size == index.size
    other = tmp_path / "other.gcode"
    other.write_text(sliced.text + ";\n")
    for gcode, path in ((other, "index.json"), (None, "nowhere.json"), (None, "other.gcode")):
        with pytest.raises(SlicingError, match="index_invalid"):
            read_index(tmp_path / path, gcode)


def test_arcs_take_way_time_and_filament_as_on_the_printer(tmp_path: Path) -> None:
    lines = ["M104 S200", "G90", "M83", "G1 X100 Y100 Z0.2 F3000", ";TYPE:Perimeter"]
    lines += [
        "G1 X120 E1",
        "G3 X140 Y120 J20 E2 F1800",
        "G2 X120 Y120 I-10 E3",
        "G2 X120 Y120 I5 E4",
        "G1 X100 E1",
        "G3 X110 Y110 R10 E1",
        "G2 X100 Y120 R-10 E1",
    ]
    path = tmp_path / "arcs.gcode"
    path.write_text("\n".join(lines))
    facts, bench = read(path), Bench()
    bench.send(*lines)
    bench.finish()
    assert facts.seconds == pytest.approx(bench.seconds, rel=0.01)
    assert facts.filament_mm == pytest.approx(13) == pytest.approx(bench.machine.filament)
    places = np.array([block.start for block in bench.done if block.delta[3] > 0])
    assert facts.low[:2] == pytest.approx(places.min(0)[:2], abs=1) and facts.high[:2] == pytest.approx(
        places.max(0)[:2], abs=1
    )
