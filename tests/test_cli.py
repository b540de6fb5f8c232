"""The commands as people and programs call them: real processes, exit codes, JSON lines, reports."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

MODULE = (sys.executable, "-m", "octoprint_facesculpt")
OCTOPRINT_SAYS = "Initializing settings & plugin subsystem...\n"
#: Fields of the report of ``reconstruct`` that other programs rely on.
REPORT = {"schema", "model", "image", "landmarks2d", "landmarks3d", "camera", "quality", "mesh", "seconds", "peak_rss_mb"}


@dataclass
class Ended:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines: all of it, but for the line that OctoPrint's own command line says first."""
        return [json.loads(line) for line in self.out.removeprefix(OCTOPRINT_SAYS).splitlines()]

    def event(self, name: str) -> dict[str, Any]:
        (line,) = (line for line in self.lines if line["event"] == name)
        return line


def call(*arguments: object, program: tuple[str, ...] = MODULE, **more: Any) -> Ended:
    command = [*program, *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, **more)
    assert "Traceback" not in run.stderr
    return Ended(run.returncode, run.stdout, run.stderr)


def octoprint(base: Path) -> tuple[str, ...]:
    return (sys.executable, "-m", "octoprint", "--basedir", str(base), "plugins")


@pytest.fixture(scope="module")
def reconstructed(astronaut: Path, assets_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, Path]:
    folder = tmp_path_factory.mktemp("reconstructed")
    more = ("--report", folder / "report.json", "--preview", folder / "preview.png", "--json", "--assets", assets_folder)
    return call("reconstruct", astronaut, "-o", folder / "head.ply", "--raw", *more), folder


@pytest.fixture(scope="module")
def head_file(head, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("heads") / "head.npz"
    head.save(path)
    return path


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "cube.stl"
    trimesh.creation.box((12, 12, 8)).export(path)
    return path


def assert_progress(lines: list[dict[str, Any]]) -> None:
    """Progress rises to 1, and then comes the result, last."""
    fractions = [line["fraction"] for line in lines if line["event"] == "progress"]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0 and len(fractions) > 3
    assert lines[-1]["event"] == "result" and [line["event"] for line in lines].count("result") == 1


# -- help


@pytest.mark.parametrize("command", [(), ("reconstruct",), ("sculpt",), ("slice",), ("portrait",), ("assets",)])
def test_help_imports_nothing_heavy(command: tuple[str, ...]) -> None:
    run = call(*command, "--help", program=(sys.executable, "-X", "importtime", "-m", "octoprint_facesculpt"))
    assert run.code == 0 and "--help" in run.out
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in run.err.splitlines()}
    assert "octoprint_facesculpt" in imported
    assert not imported & {"torch", "cv2", "numpy", "scipy", "skimage", "trimesh", "octoprint", "flask"}


def test_octoprint_lists_the_commands(tmp_path: Path) -> None:
    run = call("--help", program=octoprint(tmp_path))
    assert run.code == 0
    for name in ("portrait", "reconstruct", "sculpt", "slice", "assets"):
        assert f"facesculpt:{name}" in run.out


# -- reconstruct


def test_reconstruct_tells_its_progress_and_writes_its_files(reconstructed: tuple[Ended, Path]) -> None:
    run, folder = reconstructed
    assert run.code == 0 and run.err == ""
    assert_progress(run.lines)
    assert sorted(path.name for path in folder.iterdir()) == ["head.ply", "preview.png", "report.json"]
    assert json.loads((folder / "report.json").read_text()) == run.event("result")["data"]
    assert (folder / "preview.png").read_bytes().startswith(b"\x89PNG")


def test_the_report_has_its_documented_fields(reconstructed: tuple[Ended, Path]) -> None:
    from octoprint_facesculpt.reconstruction.weights import PACKAGED

    run, _ = reconstructed
    report = run.event("result")["data"]
    assert report["schema"] == 1 and set(report) >= REPORT
    assert report["model"]["sha256"] == hashlib.sha256(PACKAGED.read_bytes()).hexdigest()
    assert report["model"]["name"] and report["model"]["version"]
    assert (report["image"]["width"], report["image"]["height"]) == (512, 512)
    assert set(report["image"]) >= {"width", "height", "face", "decoded"}
    assert set(report["image"]["face"]) >= {"left", "top", "width", "height"}
    assert 0 <= report["quality"]["score"] <= 1
    assert all(set(note) >= {"code", "severity", "message"} for note in report["quality"]["notes"])
    assert set(report["seconds"]) >= {"portrait"} and all(value >= 0 for value in report["seconds"].values())
    assert report["peak_rss_mb"] > 100


