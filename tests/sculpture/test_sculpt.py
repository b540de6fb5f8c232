"""A head becomes a solid that prints; what is no head does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from octoprint_facesculpt.sculpture import SculptureError, SculptureSettings, save, sculpt
from octoprint_facesculpt.sculpture.costs import COLUMN_DEG, measure
from octoprint_facesculpt.sculpture.export import export_mesh
from octoprint_facesculpt.sculpture.preview import clay
from octoprint_facesculpt.sculpture.shaping import FOOT, Sculpture, apart, check, mesh_of, scaled, solid_of, standing
from octoprint_facesculpt.sculpture.shaping import _on_its_chin as on_its_chin


def test_bust_stands_upright_on_the_bed_at_its_height(bust) -> None:
    low, high = bust.vertices.min(0), bust.vertices.max(0)
    assert low[2] == pytest.approx(0, abs=1e-6) and high[2] == pytest.approx(40, abs=0.01)
    np.testing.assert_allclose(low[:2] + high[:2], 0, atol=0.1)


def test_bust_is_a_closed_two_manifold_with_a_base(bust) -> None:
    mesh = trimesh.Trimesh(bust.vertices, bust.triangles, process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent and mesh.body_count == 1
    assert bust.checks["manifold"] and bust.checks["triangles"] <= 40_000
    # Life size the foot has a radius of 64 mm.
    assert bust.checks["base_area_mm2"] > 100


def test_the_face_looks_to_the_front(bust, head) -> None:
    """The nose is the foremost point of the upper half: the smallest y."""
    upper = bust.vertices[bust.vertices[:, 2] > 20]
    nose = upper[upper[:, 1].argmin()]
    assert abs(nose[0]) < 4


def test_the_face_is_not_cut(head) -> None:
    """Every face landmark is still on the bust, in the shape it had: shaping must not touch the face."""
    bust = sculpt(head, SculptureSettings(height_mm=40, max_triangles=40_000, hair=False))
    turn, scaled, _ = trimesh.registration.procrustes(head.landmarks, bust.landmarks, reflection=False)
    np.testing.assert_allclose(scaled, bust.landmarks, atol=1e-3)
    assert np.linalg.det(turn[:3, :3]) > 0
    mesh = trimesh.Trimesh(bust.vertices, bust.triangles, process=False)
    _, distance, _ = trimesh.proximity.closest_point(mesh, bust.landmarks[:468:15])
    assert distance.max() < 0.05


def test_head_style_has_a_flat_foot(head) -> None:
    sculpture = sculpt(head, SculptureSettings(height_mm=60, style="head", max_triangles=30_000))
    assert sculpture.checks["base_area_mm2"] > 150
    assert sculpture.vertices[:, 2].max() == pytest.approx(60, abs=0.01)


@pytest.fixture(scope="module")
def mask(head) -> Sculpture:
    """A mask of 60 mm, lying on its back."""
    return sculpt(head, SculptureSettings(height_mm=60, style="mask", lean_deg=90, max_triangles=40_000))


def test_a_mask_lies_flat_on_its_back_and_needs_no_supports(mask: Sculpture) -> None:
    mesh = trimesh.Trimesh(mask.vertices, mask.triangles, process=False)
    assert mask.checks["watertight"] and mask.checks["manifold"] and mesh.body_count == 1
    width, height, depth = mesh.extents
    assert height == pytest.approx(60, rel=0.005) and depth < width < height
    # Its back is one plane, and all of it: nowhere is it wider than on the bed.
    assert mask.checks["base_area_mm2"] > 0.6 * width * height
    costs = measure(mask)
    assert costs.overhang_mm2 < 0.01 * mesh.area and costs.tip_deg > 45
    assert costs.gaze_deg == pytest.approx(0, abs=12)


def test_a_mask_is_the_whole_face_without_the_ears(mask: Sculpture) -> None:
    mesh = trimesh.Trimesh(mask.vertices, mask.triangles, process=False)
    cheeks = [127, 356, 234, 454, 93, 323]
    outer = {234, 454, 127, 356, 93, 323, 132, 361, 162, 389, 58, 288, 21, 251}
    inner = [point for point in range(0, 468, 5) if point not in outer]
    _, distance, _ = trimesh.proximity.closest_point(mesh, mask.landmarks[inner])
    assert np.quantile(distance, 0.95) < 0.2
    # The cheeks' hindmost points, where the ears begin, are behind the back.
    assert (mask.landmarks[cheeks, 2] < 0).all()


def test_a_mask_stands_on_its_chin(head, mask: Sculpture) -> None:
    upright = sculpt(head, SculptureSettings(height_mm=60, style="mask", max_triangles=40_000))
    assert upright.vertices[:, 2].min() == 0 and upright.vertices[:, 2].max() == pytest.approx(60, abs=0.01)
    costs = measure(upright)
    assert costs.base_area_mm2 > 0.95 * FOOT * 60**2 and costs.tip_deg > 7
    # Only the underside of the chin is cut away: of a face, mouth to chin, next to all is there.
    mouth, chin = upright.landmarks[[17, 152], 2]
    assert chin > -0.2 * (mouth - chin)
    # One that lies needs no foot.
    assert np.ptp(standing(mask)[:, 2]) == pytest.approx(60, rel=0.005)
    assert mask.landmarks[152, 1] - mask.vertices[:, 1].min() > 1.5


def test_a_mask_without_a_chin_is_cut_below_the_mouth_at_most() -> None:
    from manifold3d import Manifold

    cone = Manifold.cylinder(100, 0.5, 10)
    low = on_its_chin(cone, 20.0).bounding_box()[2]
    assert 18 < low < 20
    # Where there is a foot at once, nothing more is cut off.
    assert on_its_chin(Manifold.cylinder(100, 20, 30), 20.0).bounding_box()[2] == pytest.approx(1)


def test_a_mask_can_not_be_tilted() -> None:
    with pytest.raises(SculptureError) as caught:
        SculptureSettings(style="mask", tilt_deg=10)
    assert caught.value.code == "orientation_unknown"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"height_mm": 5}, "height_out_of_range"),
        ({"height_mm": float("nan")}, "height_out_of_range"),
        ({"style": "relief"}, "style_unavailable"),
        ({"max_triangles": 10}, "triangles_out_of_range"),
    ],
)
def test_impossible_settings_are_refused(settings: dict, code: str) -> None:
    with pytest.raises(SculptureError) as caught:
        SculptureSettings(**settings)
    assert caught.value.code == code


def test_what_is_no_solid_is_refused(head) -> None:
    nothing = replace(head, vertices=np.zeros((0, 3), np.float32), triangles=np.zeros((0, 3), np.int32))
    opened = replace(head, triangles=head.triangles[:-500])
    wild = replace(head, vertices=np.where(np.arange(len(head.vertices))[:, None] == 5, np.nan, head.vertices))
    speck = replace(head, vertices=head.vertices / 100)
    for broken, code in ((nothing, "empty_head"), (opened, "not_manifold"), (wild, "empty_head"), (speck, "empty_head")):
        with pytest.raises(SculptureError) as caught:
            sculpt(broken, SculptureSettings(height_mm=40))
        assert caught.value.code == code


def test_everything_is_saved_and_can_be_read_back(bust, tmp_path: Path) -> None:
    files = save(bust, tmp_path)
    for kind in ("stl", "3mf"):
        mesh = trimesh.load(files[kind], force="mesh")
        assert mesh.is_watertight
        np.testing.assert_allclose(sorted(mesh.extents), sorted(np.ptp(bust.vertices, axis=0)), rtol=1e-3)
    glb = trimesh.load(files["glb"], force="mesh")
    assert glb.extents[1] == pytest.approx(0.040, rel=1e-3)  # metres, y up
    page = files["viewer"].read_text()
    assert "THREE" in page and 'src="http' not in page
    assert files["front"].stat().st_size > 10_000
    assert not list(tmp_path.glob("*.part"))


def test_unknown_formats_are_refused(bust, tmp_path: Path) -> None:
    with pytest.raises(SculptureError, match="format_unknown"):
        export_mesh(bust.vertices, bust.triangles, tmp_path / "bust.step")


def test_previews_show_front_and_profile(bust) -> None:
    front, profile = clay(bust.vertices, bust.triangles, 0, 160), clay(bust.vertices, bust.triangles, -90, 160)
    solid = [(np.abs(p.astype(int) - p[0, 0]).max(2) > 12) for p in (front, profile)]
    width = [np.ptp(np.flatnonzero(s[20:110].any(0))) for s in solid]
    assert solid[0].mean() > 0.12
    # From the side the head is deeper than it is wide, and it is symmetric from the front only.
    assert width[1] > width[0]
    assert (solid[0] ^ solid[0][:, ::-1]).mean() < (solid[1] ^ solid[1][:, ::-1]).mean()


def test_the_bust_ends_above_the_rough_underside_of_the_head(head) -> None:
    """Between bust and plinth there is one level cut, as wide as the neck all around."""
    sculpture = sculpt(head, SculptureSettings(height_mm=100))
    mesh = trimesh.Trimesh(sculpture.vertices, sculpture.triangles, process=False)
    down = mesh.face_normals[:, 2] < -0.9
    heights = mesh.triangles_center[down, 2]
    areas = mesh.area_faces[down]
    chin = sculpture.landmarks[152, 2]
    underside = (heights > 2) & (heights < chin - 6)
    level = np.average(heights[underside], weights=areas[underside])
    spread = np.sqrt(np.average((heights[underside] - level) ** 2, weights=areas[underside]))
    assert spread < 1.0


def test_the_back_of_a_bust_prints_without_supports(head) -> None:
    """But for the level cut above the plinth, nothing below the chin leans out as far as columns are needed."""
    sculpture = sculpt(head, SculptureSettings(height_mm=100, hair=False))
    mesh = trimesh.Trimesh(sculpture.vertices, sculpture.triangles, process=False)
    behind = mesh.triangles_center[:, 1] > sculpture.landmarks[[234, 454], 1].mean()
    below = (mesh.triangles_center[:, 2] > 2) & (mesh.triangles_center[:, 2] < sculpture.landmarks[152, 2])
    lean = np.degrees(np.arcsin(-mesh.face_normals[:, 2]))
    assert mesh.area_faces[behind & below & (lean > COLUMN_DEG) & (lean < 80)].sum() < 40


def test_the_chin_is_whole(head) -> None:
    """The bowl that carves the chest must not reach the face."""
    sculpture = sculpt(head, SculptureSettings(height_mm=100, hair=False))
    mesh = trimesh.Trimesh(sculpture.vertices, sculpture.triangles, process=False)
    _, distance, _ = trimesh.proximity.closest_point(mesh, sculpture.landmarks[::10])
    assert distance.max() < 0.6


def test_surfaces_that_meet_in_a_point_are_told_apart_in_an_stl_file(tmp_path: Path) -> None:
    one, two = trimesh.creation.box((2, 2, 2)), trimesh.creation.box((2, 2, 2)).apply_translation((2, 2, 2))
    vertices = np.concatenate([one.vertices, two.vertices])
    triangles = np.concatenate([one.faces, two.faces + len(one.vertices)])
    moved = apart(vertices, triangles)
    assert len(np.unique(moved.astype(np.float32), axis=0)) == len(vertices) > len(np.unique(vertices, axis=0))
    far = np.linalg.norm(moved - vertices, axis=1)
    assert (far > 0).sum() == 2 and far.max() <= 0.0011
    export_mesh(moved, triangles, tmp_path / "apart.stl")
    assert trimesh.load(tmp_path / "apart.stl").is_watertight


def ball_in_a_head_that_overlaps_itself() -> tuple[np.ndarray, np.ndarray]:
    """What a cut makes of it: where both layers are, two sheets upon each other, which face the same way."""
    one, two = trimesh.creation.box((20, 20, 20)), trimesh.creation.box((20, 20, 20)).apply_translation((7, 2, 1))
    layers = one + two
    ball = trimesh.creation.icosphere(2, 9)
    return mesh_of(solid_of(layers.vertices, layers.faces) ^ solid_of(ball.vertices, ball.faces))


def flap_on_a_box() -> tuple[np.ndarray, np.ndarray]:
    """A sheet of no thickness: its two sides have a rim in common."""
    turn = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    ring = np.c_[np.cos(turn), np.sin(turn), np.full(8, 3.5)] * 2
    sheet = np.concatenate([ring * [2, 2, 1], ring, [[0, 0, 7]]])
    top = [
        corners
        for a, b in zip(range(8), [*range(1, 8), 0], strict=True)
        for corners in ((a, b, b + 8), (a, b + 8, a + 8), (a + 8, b + 8, 16))
    ]
    # The other side has the rim's eight vertices, and nine of its own.
    other = np.r_[:8, 17:26]
    box = trimesh.creation.box((10, 10, 10))
    vertices = np.concatenate([sheet, sheet[8:], box.vertices])
    return vertices, np.concatenate([top, other[np.array(top)[:, ::-1]], box.faces + 26])


def pyramids_on_one_base() -> tuple[np.ndarray, np.ndarray]:
    """The middle of the base has the same neighbours in both."""
    corners = [[0, 0, 0], [4, 0, 0], [4, 4, 0], [0, 4, 0], [2, 2, 0]]
    sides = [[0, 1, 5], [1, 2, 5], [2, 3, 5], [3, 0, 5], [1, 0, 4], [2, 1, 4], [3, 2, 4], [0, 3, 4]]
    vertices = np.array([*corners, [2, 2, 5], *corners, [2, 1, 3]], float)
    return vertices, np.concatenate([sides, np.array(sides) + 6]).astype(np.int32)


@pytest.mark.parametrize("made", [ball_in_a_head_that_overlaps_itself, flap_on_a_box, pyramids_on_one_base])
def test_sheets_upon_each_other_are_told_apart_in_files(made, tmp_path: Path) -> None:
    vertices, triangles = made()
    vertices = vertices - [0, 0, vertices[:, 2].min()]
    # What a file does not hold is no promise.
    with pytest.raises(SculptureError, match="not_manifold"):
        check(vertices, triangles)
    moved = apart(vertices, triangles)
    assert len(np.unique(moved.astype(np.float32), axis=0)) == len(vertices)
    assert np.linalg.norm(moved - vertices, axis=1).max() < 0.003
    checks = check(moved, triangles)
    assert checks["watertight"] and checks["manifold"]
    for kind in ("stl", "3mf"):
        export_mesh(moved, triangles, tmp_path / f"apart.{kind}")
        assert trimesh.load_mesh(tmp_path / f"apart.{kind}").is_watertight


def test_what_is_moved_onto_another_place_is_moved_again() -> None:
    one, two, three = (trimesh.creation.box((2, 2, 2)) for _ in range(3))
    pair = one + two.apply_translation((2, 2, 2))
    vertices, triangles = np.asarray(pair.vertices), np.asarray(pair.faces)
    moved = apart(vertices, triangles)
    taken = moved[np.linalg.norm(moved - vertices, axis=1).argmax()]
    three.vertices += taken - three.vertices[0]
    vertices, triangles = np.concatenate([vertices, three.vertices]), np.concatenate([triangles, three.faces + len(vertices)])
    moved = apart(vertices, triangles)
    assert len(np.unique(moved.astype(np.float32), axis=0)) == len(vertices)


def test_what_has_no_twins_stays_as_it_is(bust) -> None:
    assert apart(bust.vertices, bust.triangles) is bust.vertices
    factor = 60 / bust.settings.height_mm
    assert (scaled(bust, 60).vertices == bust.vertices * factor).all()


def test_a_sculpture_has_the_photos_hair_unless_it_is_not_wanted(head) -> None:
    bald, haired = (sculpt(head, SculptureSettings(height_mm=150, style="head", hair=hair)) for hair in (False, True))
    assert haired.checks["manifold"]
    of_face = [one.landmarks[152, 2] - one.landmarks[10, 2] for one in (bald, haired)]
    # Of two heads that are as high, the face is the smaller one under hair.
    assert of_face[1] / of_face[0] < 0.95
    without = sculpt(replace(head, hair=None), SculptureSettings(height_mm=150, style="head"))
    np.testing.assert_array_equal(without.vertices, bald.vertices)


@pytest.mark.parametrize(
    "settings",
    [
        {"style": "mask", "lean_deg": 90.0},
        {"style": "mask"},
        {"style": "bust", "tilt_deg": 20.0},
        {"style": "bust", "lean_deg": 90.0},
    ],
)
def test_hair_is_part_of_a_solid_in_every_pose(head, settings) -> None:
    sculpture = sculpt(head, SculptureSettings(height_mm=100, **settings))
    assert sculpture.checks["manifold"]
    assert len(trimesh.Trimesh(sculpture.vertices, sculpture.triangles, process=False).split(only_watertight=False)) == 1
