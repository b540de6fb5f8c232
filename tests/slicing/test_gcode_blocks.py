"""The fast reading of G-code gives every number, line and place that a plain reading gives."""

from __future__ import annotations

import io
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from octoprint_facesculpt.slicing import SlicingError
from octoprint_facesculpt.slicing.gcode_blocks import BLOCK_BYTES, MOVE, SET, Block, blocks


def read_blocks(path: Path) -> list[Block]:
    """All blocks of a file."""
    with path.open("rb") as file:
        return list(blocks(file))


def rows(path: Path) -> list[tuple[list[float], int, bytes]]:
    """Words, kind and text of all rows."""
    text, found = path.read_bytes(), []
    for block in read_blocks(path):
        for words, kind, start, end in zip(block.words.T, block.kinds, block.starts, block.ends, strict=True):
            found.append((words.tolist(), int(kind), text[start:end]))
    return found


def plain(line: bytes) -> list[float]:
    words = {letter: float(value) for letter, value in re.findall(rb"([XYZEF])([-+]?[\d.]+)", line.partition(b";")[0].upper())}
    return [words.get(bytes((letter,)), np.nan) for letter in b"XYZEF"]


NUMBER = some.from_regex(r"-?([0-9]{1,10}(\.[0-9]{0,6})?|\.[0-9]{1,6})", fullmatch=True)
WORDS = some.dictionaries(some.sampled_from("XYZEF"), NUMBER, min_size=1)


@settings(deadline=None, max_examples=60)
@given(some.lists(WORDS, min_size=1, max_size=40), some.sampled_from(["\n", "\r\n", " ; why\n", " \n"]))
def test_every_number_is_read_as_python_reads_it(tmp_path_factory: pytest.TempPathFactory, lines, ending: str) -> None:
    path = tmp_path_factory.getbasetemp() / "numbers.gcode"
    text = "".join("G1 " + " ".join(f"{letter}{value}" for letter, value in words.items()) + ending for words in lines)
    path.write_bytes(text.encode())
    read = rows(path)
    assert len(read) == len(lines)
    np.testing.assert_allclose([words for words, _, _ in read], [plain(line) for _, _, line in read], rtol=1e-15)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("G1 X1 Y2", [1, 2]), ("g1 x1 y2", [1, 2]), ("G1 X1Y2", [1, 2]), ("  G1 X1 Y2", [1, 2]), ("G1  X1   Y2", [1, 2]),
        ("G1\tX1\tY2", [1, 2]), ("G0 X+1 Y-.5", [1, -0.5]), ("G1 X1. Y002", [1, 2]), ("G1 X1 Y2;X9", [1, 2]),
        ("G1 X1 Y2 X3", [3, 2]), ("G1 X. Y2", [np.nan, 2]), ("G1 X1 Y2 S255", [1, 2]), ("G92 X1 Y2", [1, 2]),
        ("G1X1Y2", [1, 2]), ("g01 X1 Y2", [1, 2]), ("G00X1Y2", [1, 2]), ("G 1 X 1 Y 2", [1, 2]), ("G92X1Y2", [1, 2]),
        ("N7 G1 X1 Y2*91", [1, 2]), ("N7G1X1Y2 *91 ;why", [1, 2]), ("n7 g1 x1 y2", [1, 2]), ("G1 X1 Y2*91", [1, 2]),
    ],
)  # fmt: skip
def test_unusual_lines_are_read_as_well(line: str, words: list[float], tmp_path: Path) -> None:
    path = tmp_path / "line.gcode"
    path.write_text(f"G1 F600\n{line}\nG1 E1")
    read = rows(path)
    assert len(read) == 3 and read[2][0][3] == 1
    np.testing.assert_equal(read[1][0], [*words, np.nan, np.nan, np.nan])
    assert read[1][1] == (SET if line.startswith("G92") else MOVE)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("G1 X10E5", {"X": 10, "E": 5}), ("G1X10E5", {"X": 10, "E": 5}), ("G1 X10.5E-5F60", {"X": 10.5, "E": -5, "F": 60}),
        ("G1 Y1E.5X2", {"X": 2, "Y": 1, "E": 0.5}), ("N3 G1 Z1E1*7", {"Z": 1, "E": 1}),
    ],
)  # fmt: skip
def test_words_need_no_space_between_them_and_there_are_no_exponents(
    line: str, words: dict[str, float], tmp_path: Path
) -> None:
    path = tmp_path / "line.gcode"
    path.write_text(f"G1 F600\n{line}\nG1 E1")
    np.testing.assert_equal(rows(path)[1][0], [words.get(letter, np.nan) for letter in "XYZEF"])


