"""Reading whole files at once is the same as reading them line by line."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octoprint_facesculpt.recovery import replay
from octoprint_facesculpt.recovery.errors import RecoveryError
from octoprint_facesculpt.recovery.machine import Machine
from octoprint_facesculpt.recovery.replay import GcodeIndex, build_index, moves_from, read_chunk, read_plainly, state_at

from .programs import print_file, program


@pytest.mark.parametrize("firmware", ["marlin2", "marlin1", "klipper"])
@settings(max_examples=60, deadline=None)
@given(text=program)
def test_fast_reading_equals_plain_reading(firmware: str, text: bytes):
    plain, fast = Machine(firmware), Machine(firmware)
    read_plainly(plain, text)
    read_chunk(fast, text)
    assert fast.state == plain.state
    assert fast.layers == plain.layers


@settings(max_examples=25, deadline=None)
@given(text=program, cut=st.integers(0, 4000))
def test_a_file_cut_anywhere_can_be_gone_on_with(tmp_path_factory, text: bytes, cut: int):
    file = tmp_path_factory.mktemp("cut") / "print.gcode"
    file.write_bytes(text)
    cut = min(cut, len(text))
    plain = Machine()
    read_plainly(plain, text[: text.rfind(b"\n", 0, cut) + 1])
    assert state_at(file, cut) == plain.state


def test_the_fast_way_is_taken(monkeypatch: pytest.MonkeyPatch):
    lines = 0

    def count(machine: Machine, text: bytes) -> None:
        nonlocal lines
        lines += text.count(b"\n")
        read_plainly(machine, text)

    monkeypatch.setattr(replay, "read_plainly", count)
    machine = Machine()
    text = b"G90\n" + b"".join(b"G1 X%d.5 Y.%d E.03248\n" % (i, i) for i in range(500)) + b"G92 E0\n"
    read_chunk(machine, text)
    assert lines == 0
    assert machine.state.position[0] == 499.5
    assert machine.state.offset == len(text)


@pytest.fixture
def print_gcode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(replay, "CHUNK", 1500)
    file = tmp_path / "print.gcode"
    file.write_bytes(print_file())
    return file


def test_index_knows_every_layer(print_gcode: Path):
    index = build_index(print_gcode)
    text = print_gcode.read_bytes()
    assert [layer.z for layer in index.layers] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert all(text[layer.offset :].startswith(b";LAYER_CHANGE") for layer in index.layers)
    assert [layer.printed for layer in index.layers] == sorted(layer.printed for layer in index.layers)
    assert index.end.offset == len(text)
    assert len(index.checkpoints) > 3


def test_state_from_checkpoint_equals_state_from_start(print_gcode: Path):
    index = build_index(print_gcode)
    text = print_gcode.read_bytes()
    for offset in range(0, len(text), 397):
        assert state_at(print_gcode, offset, index) == state_at(print_gcode, offset)


def test_index_is_saved_and_forgotten_when_the_file_changes(print_gcode: Path, tmp_path: Path):
    saved = tmp_path / "index.json"
    index = build_index(print_gcode)
    index.save(saved)
    assert GcodeIndex.load(saved, print_gcode, "marlin2") == index
    assert GcodeIndex.load(saved, print_gcode, "klipper") is None
    print_gcode.write_bytes(print_gcode.read_bytes().replace(b"M106 S255", b"M106 S254"))
    assert GcodeIndex.load(saved, print_gcode, "marlin2") is None
    saved.write_text('{"version": 1')
    assert GcodeIndex.load(saved, print_gcode, "marlin2") is None


def test_index_that_was_damaged_in_any_place_is_made_anew(print_gcode: Path, tmp_path: Path):
    """A digit of a checkpoint that has changed would be believed: the height of what is printed, say."""
    build_index(print_gcode).save(tmp_path / "index.json")
    whole = (tmp_path / "index.json").read_bytes()
    for place in range(0, len(whole), 97):
        (tmp_path / "index.json").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert GcodeIndex.load(tmp_path / "index.json", print_gcode, "marlin2") is None, place


def test_moves_lie_between_the_offsets_of_their_lines(print_gcode: Path):
    text = print_gcode.read_bytes()
    state = state_at(print_gcode, 0)
    moves = list(moves_from(print_gcode, state, len(text)))
    assert state == build_index(print_gcode).end
    for before, move in pairwise(moves):
        assert move.start == before.end or b"G28" in text[before.end_offset : move.offset]
        assert text[move.offset : move.end_offset].startswith(b"G1 ")


def test_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(RecoveryError) as refusal:
        build_index(tmp_path / "gone.gcode")
    assert refusal.value.code == "file_missing"


def test_files_without_layer_comments_have_layers_by_height(tmp_path: Path):
    file = tmp_path / "plain.gcode"
    file.write_bytes(b"\n".join(line for line in print_file().splitlines() if not line.startswith(b";")) + b"\n")
    # The priming line counts too: such a file does not say what it is.
    assert [layer.z for layer in build_index(file).layers] == pytest.approx([0.28, 0.2, 0.4, 0.6, 0.8])
