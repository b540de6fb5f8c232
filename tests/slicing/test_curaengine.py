"""The real CuraEngine with Debian's definitions of the Ender 3; and whatever else may stand in its place."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
import yaml

from octoprint_facesculpt.progress import silent
from octoprint_facesculpt.slicing import Bed, SliceRequest, SlicingError, engine, slice_model
from octoprint_facesculpt.slicing.cura_stack import resolve
from octoprint_facesculpt.slicing.curaengine import PROFILES, CuraEngine, configure, write_definition
from octoprint_facesculpt.slicing.gcode_facts import read

from .conftest import Sliced, refused

COARSE = SliceRequest(engine="curaengine", profile="bust_028")
#: Cura's own settings for the printer, nothing changed but that supports are on.
STOCK = SliceRequest(engine="curaengine", config={"quality": "standard"})
FILAMENT_AREA = math.pi / 4 * 1.75**2


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plate of 60 x 50 mm on a stem of 30 x 30 mm: large enough that no layer is slowed down to cool."""
    stem, plate = trimesh.creation.box((30, 30, 4)), trimesh.creation.box((60, 50, 3))
    stem.apply_translation((0, 0, 2))
    plate.apply_translation((0, 0, 5.5))
    path = tmp_path_factory.mktemp("models") / "table.stl"
    trimesh.boolean.union([stem, plate], engine="manifold").export(path)
    return path


@pytest.fixture(scope="module")
def cura(mushroom: Path, picture: Path, tmp_path_factory: pytest.TempPathFactory) -> Sliced:
    """The mushroom, coarse and with its picture."""
    heard: list[tuple[float, str]] = []
    gcode = tmp_path_factory.mktemp("cura") / "mushroom.gcode"
    request = SliceRequest(engine="curaengine", profile="bust_028", thumbnail=picture)
    return Sliced(slice_model(mushroom, gcode, request, lambda *told: heard.append(told)), heard)


