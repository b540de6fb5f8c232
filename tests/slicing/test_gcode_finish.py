"""What is added to sliced G-code changes nothing but where its lines lie."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from octoprint_facesculpt.slicing.gcode_facts import read
from octoprint_facesculpt.slicing.gcode_finish import Change, finish, moved, progress_lines
from octoprint_facesculpt.slicing.gcode_index import GcodeIndex

from .conftest import Sliced

#: Two layers of a minute each, behind a head of 16 bytes.
SMALL = b";TIME:1\n;HEAD:2\nM104 S200\nM109 S200\nG28\nG1 Z0.2 F600\nG1 X60 E2 F60\nG1 Z0.4 F600\nG1 X0 E4 F60\nM104 S0\n"


def test_lines_of_progress_say_what_the_planner_says(tmp_path: Path) -> None:
    path = tmp_path / "out.gcode"
    path.write_bytes(SMALL.replace(b"G28", b";TYPE:Skin\nG28"))
    facts = finish(path, Change(0, 16, b";HEAD\n"), True, None)
    lines = path.read_bytes().splitlines()
    assert lines[:2] == [b";HEAD", b"M73 P0 R2"] and facts.seconds == pytest.approx(121, abs=2)
    assert lines[lines.index(b"G1 X60 E2 F60") + 1] == b"M73 P50 R1"
    assert lines[lines.index(b"G1 X0 E4 F60") + 1 :] == [b"M73 P100 R0", b"M104 S0"]


def test_a_finished_file_is_the_slicers_but_for_progress_and_its_index_fits(sliced: Sliced, tmp_path: Path) -> None:
    path = tmp_path / "out.gcode"
    original = b"".join(
        line for line in sliced.result.gcode.read_bytes().splitlines(keepends=True) if not line.startswith(b"M73 ")
    )
    path.write_bytes(original)
    before = read(path)
    facts = finish(path, Change(0, 0, b""), True, None)
    text = path.read_bytes()
    assert re.sub(rb"M73 P\d+ R\d+\n", b"", text) == original
    told = [(int(share), int(left)) for share, left in re.findall(rb"^M73 P(\d+) R(\d+)$", text, re.MULTILINE)]
    assert told == sorted(told, key=lambda one: (one[0], -one[1])) and told[-1] == (100, 0)
    assert told[0] == (0, round(before.seconds / 60)) and len(told) > len(before.index.layers) / 4
    again = read(path)
    assert facts.index.to_json() == again.index.to_json() and again.index.size == len(text)
    assert again.seconds == pytest.approx(before.seconds, abs=1e-6)


def test_what_has_nothing_to_be_changed_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "out.gcode"
    path.write_bytes(SMALL)
    there = path.stat()
    finish(path, Change(0, 16, SMALL[:16]), False, None)
    assert path.stat().st_ino == there.st_ino and path.read_bytes() == SMALL
    assert [other.name for other in tmp_path.iterdir()] == [path.name]


def test_what_prints_nothing_gets_no_lines_of_progress(tmp_path: Path) -> None:
    path = tmp_path / "out.gcode"
    path.write_bytes(b";TIME:1\nG28\nM104 S0\n")
    facts = finish(path, Change(0, 8, b";TIME:2\n"), True, None)
    assert facts.layers == 0 and path.read_bytes() == b";TIME:2\nG28\nM104 S0\n"


def test_an_index_moves_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "out.gcode"
    path.write_bytes(SMALL.replace(b"G28", b";TYPE:Skin\nG28"))
    index = read(path).index
    assert [layer.offset for layer in index.layers] == [0, SMALL.index(b"G1 Z0.4") + 11]
    assert moved(index, [Change(0, 16, b"x" * 16)]) is index
    lines = progress_lines(index, 16)
    after: GcodeIndex = moved(index, lines)
    # A line that is inserted where a layer begins is that layer's first.
    assert [layer.offset for layer in after.layers] == [0, index.layers[1].offset + len(lines[0].new)]
    assert after.size - index.size == sum(len(line.new) for line in lines)
