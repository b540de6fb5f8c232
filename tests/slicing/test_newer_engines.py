"""Other versions of the engines than the installed ones, where somebody has them.

``FACESCULPT_TEST_PRUSASLICER`` and ``FACESCULPT_TEST_CURAENGINE`` name their programs; CuraEngine's own definitions lie below
``FACESCULPT_TEST_CURA`` (as ``cura/usr/share/cura/resources``). ``extras/newer_engines.sh`` fetches Debian's. Each of them has
to do what the installed one does.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import trimesh

from octoprint_facesculpt.progress import silent
from octoprint_facesculpt.slicing import ENGINES, SliceRequest, SlicingError, engine, gcode_facts, slice_model
from octoprint_facesculpt.slicing.gcode_index import read_index
from octoprint_facesculpt.slicing.presets import offered
from tests.printer.bench import print_whole

from .conftest import refused

GIVEN = {name: os.environ.get(f"FACESCULPT_TEST_{name.upper()}", "") for name in ENGINES}
pytestmark = [
    pytest.mark.skipif(not any(GIVEN.values()), reason="no other engine is given"),
    pytest.mark.parametrize("name", [name for name in ENGINES if GIVEN[name]]),
]


@pytest.fixture(autouse=True)
def definitions(monkeypatch: pytest.MonkeyPatch) -> None:
    if folder := os.environ.get("FACESCULPT_TEST_CURA"):
        monkeypatch.setenv("FACESCULPT_ASSETS", folder)


def test_it_is_found_with_its_version(name: str) -> None:
    found = engine(name, GIVEN[name]).detect()
    assert found.version != engine(name).detect().version


@pytest.mark.parametrize("profile", ["bust_028", "bust_020_tree", "mask"])
def test_it_slices_and_what_it_made_prints_to_the_end(
    name: str, profile: str, mushroom: Path, picture: Path, tmp_path: Path
) -> None:
    program = ENGINES[name](GIVEN[name])
    request = SliceRequest(name, profile, thumbnail=picture, index=tmp_path / "index.json")
    if profile not in offered(program.profiles(), program.detect().version):
        assert refused(mushroom, tmp_path, request, GIVEN[name]).code == "profile_unknown"
        return
    heard: list[float] = []
    result = slice_model(mushroom, tmp_path / "out.gcode", request, lambda fraction, _="": heard.append(fraction), GIVEN[name])
    text = result.gcode.read_text()
    assert result.warnings == () and heard == sorted(heard) and len(heard) > 4
    assert result.height_mm == pytest.approx(15, abs=0.3) and result.support_share > 0.02
    assert "thumbnail begin" in text[:2000]
    assert "M73 P0 R" in text and "M73 P100 R0" in text
    assert name != "prusaslicer" or "; printing object" in text
    printed = print_whole(text.splitlines())
    assert printed.complaints == () and printed.cold
    assert printed.seconds == pytest.approx(result.estimated_seconds, rel=0.005)
    assert printed.filament == pytest.approx(result.filament_mm, rel=0.005, abs=10)
    index = read_index(tmp_path / "index.json", result.gcode)
    assert len(index.layers) == result.layers
    assert all(text.encode()[layer.offset - 1 : layer.offset] == b"\n" for layer in index.layers[1:])


def test_arcs_are_made_where_the_engine_can(name: str, tmp_path: Path) -> None:
    model = tmp_path / "round.stl"
    trimesh.creation.cylinder(12, 5).export(model)
    request = SliceRequest(name, "bust_028", overrides={"arc_fitting": "emit_center"})
    if name == "curaengine":
        assert refused(model, tmp_path, request, GIVEN[name]).code == "profile_invalid"
        return
    result = slice_model(model, tmp_path / "out.gcode", request, silent, GIVEN[name])
    text = result.gcode.read_text()
    assert len(re.findall(r"^G[23] ", text, re.MULTILINE)) > 20
    printed = print_whole(text.splitlines())
    assert printed.complaints == () and printed.seconds == pytest.approx(result.estimated_seconds, rel=0.005)


def test_supports_keep_off_the_face(name: str, bust, tmp_path: Path) -> None:
    from octoprint_facesculpt.sculpture.export import export_mesh, write_face
    from octoprint_facesculpt.slicing.contact import mark_contact
    from octoprint_facesculpt.slicing.face import surface_of

    model = export_mesh(bust.vertices, bust.triangles, tmp_path / "bust.stl")
    face = write_face(bust.landmarks, tmp_path / "face.json")
    touched = {}
    for care in ("ignore", "free"):
        request = SliceRequest(name, "bust_028", face=face, face_care=care, keep_supports=True)
        result = slice_model(model, tmp_path / f"{care}.gcode", request, silent, GIVEN[name])
        touched[care] = mark_contact(result.support_lines, surface_of(model, request), request)["face_mm2"]
    assert touched["free"] < 0.3 * touched["ignore"]


def test_what_does_not_print_is_refused(name: str, mushroom: Path, tmp_path: Path) -> None:
    for request, codes in (
        (SliceRequest(name, "bust_028", centre=(5, 5)), {"too_large", "slicer_failed"}),
        (SliceRequest(name, "bust_028", overrides={"layer_height": "thin"}), {"slicer_failed", "profile_invalid"}),
        (SliceRequest(name, "bust_028", time_limit_seconds=0), {"timed_out"}),
    ):
        assert refused(mushroom, tmp_path, request, GIVEN[name]).code in codes


def test_its_settings_are_told_from_unknown_ones(name: str) -> None:
    program = ENGINES[name](GIVEN[name])
    config = program.configuration("bust_020")
    taken = program.accepted({**config, "no_such_setting": "1"})
    assert taken.unknown == ("no_such_setting",) and taken.config == config
    with pytest.raises(SlicingError):
        program.accepted({**config, "layer_height": "thin"})


def test_its_g_code_is_checked_while_it_writes(name: str, bust, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from octoprint_facesculpt.sculpture.export import export_mesh

    def again(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(gcode_facts, "read", again)
    model = export_mesh(bust.vertices, bust.triangles, tmp_path / "bust.stl")
    assert slice_model(model, tmp_path / "out.gcode", SliceRequest(name, "bust_020"), silent, GIVEN[name]).layers > 150
