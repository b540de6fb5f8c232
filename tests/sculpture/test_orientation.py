"""What a pose costs: shapes whose supports can be computed by hand, and a real head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from octoprint_facesculpt.sculpture import SculptureError, SculptureSettings, sculpt
from octoprint_facesculpt.sculpture.costs import Costs, gaze, measure, support_volume, tipping_angle
from octoprint_facesculpt.sculpture.export import export_mesh
from octoprint_facesculpt.sculpture.orientation import POSES, Pose, candidates, cost, parse_orientation, posed
from octoprint_facesculpt.sculpture.shaping import Sculpture, check, lying_angle
from octoprint_facesculpt.slicing import SliceRequest, slice_model


def overhanging(mesh: trimesh.Trimesh) -> np.ndarray:
    return (mesh.face_normals[:, 2] < -0.9) & (mesh.triangles[:, :, 2].min(1) > 0.3)


def volume(mesh: trimesh.Trimesh, pitch: float = 0.5) -> float:
    return support_volume(np.asarray(mesh.vertices, float), np.asarray(mesh.faces), overhanging(mesh), pitch)


def box(*size: float, at: tuple[float, float, float]) -> trimesh.Trimesh:
    """A box by its size and the middle of its lower face."""
    made = trimesh.creation.box(size)
    made.apply_translation((at[0], at[1], at[2] + size[2] / 2))
    return made


def test_nothing_is_supported_under_what_stands_on_the_bed() -> None:
    assert volume(box(20, 20, 20, at=(0, 0, 0))) == 0
    assert volume(trimesh.creation.cone(10, 30)) == 0


def test_support_reaches_down_to_the_bed() -> None:
    plate = box(24, 8, 4, at=(0, 0, 12))
    mushroom = trimesh.boolean.union([box(6, 6, 12.001, at=(0, 0, 0)), plate], engine="manifold")
    assert volume(mushroom) == pytest.approx((24 * 8 - 6 * 6) * 12, rel=0.05)


def test_support_reaches_down_to_what_is_below_it() -> None:
    """A table whose top hangs over a wider step of its own foot."""
    parts = [box(20, 20, 5, at=(0, 0, 0)), box(4, 4, 20.001, at=(0, 0, 0)), box(20, 20, 3, at=(0, 0, 20))]
    table = trimesh.boolean.union(parts, engine="manifold")
    assert volume(table) == pytest.approx((20 * 20 - 4 * 4) * 15, rel=0.05)


def test_the_grid_does_not_matter() -> None:
    ball = trimesh.creation.icosphere(5, 20)
    ball.apply_translation((0.3, 0.1, 20))
    coarse, fine = volume(ball, 1.0), volume(ball, 0.25)
    assert coarse == pytest.approx(fine, rel=0.05) and fine > 0


@pytest.mark.parametrize(("lean", "held"), [(48, False), (52, True)])
def test_columns_grow_before_a_surface_counts_as_an_overhang(lean: float, held: bool) -> None:
    """Below a goblet whose bowl leans out."""
    bowl = trimesh.creation.revolve([(0, 0), (5, 0), (5, 10), (5 + 20 * np.tan(np.radians(lean)), 30), (0, 30)])
    mesh = np.asarray(bowl.vertices), np.asarray(bowl.faces, np.int32)
    costs = measure(Sculpture(*mesh, np.zeros((478, 3)), SculptureSettings(height_mm=30), check(*mesh)))
    assert (costs.support_mm3 > 0) is held and costs.overhang_mm2 == 0


def test_time_and_filament_are_those_of_a_sliced_print(head, tmp_path: Path) -> None:
    (found,) = candidates(head, SculptureSettings(height_mm=80), (Pose("tilt_10", 10.0),))
    model = export_mesh(found.sculpture.vertices, found.sculpture.triangles, tmp_path / "bust.stl")
    sliced = slice_model(model, tmp_path / "bust.gcode", SliceRequest(engine="prusaslicer", profile="bust_028"))
    assert found.costs.seconds == pytest.approx(sliced.estimated_seconds, rel=0.15)
    assert found.costs.filament_g == pytest.approx(sliced.filament_g, rel=0.15)


@pytest.mark.parametrize(("size", "angle"), [((20, 20, 20), 45), ((10, 40, 50), np.degrees(np.arctan(5 / 25)))])
def test_a_box_tips_over_its_nearest_edge(size: tuple[float, float, float], angle: float) -> None:
    mesh = box(*size, at=(3, 4, 0))
    assert tipping_angle(np.asarray(mesh.vertices), np.asarray(mesh.faces)) == pytest.approx(angle, abs=0.1)


def test_what_does_not_stand_has_no_angle() -> None:
    mesh = box(20, 20, 20, at=(0, 0, 1))
    assert tipping_angle(np.asarray(mesh.vertices), np.asarray(mesh.faces)) == 0
    leaning = box(4, 4, 4, at=(0, 0, 0)) + box(4, 4, 40, at=(30, 0, 4))
    assert tipping_angle(np.asarray(leaning.vertices), np.asarray(leaning.faces)) == 0


@pytest.mark.parametrize("tilt", [-1.0, 26.0, float("nan")])
def test_an_impossible_lean_is_refused(tilt: float) -> None:
    with pytest.raises(SculptureError, match="orientation_unknown"):
        SculptureSettings(tilt_deg=tilt)


@pytest.mark.parametrize("lean", [-1.0, 101.0, float("nan")])
def test_an_impossible_lean_of_the_whole_is_refused(lean: float) -> None:
    with pytest.raises(SculptureError, match="orientation_unknown"):
        SculptureSettings(lean_deg=lean)


@pytest.mark.parametrize(
    ("text", "pose"),
    [
        ("auto", None), ("upright", POSES[0]), ("lying", POSES[-1]), ("leaning", POSES[-2]), ("12.5", Pose("", 12.5)),
        ("tilt_10", Pose("tilt_10", 10.0)), ("leaning:25", Pose("leaning", 0.0, 25.0)),
    ],
)  # fmt: skip
def test_poses_are_written_as_text(text: str, pose: Pose | None) -> None:
    assert parse_orientation(text) == pose


def test_a_mask_lies_best(head) -> None:
    ranked = candidates(head, SculptureSettings(height_mm=60, style="mask"))
    assert [candidate.pose.key for candidate in ranked] == ["lying", "upright"]
    assert ranked[0].settings == (0.0, 90.0) and parse_orientation("lying", "mask") == ranked[0].pose


@pytest.mark.parametrize("text", ["", "sideways", "leaning:", "lying:3", "tilt_7", ":4:"])
def test_other_texts_are_no_poses(text: str) -> None:
    with pytest.raises(SculptureError, match="orientation_unknown"):
        parse_orientation(text)


SETTINGS = SculptureSettings(height_mm=80, max_triangles=40_000)


@pytest.fixture(scope="module")
def found(head):
    return candidates(head, SETTINGS)


@pytest.fixture(scope="module")
def poses(found):
    return {candidate.pose.key: candidate for candidate in found}


def test_tilting_the_head_takes_the_supports_off_the_face(poses) -> None:
    upright, back = poses["upright"].costs, poses["tilt_20"].costs
    assert back.face_overhang_mm2 < 0.6 * upright.face_overhang_mm2
    assert upright.face_overhang_mm2 <= upright.overhang_mm2 and upright.support_mm3 > 0


def test_tilting_the_head_keeps_the_foot_and_the_height(poses) -> None:
    tilted = [candidate for candidate in poses.values() if not candidate.sculpture.settings.lean_deg]
    assert len(tilted) == 5
    for candidate in tilted:
        assert candidate.costs.height_mm == pytest.approx(80, abs=0.01)
        assert candidate.sculpture.checks["watertight"] and candidate.costs.tip_deg > 8
        assert candidate.costs.base_area_mm2 == pytest.approx(poses["upright"].costs.base_area_mm2, rel=0.3)


def test_lying_is_lower_and_keeps_the_face_off_the_supports(poses) -> None:
    lying, upright = poses["lying"], poses["upright"]
    assert 80 < lying.sculpture.settings.lean_deg < 100 and lying.costs.height_mm < 60
    assert lying.costs.face_overhang_mm2 < 0.3 * upright.costs.face_overhang_mm2
    # Terraces on nose, forehead and cheeks, and next to nothing on the bed.
    assert lying.costs.face_rough_mm2 > 1.5 * upright.costs.face_rough_mm2
    assert 10 < lying.costs.base_area_mm2 < 0.3 * upright.costs.base_area_mm2


def test_leaning_back_as_a_whole_stands_on_supports(poses) -> None:
    leaning, upright = poses["leaning"].costs, poses["upright"].costs
    assert leaning.tip_deg < 1 and leaning.support_mm3 > 1.3 * upright.support_mm3 and leaning.seconds > upright.seconds


def test_the_landmarks_stay_on_the_face(poses) -> None:
    for candidate in poses.values():
        mesh = trimesh.Trimesh(candidate.sculpture.vertices, candidate.sculpture.triangles)
        distance = trimesh.proximity.closest_point(mesh, candidate.sculpture.landmarks[::40])[1]
        assert np.median(distance) < 0.7, candidate.pose


def test_the_face_turns_up_by_the_tilt_and_is_upright_again_when_the_print_stands(poses) -> None:
    upright = poses["upright"].costs.gaze_deg
    assert poses["tilt_20"].costs.gaze_deg - upright == pytest.approx(20, abs=0.5)
    for key in ("lying", "leaning"):
        assert poses[key].costs.gaze_deg == pytest.approx(upright, abs=0.5)
        assert gaze(poses[key].sculpture.landmarks) - upright == pytest.approx(poses[key].sculpture.settings.lean_deg, abs=0.5)


def test_the_best_pose_looks_straight_ahead_and_comes_first(found) -> None:
    costs = [candidate.cost for candidate in found]
    assert costs == sorted(costs) and len(costs) == len(POSES)
    assert abs(found[0].costs.gaze_deg) < 7 and found[0].sculpture.settings.lean_deg == 0
    figures = found[0].to_json()
    assert {"pose", "tilt_deg", "lean_deg", "cost", "seconds", "filament_g", "face_overhang_mm2", "tip_deg"} <= set(figures)


def test_a_pose_is_made_as_it_was_compared(head, poses) -> None:
    settings = posed(head, SETTINGS, POSES[-1])
    assert settings.lean_deg == pytest.approx(poses["lying"].sculpture.settings.lean_deg, abs=1)
    assert posed(head, SETTINGS, Pose("", 12.5)).tilt_deg == 12.5


PLAIN = Costs(3600, 20, 0, 0, 0, 0, 1000, 100, 20, 0)


@pytest.mark.parametrize(
    ("change", "dearer"),
    [
        ({"seconds": 3960}, 0.1), ({"face_overhang_mm2": 100.0}, 0.03 * 2.56), ({"face_rough_mm2": 100.0}, 0.01 * 2.56),
        ({"gaze_deg": 2.0}, 0), ({"gaze_deg": 7.0}, 0.04), ({"gaze_deg": -12.0}, 0.16), ({"tip_deg": 4.0}, 0.15),
        ({"base_area_mm2": 250.0}, 0.15), ({"base_area_mm2": 600.0}, 0),
    ],
)  # fmt: skip
def test_what_a_pose_costs_beside_time(change: dict[str, float], dearer: float) -> None:
    """Of a sculpture of 100 mm, whose scars count as 2.56 times as large on one of 160 mm."""
    assert cost(100, PLAIN, 3600) == pytest.approx(0)
    assert cost(100, replace(PLAIN, **change), 3600) == pytest.approx(dearer)


def test_a_sculpture_lies_on_its_two_hindmost_places() -> None:
    """A post with a ball behind its top: the line from its foot to the ball becomes level."""
    post, ball = box(10, 10, 80, at=(0, 0, 0)), trimesh.creation.icosphere(4, 20)
    ball.apply_translation((0, 5, 80))
    vertices = np.asarray((post + ball).vertices)
    lean = np.radians(lying_angle(vertices))
    height = -np.sin(lean) * vertices[:, 1] + np.cos(lean) * vertices[:, 2]
    lowest = height.min()
    assert np.abs(height[vertices[:, 2] == 0].min() - lowest) < 1e-6
    assert np.abs(height[vertices[:, 2] > 60].min() - lowest) < 1e-6


def test_the_costs_scale_with_the_sculpture(head) -> None:
    small, large = (measure(sculpt(head, SculptureSettings(height_mm=h, max_triangles=40_000))) for h in (40, 80))
    assert large.support_mm3 == pytest.approx(8 * small.support_mm3, rel=0.2)
    assert large.face_overhang_mm2 == pytest.approx(4 * small.face_overhang_mm2, rel=0.2)
    assert large.tip_deg == pytest.approx(small.tip_deg, abs=0.5)
