"""The map around a head holds what surrounds it, and gives it back as a closed mesh."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from octoprint_facesculpt.reconstruction.around import SHAPE, UPPER, Around, smoothed


@pytest.fixture(scope="module")
def around() -> Around:
    return Around(np.array([1.0, 5.0, -90.0]))


def test_the_outermost_place_of_a_mesh_is_found_on_every_ray(around) -> None:
    ball = trimesh.creation.icosphere(subdivisions=5, radius=80)
    inner = trimesh.creation.icosphere(subdivisions=4, radius=40)
    points = np.concatenate([ball.vertices, inner.vertices]) + around.middle
    triangles = np.concatenate([ball.faces, inner.faces + len(ball.vertices)])
    found = around.outermost(points, triangles)
    np.testing.assert_allclose(found[:UPPER], 80, atol=0.3)
    # Below the middle rays are level, and end with the ball.
    below = around.middle[1] - around.origins[UPPER:, 0, 1]
    there = below < 75
    np.testing.assert_allclose(found[UPPER:][there], np.sqrt(80**2 - below[there] ** 2)[:, None].repeat(SHAPE[1], 1), atol=0.6)
    assert (found[UPPER:][below > 82] == 0).all()


def test_sides_are_where_they_are_said_to_be(around) -> None:
    ball = trimesh.creation.icosphere(subdivisions=4, radius=80)
    left = np.array([100.0, 0, 0])
    found = around.outermost(ball.vertices + around.middle + left, ball.faces)
    assert around.turn[found[UPPER].argmax()] == pytest.approx(90, abs=2)
    front = around.outermost(ball.vertices + around.middle + [0, 0, 100.0], ball.faces)
    assert around.turn[front[UPPER].argmax()] == pytest.approx(0, abs=2)
    # What lies across the first and the last column is in one piece.
    back = around.outermost(ball.vertices + around.middle - [0, 0, 100.0], ball.faces)
    assert back[UPPER, [0, -1]] == pytest.approx(180, abs=1)


def test_a_map_becomes_a_closed_mesh_and_is_found_in_it_again(around) -> None:
    waves = np.sin(np.radians(3 * around.turn)) * np.sin(around.down / 40)[:, None]
    distance = 90 + 8 * waves
    vertices, triangles = around.mesh(distance)
    mesh = trimesh.Trimesh(vertices, triangles, process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0
    inside = slice(8, SHAPE[0] - 2)
    np.testing.assert_allclose(around.outermost(vertices, triangles)[inside], distance[inside], atol=0.4)


def test_a_blur_goes_around(around) -> None:
    spot = np.zeros(SHAPE)
    spot[90, 0] = 1.0
    soft = smoothed(spot, 3)
    assert soft[90, -1] == pytest.approx(soft[90, 1]) and soft[90, -1] > 0
