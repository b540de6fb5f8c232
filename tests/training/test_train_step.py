"""A deep step learns what no linear one can, and does in the plugin what it did in training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from octoprint_facesculpt.reconstruction.camera import Camera
from octoprint_facesculpt.reconstruction.descent import step_arrays, step_of, yaw_features
from octoprint_facesculpt.reconstruction.weights import PACKAGED, load

FEATURES, HEAD, POINTS = 60, 4, 3


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch):
    """The script under test, which finds directions from a few samples."""
    import train_step

    monkeypatch.setattr(train_step, "FOUND_FROM", 300)
    threads = torch.get_num_threads()
    # So little at a time is slower on several.
    torch.set_num_threads(1)
    yield train_step
    torch.set_num_threads(threads)


def samples(training, count: int, seed: int):
    """Guesses whose error is the product of two things that their features show in many ways."""
    rng = np.random.default_rng(seed)
    shown = rng.normal(size=(count, 4))
    features = shown @ np.random.default_rng(0).normal(size=(4, FEATURES)) + 0.05 * rng.normal(size=(count, FEATURES))
    head = rng.normal(size=(count, HEAD + 1))
    error = np.repeat((shown[:, :1] * shown[:, 1:2]), HEAD + 1, 1)
    wrong = np.repeat(shown[:, 2:3], 2 * POINTS, 1).astype(np.float32)
    yaw = rng.uniform(-60, 60, count)
    return training.Samples(torch.from_numpy(features).half(), head, head + error, wrong, yaw)


def test_it_learns_a_product_and_the_plugin_takes_the_same_step(training, monkeypatch: pytest.MonkeyPatch) -> None:
    # There are only four directions here, none of which can be missed.
    monkeypatch.setattr(training, "SOFT", 4)
    monkeypatch.setattr(training, "LEFT_OUT", 0.0)
    torch.manual_seed(0)
    known, held = samples(training, 3000, 1), samples(training, 300, 2)
    directions = training.Directions.of(known.features)
    net = training.train(known, directions, torch.eye(HEAD), epochs=130)
    with torch.no_grad():
        said = net(directions(held.features).float(), torch.from_numpy(yaw_features(held.yaw)).float()).numpy()
    off = (said - held.changes)[:, :HEAD]
    # The best linear map leaves all of it.
    assert np.abs(off).mean() < 0.4 * np.abs(held.changes[:, :HEAD]).mean()
    step = step_of(step_arrays(net.step(directions)))
    for row in range(5):
        turn = np.radians(held.yaw[row])
        camera = Camera(
            np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]]), 1.0, 0.0, np.zeros(2)
        )
        assert camera.yaw == pytest.approx(held.yaw[row])
        taken = step.change(held.features[row].double().numpy(), camera)
        # What the network was given is kept in half precision.
        np.testing.assert_allclose(taken, said[row], atol=0.03)


def test_it_goes_on_from_a_step_learned_before(training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SOFT", 4)
    monkeypatch.setattr(training, "LEFT_OUT", 0.0)
    torch.manual_seed(0)
    known, others, held = (samples(training, count, seed) for count, seed in ((3000, 1), (1000, 3), (300, 2)))
    # Other pictures have another mean.
    others = replace(others, features=others.features + 0.3)
    directions, new = training.Directions.of(known.features), training.Directions.of(others.features)
    before = training.train(known, directions, torch.eye(HEAD), epochs=100)
    changes = torch.from_numpy(others.changes)
    after = training.Network(new.turn.shape[1], changes, torch.ones(changes.shape[1]))
    after.begin(before.step(directions), new)
    yaw = torch.from_numpy(yaw_features(held.yaw)).float()
    with torch.no_grad():
        said = [net.eval()(given(held.features).float(), yaw).numpy() for net, given in ((before, directions), (after, new))]
    np.testing.assert_allclose(said[1], said[0], atol=0.03)
    # Between the two lie both, with one mean.
    first, second = before.step(directions), training.train(others, new, torch.eye(HEAD), 20, before.step(directions)).step(new)
    ends = [training.changes_of(step, held) for step in (first, second)]
    np.testing.assert_allclose(ends[0], said[0], atol=0.03)
    assert not np.allclose(*ends, atol=0.03)
    for kept, end in ((1.0, ends[0]), (0.0, ends[1])):
        np.testing.assert_allclose(training.changes_of(training.between(second, first, kept), held), end, atol=1e-3)


def test_it_goes_on_from_the_step_that_reads_the_same(training) -> None:
    descent = load(PACKAGED).observer.descent
    assert training.step_for(descent, descent.gradients.basis) is descent.last
    assert training.step_for(descent, descent.maps.basis) is descent.steps[-1]
    with pytest.raises(ValueError, match="no small network"):
        training.step_for(replace(descent, steps=descent.steps[:1]), descent.maps.basis)


def test_how_often_heads_turned_far_are_learned_from(training, monkeypatch: pytest.MonkeyPatch) -> None:
    known = samples(training, 1000, 1)
    far = np.abs(known.yaw) > 40
    far[:300] = False  # from these the network's last layer begins
    known.truth[far] = np.nan
    net = {}
    for often in (0.0, 1.7):
        monkeypatch.setattr(training, "TURNED_FAR", often)
        net[often] = training.train(known, training.Directions.of(known.features), torch.eye(HEAD), epochs=2)
    assert all(torch.isfinite(weight).all() for weight in net[0.0].parameters())
    assert not any(torch.isfinite(weight).all() for weight in net[1.7].parameters())


def test_directions_that_hardly_vary_count_for_little(training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SOFT", 60)
    rng = np.random.default_rng(5)
    spread = np.r_[np.full(100, 10.0), np.full(100, 0.1)]
    features = torch.from_numpy(rng.normal(size=(1500, 200)) * spread)
    given = training.Directions.of(features)(features).float()
    assert given[:, :80].std(0).mean() > 50 * given[:, 120:].std(0).mean()


def test_samples_of_a_folder_that_is_named_twice_count_twice(training, tmp_path: Path) -> None:
    for folder, number in (("some", 1.0), ("others", 2.0)):
        (tmp_path / folder).mkdir()
        for shard in range(3):
            columns = {
                name: np.full((2, 4), number + shard / 10, np.float16) for name in ("features", "head", "truth", "wrong")
            }
            np.savez(tmp_path / folder / f"{shard}.npz", yaw=np.zeros(2), **columns)
    read = training.Samples.read(tmp_path / "some", tmp_path / "others", tmp_path / "others", shards=2)
    np.testing.assert_allclose(read.features[::2, 0].float(), [1, 1.1, 2, 2.1, 2, 2.1], rtol=1e-3)
