"""What a lean costs: shapes whose supports can be computed by hand, and a real head."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from octoprint_facesculpt.sculpture import SculptureError, SculptureSettings, sculpt
from octoprint_facesculpt.sculpture.orientation import candidates, measure, support_volume, tipping_angle


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


@pytest.fixture(scope="module")
def leans(head):
    return {c.tilt_deg: c for c in candidates(head, SculptureSettings(height_mm=80, max_triangles=40_000), (0.0, 20.0))}


def test_leaning_back_takes_the_supports_off_the_face(leans) -> None:
    upright, back = leans[0.0].costs, leans[20.0].costs
    assert back.face_overhang_mm2 < 0.6 * upright.face_overhang_mm2
    assert upright.face_overhang_mm2 <= upright.overhang_mm2 and upright.support_mm3 > 0


def test_leaning_back_keeps_the_foot_and_the_height(leans) -> None:
    for lean in leans.values():
        assert lean.sculpture.vertices[:, 2].max() == pytest.approx(80, abs=0.01)
        assert lean.sculpture.checks["watertight"] and lean.costs.tip_deg > 8
    assert leans[20.0].costs.base_area_mm2 == pytest.approx(leans[0.0].costs.base_area_mm2, rel=0.3)


def test_the_landmarks_stay_on_the_face(leans) -> None:
    for lean in leans.values():
        mesh = trimesh.Trimesh(lean.sculpture.vertices, lean.sculpture.triangles)
        distance = trimesh.proximity.closest_point(mesh, lean.sculpture.landmarks[::40])[1]
        assert np.median(distance) < 0.5


def test_the_face_turns_up_by_the_lean(leans) -> None:
    def up(lean) -> float:
        forehead, chin = lean.sculpture.landmarks[10], lean.sculpture.landmarks[152]
        return np.degrees(np.arctan2(forehead[1] - chin[1], forehead[2] - chin[2]))

    assert up(leans[20.0]) - up(leans[0.0]) == pytest.approx(20, abs=0.5)


def test_the_best_comes_first_with_its_figures(head) -> None:
    found = candidates(head, SculptureSettings(height_mm=60, max_triangles=20_000), (0.0, 10.0))
    assert found[0].cost <= found[1].cost
    assert {"tilt_deg", "cost", "support_mm3", "face_overhang_mm2", "tip_deg"} <= set(found[0].to_json())


def test_the_costs_scale_with_the_sculpture(head) -> None:
    small, large = (measure(sculpt(head, SculptureSettings(height_mm=h, max_triangles=40_000))) for h in (40, 80))
    assert large.support_mm3 == pytest.approx(8 * small.support_mm3, rel=0.2)
    assert large.face_overhang_mm2 == pytest.approx(4 * small.face_overhang_mm2, rel=0.2)
    assert large.tip_deg == pytest.approx(small.tip_deg, abs=0.5)
