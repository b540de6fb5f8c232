"""The whole reconstruction on a real photo, with the weights that are shipped."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh

from octoprint_facesculpt.portrait import read_portrait
from octoprint_facesculpt.reconstruction import predictor, reconstruct, report
from octoprint_facesculpt.reconstruction.alignment import head_crop
from octoprint_facesculpt.reconstruction.camera import Camera
from octoprint_facesculpt.reconstruction.closeup import look_closer
from octoprint_facesculpt.reconstruction.errors import ReconstructionError
from octoprint_facesculpt.reconstruction.fitting import Guess
from octoprint_facesculpt.reconstruction.look import look
from octoprint_facesculpt.reconstruction.plausible import plausible
from octoprint_facesculpt.reconstruction.predictor import believed, first_guess, fit, second_guess
from octoprint_facesculpt.reconstruction.reporting import notes_on
from octoprint_facesculpt.reconstruction.weights import PACKAGED, load


@pytest.fixture(scope="module")
def portrait(astronaut: Path, assets_folder: Path):
    return read_portrait(astronaut, assets=assets_folder)


def test_head_is_one_closed_solid_of_human_size(head) -> None:
    mesh = trimesh.Trimesh(head.vertices, head.triangles, process=False)
    assert mesh.is_watertight and mesh.volume > 0
    width, height, depth = mesh.extents
    assert 180 < width < 320 and 260 < height < 420 and 170 < depth < 300


def test_head_frame_is_between_the_outer_eye_corners(head) -> None:
    right, left = head.landmarks[33], head.landmarks[263]
    np.testing.assert_allclose((right + left) / 2, 0, atol=1e-3)
    assert left[0] > 40 and right[0] < -40  # x to the subject's left, life size
    assert head.landmarks[152, 1] < -70  # the chin is below
    assert head.landmarks[1, 2] > 10  # the nose is in front


def test_landmarks_project_onto_the_photo(head, portrait) -> None:
    eye_distance = np.linalg.norm(portrait.landmarks[33, :2] - portrait.landmarks[263, :2])
    error = np.linalg.norm(head.project(head.landmarks) - portrait.landmarks[:, :2], axis=1)
    assert np.median(error) < 0.06 * eye_distance


def test_landmarks_lie_on_the_surface(head) -> None:
    mesh = trimesh.Trimesh(head.vertices, head.triangles, process=False)
    _, distance, _ = trimesh.proximity.closest_point(mesh, head.landmarks[::20])
    assert distance.max() < 0.5


def test_the_picture_decides_the_head(portrait, head) -> None:
    """The same photo squeezed to 85 % of its width shows a narrower head."""
    import cv2

    narrow = cv2.resize(portrait.image, None, fx=0.85, fy=1.0, interpolation=cv2.INTER_AREA)
    landmarks = portrait.landmarks * np.float32([0.85, 1, 1])
    other = reconstruct(replace(portrait, image=narrow, landmarks=landmarks))

    def slenderness(points: np.ndarray) -> float:
        return float(np.linalg.norm(points[10] - points[152]) / np.linalg.norm(points[234] - points[454]))

    assert slenderness(other.landmarks) > 1.05 * slenderness(head.landmarks)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_closer_look_mends_a_share_of_the_head(portrait, monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    learned = load()
    model, closeup = learned.head, learned.closeup
    assert closeup is not None
    crop = head_crop(portrait.landmarks, model.landmarks(model.mean))
    sight = look(learned.observer, portrait.image, portrait.landmarks, crop)
    prior = first_guess(learned, crop, sight)
    guess = fit(learned, prior, prior.guess, sight.points)
    monkeypatch.setattr(predictor, "CLOSER", share)
    found, _ = second_guess(learned, closeup, portrait.image, crop, guess)
    whole = look_closer(closeup, portrait.image, crop, guess).guess
    said = whole.coefficients - guess.coefficients
    identity = len(model.identity)
    assert np.linalg.norm(said[:identity]) > 0.3
    expected = plausible((guess.coefficients + share * said)[:identity])
    np.testing.assert_allclose(found.guess.coefficients[:identity], expected, atol=1e-9)
    # What there is of an expression stays one that there is.
    assert found.guess.coefficients[identity:].min() >= 0
    assert found.precision is closeup.answer.precision


def test_the_guided_network_changes_the_guess(head) -> None:
    """The published surface is the network's volume, not the head model's guess."""
    mesh = trimesh.Trimesh(head.vertices, head.triangles, process=False)
    face = head.details["fitted_vertices"][:9000:40]
    _, distance, _ = trimesh.proximity.closest_point(mesh, face)
    assert np.median(distance) > 0.1


@pytest.mark.parametrize(("yaw", "most"), [(0, 1.0), (21.5, 0.5), (40, 0.0)])
def test_the_volumetric_network_is_believed_in_frontal_faces(yaw: float, most: float) -> None:
    from scipy.spatial.transform import Rotation

    model = load().head
    turn = Rotation.from_euler("y", yaw, degrees=True).as_matrix()
    guess = Guess(np.zeros(len(model.identity) + len(model.expression)), Camera(turn, 0.34, 0.0, np.array([64.0, 64.0])))
    share = believed(model, guess)
    assert share[model.face].max() == pytest.approx(most, abs=0.02)
    crown, nose = model.mean[:, 1].argmax(), model.mean[:, 2].argmax()
    assert share[crown] <= 0.25 * most and share[nose] >= 0.5 * most


def test_what_is_imported_for_a_photo_counts_as_loading(portrait, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = SimpleNamespace(reconstruct=lambda *_, **__: SimpleNamespace(seconds={"load": 1.0}))
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "octoprint_facesculpt.reconstruction.predictor", predictor)
        patched.setattr(time, "perf_counter", iter([10.0, 12.5]).__next__)
        head = reconstruct(portrait, detailed=False)
    assert head.seconds == {"load": 3.5}


def test_a_smile_can_be_left_out(portrait, head) -> None:
    """The same person with her mouth at rest: the corners of the smile come down and in, the skull stays."""
    calm = reconstruct(portrait, expression=0.0)
    with_smile, without = head.details["final_vertices"], calm.details["final_vertices"]
    np.testing.assert_allclose(
        without - without[0], head.details["neutral_vertices"] - head.details["neutral_vertices"][0], atol=0.01
    )
    model = load().head
    corners = head.landmarks[[61, 291]], calm.landmarks[[61, 291]]
    width = [np.linalg.norm(pair[0] - pair[1]) for pair in corners]
    assert width[1] < width[0] - 4
    moved = np.linalg.norm((with_smile - without) - (with_smile - without)[model.mean[:, 1].argmax()], axis=1)
    crown = model.mean[:, 1] > model.mean[:, 1].max() - 60
    # In front, above the brows, their muscles move a little of the forehead.
    skull = crown & (model.mean[:, 2] < 60)
    assert moved[skull].max() < 0.7 and moved[crown].max() < 0.1 * moved[model.face].max()
    assert trimesh.Trimesh(calm.vertices, calm.triangles, process=False).is_watertight


@pytest.mark.parametrize(("expression", "network"), [(1.2, "facesculpt"), (float("nan"), "facesculpt"), (0.5, "vrn2017")])
def test_an_impossible_expression_is_refused(portrait, expression: float, network: str) -> None:
    with pytest.raises(ReconstructionError, match="expression_impossible"):
        reconstruct(portrait, weights=PACKAGED, network=network, expression=expression)


def test_the_head_is_that_of_the_closer_look(portrait, head) -> None:
    """What is told of the head is what the guess after it has."""
    learned = load()
    model, closeup = learned.head, learned.closeup
    crop = head_crop(portrait.landmarks, model.landmarks(model.mean))
    sight = look(learned.observer, portrait.image, portrait.landmarks, crop)
    prior = first_guess(learned, crop, sight)
    found, _ = second_guess(learned, closeup, portrait.image, crop, fit(learned, prior, prior.guess, sight.points))
    np.testing.assert_allclose(head.details["coefficients"], found.guess.coefficients, atol=1e-6)
    np.testing.assert_array_equal(head.details["precision"], closeup.answer.precision)


def with_a_hand(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Four fingers before the mouth, in the colour of the cheek."""
    import cv2

    eyes = np.linalg.norm(landmarks[33, :2] - landmarks[263, :2])
    skin = image[tuple(landmarks[50, 1::-1].astype(int))].astype(float)
    covered = image.copy()
    for finger in range(4):
        middle = landmarks[[13, 14], :2].mean(0) + np.array([0, 0.2 * (finger - 1.2) * eyes])
        ends = [tuple((middle + eyes * np.array(end)).astype(int).tolist()) for end in ((-0.9, 0.25), (0.38, -0.02))]
        for half, shade in ((0.115, 0.72), (0.085, 0.95), (0.04, 1.05)):
            cv2.line(covered, *ends, np.clip(shade * skin, 0, 255).tolist(), round(2 * half * eyes), cv2.LINE_AA)
    return covered


