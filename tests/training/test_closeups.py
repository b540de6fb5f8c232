"""What the close-up network learns from: windows around guesses, which may borrow their errors, and how far points are off."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from octoprint_facesculpt.reconstruction.camera import Camera
from octoprint_facesculpt.reconstruction.closeup import PIXELS_PER_MM, SIDE, CloseupNet, window_of
from octoprint_facesculpt.reconstruction.fitting import Guess
from octoprint_facesculpt.reconstruction.weights import PACKAGED, load

COEFFICIENTS = 147


@pytest.fixture(scope="module")
def maker():
    from closeups import CloseupMaker

    return CloseupMaker(load())


def face(number: int = 0):
    """A picture of noise, and somebody who would be in it."""
    from closeups import Face

    rng = np.random.default_rng(number)
    picture = cv2.resize(rng.integers(0, 255, (30, 30, 3), np.uint8), (300, 300))
    rotation = Rotation.from_euler("xyz", [4, 15, 10], degrees=True).as_matrix()
    camera = Camera(rotation, 1.2, 1 / 800, np.array([150.0, 160.0]))
    return Face(cv2.imencode(".png", picture)[1], Guess(rng.normal(size=COEFFICIENTS) * 0.3, camera))


def test_a_true_guess_is_not_off(maker) -> None:
    known = face()
    made = maker.make(np.random.default_rng(0), [replace(known, guess=known.truth)], varied=False)
    assert made.off.abs().max() < 1e-3
    np.testing.assert_allclose(made.guess, made.truth)
    window = window_of(known.truth.camera, known.truth.camera.project(maker.points.at(known.truth.coefficients))[:, :2])
    image = cv2.cvtColor(cv2.imdecode(known.coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    np.testing.assert_allclose(made.pictures[0].permute(1, 2, 0).numpy() * 255, window.of(image), atol=1e-3)
    np.testing.assert_allclose(made.pose[0], window.pose, rtol=1e-6)


def test_points_are_off_by_what_is_wrong_with_the_guess(maker) -> None:
    known = face()
    aside = replace(known.truth, camera=replace(known.truth.camera, centre=known.truth.camera.centre + np.array([6.0, 0.0])))
    made = maker.make(np.random.default_rng(0), [replace(known, guess=aside)], varied=False)
    # Six pixels of the picture to the left, in the window's size.
    distance = made.off[0].norm(dim=1)
    np.testing.assert_allclose(distance, 6 * PIXELS_PER_MM / 1.2, rtol=1e-3)


def test_an_error_that_is_put_on_its_own_truth_is_the_guess_again() -> None:
    from closeups import Wrong

    truth = face().truth
    turn = Rotation.from_euler("xyz", [1, -2, 0.5], degrees=True).as_matrix()
    camera = Camera(turn @ truth.camera.rotation, 1.25, 1 / 700, np.array([153.0, 158.0]))
    guess = Guess(truth.coefficients + 0.1, camera)
    again = Wrong.of(guess, truth).on(truth)
    np.testing.assert_allclose(again.coefficients, guess.coefficients)
    for name in ("rotation", "scale", "k", "centre"):
        np.testing.assert_allclose(getattr(again.camera, name), getattr(camera, name))
    # In a picture twice as large it is as wrong in millimetres.
    larger = replace(truth, camera=replace(truth.camera, scale=2 * truth.camera.scale, centre=2 * truth.camera.centre))
    moved = Wrong.of(guess, truth).on(larger).camera
    np.testing.assert_allclose(moved.centre - larger.camera.centre, 2 * (camera.centre - truth.camera.centre))
    assert moved.scale / larger.camera.scale == pytest.approx(camera.scale / truth.camera.scale)


def test_errors_are_borrowed_from_faces_turned_alike() -> None:
    from closeups import TURNED, CloseupMaker

    def turned(yaw: float, error: float | None):
        known = face()
        rotation = Rotation.from_euler("y", -yaw, degrees=True).as_matrix()
        truth = replace(known.truth, camera=replace(known.truth.camera, rotation=rotation))
        guess = None if error is None else Guess(truth.coefficients + error, truth.camera)
        return replace(known, truth=truth, guess=guess)

    # Each error tells the yaw it is from; there is one which is lost, and one picture without a guess.
    known = [turned(yaw, yaw / 100) for yaw in np.linspace(-60, 60, 601)]
    assert known[0].truth.camera.yaw == pytest.approx(-60, abs=0.01)
    lost = turned(20.05, 9.0)
    lost = replace(lost, guess=replace(lost.guess, camera=replace(lost.guess.camera, scale=3.0)))
    maker = CloseupMaker(load(), [*known[::-1], lost, turned(20.05, None)])
    made = maker.make(np.random.default_rng(3), [turned(20, None)] * 100)
    errors = 100 * (made.guess - made.truth)[:, :COEFFICIENTS].mean(1)
    assert abs(errors - 20).max() <= TURNED + 1e-6 and errors.std() > TURNED / 3
    # Beyond them all, the nearest ones.
    made = maker.make(np.random.default_rng(3), [turned(85, None)] * 20)
    assert (100 * (made.guess - made.truth)[:, :COEFFICIENTS].mean(1)).min() > 50
    with pytest.raises(ValueError, match="borrow"):
        CloseupMaker(load()).make(np.random.default_rng(3), [turned(0, None)])


def test_what_is_learned_from_varies(maker) -> None:
    known = face()
    exact = replace(known, guess=known.truth)
    rng = np.random.default_rng(2)
    one, other = (maker.make(rng, [exact]) for _ in range(2))
    assert (one.pictures - other.pictures).abs().mean() > 0.01
    assert one.places.shape == (1, len(maker.points.mean), 2) and one.pictures.shape == (1, 3, SIDE, SIDE)
    # Another window on the same face: nothing is off.
    assert one.off.abs().max() < 1e-3 and other.off.abs().max() < 1e-3


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A shard of six pictures, guesses of five of them, and the generator's materials as far as they are needed."""
    import pickle
    from types import SimpleNamespace

    from samples import save_arrays

    (tmp_path / "pictures").mkdir()
    (tmp_path / "guesses").mkdir()
    faces = [face(number) for number in range(6)]
    coded = [cv2.imencode(".jpg", cv2.imdecode(one.coded, cv2.IMREAD_COLOR))[1] for one in faces]
    cameras = [one.truth.camera for one in faces]
    numbers = np.array([[camera.scale, camera.k, *camera.centre] for camera in cameras])
    rotation = np.stack([camera.rotation for camera in cameras])
    save_arrays(
        tmp_path / "pictures" / "000000.npz", jpeg=np.concatenate(coded), ends=np.cumsum([len(one) for one in coded]),
        coefficients=np.stack([one.truth.coefficients for one in faces]), rotation=rotation, camera=numbers,
    )  # fmt: skip
    model = load().head
    seen = [one.truth.camera.project(model.landmarks(model.vertices(one.truth.coefficients))) for one in faces]
    landmarks = np.stack([points * [1, 1, -camera.scale] for points, camera in zip(seen, cameras, strict=True)])
    from octoprint_facesculpt.reconstruction.alignment import head_crop

    crops = [head_crop(points, model.landmarks(model.mean)) for points in landmarks]
    placed = [camera.through(crop.matrix) for camera, crop in zip(cameras, crops, strict=True)]
    save_arrays(
        tmp_path / "guesses" / "000000.npz", row=np.arange(1, 6), landmarks=landmarks[1:],
        coefficients=np.stack([one.truth.coefficients for one in faces[1:]]),
        rotation=np.stack([camera.rotation for camera in placed[1:]]),
        camera=np.array([[camera.scale, camera.k, *camera.centre] for camera in placed[1:]]),
    )  # fmt: skip
    names = tuple(f"expression {number}" for number in range(len(model.expression)))
    materials = SimpleNamespace(model=model, head=SimpleNamespace(expression_names=names))
    (tmp_path / "materials.pkl").write_bytes(pickle.dumps(materials))
    return tmp_path