def test_the_report_agrees_with_the_mesh_in_millimetres(reconstructed: tuple[Ended, Path]) -> None:
    run, folder = reconstructed
    report = run.event("result")["data"]
    mesh = trimesh.load(folder / "head.ply", process=False)
    told = report["mesh"]
    assert (told["vertices"], told["triangles"]) == (len(mesh.vertices), len(mesh.faces))
    assert told["watertight"] is True and told["volume_mm3"] == pytest.approx(mesh.volume, rel=1e-3)
    np.testing.assert_allclose(told["bounds"], mesh.bounds, atol=0.01)
    points = np.array(report["landmarks3d"])
    np.testing.assert_allclose((points[33] + points[263]) / 2, 0, atol=0.01)
    _, distance, _ = trimesh.proximity.closest_point(mesh, points[::40])
    assert distance.max() < 0.5


def test_the_reported_camera_projects_the_landmarks_into_the_photo(reconstructed: tuple[Ended, Path]) -> None:
    report = reconstructed[0].event("result")["data"]
    points = np.c_[np.array(report["landmarks3d"]), np.ones(478)]
    projected = points @ np.array(report["camera"]["matrix"]).T
    seen = np.array(report["landmarks2d"])
    eyes = np.linalg.norm(seen[33] - seen[263])
    assert np.median(np.linalg.norm(projected[:, :2] / projected[:, 2:] - seen, axis=1)) < 0.06 * eyes


