"""Several photos of one person: better than each, each part from the photo that shows it, and honest about disagreement."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from octoprint_facesculpt.portrait import read_portrait
from octoprint_facesculpt.reconstruction import reconstruct_together, report
from octoprint_facesculpt.reconstruction.camera import Camera
from octoprint_facesculpt.reconstruction.errors import ReconstructionError
from octoprint_facesculpt.reconstruction.fusion import FRONTAL, Belief, common_identity, different, facing, fuse, log_odds
from octoprint_facesculpt.reconstruction.head import Head
from octoprint_facesculpt.reconstruction.weights import load


@pytest.fixture(scope="module")
def model():
    return load().head


def photographed(model, identity: np.ndarray, yaw: float, seed: int, seen: float = 5.0) -> Head:
    """What a reconstruction makes of a person seen from ``yaw`` degrees: half of all there is to know of him is measured, with
    the precision ``seen``, and believed as far as that goes."""
    rng = np.random.default_rng(100 + seed)
    directions = np.linalg.qr(rng.normal(size=(len(identity), len(identity) // 2)))[0]
    measured = seen * directions @ directions.T
    found = measured @ identity + directions @ rng.normal(scale=np.sqrt(seen), size=directions.shape[1])
    precision = np.eye(len(identity)) + measured
    joint = 100.0 * np.eye(len(identity) + len(model.expression) + 1)
    joint[: len(identity), : len(identity)] = precision / (FRONTAL * np.cos(np.radians(yaw)) ** 2)
    expression = expression_of(model, seed)
    coefficients = np.r_[np.linalg.solve(precision, found), expression]
    beyond = np.zeros((len(model.mean), 3), np.float32)
    vertices = model.vertices(coefficients) + beyond
    turn = Rotation.from_euler("y", yaw, degrees=True).as_matrix()
    projection = Camera(turn, 2.0, 1 / 1500, np.array([320.0, 300.0])).matrix()
    details = {
        "coefficients": coefficients, "precision": joint, "yaw": yaw, "beyond_model": beyond,
        "final_vertices": vertices, "camera_distance_mm": 1500.0,
    }  # fmt: skip
    return Head(vertices, model.triangles, model.landmarks(vertices), projection, {"name": "x"}, {"network": 1.0}, details)


def expression_of(model, seed: int) -> np.ndarray:
    expression = np.zeros(len(model.expression))
    expression[np.random.default_rng(seed).integers(len(expression), size=2)] = 0.3
    return expression


def error(model, head: Head, identity: np.ndarray, seed: int) -> float:
    """Mean distance in mm of the face to the person's own, with the expression of photo ``seed``, after alignment."""
    vertices, truth = head.details["final_vertices"], model.vertices(np.r_[identity, expression_of(model, seed)])
    moved = trimesh.registration.procrustes(vertices[model.face], truth[model.face], reflection=False)[1]
    return float(np.linalg.norm(moved - truth[model.face], axis=1).mean())


@pytest.fixture(scope="module")
def person(model) -> np.ndarray:
    return np.random.default_rng(3).normal(size=len(model.identity))


@pytest.fixture(scope="module")
def photos(model, person) -> list[Head]:
    return [photographed(model, person, 0, 1), photographed(model, person, 70, 2)]


@pytest.fixture(scope="module")
def fused(model, photos) -> Head:
    return fuse(photos, model)


def test_two_photos_are_better_than_each(model, person, photos, fused) -> None:
    single = [error(model, photo, person, seed) for photo, seed in zip(photos, (1, 2), strict=True)]
    assert error(model, fused, person, 1) < 0.9 * min(single)


def test_many_photos_leave_the_average_behind(model, person) -> None:
    """Each photo says half of what is true and half of nothing; eight of them together nearly all of it."""
    many = [Belief.of(photographed(model, person, 0, seed, seen=1.0), len(person)) for seed in range(8)]
    means = [one.identity for one in many]
    found = common_identity(many)

    def share(identity: np.ndarray) -> float:
        return float(identity @ person / (person @ person))

    assert share(np.mean(means, 0)) < 0.35 and share(found) > 0.65
    away = [np.linalg.norm(identity - person) for identity in (found, np.mean(means, 0))]
    assert away[0] < 0.75 * away[1]


def test_a_photo_that_knows_less_than_the_average_does_not_count(person) -> None:
    sure, unsure = (
        Belief(identity, np.zeros(0), precision * np.eye(len(person)))
        for identity, precision in (
            (person, 4.0),
            (0 * person, 0.5),
        )
    )
    np.testing.assert_allclose(common_identity([sure, unsure]), person)


