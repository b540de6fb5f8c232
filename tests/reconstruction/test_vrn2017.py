"""The engine vrn2017: its picture, and its volume on the way to a head in millimetres."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from octoprint_facesculpt.portrait import read_portrait
from octoprint_facesculpt.rasterise import rasterise
from octoprint_facesculpt.reconstruction import reconstruct, vrn2017
from octoprint_facesculpt.reconstruction.camera import Camera
from octoprint_facesculpt.reconstruction.errors import ReconstructionError
from octoprint_facesculpt.reconstruction.vrn2017_network import VolumetricNetwork
from octoprint_facesculpt.reconstruction.weights import load

#: The photo's pixels to a millimetre, and how the head is turned in it.
SCALE = 2.0
TURN = Rotation.from_euler("yxz", [18, 6, 9], degrees=True).as_matrix()


@pytest.fixture(scope="module")
def photographed() -> tuple[np.ndarray, Camera]:
    """MediaPipe's landmarks of the average head in a photo, and the camera that took it."""
    model = load().head
    camera = Camera(TURN, SCALE, 0.0, np.array([420.0, 380.0]))
    seen = camera.project(model.landmarks(model.mean)) * [1, 1, -SCALE]
    return seen.astype(np.float32), camera


def volume_of(camera: Camera, matrix: np.ndarray) -> np.ndarray:
    """What VRN would say of the average head: inside between its front and its back, z towards the viewer at half the pitch."""
    model = load().head
    seen = camera.project(model.mean).astype(float)
    zoom = matrix[0, 0]
    depth = (seen[:, 2] - seen[model.face, 2].mean()) * SCALE * zoom  # VRN's depth has no origin: the face is in its middle
    points = np.c_[seen[:, :2] @ matrix[:, :2].T + matrix[:, 2], depth]
    front = rasterise(points, model.triangles, vrn2017.SIDE, vrn2017.SIDE).depth
    back = -rasterise(points * [1, 1, -1], model.triangles[:, ::-1], vrn2017.SIDE, vrn2017.SIDE).depth
    middle = (vrn2017.DEPTH / 2 + 0.5 - np.arange(vrn2017.DEPTH) - 1) / -2
    inside = np.minimum(front[None] - middle[:, None, None], middle[:, None, None] - np.maximum(back, front - 80)[None])
    return np.clip(0.5 + np.where(np.isfinite(inside), inside, -10) / 4, 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def face(photographed):
    landmarks, camera = photographed
    matrix = vrn2017.face_crop(landmarks)
    return vrn2017.head_of(volume_of(camera, matrix), matrix, landmarks, {"name": "vrn2017"})


def test_the_face_fills_90_pixels_of_the_picture(photographed) -> None:
    landmarks, _ = photographed
    matrix = vrn2017.face_crop(landmarks)
    points = landmarks[list(vrn2017.BOX_LANDMARKS), :2] @ matrix[:, :2].T + matrix[:, 2]
    assert np.sqrt(np.prod(np.ptp(points, axis=0))) == pytest.approx(90, abs=0.1)
    np.testing.assert_allclose(points.mean(0), 96, atol=0.1)


def test_the_face_comes_out_life_size_upright_and_facing_forward(face, photographed) -> None:
    """Depth at half the pitch, millimetres and turn from the landmarks: the face within a millimetre."""
    model = load().head
    mesh = trimesh.Trimesh(face.vertices, face.triangles, process=False)
    assert mesh.is_watertight and mesh.volume > 0
    landmarks = model.landmarks(model.mean)
    truth = model.mean[model.face] - landmarks[[33, 263]].mean(0)
    front = np.linalg.norm(truth, axis=1) < 60  # the part that faces the camera
    distance, _ = cKDTree(face.vertices).query(truth[front])
    # Of so tall a head the chin lies beyond the volume's depth.
    assert np.median(distance) < 0.9 and np.quantile(distance, 0.75) < 1.2


def test_its_landmarks_project_onto_the_photo(face, photographed) -> None:
    landmarks, _ = photographed
    error = np.linalg.norm(face.project(face.landmarks) - landmarks[:, :2], axis=1) / SCALE
    assert np.median(error) < 1.5
    right, left = face.landmarks[33], face.landmarks[263]
    assert left[0] > 35 > -35 > right[0]


def test_it_goes_through_the_sculptors_hands(face) -> None:
    from octoprint_facesculpt.sculpture import SculptureSettings, sculpt

    made = sculpt(face, SculptureSettings(height_mm=40, max_triangles=40_000))
    assert made.checks["watertight"]


def test_a_photo_goes_all_the_way(astronaut: Path, assets_folder: Path, tmp_path: Path) -> None:
    network = VolumetricNetwork()
    with torch.no_grad():  # a network that says the same of every picture: a block between two depths
        network.slices[1].weight.zero_()
        network.slices[1].bias.fill_(-6)
        network.slices[1].bias[70:130] = 6
    weights = tmp_path / "vrn.safetensors"
    vrn2017.save(weights, network, {})
    portrait = read_portrait(astronaut, assets=assets_folder)
    head = reconstruct(portrait, weights=weights, network="vrn2017")
    assert head.model["name"] == "vrn2017" and len(head.model["sha256"]) == 64
    depth = np.ptp(head.vertices @ _view(head.projection))
    width = 192 / (head.details["pixels_per_mm"] * vrn2017.face_crop(portrait.landmarks)[0, 0])
    assert depth / width == pytest.approx(60 / 2 / 192, rel=0.03)


def _view(projection: np.ndarray) -> np.ndarray:
    """Unit vector towards the viewer of a weak-perspective projection."""
    towards = np.cross(projection[0, :3], -projection[1, :3])
    return towards / np.linalg.norm(towards)


def test_what_is_missing_or_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(ReconstructionError) as missing:
        reconstruct(None, network="vrn2017")
    assert missing.value.code == "weights_missing" and "convert_vrn" in missing.value.hint
    with pytest.raises(ReconstructionError) as unknown:
        reconstruct(None, network="vrn2027")
    assert unknown.value.code == "network_unknown"
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"something else")
    with pytest.raises(ReconstructionError) as invalid:
        vrn2017.load_network(other)
    assert invalid.value.code == "weights_invalid"
