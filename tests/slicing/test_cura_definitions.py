"""Debian's definitions of the Ender 3 and its family, and definitions that mean harm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from octoprint_facesculpt.slicing import SlicingError
from octoprint_facesculpt.slicing.cura_definitions import Library, default_roots
from octoprint_facesculpt.slicing.cura_stack import Choice, Resolved, resolve

QUALITIES = {"ultra": 0.08, "super": 0.12, "adaptive": 0.16, "standard": 0.2, "low": 0.28, "draft": 0.32}


@pytest.fixture(scope="module")
def library() -> Library:
    return Library()


@pytest.fixture(scope="module")
def standard(library: Library) -> Resolved:
    return resolve(Choice(), {"support_enable": "True"}, library)


def test_the_ender_3_prints_as_cura_would(standard: Resolved) -> None:
    """What the parts of Debian's definitions say: printer, its base, quality, nozzle and material in their order."""
    assert standard.unresolved == {} and standard.invalid == {}
    machine, extruder = standard.machine, standard.extruder
    assert len(machine) > 550 and len(extruder) > 300
    for key, value in {
        "machine_name": "Creality Ender-3", "machine_width": "235", "machine_depth": "235", "machine_height": "250",
        "layer_height": "0.2", "layer_height_0": "0.2", "adhesion_type": "skirt", "retraction_combing": "noskin",
        "material_bed_temperature": "50", "material_bed_temperature_layer_0": "50", "acceleration_enabled": "False",
        "material_bed_temp_prepend": "True", "material_print_temp_prepend": "True", "support_enable": "True",
    }.items():  # fmt: skip
        assert machine[key] == value, key
    for key, value in {
        "machine_nozzle_size": "0.4", "material_diameter": "1.75", "line_width": "0.4", "wall_line_count": "2",
        "speed_wall_0": "25", "speed_wall_x": "25", "speed_infill": "50", "speed_support": "25", "speed_travel": "150",
        "speed_print_layer_0": "20", "infill_line_distance": "6", "infill_pattern": "cubic", "z_seam_type": "back",
        "retraction_amount": "5", "retraction_speed": "45", "retraction_retract_speed": "45", "cool_fan_speed": "100",
        "material_print_temperature": "200", "material_print_temperature_layer_0": "200", "support_angle": "45",
        "support_infill_rate": "20", "support_z_distance": "0.2", "support_interface_enable": "True", "top_layers": "4",
    }.items():  # fmt: skip
        assert extruder[key] == value, key
    assert standard.density == 1.24


def test_placeholders_of_start_and_end_code_are_filled_in(standard: Resolved, library: Library) -> None:
    assert "\nG1 X0 Y235 ;Present print\n" in standard.machine["machine_end_gcode"]
    assert "{" not in standard.machine["machine_start_gcode"] + standard.machine["machine_end_gcode"]
    start = "M104 S{material_print_temperature}\nM140 S{material_bed_temperature, 0}\n;{material_type} {travel_speed} {what}"
    own = resolve(Choice(), {"machine_start_gcode": start}, library).machine
    assert own["machine_start_gcode"] == "M104 S200\nM140 S50\n;PLA 150 {what}"
    assert own["material_print_temp_prepend"] == own["material_bed_temp_prepend"] == "False"


@pytest.mark.parametrize(("quality", "height"), QUALITIES.items())
def test_every_quality_resolves(quality: str, height: float, library: Library) -> None:
    resolved = resolve(Choice(quality=quality), {}, library)
    assert resolved.unresolved == {} and resolved.invalid == {}
    assert float(resolved.machine["layer_height"]) == height
    walls = 2 if quality in ("standard", "low", "draft") else 3
    assert resolved.extruder["wall_line_count"] == str(walls)
    assert resolved.machine["adaptive_layer_height_enabled"] == str(quality == "adaptive")


def test_every_creality_printer_resolves(library: Library) -> None:
    """Their own qualities, nozzles and materials; those without a 0.4 mm profile print with what they prefer."""
    printers = [name for name in library.machines() if name.startswith("creality_") and name != "creality_base"]
    assert len(printers) > 15
    for name in printers:
        quality = library.machine(name).metadata["preferred_quality_type"]
        resolved = resolve(Choice(machine=name, quality=quality), {}, library)
        assert resolved.unresolved == {} and resolved.invalid == {}, name
        assert resolved.machine["machine_name"].startswith(("Creality", "Creawsome")), name


def test_nozzle_and_material_are_chosen_by_what_they_say(library: Library) -> None:
    fine = resolve(Choice(variant="0.2mm Nozzle", quality="super"), {}, library).extruder
    assert fine["machine_nozzle_size"] == "0.2" and fine["line_width"] == "0.2"
    petg = resolve(Choice(material="generic_petg"), {}, library)
    assert float(petg.extruder["material_print_temperature"]) > 220 and petg.density == 1.27


