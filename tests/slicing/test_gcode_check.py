"""Nothing passes the independent check of the G-code but what can be printed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from octoprint_facesculpt.slicing import Bed, SlicingError, gcode_blocks
from octoprint_facesculpt.slicing.gcode_check import check
from octoprint_facesculpt.slicing.gcode_facts import read

from .conftest import Sliced

END = "M140 S0 ; turn off heatbed"


def _middle(text: str, line: str) -> str:
    """The file with a line put in half way up."""
    layers = text.split(";LAYER_CHANGE\n")
    half = len(layers) // 2
    return ";LAYER_CHANGE\n".join([*layers[:half], f"{line}\n{layers[half]}", *layers[half + 1 :]])


def _without_layers(text: str) -> str:
    """The file without its upper half, its end code and summary kept."""
    layers = text.split(";LAYER_CHANGE\n")
    rest = layers[-1].split(";TYPE:Custom", 1)[1]
    return ";LAYER_CHANGE\n".join(layers[: len(layers) // 2]) + ";TYPE:Custom" + rest


DAMAGES: dict[str, tuple[str, Callable[[str], str]]] = {
    "empty file": ("gcode_empty", lambda text: ""),
    "only comments": ("gcode_empty", lambda text: ";\n; hello\n"),
    "cut before the end code": ("gcode_incomplete", lambda text: text[: text.index(END)]),
    "cut in the middle": ("gcode_incomplete", lambda text: text[: len(text) // 2]),
    "cut in the settings": ("gcode_incomplete", lambda text: text[:-200]),
    "no estimate": ("gcode_incomplete", lambda text: text.replace("; estimated printing time (normal mode)", "; time")),
    "upper half missing": ("gcode_incomplete", _without_layers),
    "a layer missing": ("gcode_incomplete", lambda text: re.sub(r";Z:5\.[\s\S]*?(?=;LAYER_CHANGE)", "", text)),
    "nothing extruded": ("gcode_no_extrusion", lambda text: re.sub(r" E[\d.]+", "", text)),
    "travel off the bed": ("gcode_out_of_bounds", lambda text: _middle(text, "G1 X400 F9000\nG1 X100")),
    "travel before the bed": ("gcode_out_of_bounds", lambda text: _middle(text, "G1 Y-40 F9000\nG1 Y100")),
    "lift above the gantry": ("gcode_out_of_bounds", lambda text: text.replace(END, f"G1 Z300\n{END}")),
    "relative walk off the bed": ("gcode_out_of_bounds", lambda text: text.replace(END, f"G91\nG1 X250\n{END}")),
    "print off the bed": ("too_large", lambda text: _middle(text, "G1 X240 E.5")),
    "round off the bed": ("gcode_out_of_bounds", lambda text: _middle(text, "G1 X200 Y100 F9000\nG3 X200 Y120 R-40")),
    "endless arc": ("gcode_bad_arc", lambda text: _middle(text, f"G2 X120 Y120 I{'9' * 400} E1")),
    "arc without a centre": ("gcode_bad_arc", lambda text: _middle(text, "G2 X120 Y120 E1")),
    "arc with a radius of 0": ("gcode_bad_arc", lambda text: _middle(text, "G3 X120 Y120 R0 I5 E1")),
    "arc by radius to its beginning": ("gcode_bad_arc", lambda text: _middle(text, "G1 X90 Y90\nG3 X90 R10 E1")),
    "arc with too small a radius": ("gcode_bad_arc", lambda text: _middle(text, "G1 X90 Y90\nG2 X130 R19 E1")),
    "below the bed": ("gcode_below_bed", lambda text: _middle(text, "G1 Z-1")),
    "relative step below the bed": ("gcode_below_bed", lambda text: _middle(text, "G91\nG1 Z-30\nG90\nM83")),
    "below the bed without a space": ("gcode_below_bed", lambda text: _middle(text, "G1X100Y100Z-1")),
    "below the bed with a zero": ("gcode_below_bed", lambda text: _middle(text, "G01 Z-1")),
    "off the bed in a numbered line": ("gcode_out_of_bounds", lambda text: _middle(text, "N5 G0 X400 F9000*47\nG1 X100")),
    "too hot without a space": ("gcode_too_hot", lambda text: text.replace("M109 S205", "M104S400\nM109 S205")),
    "no temperature": ("gcode_cold", lambda text: re.sub(r"M10[49] S2.*\n", "", text)),
    "heater off half way": ("gcode_cold", lambda text: _middle(text, "M104 S0")),
    "nozzle too hot": ("gcode_too_hot", lambda text: text.replace("M109 S205", "M109 S400")),
    "bed too hot": ("gcode_too_hot", lambda text: text.replace("M190 S60", "M190 S200")),
    "nozzle stays hot": ("gcode_stays_hot", lambda text: text.replace("M104 S0", "M104 S200")),
    "bed stays hot": ("gcode_stays_hot", lambda text: text.replace("M140 S0", "M140 S60")),
    "not a number": ("gcode_bad_number", lambda text: _middle(text, "G1 Xnan Y10 E1")),
    "minus infinity": ("gcode_bad_number", lambda text: _middle(text, "G1 X-inf Y10 E1")),
    "exponent": ("gcode_bad_number", lambda text: _middle(text, "G1 X1e5")),
    "placeholder left": ("gcode_placeholder", lambda text: _middle(text, "G1 X0 Y{machine_depth}")),
    "other than text": ("gcode_not_text", lambda text: _middle(text, "G1 X\u00e9")),
    "zero bytes": ("gcode_not_text", lambda text: _middle(text, "\0" * 512)),
}


@pytest.fixture
def damaged(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "damaged.gcode"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(("code", "damage"), DAMAGES.values(), ids=DAMAGES)
def test_each_damage_is_refused_with_its_code(
    code: str, damage: Callable[[str], str], sliced: Sliced, damaged: Callable[[str], Path]
) -> None:
    text = damage(sliced.text)
    assert text != sliced.text
    with pytest.raises(SlicingError) as refused:
        check(damaged(text), Bed(), model_height=15)
    assert refused.value.code == code
    assert refused.value.bad_input == (code == "too_large")


def test_a_sliced_file_passes_with_its_facts(sliced: Sliced) -> None:
    facts = check(sliced.result.gcode, Bed(), model_height=15)
    assert facts.complete and facts.ends_cold
    assert facts.nozzle_max == 205 and facts.bed_max == 60
    assert facts.high[2] == pytest.approx(15, abs=0.3)
    # Centred on the bed: as far to the left as to the right.
    assert facts.low[0] + facts.high[0] == pytest.approx(235, abs=1)
    assert facts.model_filament_mm == pytest.approx(facts.stated_filament_mm, rel=0.01)
    assert 0.1 < facts.support_share < 0.9


def test_a_file_passes_however_its_commands_are_written(sliced: Sliced, damaged: Callable[[str], Path]) -> None:
    text = sliced.text.replace("M104 S0", "M104S0").replace("M140 S0", "N9 M0140 S0*83")
    text = re.sub("M109 S(.*)", r"M109S\1", text)
    assert check(damaged(text), Bed(), model_height=15).ends_cold


def test_a_sum_that_counts_the_start_code_passes_as_well(sliced: Sliced, damaged: Callable[[str], Path]) -> None:
    """PrusaSlicer 2.9 writes so: the start code of the Ender 3 primes with 20 mm."""
    facts = read(sliced.result.gcode)
    assert facts.stated_filament_mm is not None and facts.filament_mm - facts.model_filament_mm == pytest.approx(20)
    stated = f"filament used [mm] = {facts.stated_filament_mm:.2f}"
    assert stated in sliced.text
    for more, passes in ((20, True), (25, False), (-20, False)):
        text = sliced.text.replace(stated, f"filament used [mm] = {facts.stated_filament_mm + more:.2f}")
        if passes:
            check(damaged(text), Bed(), model_height=15)
        else:
            with pytest.raises(SlicingError, match="gcode_incomplete"):
                check(damaged(text), Bed(), model_height=15)


def test_a_print_that_ends_below_its_model_was_cut_off(sliced: Sliced) -> None:
    with pytest.raises(SlicingError, match=r"gcode_incomplete.*40\.0 mm high"):
        check(sliced.result.gcode, Bed(), model_height=40)


def test_a_missing_millimetre_is_noticed(sliced: Sliced) -> None:
    """Half a layer at the top may be rounded away, no more."""
    top = read(sliced.result.gcode).high[2]
    check(sliced.result.gcode, Bed(), model_height=top + 0.9)
    with pytest.raises(SlicingError, match="gcode_incomplete"):
        check(sliced.result.gcode, Bed(), model_height=top + 1.1)


@pytest.mark.parametrize(
    ("bed", "code"),
    [(Bed(120, 235), "too_large"), (Bed(235, 235, 10), "too_large"), (Bed(235, 235, 250, -117.5, -117.5), "too_large"),
     (Bed(150, 150, 20), "gcode_out_of_bounds")],
)  # fmt: skip
def test_the_same_file_is_refused_for_a_smaller_printer(bed: Bed, code: str, sliced: Sliced) -> None:
    with pytest.raises(SlicingError) as refused:
        check(sliced.result.gcode, bed)
    assert refused.value.code == code


def test_absolute_and_relative_extrusion_are_the_same_length(sliced: Sliced, damaged: Callable[[str], Path]) -> None:
    """The file with every relative E added up, as a slicer with M82 would write it."""
    total, lines = 0.0, []
    for line in sliced.text.splitlines():
        if line.startswith("G92 E0"):
            total = 0.0
        match = re.match(r"(G1 .*E)(-?[\d.]+)(.*)", line)
        if match:
            total += float(match[2])
            line = f"{match[1]}{total:.5f}{match[3]}"
        lines.append("M82" if line.startswith("M83") else line)
    absolute = read(damaged("\n".join(lines) + "\n"))
    relative = read(sliced.result.gcode)
    assert absolute.filament == pytest.approx(relative.filament, rel=1e-3)


def test_a_file_of_one_endless_line_is_read_in_bounded_memory(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "endless.gcode"
    path.write_bytes(b"G1 " + b"X1 " * 300_000)
    tracemalloc.start()
    try:
        with pytest.raises(SlicingError):
            check(path, Bed())
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_where_blocks_end_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither of moves that are too short to be made alone, nor of limits, nor of places."""
    path = tmp_path / "short.gcode"
    moves = [f"G1 X{100 + number * 0.03 % 7:.3f} Y{100 + number * 0.05 % 3:.3f} E.002" for number in range(3000)]
    moves[::50] = [f"M204 P{300 + number}" for number in range(60)]
    path.write_text("\n".join(["M104 S200", "G28", "M83", ";TYPE:Perimeter", "G1 Z.2 F1800", *moves]))
    whole = read(path)
    monkeypatch.setattr(gcode_blocks, "BLOCK_BYTES", 777)
    pieces = read(path)
    assert pieces.seconds == pytest.approx(whole.seconds, abs=1e-6)
    assert (pieces.extruding_moves, pieces.commands, pieces.layers) == (whole.extruding_moves, whole.commands, 1)
    assert pieces.filament_mm == pytest.approx(whole.filament_mm, abs=1e-9)


