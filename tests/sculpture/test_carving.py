"""A relief is carved into a surface that stays closed, and teeth are set into the mouth."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from octoprint_facesculpt.sculpture import SculptureError, SculptureSettings, sculpt
from octoprint_facesculpt.sculpture.carving import EDGE_MM, carved, halved, teeth
from octoprint_facesculpt.sculpture.shaping import solid_of


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.7, 1.0])
def test_a_surface_that_is_made_finer_in_part_stays_closed(share: float) -> None:
    ball = trimesh.creation.icosphere(subdivisions=3, radius=20)
    chosen = np.random.default_rng(3).random(len(ball.faces)) < share
    points, triangles = halved(np.asarray(ball.vertices), np.asarray(ball.faces), chosen)
    finer = trimesh.Trimesh(points, triangles, process=False)
    assert finer.is_watertight and finer.is_winding_consistent
    assert finer.volume == pytest.approx(ball.volume)
    assert (len(triangles) > len(ball.faces)) == bool(chosen.any())
    if share == 1:
        assert len(triangles) == 4 * len(ball.faces)


def test_short_edges_are_left() -> None:
    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.9 * EDGE_MM / 0.09)
    assert ball.edges_unique_length.max() < EDGE_MM
    _, triangles = halved(np.asarray(ball.vertices), np.asarray(ball.faces), np.ones(len(ball.faces), bool))
    assert len(triangles) == len(ball.faces)


def test_a_carved_head_is_finer_where_it_is_carved_and_as_it_was_behind(head) -> None:
    smooth, rough = carved(head, 0.0), carved(head, 1.0)
    np.testing.assert_array_equal(smooth[0], head.vertices)
    assert len(rough[0]) > 1.05 * len(smooth[0])
    back = head.vertices[:, 2] < -60
    np.testing.assert_array_equal(rough[0][: len(back)][back], head.vertices[back])
    moved = np.linalg.norm(rough[0][: len(back)] - head.vertices, axis=1)
    half = np.linalg.norm(carved(head, 0.5)[0][: len(back)] - head.vertices, axis=1)
    assert moved.max() > 1
    np.testing.assert_allclose(half, moved / 2, atol=1e-6)


def test_teeth_are_a_solid_in_the_mouth(head) -> None:
    vertices, triangles = teeth(head)
    solid = solid_of(vertices, triangles)
    assert solid.volume() > 500
    mouth = head.landmarks[[61, 291, 0, 17]]
    assert (vertices[:, :2] > mouth[:, :2].min(0) - 8).all() and (vertices[:, :2] < mouth[:, :2].max(0) + 8).all()


def test_a_sculpture_has_the_detail_that_is_asked_for(head) -> None:
    smooth, usual = (sculpt(head, SculptureSettings(height_mm=150, style="head", detail=detail)) for detail in (0.0, 1.0))
    assert usual.checks["manifold"] and usual.checks["triangles"] > smooth.checks["triangles"]
    # Mouth and nostrils apart it is a matter of less than a millimetre, and the teeth fill the mouth.
    assert 0 < usual.checks["volume_mm3"] - smooth.checks["volume_mm3"] < 0.02 * smooth.checks["volume_mm3"]
    meshes = [trimesh.Trimesh(one.vertices, one.triangles, process=False) for one in (smooth, usual)]
    iris = usual.landmarks[468]
    places = iris + np.array([[x, 0, z] for x in np.arange(-1.5, 1.6, 0.25) for z in np.arange(-1.5, 1.6, 0.25)])
    smooth_hits, usual_hits = (first_hits(mesh, places) for mesh in meshes)
    assert (usual_hits - smooth_hits).max() > 0.4


def first_hits(mesh: trimesh.Trimesh, places: np.ndarray) -> np.ndarray:
    """y of the surface in front of some places (N, 3), as the face looks towards -y."""
    origins = places - [0, 60, 0]
    hits, rays, _ = mesh.ray.intersects_location(origins, np.tile([0.0, 1.0, 0.0], (len(origins), 1)), multiple_hits=False)
    return hits[np.argsort(rays), 1]


@pytest.mark.parametrize("detail", [-0.1, 1.6, float("nan")])
def test_impossible_detail_is_refused(detail: float) -> None:
    with pytest.raises(SculptureError) as refused:
        SculptureSettings(detail=detail)
    assert refused.value.code == "detail_out_of_range"