def test_lines_over_the_ends_of_blocks_keep_their_place(tmp_path: Path) -> None:
    path = tmp_path / "long.gcode"
    lines = [f"G1 X{number} E.{number}" if number % 5 else f"M117 {number}" for number in range(120_000)]
    path.write_text("\n".join(lines))
    assert path.stat().st_size > 2 * BLOCK_BYTES
    events = [line for block in read_blocks(path) for _, line in block.events]
    assert [line.decode() for line in events] == lines[::5]
    read = rows(path)
    assert [line.decode().rstrip("\n") for _, _, line in read] == [line for line in lines if line.startswith("G1")]
    assert [words[0] for words, _, _ in read] == [number for number in range(120_000) if number % 5]
    assert sum(block.commands for block in read_blocks(path)) == 120_000


def test_a_block_takes_a_dozen_times_its_bytes_at_most() -> None:
    """There are 60 MB for everything, and half of them is Python with numpy."""
    text = b"".join(b"G1 X%d.%03d Y%d.%d E.%05d\n" % (n % 200, n % 1000, n % 150, n % 97, n % 9999) for n in range(90_000))
    assert len(text) > 2 * BLOCK_BYTES
    read = blocks(io.BytesIO(text))
    # What is allocated only once is not counted.
    next(read)
    tracemalloc.start()
    try:
        next(read)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * BLOCK_BYTES


def test_events_stand_between_their_rows(tmp_path: Path) -> None:
    path = tmp_path / "events.gcode"
    path.write_text(";TYPE:Skirt\nG1 X1\nM104 S1\n\n;nothing\nG1 X2\nG1 X3\nM105\n")
    (block,) = read_blocks(path)
    assert block.events == [(0, b";TYPE:Skirt"), (1, b"M104 S1"), (3, b"M105")]


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"M104S200", b"M104 S200"), (b"m0104 S200 ; hot", b"M104 S200"), (b"N1 M104 S200*100", b"M104 S200"),
        (b"N12 M84*3", b"M84"), (b"T0", b"T0"), (b"G92.1", b"G92.1"), (b"G53", b"G53"), (b"G28", b"G28"),
        (b"M117 N1 3 * 4  G01*5", b"M117 N1 3 * 4  G01*5"), (b"M118 E1 a*7", b"M118 E1 a*7"),
        (b"SET_FAN SPEED=01", b"SET_FAN SPEED=01"), (b"@pause", b"@pause"),
    ],
)  # fmt: skip
def test_commands_are_named_alike_however_they_are_written(line: bytes, command: bytes, tmp_path: Path) -> None:
    path = tmp_path / "line.gcode"
    path.write_bytes(b"N3*5\n" + line + b"\n")
    (block,) = read_blocks(path)
    assert block.events == [(0, command)] and block.commands == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"G1 X1" + b" X1" * 40_000, "gcode_not_text"),
        (b"G1 X\xc3\xa9\n", "gcode_not_text"),
        (b"G1 X1\n" + b"\0" * 50, "gcode_not_text"),
        (b"G1 X1e5\n", "gcode_bad_number"),
        (b"G1X1Y1e5\n", "gcode_bad_number"),
        (b"N1G1X1Ynan\n", "gcode_bad_number"),
        (b"G1 X{x}\n", "gcode_placeholder"),
    ],
)
def test_what_no_printer_should_be_given_is_refused(text: bytes, code: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.gcode"
    path.write_bytes(text)
    with pytest.raises(SlicingError) as refused:
        read_blocks(path)
    assert refused.value.code == code


def test_a_comment_may_hold_any_character(tmp_path: Path) -> None:
    path = tmp_path / "name.gcode"
    path.write_text("; Büste {name} 1e5\nG1 X1 ; Jürgen\nG1 X2\n", encoding="utf-8")
    assert [words[0] for words, _, _ in rows(path)] == [1, 2]