@pytest.fixture(scope="module")
def stock(table: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return slice_model(table, tmp_path_factory.mktemp("stock") / "table.gcode", STOCK).gcode.read_text()


# -- Cura's settings, read from what the printer is told


@dataclass
class Strokes:
    """Extruding moves of one feature above the first layers: mm, mm of filament, mm/s."""

    lengths: list[float] = field(default_factory=list)
    filament: list[float] = field(default_factory=list)
    speeds: list[float] = field(default_factory=list)

    def width(self, layer_height: float) -> float:
        return sum(self.filament) * FILAMENT_AREA / layer_height / sum(self.lengths)


def strokes(text: str, layers: range) -> dict[str, Strokes]:
    """What is extruded and travelled (``travel``) in some layers of absolute G-code."""
    found: dict[str, Strokes] = defaultdict(Strokes)
    x = y = extruded = feed = 0.0
    feature, layer = "", -1
    for line in text.splitlines():
        if line.startswith(";TYPE:"):
            feature = line[6:]
        elif line.startswith(";LAYER:"):
            layer = int(line[7:])
        elif line.startswith("G92 E0"):
            extruded = 0.0
        elif line[:3] in ("G0 ", "G1 "):
            words = {word[0]: float(word[1:]) for word in line.partition(";")[0].split()[1:]}
            feed = words.get("F", feed)
            length = math.hypot(words.get("X", x) - x, words.get("Y", y) - y)
            x, y, more = words.get("X", x), words.get("Y", y), words.get("E", extruded) - extruded
            extruded += more
            if layer in layers and length > 1:
                stroke = found[feature if more > 0 else "travel"]
                stroke.lengths.append(length)
                stroke.filament.append(more)
                stroke.speeds.append(feed / 60)
    return found


def test_layers_beads_and_speeds_are_those_of_the_printer(stock: str) -> None:
    heights = sorted({float(z) for z in re.findall(r"^G0 .*Z([\d.]+)$", stock, re.MULTILINE)})
    np.testing.assert_allclose(np.diff(heights), 0.2, atol=1e-6)
    assert heights[0] == 0.2 and len(heights) == 35 and ";LAYER_COUNT:35\n" in stock
    found = strokes(stock, range(5, 35))
    assert {"WALL-OUTER", "WALL-INNER", "FILL", "SKIN", "SUPPORT", "SUPPORT-INTERFACE", "travel"} <= set(found)
    for feature in ("WALL-OUTER", "WALL-INNER", "FILL", "SUPPORT"):
        assert found[feature].width(0.2) == pytest.approx(0.4, abs=0.01), feature
    for feature, speed in {"WALL-OUTER": 25, "WALL-INNER": 25, "FILL": 50, "SUPPORT": 25, "SKIN": 25, "travel": 150}.items():
        assert np.median(found[feature].speeds) == speed, feature
    first = strokes(stock, range(1))
    assert np.median(first["SKIRT"].speeds) == np.median(first["WALL-OUTER"].speeds) == 20
    assert np.median(first["travel"].speeds) == 100


def test_two_walls_are_printed(stock: str) -> None:
    """The stem's outlines: one outer wall through the middle of the outer bead, one inner a bead further in."""
    found = strokes(stock, range(10, 11))
    assert sum(found["WALL-OUTER"].lengths) == pytest.approx(4 * 29.6, abs=0.5)
    assert sum(found["WALL-INNER"].lengths) == pytest.approx(4 * 28.8, abs=0.5)


def test_temperatures_fan_and_retraction_are_those_of_the_material(stock: str) -> None:
    assert re.findall(r"^M1(?:40|90) S\d+", stock, re.MULTILINE) == ["M140 S50", "M190 S50", "M140 S0", "M140 S0"]
    assert re.findall(r"^M10(?:4|9) S\d+", stock, re.MULTILINE) == ["M104 S200", "M109 S200", "M104 S0", "M104 S0"]
    fan = re.findall(r"^M10(?:6 S\d+|7)", stock, re.MULTILINE)
    assert fan == ["M107", "M106 S85", "M106 S170", "M106 S255", "M107", "M106 S0"]
    moves = re.findall(r"^G1 F(\d+) E(-?[\d.]+)$|^(G92 E0)|E(-?[\d.]+)$", stock, re.MULTILINE)
    before, pulls = 0.0, set()
    for feed, alone, reset, extruding in moves:
        now = 0.0 if reset else float(alone or extruding)
        if alone and now < before:
            pulls.add((feed, round(before - now, 3)))
        before = now
    assert pulls == {("2700", 5.0)}


def test_start_and_end_code_are_the_printers(stock: str) -> None:
    start = stock[: stock.index(";LAYER:0")]
    assert start.index("M109 S200") < start.index("; Ender 3 Custom Start G-code") < start.index("G1 X5 Y20 Z0.3 F5000.0")
    end = stock[stock.rindex(";TIME_ELAPSED:") :]
    assert "G1 X0 Y235 ;Present print\nM106 S0 ;Turn-off fan\nM104 S0" in end and "M84 X Y E" in end
    assert "{" not in stock


def test_own_start_code_has_its_lines(mushroom: Path, tmp_path: Path) -> None:
    """A profile keeps it in one line, which begins with a comment here."""
    code = {"machine_start_gcode": "; My {layer_height}\\nG28 ; home\\nG92 E0", "machine_end_gcode": ";end\\nM104 S0\\nM140 S0"}
    request = SliceRequest(engine="curaengine", config={"quality": "low", **code})
    lines = slice_model(mushroom, tmp_path / "own.gcode", request).gcode.read_text().split("\n")
    begin, end = lines.index("; My 0.28"), lines.index(";end")
    assert lines[begin + 1 : begin + 3] == ["G28 ; home", "G92 E0"] and lines[end + 1 : end + 3] == ["M104 S0", "M140 S0"]


@pytest.mark.parametrize(
    ("code", "heats_bed", "heats_nozzle"),
    [
        ("; My printer\\nG28\\nM109 S{material_print_temperature}", True, False),
        ("M190 S{material_bed_temperature} ; wait\\nG28", False, True),
        ("; not {material_bed_temperature}\\nG28 ; nor {material_print_temperature}\\nG92 E0", True, True),
    ],
)
def test_the_engine_heats_unless_a_command_of_the_start_code_does(code: str, heats_bed: bool, heats_nozzle: bool) -> None:
    choice, _ = configure(STOCK)
    machine = resolve(choice, {"machine_start_gcode": code}).machine
    assert len(machine["machine_start_gcode"].split("\n")) == code.count("\\n") + 1
    assert machine["material_bed_temp_prepend"] == str(heats_bed)
    assert machine["material_print_temp_prepend"] == str(heats_nozzle)


def test_the_display_is_told_how_far_the_print_is(stock: str) -> None:
    start = stock[: stock.index(";LAYER:0")]
    assert start.index("M73 P0 R") < start.index("M140 S50")
    shares = [int(share) for share in re.findall(r"^M73 P(\d+) R\d+$", stock, re.MULTILINE)]
    assert shares == sorted(shares) and len(shares) > 30 and shares[-1] == 100
    assert stock.index("M73 P100 R0") < stock.index("M104 S0")


def test_tree_supports_are_another_way_to_support(table: Path, tmp_path: Path) -> None:
    tree = SliceRequest(engine="curaengine", config={"quality": "low", "support_structure": "tree"})
    normal = SliceRequest(engine="curaengine", config={"quality": "low"})
    less = slice_model(table, tmp_path / "tree.gcode", tree)
    assert 0 < less.support_share < slice_model(table, tmp_path / "normal.gcode", normal).support_share


def test_both_ways_of_handing_over_settings_make_the_same_g_code(mushroom: Path, tmp_path: Path) -> None:
    """One flat definition, as the product does it; and every setting as an argument."""
    choice, overrides = configure(COARSE)
    resolved = resolve(choice, overrides)
    arguments = [word for key, value in resolved.machine.items() for word in ("-s", f"{key}={value}")]
    arguments += ["-e0", *(word for key, value in resolved.extruder.items() for word in ("-s", f"{key}={value}"))]
    program_ = str(engine("curaengine").detect().path)
    for name, settings in (("flat", ["-j", str(write_definition(resolved, tmp_path))]), ("arguments", arguments)):
        command = [program_, "slice", *settings, "-o", str(tmp_path / name), "-l", str(mushroom)]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    flat = (tmp_path / "flat").read_text()
    assert flat == (tmp_path / "arguments").read_text() and flat.count("\nG1") > 1000


def test_every_profile_resolves() -> None:
    heights = {
        "bust_012": "0.12",
        "bust_016": "0.16",
        "bust_020": "0.2",
        "bust_028": "0.28",
        "bust_26h": "0.16",
        "mask": "0.16",
    }
    for key, height in {**heights, **{f"{key}_tree": height for key, height in heights.items()}}.items():
        settings = CuraEngine().resolve(SliceRequest(engine="curaengine", profile=key))
        assert settings.machine["layer_height"] == height and settings.machine["support_enable"] == "True"
        assert settings.extruder["support_angle"] == "55" and settings.extruder["z_seam_type"] == "back"
        assert settings.machine["support_structure"] == ("tree" if key.endswith("_tree") else "normal")
    assert len(PROFILES) == 12


def test_layers_are_not_thicker_than_a_nozzle_prints(mushroom: Path, tmp_path: Path) -> None:
    thin = SliceRequest(engine="curaengine", profile="bust_028", nozzle_mm=0.2)
    machine = CuraEngine().resolve(thin).machine
    assert (machine["layer_height"], machine["layer_height_0"]) == ("0.15", "0.15")
    assert slice_model(mushroom, tmp_path / "out.gcode", thin).layers == 100
    own = CuraEngine().resolve(replace(thin, overrides={"layer_height": "0.18"})).machine
    assert own["layer_height"] == "0.18"


def test_another_nozzle_makes_other_lines() -> None:
    settings = CuraEngine().resolve(SliceRequest(engine="curaengine", profile="bust_020", nozzle_mm=0.6))
    assert settings.extruder["machine_nozzle_size"] == settings.extruder["wall_line_width_0"] == "0.6"


# -- what it makes


def test_progress_rises_from_stage_to_stage(cura: Sliced) -> None:
    fractions = [fraction for fraction, _ in cura.progress]
    assert fractions == sorted(set(fractions)) and fractions[-1] == 1.0 and 10 < len(fractions) <= 103
    told = [message for _, message in cura.progress]
    assert {"Generating walls", "Generating supports", "Exporting G-code", "Checking the G-code"} <= set(told)


def test_the_log_of_newer_engines_is_understood(
    cura: Sliced, script: Callable[..., str], mushroom: Path, tmp_path: Path
) -> None:
    """Versions 5.2 and newer stamp their lines, and the header's end is not marked. (None of them was run.)"""
    lines = cura.text[: cura.text.index(";\n; thumbnail")].splitlines()
    stamp = "[2026-02-13 14:50:28.851]"
    said = [f"{stamp} [info] Progress: {stage} accomplished in 1.2s" for stage in ("slice", "inset+skin", "support")]
    said += [f"{stamp} [warning] Mesh has disconnected faces!", f"{stamp} [info] Gcode header after slicing: {lines[0]}"]
    said += [*lines[1:], f"{stamp} [info] Print time (s): 930", f"{stamp} [info] Filament (mm^3): 1500"]
    path = tmp_path / "said.txt"
    path.write_text("\n".join(said) + "\n")
    newer = script(f'cp "{cura.result.gcode}" "$OUT"; cat "{path}"', "echo Cura_SteamEngine version 5.7.0", "curaengine")
    result = slice_model(mushroom, tmp_path / "out.gcode", COARSE, silent, newer)
    assert (result.version, result.layers) == ("5.7.0", cura.result.layers)
    assert result.slicer_seconds == cura.result.slicer_seconds
    assert result.filament_g == pytest.approx(1500 * 1.24 / 1000) and result.warnings == ("Mesh has disconnected faces!",)
    failing = script(
        f"echo '{stamp} [error] Failed to load model: x' >&2; exit 1", "echo Cura_SteamEngine version 5.7.0", "curaengine"
    )
    path.unlink()
    folder = tmp_path / "out"
    folder.mkdir()
    assert "Failed to load model: x" in refused(mushroom, folder, COARSE, failing).message


def test_progress_of_an_engine_that_names_only_its_stages(
    cura: Sliced, script: Callable[..., str], mushroom: Path, tmp_path: Path
) -> None:
    done = ("slice", "layerparts", "inset+skin", "support")
    stages = "".join(f"echo 'Progress: {stage} accomplished in 1s';" for stage in done)
    heard: list[float] = []
    path = script(stages + answer(cura), "echo Cura_SteamEngine version 5.4.0", "curaengine")
    slice_model(mushroom, tmp_path / "out.gcode", COARSE, lambda fraction, _="": heard.append(fraction), path)
    assert heard == sorted(set(heard)) and len(heard) == 6


def test_estimates_agree_with_the_g_code(cura: Sliced) -> None:
    result, text, facts = cura.result, cura.text, read(cura.result.gcode)
    assert f";LAYER_COUNT:{result.layers}\n" in text and result.layers == facts.layers
    assert f";TIME:{result.slicer_seconds:.0f}\n" in text and ";TIME:6666" not in text
    elapsed = float(re.findall(r";TIME_ELAPSED:([\d.]+)", text)[-1])
    assert result.slicer_seconds == pytest.approx(elapsed, abs=1)
    assert result.height_mm == pytest.approx(15, abs=0.28)
    assert result.filament_g == pytest.approx(facts.model_filament_mm * FILAMENT_AREA * 1.24e-3, rel=0.02)
    assert result.engine == "curaengine" and result.version.startswith(("4.", "5.")) and result.warnings == ()


def test_the_header_tells_the_truth(cura: Sliced) -> None:
    """The engine itself writes 6666 seconds and the limits of its integers."""
    head = cura.text[:600]
    for axis, (low, high) in zip("XYZ", zip(*cura.result.bounds, strict=True), strict=True):
        assert float(re.search(rf";MIN{axis}:([-\d.e+]+)", head)[1]) == pytest.approx(low, abs=0.5)
        assert float(re.search(rf";MAX{axis}:([-\d.e+]+)", head)[1]) == pytest.approx(high, abs=0.5)
    assert head.startswith(";FLAVOR:Marlin\n") and "2.14748e+06" not in cura.text
    assert cura.text.count(";Generated with Cura_SteamEngine") == 1


def test_octoprint_analyses_it_like_we_do(cura: Sliced) -> None:
    command = [sys.executable, "-m", "octoprint", "analysis", "gcode", str(cura.result.gcode)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    analysis = yaml.safe_load(said.partition("RESULTS:")[2])
    assert analysis["printing_area"]["maxZ"] == pytest.approx(cura.result.height_mm, abs=0.01)
    assert analysis["extrusion_length"] == [pytest.approx(cura.result.filament_mm, abs=0.2)]


def test_a_print_can_resume_from_any_layer(cura: Sliced) -> None:
    """Between start and end code extrusion is relative: no layer depends on what was extruded before."""
    text = cura.text
    assert text.index("M82") < text.index("Custom Start") < text.index("M83") < text.index(";LAYER:0")
    assert text.rindex(";TIME_ELAPSED") < text.rindex("M82")


def test_supports_are_there_under_the_overhang(cura: Sliced, mushroom: Path, tmp_path: Path) -> None:
    assert ";TYPE:SUPPORT\n" in cura.text and cura.result.support_share > 0.1
    bare = slice_model(mushroom, tmp_path / "bare.gcode", SliceRequest("curaengine", "bust_028", supports=False))
    assert bare.support_share == 0 and ";TYPE:SUPPORT" not in bare.gcode.read_text()


def test_the_picture_is_read_back_from_the_g_code(cura: Sliced) -> None:
    import gcode_thumbnail_tool

    (found,) = gcode_thumbnail_tool.extract_thumbnails_from_gcode_file(str(cura.result.gcode)).images
    assert found.size == (165, 220)


def test_the_printers_bed_decides_where_the_print_goes(mushroom: Path, tmp_path: Path) -> None:
    bed = Bed(250, 240, 120, -50, -10)
    for name, centre, (x, y) in (("middle", None, (75, 110)), ("moved", (20, 30), (20, 30))):
        request = SliceRequest("curaengine", "bust_028", bed=bed, centre=centre)
        low, high = slice_model(mushroom, tmp_path / f"{name}.gcode", request).bounds
        assert (low[0] + high[0]) / 2 == pytest.approx(x, abs=0.5) and (low[1] + high[1]) / 2 == pytest.approx(y, abs=0.5)


def test_a_real_bust_slices(bust, tmp_path: Path) -> None:
    from octoprint_facesculpt.sculpture.export import export_mesh

    model = export_mesh(bust.vertices, bust.triangles, tmp_path / "bust.stl")
    result = slice_model(model, tmp_path / "bust.gcode", COARSE)
    assert result.height_mm == pytest.approx(40, abs=0.3) and result.warnings == ()
    assert result.estimated_seconds > 600 and result.filament_g > 1


@pytest.mark.parametrize("kind", ["3mf", "obj"])
def test_other_mesh_files_are_sliced_like_stl(kind: str, cura: Sliced, mushroom: Path, tmp_path: Path) -> None:
    path = tmp_path / f"Büste von Jürgen.{kind}"
    trimesh.load(mushroom).export(path)
    result = slice_model(path, tmp_path / "out.gcode", COARSE)
    assert result.layers == cura.result.layers and result.filament_mm == pytest.approx(cura.result.filament_mm, rel=0.01)


# -- bad models and requests


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (SliceRequest("curaengine", "nice"), "profile_unknown"),
        (SliceRequest("curaengine", config={"quality": "best"}), "profile_unknown"),
        (SliceRequest("curaengine", config={"machine": "../ender"}), "profile_invalid"),
        (SliceRequest("curaengine", "bust_028", overrides={"layer_height": "0"}), "profile_invalid"),
        (SliceRequest("curaengine", "bust_028", overrides={"layer_height": "thin"}), "profile_invalid"),
        (SliceRequest("curaengine", "bust_028", overrides={"no_such_setting": "1"}), "profile_invalid"),
        (SliceRequest("curaengine", "bust_028", overrides={"speed_wall": "=__import__('os')"}), "profile_invalid"),
        (SliceRequest("curaengine", "bust_028", overrides={"default_material_print_temperature": "20"}), "gcode_cold"),
        (SliceRequest("curaengine", "bust_028", overrides={"machine_end_gcode": "G1 X{nowhere}"}), "gcode_placeholder"),
        (SliceRequest("curaengine", "bust_028", centre=(5, 5)), "too_large"),
        (SliceRequest("curaengine", "bust_028", bed=Bed(24, 24, 20)), "too_large"),
        (SliceRequest("curaengine", "bust_028", thumbnail=Path(__file__)), "thumbnail_invalid"),
        (SliceRequest("curaengine", "bust_028", time_limit_seconds=0), "timed_out"),
    ],
    ids=lambda value: None if isinstance(value, str) else "",
)
def test_a_bad_request_is_refused(request_: SliceRequest, code: str, mushroom: Path, tmp_path: Path) -> None:
    assert refused(mushroom, tmp_path, request_).code == code


