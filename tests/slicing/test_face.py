"""Supports that keep off the face: where it is, what of it prints without, and what both engines make of that."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from scipy.spatial import cKDTree

from octoprint_facesculpt.sculpture.surface import Surface, overhang
from octoprint_facesculpt.slicing import SliceRequest, SlicingError, slice_model
from octoprint_facesculpt.slicing import contact as contact_room
from octoprint_facesculpt.slicing.blocking import shell, write_painted, write_stl
from octoprint_facesculpt.slicing.contact import mark_contact, measure_contact
from octoprint_facesculpt.slicing.face import HELD_SHARE, Face, holds_until, read_face, read_mesh, surface_of, to_spare
from octoprint_facesculpt.slicing.gcode_facts import read

#: How far the wedge's sides lean out, degrees.
LEAN = 62.0


@pytest.fixture(scope="module")
def wedge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A post with a head whose front (-y) and back lean out: supports hold both, unless one of them is a face."""
    out = 8 * np.tan(np.radians(LEAN))
    post = trimesh.creation.box(bounds=[(-6, -4, 0), (6, 4, 6.5)])
    corners = [(x, y * side, z) for x in (-6, 6) for side in (-1, 1) for y, z in ((4, 6), (4 + out, 14), (4 + out, 17))]
    mesh = trimesh.boolean.union([post, trimesh.convex.convex_hull(np.array(corners))], engine="manifold")
    while mesh.edges_unique_length.max() > 1.5:
        mesh = mesh.subdivide()
    path = tmp_path_factory.mktemp("wedge") / "wedge.stl"
    mesh.export(path)
    return path