def test_overrides_reach_what_depends_on_them(library: Library) -> None:
    tree = {"support_enable": "True", "support_structure": "tree"}
    resolved = resolve(Choice(), {"infill_sparse_density": "60", **tree}, library)
    assert resolved.extruder["infill_pattern"] == "lines"
    assert float(resolved.extruder["infill_line_distance"]) == pytest.approx(0.4 * 100 / 60)
    assert resolved.extruder["support_infill_rate"] == "0"
    hot = resolve(Choice(), {"default_material_print_temperature": "215", "adhesion_type": "brim"}, library)
    assert hot.extruder["material_print_temperature_layer_0"] == "215" and hot.machine["adhesion_type"] == "brim"
    assert resolve(Choice(), {"speed_wall": "=speed_print / 5"}, library).extruder["speed_wall_0"] == "10"


@pytest.mark.parametrize(
    ("overrides", "code", "text"),
    [
        ({"infil_density": "10"}, "profile_invalid", "no setting 'infil_density'"),
        ({"layer_height": "thin"}, "profile_invalid", "'thin' is no value"),
        ({"support_enable": "maybe"}, "profile_invalid", "'maybe'"),
        ({"infill_pattern": "spaghetti"}, "profile_invalid", "'spaghetti'"),
        ({"infill_line_directions": "[[[["}, "profile_invalid", "infill_line_directions"),
        ({"infill_line_directions": "[" * 100_000}, "profile_invalid", "infill_line_directions"),
    ],
)
def test_an_impossible_override_is_refused(overrides: dict[str, str], code: str, text: str, library: Library) -> None:
    with pytest.raises(SlicingError) as refusal:
        resolve(Choice(), overrides, library)
    assert refusal.value.code == code and text in refusal.value.message and len(refusal.value.message) < 300


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("layer_height", "0", "below 0.001"),
        ("layer_height_0", "-1", "below 0.001"),
        ("infill_sparse_density", "-5", "below 0"),
        ("retraction_speed", "300", "above 200"),
        ("speed_wall", "=1/0", "division by zero"),
        ("speed_wall", "=speed_wall", "refers to itself"),
        ("speed_wall", "=no_such_thing", "no setting 'no_such_thing'"),
        ("speed_wall", "=__import__('os').getcwd()", "cannot be called"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(key: str, value: str, reason: str, library: Library) -> None:
    resolved = resolve(Choice(), {key: value}, library)
    assert reason in {**resolved.invalid, **resolved.unresolved}[key]


@pytest.mark.parametrize(
    ("choice", "code"),
    [
        (Choice(machine="ender3000"), "profile_unknown"),
        (Choice(machine="../../../../etc/passwd"), "profile_invalid"),
        (Choice(machine="a/b"), "profile_invalid"),
        (Choice(machine=""), "profile_invalid"),
        (Choice(quality="best"), "profile_unknown"),
        (Choice(variant="9mm Nozzle"), "profile_unknown"),
        (Choice(material="chocolate"), "definitions_missing"),
    ],
)
def test_an_unknown_choice_is_refused(choice: Choice, code: str, library: Library) -> None:
    with pytest.raises(SlicingError) as refusal:
        resolve(choice, {}, library)
    assert refusal.value.code == code and (refusal.value.hint or code == "profile_invalid")


def test_missing_definitions_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(SlicingError) as refusal:
        resolve(Choice(), {}, Library([tmp_path]))
    assert refusal.value.code == "definitions_missing" and "apt-get download cura" in refusal.value.hint


# -- definitions from elsewhere


def define(folder: Path, name: str, **parts: Any) -> Library:
    """The installed definitions with one more printer."""
    (folder / "definitions").mkdir(exist_ok=True)
    path = folder / "definitions" / f"{name}.def.json"
    path.write_text(json.dumps({"version": 2, "name": name, **parts}))
    return Library([folder, *default_roots()])


def test_the_nearer_definition_wins(tmp_path: Path) -> None:
    library = define(
        tmp_path, "mine", inherits="creality_ender3",
        overrides={"speed_print": {"value": 40}, "machine_depth": {"default_value": 200}},
    )  # fmt: skip
    resolved = resolve(Choice(machine="mine"), {}, library)
    assert resolved.extruder["speed_wall_0"] == "20" and resolved.machine["machine_width"] == "235"
    assert "Y200 ;Present" in resolved.machine["machine_end_gcode"]


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "inherits from itself": ({"inherits": "bad"}, "inherits from itself"),
    "no parent": ({"inherits": "nobody"}, "no printer definition 'nobody'"),
    "parent is a path": ({"inherits": "../../secret"}, "not the name"),
    "parent is a list": ({"inherits": ["fdmprinter"]}, "not the name"),
    "no extruder": ({"inherits": "fdmprinter", "metadata": {"machine_extruder_trains": {}}}, "no extruder"),
    "settings are a list": ({"inherits": "fdmprinter", "settings": [1]}, "not a printer definition"),
    "properties are a number": ({"inherits": "fdmprinter", "overrides": {"layer_height": 3}}, "not a printer definition"),
}