def test_a_hand_before_the_mouth_is_told(portrait, head) -> None:
    """The landmark network is sure of a mouth behind it."""
    covered = replace(portrait, image=with_a_hand(portrait.image, portrait.landmarks))
    told = [note.code for note in notes_on(covered, reconstruct(covered))]
    assert told.count("occluded") == 1
    assert "occluded" not in {note.code for note in notes_on(portrait, head)}


def test_what_is_covered_is_told_once(portrait, head) -> None:
    covered = replace(head, details={**head.details, "covered": True})
    already = replace(portrait, notes=notes_on(portrait, covered))
    assert notes_on(already, covered) == already.notes


def test_reconstruction_is_deterministic(portrait, head) -> None:
    again = reconstruct(portrait)
    np.testing.assert_allclose(again.vertices, head.vertices, atol=1e-3)


def test_report_follows_its_schema(portrait, head) -> None:
    data = report(portrait, head, {"portrait": 0.1})
    assert data["schema"] == 1
    assert np.shape(data["landmarks2d"]) == (478, 2) and np.shape(data["landmarks3d"]) == (478, 3)
    assert np.shape(data["camera"]["matrix"]) == (3, 4)
    assert data["mesh"]["watertight"] is True and len(data["model"]["sha256"]) == 64
    assert data["peak_rss_mb"] > 100


def test_weights_are_small_and_broken_ones_are_refused(tmp_path: Path) -> None:
    assert PACKAGED.stat().st_size <= 46_000_000
    broken = tmp_path / "weights.safetensors"
    broken.write_bytes(PACKAGED.read_bytes()[:5000])
    with pytest.raises(ReconstructionError, match="weights_invalid"):
        load(broken)
