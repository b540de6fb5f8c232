"""Presets are resolved as PrusaSlicer resolves them, and no bundle can do harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from octoprint_facesculpt.slicing import SlicingError
from octoprint_facesculpt.slicing.profiles import BUNDLE, FILAMENT, PRINTER
from octoprint_facesculpt.slicing.vendor_bundle import (
    MAX_BYTES,
    Bundle,
    format_config,
    parse_bundle,
    parse_config,
    read_bundle,
    read_config,
)


@pytest.fixture(scope="module")
def creality() -> Bundle:
    return read_bundle(BUNDLE)


def test_ender_3_is_resolved_from_the_installed_bundle(creality: Bundle) -> None:
    printer = creality.flatten("printer", PRINTER)
    assert printer["bed_shape"] == "3x3,228x3,228x228,3x228"
    assert printer["max_print_height"] == "250" and printer["nozzle_diameter"] == "0.4"
    assert "G28" in printer["start_gcode"] and "\\n" in printer["start_gcode"]
    filament = creality.flatten("filament", FILAMENT)
    assert (filament["first_layer_temperature"], filament["temperature"]) == ("205", "200")
    assert filament["first_layer_bed_temperature"] == "60"
    layers = creality.flatten("print", "0.16 mm OPTIMAL (0.4 mm nozzle) @CREALITY")
    assert layers["layer_height"] == "0.16" and layers["perimeters"] == "3"


def test_every_preset_of_the_installed_bundle_resolves(creality: Bundle) -> None:
    for group in ("print", "filament", "printer"):
        for name in creality.groups[group]:
            assert creality.flatten(group, name), name


def test_no_key_about_the_preset_itself_is_left(creality: Bundle) -> None:
    flat = {**creality.flatten("printer", PRINTER), **creality.flatten("filament", FILAMENT)}
    assert not [key for key in flat if key.startswith(("inherits", "compatible_", "renamed_from", "alias"))]


def test_abstract_sections_are_parents_that_keep_their_group() -> None:
    bundle = parse_bundle("[print:*common*]\na = 1\n[filament:*common*]\na = 9\n[print:X]\ninherits = *common*\nb = 2\n")
    assert bundle.flatten("print", "X") == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("inherits", "expected"),
    [("first; second", "2"), ("second; first", "1"), ('"first"; "sec\\ond"', "2"), ("second;first;", "1")],
)
def test_a_later_parent_wins_over_an_earlier_one(inherits: str, expected: str) -> None:
    text = f"[print:first]\nx = 1\nown = 1\n[print:second]\nx = 2\nown = 2\n[print:child]\nown = 3\ninherits = {inherits}\n"
    assert parse_bundle(text).flatten("print", "child") == {"x": expected, "own": "3"}


def test_names_in_quotes_may_hold_semicolons() -> None:
    bundle = parse_bundle('[print:a; b]\nx = 1\n[print:child]\ninherits = "a; b"\n')
    assert bundle.flatten("print", "child") == {"x": "1"}


def test_values_are_copied_as_text() -> None:
    bundle = parse_bundle('; comment\n# comment\n[print:x]\ng = a = "b"; 50%\\n{c}\u2028d\ng2=\nrepeated = 1\nrepeated = 2\n')
    assert bundle.flatten("print", "x") == {"g": 'a = "b"; 50%\\n{c}\u2028d', "g2": "", "repeated": "2"}


def test_an_old_name_finds_the_renamed_preset_but_is_not_inherited() -> None:
    text = '[print:new]\nrenamed_from = "old"\nx = 1\n[print:child]\ninherits = new\nx = 2\n'
    assert parse_bundle(text).flatten("print", "old") == {"x": "1"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[print:x]\ninherits = x\n", "profile_invalid"),
        ("[print:x]\ninherits = y\n[print:y]\ninherits = z\n[print:z]\ninherits = x\n", "profile_invalid"),
        ("[print:x]\ninherits = nobody\n", "profile_invalid"),
        ("[filament:x]\na = 1\n", "profile_unknown"),
        ("", "profile_unknown"),
        ("".join(f"[print:{n or 'x'}]\ninherits = {n + 1}\n" for n in range(5000)) + "[print:5000]\n", "profile_invalid"),
    ],
    ids=["itself", "cycle", "missing parent", "other group", "nothing", "5000 generations"],
)
def test_broken_inheritance_is_a_clear_error(text: str, code: str) -> None:
    with pytest.raises(SlicingError) as refused:
        parse_bundle(text).flatten("print", "x")
    assert refused.value.code == code and refused.value.bad_input


def test_missing_parents_may_be_left_out_and_are_told() -> None:
    text = (
        '[print:x]\ninherits = nobody; old; nobody\na = 1\n[print:new]\nrenamed_from = "old"\ninherits = none\na = 2\nb = 3\n'
    )
    missing: list[str] = []
    assert parse_bundle(text).flatten("print", "x", missing) == {"a": "1", "b": "3"}
    assert missing == ["nobody", "none"]
    with pytest.raises(SlicingError, match="nobody"):
        parse_bundle(text).flatten("print", "x")


def test_parents_named_over_and_over_are_resolved_once() -> None:
    """Walked naively, forty generations of two parents each are a million million steps."""
    text = "[print:0]\na = 1\n" + "".join(f"[print:{n}]\ninherits = {n - 1}; {n - 1}\n" for n in range(1, 41))
    assert parse_bundle(text).flatten("print", "40") == {"a": "1"}


@pytest.mark.parametrize(
    "data", [b"", bytes(range(256)) * 100, b"\x00" * 5000, b"[print:x\na = 1\n", b"=" * 100_000],
    ids=["empty", "binary", "zeros", "no section", "signs"],
)  # fmt: skip
def test_a_file_that_is_no_bundle_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bundle.ini"
    path.write_bytes(data)
    with pytest.raises(SlicingError, match="profile_invalid"):
        read_bundle(path)


def test_a_huge_bundle_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "bundle.ini"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(SlicingError, match="too large"):
        read_bundle(path)
    with pytest.raises(SlicingError, match="too large"):
        read_config(path)


def test_a_missing_bundle_or_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.ini", tmp_path):
        with pytest.raises(SlicingError, match="profile_invalid"):
            read_bundle(path)


def test_a_flat_configuration_survives_writing_and_reading() -> None:
    config = {"start_gcode": 'G28\\nG1 X{a} ; = \\"', "empty": "", "fill_density": "15%"}
    assert parse_config(format_config(config)) == config


@pytest.mark.parametrize("text", ["", "hello", "# only = a comment", "[section]\n", "Bad Key = 1", "a = 1\n\x00\x01 = 2"])
def test_what_is_no_configuration_is_refused(text: str) -> None:
    with pytest.raises(SlicingError, match="profile_invalid"):
        parse_config(text)
