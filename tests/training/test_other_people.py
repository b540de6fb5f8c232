"""People of another head model: what the truth of their pictures is."""

from __future__ import annotations

import numpy as np
import pytest

from octoprint_facesculpt.reconstruction.camera import Camera
from octoprint_facesculpt.reconstruction.head_model import HeadModel
from octoprint_facesculpt.reconstruction.weights import load


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return load().head


def person(model: HeadModel, seed: int, spread: float) -> np.ndarray:
    """Coefficients (C,) of somebody who smiles a little."""
    identity = np.random.default_rng(seed).normal(size=len(model.identity)) * spread
    expression = np.zeros(len(model.expression))
    expression[:4] = 0.3
    return np.r_[identity, expression]


def test_a_head_of_another_mesh_gets_the_head_that_fits_it(model: HeadModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other mesh is ours in another order and place, the mean of its people somebody else than ours."""
    import other_people

    monkeypatch.setattr(other_people, "STEPS", 8)
    order = np.random.default_rng(1).permutation(len(model.mean))
    number = np.argsort(order)
    moved = np.array([3.0, -2.0, 4.0])

    def other(coefficients: np.ndarray) -> np.ndarray:
        return model.vertices(coefficients)[order].astype(float) * 1.02 + moved

    fitter = other_people.Fitter(model)
    mean = person(model, 2, 0.3)
    mean[len(model.identity) :] = 0
    landmarks = model.landmarks(other(mean)[number])
    landmarks[7] = np.nan
    places = fitter.registered(other(mean), number[model.triangles], landmarks)
    wanted = person(model, 3, 0.7)
    truth = fitter.truth(places, other(wanted))
    found = model.vertices(truth.coefficients) @ truth.placed[:3, :3].T + truth.placed[:3, 3]
    face = model.face

    def off(vertices: np.ndarray) -> float:
        return float(np.linalg.norm(vertices[face] - other(wanted)[number][face], axis=1).mean())

    assert off(found) < 0.9 < 0.4 * off(model.mean * 1.02 + moved)
    # The camera sees it where the other head was seen.
    camera = Camera(np.eye(3), 1.2, 1 / 500, np.array([190.0, 200.0]))
    seen = fitter.camera(truth, camera).project(model.vertices(truth.coefficients)[face])
    assert np.abs(seen[:, :2] - camera.project(found[face])[:, :2]).max() < 0.2


def test_expressions_that_there_are_not_are_not_found(model: HeadModel) -> None:
    import other_people

    fitter = other_people.Fitter(model)
    against = person(model, 4, 0.5)
    against[len(model.identity) :] = np.where(np.arange(len(model.expression)) % 2, -0.5, 0.5)
    rows = np.flatnonzero(model.face)[::3]
    found = fitter.fit(rows, model.vertices(against)[rows].astype(float), np.ones(len(rows)))
    expression = found.coefficients[len(model.identity) :]
    assert expression.min() >= 0 and expression.max() > 0.2