@pytest.mark.parametrize(
    ("homing", "height"),
    [
        ("G28 X", 5), ("G28X", 5), ("g28 x y", 5), ("G28 X0 Y0", 5), ("G28 R0 X Y", 5), ("G28 Y ; not X or Z", 5),
        ("G28", 0), ("G28 Z", 0), ("G28 X Y Z", 0), ("G28 R0", 0), ("G28 W", 0), ("G28 O", 0), ("G28 X\nG28 O", 0),
        ("G28\nG1 Z5\nG28 O", 5), ("G28\nG1 Z5\nG28 O1", 5), ("G28\nG1 Z5\nG28 O0", 0), ("G28 Z\nG28 X Y\nG1 Z5\nG28 X O", 5),
    ],
)  # fmt: skip
def test_only_the_axes_that_are_named_are_homed(homing: str, height: float, tmp_path: Path) -> None:
    path = tmp_path / "homing.gcode"
    path.write_text(f"M104 S200\nM83\n;TYPE:Perimeter\nG1 X50 Y50 Z5\n{homing}\nG1 X60 E1\n")
    assert [layer.z for layer in read(path).index.layers] == [height]


def test_a_new_count_among_relative_moves_parts_neither_features_nor_limits(tmp_path: Path) -> None:
    """As two stretches of relative moves, of which the second begins with the new count."""
    head = "M104 S200\nG90\nM83\n;TYPE:Perimeter\nG1 X50 Y100 Z0.2 F6000\nG91\nM204 P500\nG1 X20 E1\n"
    head += ";TYPE:Solid infill\nG1 X20 E2\n"
    tail = "G92 E0\nG1 X20 E3\n;TYPE:Support material\nM204 P5000\nG1 X-20 E4\nG1 X-20 E5\nM204 P50\n;TYPE:Skirt\n"
    behind = "G90\nM83\nG1 X100 E6\n"
    path = tmp_path / "relative.gcode"
    path.write_text(head + "G91\n" + tail + behind)
    parted = read(path)
    path.write_text(head + tail + behind)
    whole = read(path)
    assert whole.filament == {"Perimeter": 1, "Solid infill": 2 + 3, "Support material": 4 + 5, "Skirt": 6}
    assert whole.filament == parted.filament and whole.reach_high[0] == parted.reach_high[0] == 110
    assert whole.seconds == pytest.approx(parted.seconds, abs=1e-9)