def test_guesses_are_read_with_their_pictures(files: Path, maker) -> None:
    from closeups import drawn, guessed
    from examples import read_samples

    kept = np.ones(COEFFICIENTS, bool)
    pictures = drawn([files / "pictures"], kept)
    faces = [guessed(sample) for sample in read_samples(files / "pictures", files / "guesses", kept, load().head)]
    assert len(pictures) == 6 and len(faces) == 5
    assert all(one.guess is None for one in pictures) and np.array_equal(faces[0].coded, pictures[1].coded)
    # These guesses are the truth, on the crop.
    made = maker.make(np.random.default_rng(0), faces, varied=False)
    assert made.off.abs().max() < 0.05


def test_a_training_goes_on_where_it_stopped_and_its_samples_are_read(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import checkpoint
    import closeup_samples
    import train_answer
    import train_closeup

    monkeypatch.setattr(train_closeup, "BATCH", 2)
    threads = torch.get_num_threads()

    def run(minutes: float) -> dict:
        pictures = str(files / "pictures")
        arguments = [
            "--materials",
            str(files / "materials.pkl"),
            "--weights",
            str(PACKAGED),
            "--out",
            str(files / "closeup.pt"),
            "--test-guesses",
            str(files / "guesses"),
            "--guesses",
            str(files / "guesses"),
        ]
        arguments += ["--pictures", pictures, "--guessed", pictures, "--test", pictures, "--minutes", str(minutes)]
        monkeypatch.setattr(sys, "argv", ["train_closeup.py", *arguments])
        train_closeup.main()
        return checkpoint.closeup(files / "closeup.pt")[1]

    first = run(0.01)
    assert first["samples"] >= 2 and first["pictures"] == 11 and "yaw range" in first["table"]
    begun = load().observer.recogniser.net.state_dict()
    assert (first["net"]["trunk.stem.weight"] - begun["stem.weight"]).abs().max() < 0.01
    second = run(0.03)
    # All of it learns: the points' displacements and scales, and the head that is said.
    assert all(second["net"][name].abs().max() > 0 for name in ("weight", "head.weight"))
    assert second["samples"] > first["samples"] and second["seconds"] > first["seconds"]
    torch.set_num_threads(threads)

    net, _ = checkpoint.closeup(files / "closeup.pt")
    assert isinstance(net, CloseupNet) and not net.training
    (files / "samples").mkdir()
    given = (files / "materials.pkl", PACKAGED, files / "closeup.pt", files / "pictures", files / "guesses" / "000000.npz")
    closeup_samples.make(*given, files / "samples")
    samples = train_answer.Samples.read(files / "samples")
    assert samples.features.shape == (5, 2 * len(net.bias) + 2 * COEFFICIENTS + 1)
    np.testing.assert_allclose(samples.guess, samples.truth, atol=1e-6)


def test_the_likeliest_scale_is_that_of_the_errors() -> None:
    import train_closeup

    off = torch.zeros(4, 6, 2)
    off[..., 0] = 2.0
    scales = torch.linspace(0.2, 4, 77)
    losses = [train_closeup.loss_of(0 * off, torch.full((4, 6), float(scale.log())), off, torch.ones(6)) for scale in scales]
    # Of two numbers of this distribution the length has twice their scale in the mean.
    assert scales[int(torch.stack(losses).argmin())] == pytest.approx(1.0, abs=0.06)
    # What counts for nothing may be anywhere.
    weight = torch.tensor([1.0, 1, 1, 0, 0, 0])
    moved = off.clone()
    moved[:, 3:] += 50
    log_scale = torch.zeros(4, 6)
    assert train_closeup.loss_of(moved, log_scale, off, weight) == train_closeup.loss_of(off, log_scale, off, weight)


def samples_of(train_answer, count: int, seed: int):
    """Guesses whose errors are a linear map of some of their features, and some noise."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, 30)) * np.r_[np.full(10, 4.0), np.full(20, 0.3)] + 2
    spread = np.random.default_rng(0).normal(size=(30, 5))
    spread[10:] = 0
    guess = rng.normal(size=(count, 5))
    noise = rng.normal(size=(count, 5)) * [0.5, 0.5, 1.0, 1.0, 2.0]
    return train_answer.Samples(features, guess, guess + features @ spread + noise, np.zeros(count))


@pytest.mark.parametrize("count", [25, 4000])
def test_answers_are_learned_from_more_or_fewer_samples_than_there_are_features(count: int) -> None:
    import train_answer

    known, held = (samples_of(train_answer, number, seed) for number, seed in ((count, 1), (500, 2)))
    answer = train_answer.learned(known)
    wrong = held.truth - held.guess
    left = wrong - answer.change(held.features)
    assert left.std() < (0.75 if count < 30 else 0.2) * (wrong - wrong.mean(0)).std()


def test_they_are_as_precise_as_they_were_on_samples_left_out() -> None:
    import train_answer

    answer = train_answer.learned(samples_of(train_answer, 4000, 1))
    held = samples_of(train_answer, 4000, 2)
    left = held.guess + answer.change(held.features) - held.truth
    np.testing.assert_allclose(np.diag(np.linalg.inv(answer.precision)), (left**2).mean(0), rtol=0.15)