@pytest.fixture(scope="module")
def face_file(wedge: Path) -> Path:
    """The wedge's front is its face."""
    places = trimesh.load_mesh(wedge).triangles_center
    points = places[places[:, 1] < -4.5]
    path = wedge.with_name("face.json")
    path.write_text(json.dumps(Face(points[:: len(points) // 1500], 1.5).to_json()))
    return path


def supports(gcode: Path) -> np.ndarray:
    """The lines of supports in a file."""
    lines = read(gcode, keep_supports=True).support_lines
    assert lines is not None
    return lines[:]


def contact(wedge: Path, face: Path, engine: str, care: str, folder: Path) -> tuple[dict[str, float], float]:
    """Areas on all of the wedge and on its face that supports touch, and the share of supports."""
    # Layers of 0.12 mm print this lean without supports.
    key = {"prusaslicer": "fill_density", "curaengine": "infill_line_distance"}[engine]
    value = {"prusaslicer": "0%", "curaengine": "0"}[engine]
    request = SliceRequest(
        engine=engine, profile="bust_012", face=face, face_care=care, overrides={key: value}, keep_supports=True
    )
    gcode = folder / f"{care}.gcode"
    result = slice_model(wedge, gcode, request)
    assert result.support_lines is not None
    np.testing.assert_array_equal(result.support_lines[:], supports(gcode))
    assert "support_lines" not in result.to_json()
    assert result.bounds[0][0] + result.bounds[1][0] == pytest.approx(235, abs=1.5), "it is no longer in the middle"
    assert sorted(file.name for file in folder.iterdir() if file.suffix not in (".gcode", ".png")) == []
    return mark_contact(supports(gcode), surface_of(wedge, request), request, folder / f"{care}.png"), result.support_share


@pytest.mark.parametrize("engine", ["prusaslicer", "curaengine"])
def test_supports_keep_off_the_face_and_stay_elsewhere(engine: str, wedge: Path, face_file: Path, tmp_path: Path) -> None:
    before, share = contact(wedge, face_file, engine, "ignore", tmp_path)
    after, less = contact(wedge, face_file, engine, "spare", tmp_path)
    assert before["face_mm2"] > 60 and after["face_mm2"] < 0.15 * before["face_mm2"]
    # The back is no face: it keeps what holds it.
    back_before, back_after = (figures["area_mm2"] - figures["face_mm2"] for figures in (before, after))
    assert back_after > 0.8 * back_before > 50
    assert 0.3 * share < less < 0.8 * share


def test_what_would_print_into_the_air_keeps_its_supports(wedge: Path, face_file: Path, tmp_path: Path) -> None:
    # In layers of 0.28 mm this lean does not hold; only "free" insists.
    figures = {}
    for care in ("spare", "free"):
        request = SliceRequest(profile="bust_028", face=face_file, face_care=care)
        slice_model(wedge, tmp_path / "x.gcode", request)
        figures[care] = mark_contact(supports(tmp_path / "x.gcode"), surface_of(wedge, request), request)["face_mm2"]
    assert figures["spare"] > 60 and figures["free"] < 0.15 * figures["spare"]


def test_the_picture_shows_what_is_touched(wedge: Path, face_file: Path, tmp_path: Path) -> None:
    def red(care: str) -> int:
        contact(wedge, face_file, "prusaslicer", care, tmp_path)
        picture = np.asarray(Image.open(tmp_path / f"{care}.png").convert("RGB"), int)
        return int(((picture[..., 0] > 2 * picture[..., 1]) & (picture[..., 0] > 60)).sum())

    assert red("ignore") > 4 * red("free") and red("ignore") > 1000


def points_on(lines: np.ndarray) -> np.ndarray:
    """(N, 3) points mm on lines (N, 6), as they are looked at."""
    return np.concatenate(list(contact_room._parts(lines, np.ones(3, np.float32))), axis=1).T


def test_supports_are_read_with_their_state(tmp_path: Path) -> None:
    gcode = tmp_path / "x.gcode"
    gcode.write_text(
        "M104 S200\nG1 X0 Y0 Z0.2\n;TYPE:Perimeter\nG1 X10 E1\n;TYPE:Support material\nG1 X10 Y0 E0.9 ; retracted\n"
        "G1 X10 Y2 E1.4\nM83\nG1 X10 Y4 E0.3\nG1 X0 Y4\nG92 E0\n;TYPE:Perimeter\nG1 X5 E1\n"
    )
    points = points_on(supports(gcode))
    np.testing.assert_allclose(points.min(0), (10, 0, 0.2)), np.testing.assert_allclose(points.max(0), (10, 4, 0.2))
    assert len(np.unique(points, axis=0)) == 9


@pytest.mark.parametrize("cells", [10**8, 1])
def test_what_is_near_is_found_whatever_the_way(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact_room, "MAX_CELLS", cells)
    monkeypatch.setattr(contact_room, "POINTS_AT_ONCE", 700)
    random = np.random.default_rng(4)
    places = (random.random((3000, 3)) * (60, 40, 50)).astype(np.float32)
    ends = random.random((800, 3)) * (80, 60, 70) - 10
    lines = np.concatenate([ends, ends + random.normal(0, 4, (800, 3))], axis=1).astype(np.float32)
    found = contact_room._within_one(contact_room._parts(lines, np.ones(3, np.float32)), places.T)
    distance, _ = cKDTree(points_on(lines)).query(places)
    assert (found == (distance < 1))[np.abs(distance - 1) > 1e-4].all() and 0.02 < found.mean() < 0.95


@pytest.mark.parametrize(
    ("across", "below", "touches"),
    [(0, 0.6, True), (0, 0.7, False), (0.35, 0, True), (0.45, 0, False), (0.3, 0.3, True), (0.3, 0.55, False)],
)
def test_support_marks_what_is_just_above_or_beside_it(across: float, below: float, touches: bool) -> None:
    """Of two triangles that look down, one lies on the bed."""
    corners = np.array([(-0.1, -0.1, 0), (0.2, -0.1, 0), (-0.1, 0.2, 0)], float)
    vertices, triangles = np.concatenate([corners, corners + np.array([0, 0, 10])]), np.array([[0, 2, 1], [3, 5, 4]])
    surface = Surface(vertices, triangles, overhang(vertices, triangles), np.array([True, True]))
    place = np.array([across, 0, 10 - below], np.float32)
    found = measure_contact(np.concatenate([place, place])[None], surface, (0.05, 0.05))
    assert found.touched.tolist() == [False, touches]
    assert found.area_mm2 == found.face_mm2 == pytest.approx(0.045 if touches else 0)


def test_there_is_no_picture_where_nothing_is_touched(wedge: Path, face_file: Path, tmp_path: Path) -> None:
    gcode, picture = tmp_path / "x.gcode", tmp_path / "x.png"
    gcode.write_text("M104 S200\n;TYPE:Perimeter\nG1 X0 Y0 Z0.2\nG1 X10 E1\n")
    picture.write_text("of an earlier slice")
    request = SliceRequest(face=face_file)
    assert mark_contact(supports(gcode), surface_of(wedge, request), request, picture) == {
        "area_mm2": 0.0,
        "face_mm2": 0.0,
    }
    assert not picture.exists()


def test_thinner_layers_hold_steeper_overhangs() -> None:
    assert holds_until(0.12) == pytest.approx(70.4, abs=0.1) and holds_until(0.20) == pytest.approx(59.3, abs=0.1)
    assert holds_until(0.28) < 55 and holds_until(0.01) == 75


def test_only_the_face_is_spared_and_only_where_it_holds(wedge: Path, face_file: Path) -> None:
    vertices, triangles = read_mesh(wedge)
    lean = overhang(vertices, triangles)
    places = np.abs(vertices[triangles].mean(1))
    sides = (places[:, 1] > 7) & (places[:, 0] < 5)
    leaning = sides & (vertices[triangles].max(1)[:, 2] < 13) & (vertices[triangles].min(1)[:, 2] > 8)
    np.testing.assert_allclose(lean[leaning], LEAN, atol=1)
    front = vertices[triangles].mean(1)[leaning][:, 1] < 0
    request = SliceRequest(face=face_file)
    assert (surface_of(wedge, request).on_face[leaning] == front).all()
    # A line of such a width in layers of such a height holds up to a little less than the wedge's lean, and a little more.
    for margin, spared in ((-5, np.zeros_like(front)), (5, front)):
        line = np.tan(np.radians(LEAN + margin)) * 0.2 / HELD_SHARE
        found = to_spare(wedge, request, 0.2, line)
        assert (found is None and not spared.any()) or (found is not None and (found[2][leaning] == spared).all())


def test_a_shell_is_closed_and_around_its_surface(tmp_path: Path) -> None:
    ball = trimesh.creation.icosphere(4, 20)
    chosen = ball.triangles_center[:, 2] < -5
    path = write_stl(*shell(ball.vertices, ball.faces, chosen), tmp_path / "shell.stl")
    made = trimesh.load_mesh(path)
    assert made.is_watertight and made.is_winding_consistent and made.volume > 0
    # A strip that overhangs the layer below lies deeper than it sticks out.
    assert set(np.linalg.norm(made.vertices, axis=1).round(2)) == {20 + 0.6, 20 - 1.6}
    inside = made.contains(ball.triangles_center)
    assert inside[ball.triangles_center[:, 2] < -6].all() and not inside[~chosen & (ball.triangles_center[:, 2] > -3)].any()


def test_a_painted_mesh_is_a_3mf_that_others_can_read(tmp_path: Path) -> None:
    box = trimesh.creation.box((10, 20, 30))
    chosen = np.arange(len(box.faces)) < 4
    path = write_painted(box.vertices, box.faces, chosen, tmp_path / "box.3mf")
    read = trimesh.load_mesh(path)
    np.testing.assert_allclose(read.extents, (10, 20, 30))
    np.testing.assert_allclose(read.triangles - read.bounds[0], box.triangles - box.bounds[0], atol=1e-5)
    with zipfile.ZipFile(path) as package:
        model = package.read("3D/3dmodel.model").decode()
    assert model.count('slic3rpe:custom_supports="8"') == 4 and model.count("<triangle ") == 12


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "{}", '{"points": [], "reach_mm": 1}', '{"points": [[1, 2]], "reach_mm": 1}',
        '{"points": [[1, 2, NaN]], "reach_mm": 1}', '{"points": [[1, 2, 3]], "reach_mm": 0}',
        '{"points": [[1, 2, "x"]], "reach_mm": 1}', '{"points": ' + "[" * 50_000,
        json.dumps({"points": [[1, 2, 3]] * 3000, "reach_mm": 1}),
    ],
)  # fmt: skip
def test_a_file_that_says_no_face_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "face.json"
    path.write_text(content)
    with pytest.raises(SlicingError) as error:
        read_face(path)
    assert error.value.code == "face_invalid" and error.value.hint
    with pytest.raises(SlicingError):
        read_face(tmp_path / "missing.json")
