"""The head model's symmetry."""

from __future__ import annotations

import numpy as np

from octoprint_facesculpt.reconstruction.weights import load


def test_mirrored_coefficients_are_the_mirrored_head() -> None:
    model = load().head
    rng = np.random.default_rng(0)
    coefficients = np.r_[rng.normal(size=len(model.identity)), rng.uniform(0, 0.5, len(model.expression))]
    head, image = model.vertices(coefficients), model.vertices(model.mirror.of(coefficients))
    off = np.linalg.norm(head[model.mirror.vertices] * [-1, 1, 1] - image, axis=1)
    assert off.mean() < 0.1
    # It is not that nothing is crooked: without the exchange of the sides the heads differ by millimetres.
    assert np.linalg.norm(head - image, axis=1)[model.face].mean() > 1
    assert np.array_equal(model.mirror.of(model.mirror.of(coefficients)), coefficients)


def test_identity_alone_and_many_heads_are_mirrored_alike() -> None:
    model = load().head
    identity = np.random.default_rng(1).normal(size=(3, len(model.identity)))
    whole = np.c_[identity, np.zeros((3, len(model.expression)))]
    assert np.array_equal(model.mirror.of(identity), model.mirror.of(whole)[:, : identity.shape[1]])