def test_copies_of_a_photo_are_one_photo(model, person, photos, fused) -> None:
    """The same picture sent twice, or in several sizes, turned and with a little noise, says nothing that it has not said."""
    first = photos[0]
    turn = np.vstack([2.5 * Rotation.from_euler("z", 90, degrees=True).as_matrix()[:2], [0, 0, 1]])
    noise = np.random.default_rng(5).normal(scale=0.3, size=first.details["final_vertices"].shape)
    noisy = {**first.details, "final_vertices": first.details["final_vertices"] + noise}
    large = replace(first, projection=turn @ first.projection, details=noisy)
    assert different([first, photos[1], first, large], model) == [3, 1] and different([large, first], model) == [0]
    assert different([first, photographed(model, person, 0, 4)], model) == [0, 1]
    twice = fuse([first, first], model)
    moved = twice.details["final_vertices"] - first.details["final_vertices"]
    np.testing.assert_allclose(moved - moved.mean(0), 0, atol=0.02)
    assert len(twice.details["agreement"]["each_mm"]) == 2
    again = fuse([first, first, photos[1]], model)
    np.testing.assert_allclose(again.details["final_vertices"], fused.details["final_vertices"], atol=1e-3)


def test_a_photo_from_the_side_is_believed_less(model, person) -> None:
    front = photographed(model, person, 0, 1)
    side = replace(front, details={**front.details, "yaw": -60.0})
    ours, theirs = (Belief.of(head, len(person)).precision for head in (front, side))
    np.testing.assert_allclose(theirs, ours / 4)


def test_what_turns_out_to_be_no_feature_was_a_movement() -> None:
    """A photo that knows the sum of a feature and a movement only, and another that knows the feature."""
    joint = np.eye(3) + np.outer([1.0, 1.0, 0.0], [100.0, 100.0, 0.0])
    belief = Belief(np.array([0.5]), np.array([0.5]), joint)
    np.testing.assert_allclose(belief.expression_given(np.array([0.1])), [0.9], atol=0.01)
    assert belief.precision == pytest.approx(2.0, abs=0.02)  # little is left of 101 when the movement may be anything


@pytest.mark.parametrize(("beyond", "end"), [(3.0, 1.1), (-3.0, 0.0)])
def test_an_expression_stays_one(model, photos, beyond: float, end: float) -> None:
    wide = np.r_[photos[0].details["coefficients"]]
    wide[len(model.identity) :] = beyond
    bounded = fuse([replace(photos[0], details={**photos[0].details, "coefficients": wide}), photos[1]], model)
    wide[len(model.identity) :] = end
    wanted = fuse([replace(photos[0], details={**photos[0].details, "coefficients": wide}), photos[1]], model)
    ours, theirs = (head.details["final_vertices"] for head in (bounded, wanted))
    np.testing.assert_allclose(ours - ours[0], theirs - theirs[0], atol=0.01)


def test_each_part_comes_from_the_photo_that_shows_it(model, photos) -> None:
    bumps = [replace(photo, details={**photo.details}) for photo in photos]
    plain = fuse(photos, model)
    ears = {side: np.flatnonzero(np.abs(model.mean[:, 0] - side * 75) < 5) for side in (-1, 1)}
    for side in ears:  # a centimetre on top of the right ear, that the second photo shows, and of the left, that it hides
        bumps[1].details["beyond_model"] = np.zeros_like(photos[1].details["beyond_model"])
        bumps[1].details["beyond_model"][ears[side]] = [10.0, 0.0, 0.0]
        moved = fuse(bumps, model).details["final_vertices"] - plain.details["final_vertices"]
        assert (moved[ears[side], 0].mean() > 5) == (side < 0), side
    side = photos[1]
    weight = facing(side, side.details["final_vertices"].astype(float), model.triangles)
    ear = np.abs(model.mean[:, 0]) > 70
    left, right = weight[ear & (model.mean[:, 0] > 0)], weight[ear & (model.mean[:, 0] < 0)]
    assert right.mean() > 4 * left.mean()  # turned to its left, a head shows its right ear
    assert weight.min() > 0  # what no photo shows is still a guess


def test_the_fused_head_is_a_head_like_any_other(model, photos, fused) -> None:
    mesh = trimesh.Trimesh(fused.vertices, fused.triangles, process=False)
    assert mesh.is_watertight and mesh.volume > 0
    np.testing.assert_allclose(fused.landmarks[[33, 263]].mean(0), 0, atol=1e-3)
    away = np.linalg.norm(fused.project(fused.landmarks) - photos[0].project(photos[0].landmarks), axis=1)
    # It stays where the first photo shows it, as far as it is no other head: at two pixels a millimetre.
    assert np.median(away) < 2.0 * fused.details["agreement"]["each_mm"][0]
    assert np.linalg.norm((fused.project(fused.landmarks) - photos[0].project(photos[0].landmarks)).mean(0)) < 2.0
    assert fused.seconds == {"network": 2.0}