def test_settings_of_another_engine_are_named(table: Path, tmp_path: Path) -> None:
    """Definitions of Cura 4.13 lack settings that newer engines ask for; here the engine asks for one that was taken out."""
    settings = CuraEngine().resolve(COARSE)
    del settings.extruder["wall_line_count"], settings.machine["wall_line_count"]
    with pytest.raises(SlicingError) as refusal:
        CuraEngine().make(CuraEngine().find(), table, tmp_path, settings, COARSE, silent, threading.Event())
    assert refusal.value.code == "definitions_mismatch" and not refusal.value.bad_input


# -- bad engines: real child processes that are not what they say


def answer(cura: Sliced, header: str = "") -> str:
    """Shell text of an engine that makes the mushroom's good G-code, whatever it is asked for."""
    header = header or cura.text[: cura.text.index(";\n; thumbnail")]
    return f'cp "{cura.result.gcode}" "$OUT"; echo "Gcode header after slicing:\n{header}\nEnd of gcode header."'


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (";FLAVOR:Marlin\n;Layer height: 0.28", "gcode_incomplete"),
        (";TIME:930\n;Filament used: 0.623651m\n;Layer height: 0.2", "settings_changed"),
        (";TIME:930\n;Filament used: 6.23651m\n;Layer height: 0.28", "gcode_incomplete"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(
    header: str, code: str, cura: Sliced, script: Callable[..., str], mushroom: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    assert refused(mushroom, folder, COARSE, script(answer(cura, header), engine="curaengine")).code == code


def test_silently_changed_settings_are_refused(
    cura: Sliced, script: Callable[..., str], mushroom: Path, tmp_path: Path
) -> None:
    """An engine that answers every request with the same good G-code."""
    folder = tmp_path / "out"
    folder.mkdir()
    path = script(answer(cura), engine="curaengine")
    hotter = {"default_material_print_temperature": "210"}
    for overrides, text in (({"layer_height": "0.2"}, "0.28"), (hotter, "200 instead of 210")):
        error = refused(mushroom, folder, SliceRequest("curaengine", "bust_028", overrides=overrides), path)
        assert error.code == "settings_changed" and text in error.message
    assert slice_model(mushroom, folder / "out.gcode", COARSE, silent, path).layers == cura.result.layers


def test_warnings_of_the_engine_are_handed_on(cura: Sliced, script: Callable[..., str], mushroom: Path, tmp_path: Path) -> None:
    said = "echo '[WARNING] Mesh has disconnected faces!'; echo 'Layer count: 54'; echo '[WARNING] Layer 3 is empty';"
    said += "echo '[WARNING] Layer 54 is empty';"
    result = slice_model(mushroom, tmp_path / "out.gcode", COARSE, silent, script(said * 2 + answer(cura), engine="curaengine"))
    assert result.warnings == ("Mesh has disconnected faces!", "Layer 3 is empty")
