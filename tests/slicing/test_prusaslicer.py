"""The real slicer on real models; and whatever else may stand in its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh

from octoprint_facesculpt.progress import silent
from octoprint_facesculpt.slicing import Bed, SliceRequest, SlicingError, slice_model
from octoprint_facesculpt.slicing.gcode_facts import read
from octoprint_facesculpt.slicing.profiles import PROFILES, resolve

from .conftest import Sliced, refused

COARSE = SliceRequest(profile="bust_028")


# -- what it makes


def test_progress_rises_from_stage_to_stage(sliced: Sliced) -> None:
    fractions = [fraction for fraction, _ in sliced.progress]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    told = [message for _, message in sliced.progress]
    assert "Generating support material" in told and "Checking the G-code" in told
    assert len(fractions) == len(set(fractions)) >= 6


def test_estimates_agree_with_the_g_code(sliced: Sliced) -> None:
    result, text = sliced.result, sliced.text
    facts = read(result.gcode)
    marks = {float(line[3:]) for line in text.splitlines() if line.startswith(";Z:")}
    assert result.layers == len(marks) == facts.layers
    assert result.height_mm == pytest.approx(max(marks)) == pytest.approx(15, abs=0.3)
    assert result.filament_mm == pytest.approx(facts.filament_mm, abs=0.1)
    assert f"; total filament used [g] = {result.filament_g:.2f}\n" in text
    assert result.filament_g == pytest.approx(facts.model_filament_mm * np.pi / 4 * 1.75**2 * 1.24e-3, rel=0.02)
    hours, minutes, seconds = (int(result.slicer_seconds // unit) % 60 for unit in (3600, 60, 1))
    stated = f"{hours}h {minutes}m {seconds}s" if hours else f"{minutes}m {seconds}s"
    assert f"; estimated printing time (normal mode) = {stated}\n" in text
    assert result.engine == "prusaslicer" and result.version[:2] == "2." and result.warnings == ()


def test_supports_are_there_under_the_overhang(sliced: Sliced, mushroom: Path, tmp_path: Path) -> None:
    assert "TYPE:Support material" in sliced.text and sliced.result.support_share > 0.1
    bare = slice_model(mushroom, tmp_path / "bare.gcode", SliceRequest(profile="bust_028", supports=False))
    assert bare.support_share == 0 and "TYPE:Support" not in bare.gcode.read_text()


def test_the_picture_is_read_back_from_the_g_code(sliced: Sliced, picture: Path) -> None:
    import gcode_thumbnail_tool
    from PIL import Image, ImageChops

    (found,) = gcode_thumbnail_tool.extract_thumbnails_from_gcode_file(str(sliced.result.gcode)).images
    with Image.open(picture) as original:
        original.thumbnail((220, 220))
        assert found.size == (165, 220)
        assert ImageChops.difference(found.convert("RGB"), original.convert("RGB")).getbbox() is None


def test_profile_and_overrides_reach_the_slicer(mushroom: Path, tmp_path: Path) -> None:
    request = SliceRequest(profile="bust_028", overrides={"fill_density": "33%", "perimeters": "2"})
    config = read(slice_model(mushroom, tmp_path / "out.gcode", request).gcode).config
    assert (config["fill_density"], config["perimeters"], config["layer_height"]) == ("33%", "2", "0.28")
    assert config["seam_position"] == "rear" and config["print_settings_id"].startswith("0.28 mm SUPERDRAFT")


def test_the_printers_bed_decides_where_the_print_goes(mushroom: Path, tmp_path: Path) -> None:
    bed = Bed(200, 200, 120, -40, -20)
    low, high = slice_model(mushroom, tmp_path / "out.gcode", SliceRequest(profile="bust_028", bed=bed)).bounds
    assert low[0] + high[0] == pytest.approx(120, abs=1) and low[1] + high[1] == pytest.approx(160, abs=1)
    moved = SliceRequest(profile="bust_028", bed=bed, centre=(20, 30))
    low, high = slice_model(mushroom, tmp_path / "moved.gcode", moved).bounds
    assert low[0] + high[0] == pytest.approx(40, abs=1) and low[1] + high[1] == pytest.approx(60, abs=1)


@pytest.mark.parametrize("corner", [(-101, -99), (-99, -101), (-130, -130)])
def test_the_middle_of_a_bed_may_lie_below_zero(corner: tuple[float, float], mushroom: Path, tmp_path: Path) -> None:
    """The slicer finds no room around such a point by itself."""
    bed = Bed(200, 200, 120, *corner)
    low, high = slice_model(mushroom, tmp_path / "out.gcode", SliceRequest(profile="bust_028", bed=bed)).bounds
    middle = ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2)
    assert middle == pytest.approx(bed.centre, abs=1)


def test_a_round_bed_is_printed_on(mushroom: Path, tmp_path: Path) -> None:
    """As OctoPrint's profile gives it: the middle of its corners is 0, but for the last digit."""
    bed = Bed(141.421, 141.421, 120, -70.7107, -70.7107)
    low, high = slice_model(mushroom, tmp_path / "out.gcode", SliceRequest(profile="bust_028", bed=bed)).bounds
    assert low[0] + high[0] == pytest.approx(0, abs=1) and low[1] + high[1] == pytest.approx(0, abs=1)


