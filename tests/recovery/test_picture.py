"""The drawing of the layer at which a print stopped."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from octoprint_facesculpt.recovery.picture import DONE, LEFT, UNSURE, save_layer, view_layer
from octoprint_facesculpt.recovery.replay import build_index
from octoprint_facesculpt.recovery.window import read_window

from .programs import print_file


def test_layer_shows_what_is_done_and_what_is_left(tmp_path: Path):
    gcode = tmp_path / "vase.gcode"
    gcode.write_bytes(print_file())
    index = build_index(gcode)
    window = read_window(gcode, index.layers[2].offset, index)
    third = [p for p in window.pieces if p.prints and p.move.layer == 3]
    at = third[20].at
    view = view_layer(gcode, index, 3, window, (third[18].at, third[22].at), at, window)
    assert (len(view.done), len(view.left)) == (20, len(third) - 20)
    assert view.point == third[20].start
    assert len(view.unsure) == 4 and len(view.below) == len(third)
    assert all(abs(p[2] - 0.6) < 1e-9 for path in view.done + view.left for p in path)
    save_layer(view, tmp_path / "layer.svg", tmp_path / "close.svg")
    for name, side in (("layer.svg", 20), ("close.svg", 16)):
        text = (tmp_path / name).read_text()
        root = ElementTree.fromstring(text)
        x, y, width, height = map(float, root.attrib["viewBox"].split())
        assert width == height >= side
        assert x < view.point[0] < x + width and y < -view.point[1] < y + height
        assert all(colour in text for colour in (DONE, LEFT, UNSURE))
        assert not re.search(r"script|href|nan|inf", text)


def test_endless_layer_is_drawn_in_part(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("octoprint_facesculpt.recovery.picture.MOVES_MAX", 30)
    gcode = tmp_path / "vase.gcode"
    gcode.write_bytes(print_file(sides=400))
    index = build_index(gcode)
    window = read_window(gcode, index.layers[1].offset + 6000, index)
    piece = [p for p in window.pieces if p.prints and p.move.layer == 2][150]
    view = view_layer(gcode, index, 2, window, (piece.at, piece.at), piece.at, window)
    assert 0 < len(view.done) + len(view.left) <= 60
    assert view.done and view.left
