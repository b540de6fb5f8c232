"""The renderer of training pictures on a ball whose picture is known."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

SIZE, RADIUS = 64, 20.0


@pytest.fixture(scope="module")
def render():
    import render

    return render


@pytest.fixture(scope="module")
def ball() -> tuple[np.ndarray, np.ndarray]:
    """Vertices in mm (x right, y up, z towards the viewer) and triangles, counter-clockwise from outside."""
    mesh = trimesh.creation.icosphere(4, RADIUS)
    return mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32)


def in_pixels(points: np.ndarray) -> np.ndarray:
    return (points * [1, -1, 1] + [SIZE / 2, SIZE / 2, 0]).astype(np.float32)


def picture_of(render, ball, lamps: np.ndarray, shadow_of: np.ndarray | None = None) -> np.ndarray:
    points, triangles = ball
    index, weights, _ = render.rasterise(in_pixels(points), triangles, SIZE, SIZE)
    normals = render.vertex_normals(points, triangles)
    direction = lamps[0, :3]
    right = np.cross([0.0, 1.0, 0.0], direction)
    right /= np.linalg.norm(right)
    light = np.stack([right, np.cross(direction, right), direction, [SIZE, 1.0, 1.0]]).astype(np.float32)
    depth = np.empty((0, 0), np.float32)
    if shadow_of is not None:
        depth = render.depth_map((shadow_of @ light[:3].T).astype(np.float32), triangles, SIZE, 1.0)
    sky = np.float32([0.1, 0.1, 0.1, 0, 0, 1, 0])
    picture = np.full((SIZE, SIZE, 3), 0.5, np.float32)
    render.shade(index, weights, triangles, np.full_like(points, 0.8), normals, points, sky, lamps, light, depth, picture)
    return picture


def lamp(*direction: float) -> np.ndarray:
    unit = np.array(direction) / np.linalg.norm(direction)
    return np.float32([[*unit, 1.0, 1, 1, 1, 0, 10]])


def test_the_ball_covers_its_circle(render, ball) -> None:
    points, triangles = ball
    index, weights, depth = render.rasterise(in_pixels(points), triangles, SIZE, SIZE)
    assert (index >= 0).sum() == pytest.approx(np.pi * RADIUS**2, rel=0.02)
    assert depth.max() == pytest.approx(RADIUS, abs=0.3)
    np.testing.assert_allclose(weights[index >= 0].sum(1), 1, atol=1e-4)


def test_the_side_towards_the_lamp_is_brighter_and_the_background_stays(render, ball) -> None:
    picture = picture_of(render, ball, lamp(1, 0, 1))[..., 0]
    row = picture[SIZE // 2]
    assert row[SIZE // 2 + 12] > 1.5 * row[SIZE // 2 - 12]
    assert picture[0, 0] == 0.5


def test_what_stands_before_the_lamp_throws_a_shadow(render, ball) -> None:
    points, _ = ball
    lit = picture_of(render, ball, lamp(0, 0, 1))
    shaded = picture_of(render, ball, lamp(0, 0, 1), shadow_of=points * 0.5 + [0, 0, 40])
    assert lit[SIZE // 2, SIZE // 2, 0] > 2 * shaded[SIZE // 2, SIZE // 2, 0]
    # Beside the small ball's shadow everything is as it was.
    np.testing.assert_allclose(shaded[SIZE // 2 - 15], lit[SIZE // 2 - 15], atol=1e-5)


def test_waves_are_the_sum_of_their_sines(render) -> None:
    points = np.float32([[1, 2, 3], [0, 0, 0]])
    directions, phases = np.float32([[0.1, 0.2, 0.3], [1, 0, 0]]), np.float32([0.5, 1.0])
    expected = np.sin(points @ directions.T + phases).sum(1)
    np.testing.assert_allclose(render.waves(points, directions, phases), expected, atol=1e-5)