def test_the_fused_head_has_as_much_of_the_first_expression_as_is_asked_for(model, person, photos, fused) -> None:
    calm = fuse(photos, model, expression=0.0)

    def away(head: Head, expression: np.ndarray) -> float:
        truth = model.vertices(np.r_[person, expression])[model.face]
        moved = trimesh.registration.procrustes(head.details["final_vertices"][model.face], truth, reflection=False)[1]
        return float(np.linalg.norm(moved - truth, axis=1).mean())

    smiling, resting = expression_of(model, 1), np.zeros(len(model.expression))
    assert away(fused, smiling) < away(fused, resting)
    assert away(calm, resting) < away(calm, smiling)


def test_photos_of_one_person_agree_and_of_two_do_not(model, person, photos, fused) -> None:
    stranger = np.random.default_rng(8).normal(size=len(person)) * 1.2
    mixed = fuse([photos[0], photographed(model, stranger, 20, 4)], model)
    same, different = fused.details["agreement"], mixed.details["agreement"]
    assert len(same["each_mm"]) == 2 and 0 < same["largest_mm"] < different["largest_mm"]
    assert not same["same_person_doubtful"] and different["same_person_doubtful"]
    assert different["log_odds"] < -3 < 3 < same["log_odds"]


def test_odds_are_those_of_the_measurements() -> None:
    """One coefficient, measured twice with noise: against the densities of both measurements."""
    from scipy.stats import multivariate_normal

    noise, places = np.array([0.5, 0.8]), np.array([1.2, -0.4])
    beliefs = [
        Belief(np.array([y / (1 + n)]), np.zeros(0), np.array([[1 + 1 / n]])) for y, n in zip(places, noise, strict=True)
    ]
    apart = np.diag(1 + noise)
    together = apart + np.array([[0, 1], [1, 0]])
    expected = multivariate_normal.logpdf(places, cov=together) - multivariate_normal.logpdf(places, cov=apart)
    assert log_odds(*beliefs) == pytest.approx(expected)


@pytest.mark.parametrize("both", [False, True])
def test_a_mouth_is_covered_when_no_photo_shows_it(model, photos, both: bool) -> None:
    covered = [replace(head, details={**head.details, "covered": both or head is photos[0]}) for head in photos]
    assert fuse(covered, model).details["covered"] is both


def test_the_report_tells_how_far_photos_agree(fused, astronaut: Path, assets_folder: Path) -> None:
    portrait = read_portrait(astronaut, assets=assets_folder)
    data = report(portrait, fused, {})
    assert data["agreement"]["largest_mm"] == fused.details["agreement"]["largest_mm"]
    assert "photos_disagree" not in [note["code"] for note in data["quality"]["notes"]]
    agreement = {"each_mm": [4.0, 4.0], "largest_mm": 7.0, "same_person_doubtful": True}
    doubtful = replace(fused, details={**fused.details, "agreement": agreement})
    *_, note = report(portrait, doubtful, {})["quality"]["notes"]
    assert note["code"] == "photos_disagree" and "7.0 mm" in note["message"]


def test_what_cannot_be_taken_together_is_refused(model, photos) -> None:
    for heads in (photos[:1], photos * 5, [photos[0], Head(**{**vars(photos[1]), "details": {}})]):
        with pytest.raises(ReconstructionError) as refused:
            fuse(heads, model)
        assert refused.value.code == "fusion_impossible"


def test_a_photo_and_its_mirror_image_become_a_symmetric_head(astronaut: Path, assets_folder: Path, tmp_path: Path) -> None:
    """The whole way with real pictures: two, of which each is right about one side."""
    from PIL import Image, ImageOps

    mirrored = tmp_path / "mirrored.jpg"
    ImageOps.mirror(Image.open(astronaut)).save(mirrored, quality=95)
    portraits = [read_portrait(path, assets=assets_folder) for path in (astronaut, mirrored)]
    messages: list[float] = []
    head = reconstruct_together(portraits, progress=lambda fraction, message="": messages.append(fraction))
    assert messages == sorted(messages) and messages[-1] == 1.0
    assert head.details["agreement"]["largest_mm"] < 3.0
    corners = head.landmarks[[133, 362, 61, 291]]
    assert abs(abs(corners[0, 0]) - abs(corners[1, 0])) < 2.0 and abs(abs(corners[2, 0]) - abs(corners[3, 0])) < 3.0
