"""Training batches of a ball with a nose: every target says where things really are in the picture beside it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from octoprint_facesculpt.reconstruction.camera import Camera
from octoprint_facesculpt.reconstruction.correspondence import REGION
from octoprint_facesculpt.reconstruction.head_model import HeadModel

SIZE, MAP = 300, 64
TURN = Rotation.from_euler("yx", [15, 5], degrees=True).as_matrix()
CAMERA = Camera(TURN, 1.1, 1 / 800, np.array([150.0, 140.0]))


@pytest.fixture(scope="module")
def model() -> HeadModel:
    """A ball of 80 mm with one identity shape (a nose) and no expression; its landmarks are a ring on its front."""
    ball = trimesh.creation.icosphere(4, 80.0)
    points = ball.vertices.astype(np.float32)
    nose = np.zeros_like(points)
    nose[:, 2] = 20 * np.exp(-(points[:, 0] ** 2 + points[:, 1] ** 2) / 200) * (points[:, 2] > 0)
    angle = np.linspace(0, 2 * np.pi, 478, endpoint=False)
    ring = 50 * np.c_[np.cos(angle), np.sin(angle), np.ones(478)]
    ring[33], ring[263] = [-40, 20, 60], [40, 20, 60]
    nearest = np.linalg.norm(ring[:, None] - points[None], axis=2).argmin(1)
    return HeadModel(
        mean=points,
        identity=nose[None],
        expression=np.zeros((0, *points.shape), np.float32),
        triangles=ball.faces.astype(np.int32),
        landmark_vertices=np.repeat(nearest[:, None], 3, 1).astype(np.int32),
        landmark_weights=np.tile(np.float32([1, 0, 0]), (478, 1)),
        face=points[:, 2] > 30,
    )


@pytest.fixture(scope="module")
def batch(model: HeadModel):
    """One sample of one batch, its head point 0 being the tip of the nose; the picture is white where the tip is."""
    from crops import Crops
    from samples import ShapeStack, Shard

    tip = int(model.identity[0, :, 2].argmax())
    coefficients = np.float32([[1.0]])
    head = ShapeStack.of(model).vertices(coefficients)[0]
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    at = CAMERA.project(head[[tip]])[0, :2]
    cv2.circle(picture, tuple(np.round(at * 16 - 8).astype(int).tolist()), 16 * 6, (255, 255, 255), -1, shift=4)
    coded = cv2.imencode(".png", picture)[1].ravel()
    truth = np.float32([[CAMERA.scale, CAMERA.k, *CAMERA.centre]])
    shard = Shard(coded, np.array([len(coded)]), coefficients, np.float32([CAMERA.rotation]), truth)
    crops = Crops(None, model, np.array([True]), np.array([tip]), 1, 0)
    return model.mean[tip], crops.make(shard, np.array([0]), ShapeStack.of(model), np.random.default_rng(4))


def test_a_point_is_where_the_picture_shows_it(batch) -> None:
    _, (pictures, points, _, _) = batch
    white = np.argwhere(pictures[0, 0].numpy() > 128).mean(0)[::-1] + 0.5
    np.testing.assert_allclose(points[0, 0].numpy() * REGION, white, atol=1.5)


def test_the_map_names_the_point_that_is_seen_there(batch) -> None:
    tip, (_, points, _, maps) = batch
    x, y = (points[0, 0].numpy() * MAP).astype(int)
    np.testing.assert_allclose(100 * maps[0, :3, y, x].numpy(), tip, atol=6)
    assert maps[0, 6, y, x] == 1 and maps[0, 6, 0, 0] == 0


def test_normals_point_towards_the_viewer_where_seen(batch) -> None:
    _, (_, _, _, maps) = batch
    seen = maps[0, 6] > 0
    assert (maps[0, 5][seen] > -0.05).all() and maps[0, 5][seen].max() > 0.9


def test_targets_are_coefficients_and_inverse_distance(batch) -> None:
    _, (_, _, targets, _) = batch
    np.testing.assert_allclose(targets[0].numpy(), [1.0, 1000 / 800], rtol=1e-5)
