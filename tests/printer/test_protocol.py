"""Marlin's line numbers, checksums and resends."""

from __future__ import annotations

import pytest

from .protocol import LineReader


def numbered(number: int, command: str) -> str:
    text = f"N{number} {command}"
    value = 0
    for byte in text.encode():
        value ^= byte
    return f"{text}*{value}"


def test_a_line_known_to_be_right() -> None:
    """The example of the RepRap wiki."""
    reader = LineReader(last=2)
    assert reader.accept("N3 T0*57") == ("T0", [])


def test_lines_in_order_are_taken() -> None:
    reader = LineReader()
    for number in range(1, 5):
        assert reader.accept(numbered(number, f"G1 X{number}")) == (f"G1 X{number}", [])


def test_a_line_without_a_number_is_taken_and_counts_not() -> None:
    reader = LineReader(last=7)
    assert reader.accept("M105") == ("M105", []) and reader.last == 7


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (numbered(1, "G1 X1").replace("X1", "X2"), "checksum mismatch"),
        ("N1 G1 X1", "No Checksum with line number"),
        (numbered(3, "G1 X1"), "Line Number is not Last Line Number+1"),
        (numbered(0, "G1 X1"), "Line Number is not Last Line Number+1"),
        ("N1 G1 X1*", "checksum mismatch"),
        ("N1 G1 X1*abc", "checksum mismatch"),
    ],
)
def test_what_did_not_arrive_whole_is_asked_for_again(line: str, reason: str) -> None:
    reader = LineReader()
    assert reader.accept(line) == (None, [f"Error:{reason}, Last Line: 0", "Resend: 1", "ok"])
    assert reader.accept(numbered(1, "G1 X1")) == ("G1 X1", [])


@pytest.mark.parametrize("line", [numbered(100, "M110 N100"), numbered(7, "M110 N100"), numbered(100, "M110"), "M110 N100"])
def test_m110_sets_the_count(line: str) -> None:
    reader = LineReader()
    command, answers = reader.accept(line)
    assert command is not None and command.startswith("M110") and not answers
    assert reader.accept(numbered(101, "M105")) == ("M105", [])