def test_filament_of_unknown_density_does_not_weigh_nothing(sliced: Sliced, mushroom: Path, tmp_path: Path) -> None:
    request = SliceRequest(profile="bust_028", overrides={"filament_density": "0"})
    result = slice_model(mushroom, tmp_path / "out.gcode", request)
    # With what the start code primes.
    assert result.filament_g == pytest.approx(sliced.result.filament_g, abs=0.1)


def test_relative_paths_mean_the_callers_folder(mushroom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.stl").write_bytes(mushroom.read_bytes())
    monkeypatch.chdir(tmp_path)
    slice_model(Path("m.stl"), Path("out.gcode"), COARSE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.stl", "out.gcode"]


def test_names_with_spaces_and_umlauts_and_a_german_locale(
    mushroom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "Büste von Jürgen.stl"
    model.write_bytes(mushroom.read_bytes())
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert slice_model(model, tmp_path / "Büste 1.gcode", COARSE).gcode.exists()


def test_a_real_bust_slices(bust, tmp_path: Path) -> None:
    from octoprint_facesculpt.sculpture.export import export_mesh

    model = export_mesh(bust.vertices, bust.triangles, tmp_path / "bust.stl")
    result = slice_model(model, tmp_path / "bust.gcode", COARSE)
    assert result.height_mm == pytest.approx(40, abs=0.3) and result.warnings == ()
    assert result.estimated_seconds > 600 and result.filament_g > 1


@pytest.mark.parametrize("kind", ["3mf", "obj", "ply"])
def test_other_mesh_files_are_examined_like_stl(kind: str, mushroom: Path, tmp_path: Path) -> None:
    from octoprint_facesculpt.slicing.model_check import model_size

    path = tmp_path / f"model.{kind}"
    trimesh.load(mushroom).export(path)
    np.testing.assert_allclose(model_size(path), (24, 8, 15), atol=1e-3)


def test_settings_in_a_model_file_are_left_out(mushroom: Path, tmp_path: Path) -> None:
    """A project of PrusaSlicer's may name programs, which it would run on what it has sliced."""
    import zipfile

    model, run = tmp_path / "model.3mf", tmp_path / "run"
    trimesh.load(mushroom).export(model)
    with zipfile.ZipFile(model, "a") as archive:
        archive.writestr("Metadata/Slic3r_PE.config", f"; post_process = /usr/bin/touch {run}\n; raft_layers = 5\n")
    read_ = read(slice_model(model, tmp_path / "out.gcode", COARSE).gcode)
    assert not run.exists() and not read_.config.get("post_process") and read_.config["raft_layers"] == "0"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.3mf", "out.gcode"]


# -- profiles


@pytest.mark.parametrize(
    ("key", "height"), [("bust_012", "0.12"), ("bust_016", "0.16"), ("bust_020", "0.20"), ("bust_028", "0.28")]
)
def test_every_profile_resolves(key: str, height: str) -> None:
    config = resolve(SliceRequest(profile=key))
    assert config["layer_height"] == height and config["support_material"] == "1"
    assert config["bed_shape"] == "0x0,235x0,235x235,0x235" and config["nozzle_diameter"] == "0.4"
    assert {"bust_012", "bust_016", "bust_020", "bust_028"} < set(PROFILES)


def test_another_nozzle_makes_other_lines() -> None:
    fine, usual = resolve(SliceRequest(profile="bust_016", nozzle_mm=0.2)), resolve(SliceRequest(profile="bust_016"))
    assert (fine["nozzle_diameter"], fine["layer_height"], fine["first_layer_height"]) == ("0.2", "0.15", "0.15")
    width = "external_perimeter_extrusion_width"
    assert float(fine[width]) == pytest.approx(float(usual[width]) / 2)
    # Somebody's own settings say themselves what they are for.
    assert resolve(SliceRequest(config={"nozzle_diameter": "0.6"}, nozzle_mm=0.2))["nozzle_diameter"] == "0.6"
    with pytest.raises(SlicingError, match="profile_invalid"):
        SliceRequest(nozzle_mm=40)


def test_nothing_that_runs_programs_gets_into_a_configuration() -> None:
    hostile = {"post_process": "/bin/sh -c reboot", "output_filename_format": "../x", "binary_gcode": "1"}
    assert not set(hostile) & set(resolve(SliceRequest(overrides=hostile)))
    assert not set(hostile) & set(resolve(SliceRequest(config={**hostile, "layer_height": "0.2"})))


def test_a_foreign_configuration_decides_itself_about_supports() -> None:
    assert resolve(SliceRequest(config={"support_material": "0"}))["support_material"] == "0"
    assert resolve(SliceRequest(config={"layer_height": "0.2"}))["support_material"] == "1"
    assert resolve(SliceRequest(overrides={"support_material": "0"}))["support_material"] == "0"


@pytest.mark.parametrize("overrides", [{"notes": "a\nstart_gcode = M112"}, {"a b": "1"}, {"notes": "a\rb"}])
def test_an_override_cannot_smuggle_in_another(overrides: dict[str, str]) -> None:
    with pytest.raises(SlicingError, match="profile_invalid"):
        resolve(SliceRequest(overrides=overrides))


# -- bad requests


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (SliceRequest(engine="slic3r"), "engine_unknown"),
        (SliceRequest(profile="nice"), "profile_unknown"),
        (SliceRequest(profile="bust_028", overrides={"layer_height": "2"}), "slicer_failed"),
        (SliceRequest(profile="bust_028", overrides={"layer_height": "thin"}), "slicer_failed"),
        (SliceRequest(profile="bust_028", overrides={"temperature": "0", "first_layer_temperature": "0"}), "gcode_cold"),
        (SliceRequest(profile="bust_028", overrides={"end_gcode": "M84"}), "gcode_stays_hot"),
        (SliceRequest(profile="bust_028", centre=(5, 5)), "too_large"),
        (SliceRequest(profile="bust_028", bed=Bed(24, 24, 20)), "too_large"),
        (SliceRequest(profile="bust_028", thumbnail=Path(__file__)), "thumbnail_invalid"),
        (SliceRequest(profile="bust_028", time_limit_seconds=0), "timed_out"),
    ],
    ids=lambda value: None if isinstance(value, str) else "",
)
def test_a_bad_request_is_refused(request_: SliceRequest, code: str, mushroom: Path, tmp_path: Path) -> None:
    assert refused(mushroom, tmp_path, request_).code == code


def test_a_failure_leaves_the_earlier_file_alone(mushroom: Path, tmp_path: Path) -> None:
    gcode = tmp_path / "out.gcode"
    gcode.write_text("; yesterday's")
    with pytest.raises(SlicingError):
        slice_model(mushroom, gcode, SliceRequest(profile="bust_028", overrides={"layer_height": "2"}))
    assert gcode.read_text() == "; yesterday's"


# -- an engine that is not what it says


def test_silently_changed_settings_are_refused(
    sliced: Sliced, script: Callable[[str], str], mushroom: Path, tmp_path: Path
) -> None:
    """An engine that answers every request with the same good G-code."""
    folder = tmp_path / "out"
    folder.mkdir()
    engine = script(f'cp "{sliced.result.gcode}" "$OUT"; echo "Slicing result exported to $OUT"')
    error = refused(mushroom, folder, SliceRequest(profile="bust_016"), engine)
    assert error.code == "settings_changed" and "layer_height = 0.28 instead of 0.16" in error.message
    assert slice_model(mushroom, folder / "out.gcode", COARSE, silent, engine).layers == sliced.result.layers


def test_warnings_of_the_slicer_are_handed_on(
    sliced: Sliced, script: Callable[[str], str], mushroom: Path, tmp_path: Path
) -> None:
    warning = "Empty layer between 3 and 4."
    engine = script(f'cp "{sliced.result.gcode}" "$OUT"; echo "print warning: {warning}"; echo "Slicing result exported"')
    assert slice_model(mushroom, tmp_path / "out.gcode", COARSE, silent, engine).warnings == (warning,)
