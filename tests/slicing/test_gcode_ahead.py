"""G-code that is read while it is written counts only as what it has become in the end."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from octoprint_facesculpt.progress import silent
from octoprint_facesculpt.slicing import SliceRequest, SlicingError, gcode_facts, slice_model
from octoprint_facesculpt.slicing.gcode_ahead import Ahead
from octoprint_facesculpt.slicing.gcode_facts import GcodeFacts, read
from octoprint_facesculpt.slicing.gcode_finish import Change, finish
from octoprint_facesculpt.slicing.gcode_index import read_index

from .conftest import Sliced

#: A head of comments, as CuraEngine makes it up.
HEAD = b";FLAVOR:Marlin\n;TIME:6666\n;Filament used: 0m\n"
TRUE_HEAD = b";FLAVOR:Marlin\n;TIME:1234\n;Filament used: 4.5m\n;" + b"picture " * 40 + b"\n"


@pytest.fixture
def body(sliced: Sliced) -> bytes:
    """Real G-code without its first line, and without what CuraEngine tells in its head."""
    body = sliced.result.gcode.read_bytes().partition(b"\n")[2]
    return body.replace(b"; estimated printing time", b"; time").replace(b"; filament used [mm]", b"; filament")


def same(facts: GcodeFacts | None, other: GcodeFacts) -> bool:
    """Whether two readings tell the same, but for how sums were rounded."""
    assert facts is not None
    index, rest = facts.index.to_json(), {**vars(facts), "index": None}
    other_index, other_rest = other.index.to_json(), {**vars(other), "index": None}
    floats = [(index.pop(key), other_index.pop(key)) for key in ("seconds", "end_seconds")]
    floats += [(rest.pop("seconds"), other_rest.pop("seconds"))]
    for key in ("filament_mm", "support_mm", "seconds", "e"):
        floats += list(zip(index["layers"].pop(key), other_index["layers"].pop(key), strict=True))
    assert dict(rest.pop("filament")) == pytest.approx(dict(other_rest.pop("filament")))
    assert all(a == pytest.approx(b, abs=1e-3) for a, b in floats)
    for key in index["layers"]:
        assert index["layers"][key] == other_index["layers"][key], key
    for key in rest:
        assert rest[key] == other_rest[key], key
    return (index, rest) == (other_index, other_rest)


def write_slowly(path: Path, data: bytes, pieces: int = 7) -> None:
    """In pieces that end in the middle of lines."""
    with path.open("wb", buffering=0) as file:
        for number in range(pieces):
            file.write(data[len(data) * number // pieces : len(data) * (number + 1) // pieces])
            time.sleep(0.03)


def test_a_file_that_grows_is_read_as_the_finished_one(body: bytes, tmp_path: Path) -> None:
    growing, finished = tmp_path / "out.gcode", tmp_path / "finished.gcode"
    with Ahead(growing) as ahead:
        write_slowly(growing, HEAD + body)
        facts = finish(growing, Change(0, len(HEAD), TRUE_HEAD), False, ahead.reading(HEAD, TRUE_HEAD))
    finished.write_bytes(TRUE_HEAD + body)
    assert growing.read_bytes() == finished.read_bytes()
    assert same(facts, read(finished))
    assert facts.index.size == finished.stat().st_size
    assert finished.read_bytes()[: facts.index.layers[1].offset].endswith(b"\n")


def test_it_may_be_renamed_when_it_is_done(body: bytes, tmp_path: Path) -> None:
    with Ahead(tmp_path / "out.gcode.part") as ahead:
        write_slowly(tmp_path / "out.gcode.part", HEAD + body)
        deadline, process = time.monotonic() + 60, psutil.Process()
        while not any(file.path.endswith(".part") for file in process.open_files()) and time.monotonic() < deadline:
            time.sleep(0.01)
        (tmp_path / "out.gcode.part").rename(tmp_path / "out.gcode")
        reading = ahead.reading(HEAD, HEAD)
    assert reading is not None and same(reading.facts, read(tmp_path / "out.gcode"))
    assert (reading.size, reading.checksum) == (len(HEAD + body), zlib.crc32(HEAD + body))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"S60", b"S61", 1), lambda data: data + b"G1 X1\n", lambda data: data[:-1],
        lambda data: HEAD + data, lambda data: data.replace(b"\n", b"\n\n", 1),
    ],
    ids=["one byte", "longer", "shorter", "another head", "an empty line"],
)  # fmt: skip
def test_what_was_read_does_not_count_for_another_file(change: Callable[[bytes], bytes], body: bytes, tmp_path: Path) -> None:
    path, data = tmp_path / "out.gcode", HEAD + body
    other = change(data)
    with Ahead(path) as ahead:
        write_slowly(path, data, 2)
        reading = ahead.reading(HEAD, HEAD)
    assert reading is not None
    path.write_bytes(other)
    facts = finish(path, Change(0, len(HEAD), HEAD), False, reading)
    assert facts is not reading.facts and same(facts, read(path))
    assert path.read_bytes() == HEAD + other[len(HEAD) :]


def test_what_only_the_old_head_said_is_not_known_any_more(body: bytes, tmp_path: Path) -> None:
    with Ahead(tmp_path / "out.gcode") as ahead:
        write_slowly(tmp_path / "out.gcode", TRUE_HEAD + body, 2)
        reading = ahead.reading(TRUE_HEAD, b";FLAVOR:Marlin\n;TIME:5\n")
    assert reading is not None and reading.facts.stated_seconds == 5 and reading.facts.stated_filament_mm is None


def test_a_new_head_that_moves_the_printer_is_read_with_the_rest(body: bytes, tmp_path: Path) -> None:
    data = HEAD + body
    with Ahead(tmp_path / "out.gcode") as ahead:
        write_slowly(tmp_path / "out.gcode", data, 2)
        assert ahead.reading(HEAD, b"G1 X5\n") is None and ahead.reading(b"G1 X5\n", HEAD) is None


def test_unsafe_g_code_and_a_file_that_never_comes_are_left_to_the_check(tmp_path: Path) -> None:
    unsafe = b"G28\nG1 Z-5\n"
    with Ahead(tmp_path / "out.gcode") as ahead:
        write_slowly(tmp_path / "out.gcode", unsafe, 1)
        assert ahead.reading(b"", b"") is None
    with Ahead(tmp_path / "nothing.gcode") as ahead:
        assert ahead.reading(b"", b"") is None


def test_it_ends_at_once_when_nobody_wants_to_know_any_more(body: bytes, tmp_path: Path) -> None:
    before = threading.active_count()
    for exists in (False, True):
        if exists:
            (tmp_path / "out.gcode").write_bytes(body)
        with Ahead(tmp_path / "out.gcode"):
            assert threading.active_count() == before + 1
        assert threading.active_count() == before


# -- in a slicing job


def test_a_slicer_that_goes_back_to_the_beginning_is_read_again(
    sliced: Sliced, script: Callable[..., str], mushroom: Path, tmp_path: Path
) -> None:
    """It writes good G-code, waits until that has been read, and then makes the bed ten times as hot."""
    folder = tmp_path / "out"
    folder.mkdir()
    text = sliced.text
    place = text.index("M190 S60") + len("M190 S")
    patch = f'printf 600 | dd of="$OUT" bs=1 seek={place} conv=notrunc status=none'
    writes = f'cp "{sliced.result.gcode}" "$OUT.tmp.postprocess"; sleep 0.5; mv "$OUT.tmp.postprocess" "$OUT"'
    request = SliceRequest(profile="bust_028")
    good = script(f'{writes}; echo "Slicing result exported to $OUT"')
    assert slice_model(mushroom, folder / "out.gcode", request, silent, good).layers == sliced.result.layers
    bad = script(f'{writes}; {patch}; echo "Slicing result exported to $OUT"')
    with pytest.raises(SlicingError) as refusal:
        slice_model(mushroom, folder / "bad.gcode", request, silent, bad)
    assert refusal.value.code == "gcode_too_hot"


def test_what_was_read_ahead_is_not_read_again(
    sliced: Sliced, script: Callable[..., str], mushroom: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(*_: object) -> GcodeFacts:
        raise AssertionError("read again")

    monkeypatch.setattr(gcode_facts, "read", again)
    writes = f'cp "{sliced.result.gcode}" "$OUT.tmp.postprocess"; sleep 0.5; mv "$OUT.tmp.postprocess" "$OUT"'
    path = script(f'{writes}; echo "Slicing result exported to $OUT"')
    request = SliceRequest(profile="bust_028", thumbnail=picture, index=tmp_path / "index.json")
    result = slice_model(mushroom, tmp_path / "out.gcode", request, silent, path)
    monkeypatch.undo()
    assert result.gcode.read_bytes().count(b"thumbnail begin") == 2
    index = read_index(tmp_path / "index.json", result.gcode)
    assert [layer.offset for layer in index.layers] == [layer.offset for layer in read(result.gcode).index.layers]