@pytest.mark.parametrize(("parts", "text"), HOSTILE.values(), ids=HOSTILE)
def test_a_broken_definition_is_refused(parts: dict[str, Any], text: str, tmp_path: Path) -> None:
    library = define(tmp_path, "bad", **parts)
    with pytest.raises(SlicingError) as refusal:
        resolve(Choice(machine="bad", quality="normal"), {}, library)
    assert refusal.value.code in ("profile_invalid", "profile_unknown") and text in refusal.value.message


@pytest.mark.parametrize("text", ["", "[]", "nonsense", "[" * 100_000, '{"overrides": 1}', "\0" * 5_000_000])
def test_what_is_no_definition_is_refused(text: str, tmp_path: Path) -> None:
    library = define(tmp_path, "bad")
    (tmp_path / "definitions" / "bad.def.json").write_text(text)
    with pytest.raises(SlicingError, match="profile_invalid"):
        library.machine("bad")


@pytest.mark.parametrize(
    "formula",
    ["__import__('os').system('reboot')", "[k for k in 'ab']", "'a' * 10**9", "9**9**9", "layer_height +", "speed_print"],
)
def test_a_hostile_formula_leaves_its_setting_unresolved(formula: str, tmp_path: Path) -> None:
    library = define(tmp_path, "bad", inherits="creality_ender3", overrides={"speed_print": {"value": formula}})
    unresolved = resolve(Choice(machine="bad"), {}, library).unresolved
    assert {"speed_print", "speed_infill"} <= set(unresolved) and "layer_height" not in unresolved


def test_formulas_that_refer_to_each_other_without_end_are_given_up(tmp_path: Path) -> None:
    """Forty settings, each the sum of two earlier ones inside rules that forbid remembering: 2**40 computations."""
    overrides: dict[str, Any] = {
        f"bomb_{i}": {"type": "float", "default_value": 1, "resolve": f"bomb_{i + 1} + resolveOrValue('bomb_{i + 1}')"}
        for i in range(35)
    }
    overrides["bomb_35"] = {"type": "float", "default_value": 1}
    library = define(tmp_path, "bad", inherits="creality_ender3", overrides=overrides)
    with pytest.raises(SlicingError) as refusal:
        resolve(Choice(machine="bad"), {}, library)
    assert refusal.value.code == "profile_invalid" and "too complicated" in refusal.value.message


def setting(value: str, kind: str = "str") -> dict[str, str]:
    return {"type": kind, "default_value": "a" * 50, "value": value}


def test_a_text_that_grows_from_setting_to_setting_is_given_up(tmp_path: Path) -> None:
    overrides = {f"bomb_{i}": setting("+".join([f"bomb_{i - 1}"] * 20)) for i in range(1, 7)}
    overrides |= {"bomb_0": {"type": "str", "default_value": "a" * 50}}
    library = define(tmp_path, "bad", inherits="creality_ender3", overrides=overrides)
    resolved = resolve(Choice(machine="bad"), {}, library)
    assert set(resolved.unresolved) == {f"bomb_{i}" for i in range(2, 7)} and len(resolved.machine["bomb_1"]) == 1000
    assert all("too long" in why for why in resolved.unresolved.values())


def test_many_formulas_together_make_little_text(tmp_path: Path) -> None:
    overrides = {f"text_{i}": setting(f"str({i}) + '{'a' * 3000}'") for i in range(400)}
    library = define(tmp_path, "bad", inherits="creality_ender3", overrides=overrides)
    with pytest.raises(SlicingError) as refusal:
        resolve(Choice(machine="bad"), {}, library)
    assert refusal.value.code == "profile_invalid" and "too much text" in refusal.value.message


def test_start_code_does_not_grow_without_end(library: Library) -> None:
    codes = {"machine_start_gcode": "{machine_end_gcode}" * 50, "machine_end_gcode": "G4" * 1000}
    assert len(resolve(Choice(), codes, library).machine["machine_start_gcode"]) == 100_000
    with pytest.raises(SlicingError) as refusal:
        resolve(Choice(), {**codes, "machine_start_gcode": "{machine_end_gcode}" * 101}, library)
    assert refusal.value.code == "profile_invalid" and "200000 characters" in refusal.value.message


def test_a_limit_beyond_all_numbers_is_named(tmp_path: Path) -> None:
    overrides = {"layer_height": {"minimum_value": 10**400}}
    library = define(tmp_path, "bad", inherits="creality_ender3", overrides=overrides)
    assert "too large" in resolve(Choice(machine="bad"), {}, library).invalid["layer_height"]


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[general]\ndefinition = creality_base\n[metadata\n", "definition = creality_base"]
)
def test_a_broken_quality_file_does_not_pass(text: str, tmp_path: Path) -> None:
    (tmp_path / "quality").mkdir()
    (tmp_path / "quality" / "bad.inst.cfg").write_text(text)
    library = Library([tmp_path, *default_roots()])
    if "creality_base" not in text:
        assert resolve(Choice(), {}, library).unresolved == {}
    else:
        with pytest.raises(SlicingError, match="profile_invalid"):
            resolve(Choice(), {}, library)