def test_octoprint_runs_the_same_command(astronaut: Path, assets_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "preview.jpg"
    run = call(
        "facesculpt:portrait", astronaut, "-o", out, "--json", "--assets", assets_folder, program=octoprint(tmp_path / "base")
    )
    assert run.code == 0
    data = run.event("result")["data"]
    assert len(data["faces"]) == 1 and (data["width"], data["height"]) == (512, 512)
    assert out.read_bytes().startswith(b"\xff\xd8")


def test_the_preview_of_a_photo_is_upright_and_its_faces_lie_in_it(
    astronaut: Path, assets_folder: Path, tmp_path: Path
) -> None:
    upright = Image.open(astronaut)
    upright.transpose(Image.Transpose.ROTATE_90).save(photo := tmp_path / "photo.png")
    data = call("portrait", photo, "-o", tmp_path / "preview.jpg", "--json", "--assets", assets_folder).event("result")["data"]
    preview = np.asarray(Image.open(tmp_path / "preview.jpg")).astype(int)
    assert np.abs(preview - np.asarray(upright)).mean() < 6
    assert 170 < data["faces"][0]["left"] < 190 and 60 < data["faces"][0]["top"] < 80


def test_a_face_that_was_cut_out_is_reported_in_the_whole_photo(astronaut: Path, assets_folder: Path, tmp_path: Path) -> None:
    wide = Image.new("RGB", (6144, 768), (128, 128, 128))
    wide.paste(Image.open(astronaut), (3000, 20))
    wide.save(photo := tmp_path / "photo.png")
    run = call("reconstruct", photo, "-o", tmp_path / "head.ply", "--json", "--assets", assets_folder)
    report = run.event("result")["data"]
    seen, box = np.array(report["landmarks2d"]), report["image"]["face"]
    assert (report["image"]["width"], report["image"]["height"]) == (2048, 256)
    assert np.linalg.norm(3 * seen[1] - [3223, 152]) < 8 and box["left"] < seen[1, 0] < box["left"] + box["width"]
    points = np.c_[np.array(report["landmarks3d"]), np.ones(478)] @ np.array(report["camera"]["matrix"]).T
    eyes = np.linalg.norm(seen[33] - seen[263])
    assert np.median(np.linalg.norm(points[:, :2] / points[:, 2:] - seen, axis=1)) < 0.06 * eyes


# -- sculpt, slice


def test_no_height_at_all_is_not_the_usual_one(head_file: Path, tmp_path: Path) -> None:
    run = call("sculpt", "--head", head_file, "-o", tmp_path / "bust.stl", "--height-mm", 0)
    assert run.code == 2 and run.err.startswith("height_out_of_range")


def test_sculpt_makes_a_solid_of_the_height_that_was_asked_for(head_file: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "bust.stl", tmp_path / "report.json"
    out.write_text("an older file is replaced")
    run = call("sculpt", "--head", head_file, "-o", out, "--height-mm", 35, "--report", report, "--json")
    assert run.code == 0 and run.err == ""
    assert_progress(run.lines)
    mesh = trimesh.load(out)
    assert mesh.is_watertight and mesh.extents[2] == pytest.approx(35, abs=0.01)
    data = json.loads(report.read_text())
    assert data == run.event("result")["data"] and data["sculpture"]["manifold"] is True and data["seconds"]["sculpt"] > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bust.stl", "report.json"]


def test_sculpt_leaves_hair_out_that_is_not_wanted(head_file: Path, tmp_path: Path) -> None:
    meshes = []
    for number, option in enumerate(("--hair", "--no-hair")):
        out = tmp_path / f"{number}.stl"
        assert call("sculpt", "--head", head_file, "-o", out, "--height-mm", 35, "--style", "head", option).code == 0
        meshes.append(trimesh.load(out))
    haired, bald = (mesh.vertices[mesh.vertices[:, 2] > 26] for mesh in meshes)
    assert np.ptp(haired[:, 0]) > 1.15 * np.ptp(bald[:, 0])


def test_sculpt_to_g_code_slices_too(head_file: Path, tmp_path: Path) -> None:
    import gcode_thumbnail_tool

    out = tmp_path / "bust.gcode"
    run = call("sculpt", "--head", head_file, "-o", out, "--height-mm", 25, "--profile", "bust_028", "--json")
    assert run.code == 0
    assert_progress(run.lines)
    slicing = run.event("result")["data"]["slicing"]
    assert slicing["height_mm"] == pytest.approx(25, abs=0.3) and slicing["estimated_seconds"] > 60
    assert gcode_thumbnail_tool.extract_thumbnails_from_gcode_file(str(out)) is not None
    assert [path.name for path in tmp_path.iterdir()] == ["bust.gcode"]


def test_a_mask_lies_on_its_back_and_is_printed_as_a_mask(head_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "mask.gcode"
    run = call("sculpt", "--head", head_file, "-o", out, "--style", "mask", "--height-mm", 30, "--json")
    data = run.event("result")["data"]
    assert data["sculpture"]["lean_deg"] == 90 and data["slicing"]["plan"]["profile"] == "mask"
    assert data["slicing"]["height_mm"] < 15 and data["slicing"]["support_share"] < 0.02


def test_sculpt_chooses_the_pose(head_file: Path, tmp_path: Path) -> None:
    """All poses are compared, and shown with their figures."""
    out, folder = tmp_path / "a.stl", tmp_path / "a"
    run = call(
        "sculpt", "--head", head_file, "-o", out, "--height-mm", 35, "--folder", folder, "--orientation", "auto", "--json"
    )
    data = run.event("result")["data"]
    costs = [row["cost"] for row in data["orientations"]]
    assert costs == sorted(costs) and len(costs) == 7
    assert data["sculpture"]["tilt_deg"] == data["orientations"][0]["tilt_deg"]
    assert {path.name for path in folder.glob("pose_*.png")} == {f"pose_{row['pose']}.png" for row in data["orientations"]}
    assert json.loads((folder / "orientations.json").read_text())["orientations"] == data["orientations"]


def test_sculpt_to_g_code_with_another_engine_and_lean(head_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "bust.gcode"
    options = ("--height-mm", 25, "--profile", "bust_028", "--engine", "curaengine", "--orientation", "12.5")
    run = call("sculpt", "--head", head_file, "-o", out, *options, "--json")
    assert run.code == 0, run.err
    data = run.event("result")["data"]
    assert data["slicing"]["engine"] == "curaengine" and ";Generated with Cura_SteamEngine" in out.read_text()
    assert data["sculpture"]["tilt_deg"] == 12.5 and data["orientations"] == []


@pytest.mark.parametrize("through_octoprint", [False, True])
def test_slice_reports_what_it_made(through_octoprint: bool, cube: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "cube.gcode", tmp_path / "report.json"
    program, name = (octoprint(tmp_path / "base"), "facesculpt:slice") if through_octoprint else (MODULE, "slice")
    options = ("--engine", "prusaslicer", "--profile", "bust_028", "--set", "perimeters=2", "--set", "fill_density=20%")
    run = call(name, cube, "-o", out, *options, "--report", report, "--json", program=program)
    assert run.code == 0
    assert_progress(run.lines)
    data = json.loads(report.read_text())
    assert data == run.event("result")["data"]
    assert set(data) == {
        "gcode", "engine", "version", "estimated_seconds", "slicer_seconds", "filament_mm", "filament_g", "layers",
        "height_mm", "bounds", "support_share", "warnings",
    }  # fmt: skip
    assert data["gcode"] == str(out) and data["height_mm"] == pytest.approx(8, abs=0.3)
    text = out.read_text()
    assert "; perimeters = 2\n" in text and "; fill_density = 20%\n" in text


def test_without_json_a_sentence_says_what_was_made(cube: Path, tmp_path: Path) -> None:
    run = call("slice", cube, "-o", tmp_path / "cube.gcode", "--profile", "bust_028")
    assert run.code == 0 and run.err == "" and run.out.count("\n") == 1
    assert "cube.gcode: 0." in run.out and " layers" in run.out


def test_slice_takes_a_profile_file_a_bed_and_a_place(cube: Path, tmp_path: Path) -> None:
    first = tmp_path / "first.gcode"
    assert call("slice", cube, "-o", first, "--profile", "bust_028").code == 0
    lines = first.read_text().partition("; prusaslicer_config = begin\n")[2].splitlines()
    profile = tmp_path / "own.ini"
    profile.write_text("\n".join(line.removeprefix("; ") for line in lines if " = " in line and "nil" not in line))
    place = ("--bed", "200x210x150@-20,-20", "--center", "70,80", "--no-supports")
    run = call("slice", cube, "-o", tmp_path / "out.gcode", "--profile-file", profile, *place, "--json")
    assert run.code == 0
    low, high = run.event("result")["data"]["bounds"]
    assert low[0] + high[0] == pytest.approx(140, abs=1) and low[1] + high[1] == pytest.approx(160, abs=1)
    text = (tmp_path / "out.gcode").read_text()
    assert "; layer_height = 0.28\n" in text and "; support_material = 0\n" in text


# -- assets


def test_assets_are_listed(assets_folder: Path, tmp_path: Path) -> None:
    there = call("assets", "status", "--json", "--assets", assets_folder).event("result")["data"]
    assert there["folder"] == str(assets_folder)
    assert there["assets"] and all(row["present"] and row["licence"] for row in there["assets"])
    missing = call("assets", "status", "--assets", tmp_path)
    assert missing.code == 0 and missing.out.count("missing") == len(there["assets"])


def test_without_the_model_files_the_error_says_how_to_get_them(astronaut: Path, tmp_path: Path) -> None:
    run = call("reconstruct", astronaut, "-o", tmp_path / "head.stl", "--assets", tmp_path, "--json")
    error = run.event("error")
    assert run.code == 1 and error["code"] == "asset_missing" and "assets fetch" in error["hint"]
    assert list(tmp_path.iterdir()) == []


# -- errors

REFUSALS: dict[str, tuple[tuple[str, ...], int, str]] = {
    "no arguments": (("slice",), 2, "usage"),
    "unknown option": (("slice", "{cube}", "-o", "out.gcode", "--fast"), 2, "usage"),
    "unknown action": (("assets", "steal"), 2, "usage"),
    "height is no number": (("sculpt", "{photo}", "-o", "out.stl", "--height-mm", "tall"), 2, "usage"),
    "folder instead of a photo": (("reconstruct", ".", "-o", "out.stl"), 2, "usage"),
    "no folder for the output": (("slice", "{cube}", "-o", "nowhere/out.gcode"), 2, "output_unwritable"),
    "no folder for the report": (
        ("slice", "{cube}", "-o", "out.gcode", "--report", "nowhere/r.json"), 2, "output_unwritable",
    ),
    "no such photo": (("reconstruct", "nobody.jpg", "-o", "out.stl"), 2, ""),
    "photo is text": (("reconstruct", "{text}", "-o", "out.stl"), 2, ""),
    "unknown format": (("reconstruct", "{photo}", "-o", "out.doc"), 2, "format_unknown"),
    "no face of that number": (("reconstruct", "{photo}", "-o", "out.stl", "--face", "7"), 2, ""),
    "more faces than photos": (("reconstruct", "{photo}", "-o", "out.stl", "--face", "0", "--face", "1"), 2, "usage"),
    "more than the photo's expression": (
        ("reconstruct", "{photo}", "-o", "out.stl", "--expression", "1.5"), 2, "expression_impossible",
    ),
    "a finished head's expression": (("sculpt", "--head", "{text}", "-o", "out.stl", "--expression", "0"), 2, "usage"),
    "photo and head": (("sculpt", "{photo}", "--head", "{text}", "-o", "out.stl"), 2, "photo_or_head"),
    "no photo": (("sculpt", "-o", "out.stl"), 2, "photo_or_head"),
    "nine photos": (("reconstruct", *["{photo}"] * 9, "-o", "out.stl"), 2, "fusion_impossible"),
    "two photos for VRN": (
        ("reconstruct", "{photo}", "{photo}", "-o", "out.stl", "--network", "vrn2017"), 2, "fusion_impossible",
    ),
    "VRN without weights": (("reconstruct", "{photo}", "-o", "out.stl", "--network", "vrn2017"), 2, "weights_missing"),
    "unknown network": (("reconstruct", "{photo}", "-o", "out.stl", "--network", "pifu"), 2, "network_unknown"),
    "head is text": (("sculpt", "--head", "{text}", "-o", "out.stl"), 2, "empty_head"),
    "unknown orientation": (("sculpt", "{photo}", "-o", "out.stl", "--orientation", "sideways"), 2, "orientation_unknown"),
    "tilted mask": (("sculpt", "{photo}", "-o", "out.stl", "--style", "mask", "--orientation", "tilt_10"), 2, ""),
    "unknown style": (("sculpt", "--head", "{text}", "-o", "out.stl", "--style", "cubist"), 2, ""),
    "no such model": (("slice", "nothing.stl", "-o", "out.gcode"), 2, "model_invalid"),
    "model is text": (("slice", "{text}", "-o", "out.gcode"), 2, "model_invalid"),
    "no such model to cut": (("cut", "nothing.stl", "-o", "cut.png", "--height-mm", "4"), 2, "model_invalid"),
    "model to cut is text": (("cut", "{text}", "-o", "cut.png", "--height-mm", "4"), 2, "model_invalid"),
    "unknown engine": (("slice", "{cube}", "-o", "out.gcode", "--engine", "magic"), 2, "engine_unknown"),
    "unknown profile": (("slice", "{cube}", "-o", "out.gcode", "--profile", "nice"), 2, "profile_unknown"),
    "no profile file": (("slice", "{cube}", "-o", "out.gcode", "--profile-file", "no.ini"), 2, "profile_unknown"),
    "profile file is text": (("slice", "{cube}", "-o", "out.gcode", "--profile-file", "{text}"), 2, "profile_invalid"),
    "setting without a value": (("slice", "{cube}", "-o", "out.gcode", "--set", "perimeters"), 2, "profile_invalid"),
    "bed is no bed": (("slice", "{cube}", "-o", "out.gcode", "--bed", "big"), 2, "profile_invalid"),
    "bed too small": (("slice", "{cube}", "-o", "out.gcode", "--bed", "15x15x15"), 2, "too_large"),
    "place is no place": (("slice", "{cube}", "-o", "out.gcode", "--center", "left"), 2, "profile_invalid"),
    "no slicer": (("slice", "{cube}", "-o", "out.gcode", "--slicer-path", "/nowhere/slicer"), 1, "engine_missing"),
    "impossible setting": (("slice", "{cube}", "-o", "out.gcode", "--set", "layer_height=3"), 1, "slicer_failed"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "exit_code", "code"), REFUSALS.values(), ids=REFUSALS)
def test_refusals_are_one_line_with_a_code_and_leave_nothing(
    arguments: tuple[str, ...], exit_code: int, code: str, astronaut: Path, cube: Path, assets_folder: Path, tmp_path: Path
) -> None:
    text = tmp_path / "letter.txt"
    text.write_text("Dear printer, I am no picture, no model and no profile.")
    work = tmp_path / "work"
    work.mkdir()
    words = [word.format(photo=astronaut, cube=cube, text=text) for word in arguments]
    run = call(*words, "--json", cwd=work, env={**os.environ, "FACESCULPT_ASSETS": str(assets_folder)})
    error = run.event("error")
    assert run.code == exit_code and error["code"] == (code or error["code"]) != "internal_error"
    assert error["message"] and set(error) >= {"event", "code", "message", "hint"}
    assert run.err.startswith(f"{error['code']}: {error['message']}"[:60]) and run.err.count("\n") == 1
    assert list(work.iterdir()) == []


#: What is wrong with a sculpture to be is known without its head, which takes seconds.
KNOWN_AT_ONCE: dict[str, tuple[tuple[str, ...], int, str]] = {
    "engine": (("--engine", "magic"), 2, "engine_unknown"),
    "profile": (("--profile", "nice"), 2, "profile_unknown"),
    "setting": (("--set", "perimeters"), 2, "profile_invalid"),
    "no slicer": (("--slicer-path", "/nowhere/slicer"), 1, "engine_missing"),
    "bed too low": (("--bed", "235x235x150"), 2, "too_large"),
    "bed too low at any lean": (("--bed", "235x90x90", "--orientation", "leaning:45"), 2, "too_large"),
    "bed too low for any size": (("--bed", "235x235x15", "--target-hours", "4"), 2, "too_large"),
    "target": (("--target-hours", "9000"), 2, "target_impossible"),
    "tilt": (("--orientation", "40"), 2, "orientation_unknown"),
    "lean": (("--orientation", "leaning:170"), 2, "orientation_unknown"),
    "tilted mask": (("--style", "mask", "--orientation", "10"), 2, "orientation_unknown"),
    "expression": (("--expression", "1.5"), 2, "expression_impossible"),
    "detail": (("--detail", "1.6"), 2, "detail_out_of_range"),
    "faces": (("--face", "0", "--face", "1"), 2, "usage"),
    "folder": (("--folder", "{text}/folder"), 2, "output_unwritable"),
}


@pytest.mark.parametrize(("options", "exit_code", "code"), KNOWN_AT_ONCE.values(), ids=KNOWN_AT_ONCE)
def test_what_is_wrong_with_a_sculpture_is_said_before_its_head_is_made(
    options: tuple[str, ...], exit_code: int, code: str, astronaut: Path, tmp_path: Path
) -> None:
    (text := tmp_path / "letter.txt").write_text("No folder.")
    words = [word.format(text=text) for word in options]
    run = call("sculpt", astronaut, "-o", tmp_path / "out.gcode", *words, "--json")
    (error,) = run.lines
    assert (run.code, error["code"]) == (exit_code, code)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    "options", [("--height-mm", "160", "--bed", "235x235x160"), ("--orientation", "lying", "--bed", "90x160x100")]
)
def test_what_may_fit_on_the_bed_is_not_refused_before_there_is_a_head(options: tuple[str, ...], tmp_path: Path) -> None:
    (text := tmp_path / "letter.txt").write_text("No picture.")
    run = call("sculpt", text, "-o", tmp_path / "out.gcode", *options)
    assert run.code == 2 and run.err.startswith("unsupported_format")


def test_a_refusal_through_octoprint_is_the_same(tmp_path: Path) -> None:
    missing, out = tmp_path / "nothing.stl", tmp_path / "out.gcode"
    run = call("facesculpt:slice", missing, "-o", out, program=octoprint(tmp_path / "base"))
    assert run.code == 2 and run.err.splitlines()[-1] == "model_invalid: There is no model nothing.stl."
    run = call("facesculpt:slice", program=octoprint(tmp_path / "base"))
    assert run.code == 2 and run.err.splitlines()[-1].startswith("usage: Missing argument 'MODEL'.")


def test_debug_shows_where_an_error_came_from(tmp_path: Path) -> None:
    command = [*MODULE, "slice", str(tmp_path / "nothing.stl"), "-o", str(tmp_path / "out.gcode"), "--debug"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 1 and "Traceback" in run.stderr and "model_invalid" in run.stderr


def test_a_reader_that_goes_away_is_no_fault(cube: Path, tmp_path: Path) -> None:
    command = [*MODULE, "slice", str(cube), "-o", str(tmp_path / "out.gcode"), "--profile", "bust_028", "--json"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    run.stdout.close()
    assert run.stderr.read() == "" and run.wait(60) == 1
    assert list(tmp_path.iterdir()) == []


def test_threads_limit_the_processors_of_all_that_is_started(tmp_path: Path) -> None:
    program = (
        "import os, sys; from octoprint_facesculpt import command; command._limit_threads(1); import subprocess;"
        "print(len(os.sched_getaffinity(0)), subprocess.run(['nproc'], capture_output=True, text=True).stdout.strip(),"
        "os.environ['OMP_NUM_THREADS'])"
    )
    assert call("-c", program, program=(sys.executable,)).out.split() == ["1", "1", "1"]


def test_threads_that_wait_do_not_spin() -> None:
    program = (
        "import os; from octoprint_facesculpt import command; command._limit_threads(2);"
        "print(os.environ['OMP_NUM_THREADS'], os.environ['OMP_WAIT_POLICY'], os.environ['OPENBLAS_NUM_THREADS'])"
    )
    assert call("-c", program, program=(sys.executable,)).out.split() == ["2", "passive", "1"]
