"""What is said of the network's parts: every variant goes without what its name says, and all are measured alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from octoprint_facesculpt.reconstruction.alignment import CROP, PICTURE
from octoprint_facesculpt.reconstruction.guides import CHANNELS
from octoprint_facesculpt.reconstruction.network import GuidedVolumeNet
from octoprint_facesculpt.reconstruction.volume import GRID
from octoprint_facesculpt.reconstruction.weights import load

PEOPLE = 3


@pytest.fixture(scope="module")
def ablations():
    """The script under test."""
    import ablations

    return ablations


@pytest.fixture(scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def maker():
    from examples import ExampleMaker

    return ExampleMaker(load().head)


@pytest.fixture(scope="module")
def samples(maker) -> list:
    """Pictures of noise with the landmarks of different people, and a guess that is half of each."""
    from examples import Sample
    from samples import Shard

    from octoprint_facesculpt.reconstruction.camera import Camera

    model, rng = maker.model, np.random.default_rng(7)
    identities = rng.normal(size=(PEOPLE, len(model.identity))) * 0.5
    coefficients = np.c_[identities, np.zeros((PEOPLE, len(model.expression)))]
    camera = Camera(np.eye(3), 0.8, 0.001, np.array([150.0, 150.0]))
    pictures = [cv2.imencode(".png", rng.integers(0, 255, (300, 300, 3), np.uint8))[1].ravel() for _ in range(PEOPLE)]
    numbers = np.tile([camera.scale, camera.k, *camera.centre], (PEOPLE, 1))
    ends = np.cumsum([len(picture) for picture in pictures])
    shard = Shard(np.concatenate(pictures), ends, coefficients, np.stack([camera.rotation] * PEOPLE), numbers)
    mean = model.landmarks(model.mean)
    made = []
    for i in range(PEOPLE):
        seen = camera.project(maker.landmarks(coefficients[i])) * [1, 1, -camera.scale]
        sample = Sample(shard, i, seen, coefficients[i] / 2, camera, mean)
        made.append(replace(sample, camera=camera.through(sample.crop.matrix)))
    return made


@pytest.fixture(scope="module")
def cache(ablations, maker, samples, tmp_path_factory):
    made = ablations.Cache(tmp_path_factory.mktemp("cache") / "guess.npy", maker, samples, fitted=True)
    made.make(np.arange(PEOPLE))
    return made


def ball(radius: float) -> torch.Tensor:
    """Signed distances from a ball in the middle of 32 voxels a side."""
    axis = torch.arange(32) + 0.5 - 16
    return (axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None] ** 2).sqrt() - radius


@pytest.mark.parametrize(("radius", "error"), [(10.0, 0.0), (10.6, 0.6), (9.7, 0.3)])
def test_surface_error_of_a_ball_is_how_much_larger_or_smaller_it_is(ablations, radius, error) -> None:
    everywhere = torch.ones(32, 32, 32, dtype=torch.bool)
    assert ablations.surface_error(ball(radius), ball(10.0), everywhere, 3.0) == pytest.approx(3 * error, abs=0.03)


def test_surface_error_does_not_care_what_the_field_is_beside_its_surface(ablations) -> None:
    everywhere = torch.ones(32, 32, 32, dtype=torch.bool)
    logits = torch.atanh((ball(10.6) / 40).clamp(-0.99, 0.99)) * 30
    assert ablations.surface_error(logits, ball(10.0), everywhere, 3.0) == pytest.approx(1.8, abs=0.03)


def test_surface_error_is_of_the_surface_near_the_face(ablations) -> None:
    field, here = ball(10.0), torch.zeros(32, 32, 32, dtype=torch.bool)
    here[:, :16] = True
    field[:, 16:] = ball(13.0)[:, 16:]
    assert ablations.surface_error(field, ball(10.0), here, 1.0) < 0.05
    assert ablations.surface_error(field, ball(10.0), ~here, 1.0) == pytest.approx(3, abs=0.05)
    assert np.isnan(ablations.surface_error(field, ball(10.0), torch.zeros_like(here), 1.0))


def inputs(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "picture": torch.randn(1, 3, PICTURE, PICTURE, generator=generator),
        "guides": torch.randn(1, CHANNELS, CROP, CROP, generator=generator),
        "guess": torch.randn(1, GRID, GRID, GRID, generator=generator),
    }


@pytest.mark.parametrize("hidden", ["picture", "dense guides", "landmarks", "guess"])
def test_a_variant_does_not_see_what_it_goes_without(ablations, one_thread, hidden) -> None:
    torch.manual_seed(0)
    net = GuidedVolumeNet(CHANNELS, (8, 8, 8, 8, 8)).eval()
    for head in (net.volume, net.displacement):
        torch.nn.init.normal_(head.weight, std=0.3)
    (variant,) = (variant for variant in ablations.VARIANTS if variant.hidden == (hidden,))
    full, here, there = ablations.VARIANTS[0], inputs(1), inputs(2)
    changed = dict(here)
    if hidden in here:
        changed[hidden] = there[hidden]
    else:
        part = slice(0, 8) if hidden == "dense guides" else slice(8, None)
        changed["guides"] = here["guides"].clone()
        changed["guides"][:, part] = there["guides"][:, part]
    with torch.no_grad():
        for one, alike in ((variant, True), (full, False)):
            before, after = one.read(net, **here), one.read(net, **changed)
            corrections = before.volume - here["guess"], after.volume - changed["guess"]
            assert torch.allclose(*corrections, atol=1e-5) is alike
            assert torch.allclose(before.displacement, after.displacement, atol=1e-5) is alike
        rest = {name: there[name] if torch.equal(here[name], changed[name]) else here[name] for name in here}
        assert not torch.allclose(variant.read(net, **rest).displacement, variant.read(net, **here).displacement, atol=1e-3)


def test_occupancy_is_learned_from_the_side_of_the_surface_alone(ablations) -> None:
    truth = torch.tensor([-1.5, -0.1, 0.1, 1.5])
    said = torch.zeros(4, requires_grad=True)
    ablations.occupancy_loss(said, truth).sum().backward()
    # Downhill is towards negative inside, positive outside, however far the surface is.
    assert said.grad.tolist() == pytest.approx([2, 2, -2, -2])
    assert ablations.occupancy_loss(10 * truth, truth).max() < ablations.occupancy_loss(-10 * truth, truth).min()


def test_all_variants_learn_in_the_same_order_and_fewer_pictures_are_some_of_them(ablations) -> None:
    rows, mirrored = ablations.order(100, 1.0, 250)
    again, mirrored_again = ablations.order(100, 1.0, 250)
    assert np.array_equal(rows, again) and np.array_equal(mirrored, mirrored_again)
    assert not np.array_equal(rows, ablations.order(100, 1.0, 250, seed=1)[0])
    assert sorted(rows[:100]) == list(range(100)) and np.bincount(rows).min() >= 2
    half, quarter = (set(ablations.order(100, share, 250)[0].tolist()) for share in (0.5, 0.25))
    assert len(half) == 50 and len(quarter) == 25 and quarter < half


def test_cached_examples_are_those_of_the_training(ablations, one_thread, cache, maker, samples) -> None:
    from train import Examples

    plain = cache.batch(np.arange(PEOPLE), np.zeros(PEOPLE, bool))
    for i, expected in enumerate(Examples(maker, samples, mixed=False)[i] for i in range(PEOPLE)):
        for got, wanted in zip(plain, expected, strict=True):
            assert np.allclose(got[i].numpy(), wanted, atol=1e-5)
    turned = cache.batch(np.array([1]), np.array([True]))
    assert torch.equal(turned[2][0], plain[2][1].flip(-1))
    assert turned[6][0].numpy() == pytest.approx(np.array([GRID, 0, 0]) + plain[6][1].numpy() * [-1, 1, 1], abs=1e-4)


def test_a_cache_of_other_samples_is_refused(ablations, maker, samples, tmp_path) -> None:
    ablations.Cache(tmp_path / "guess.npy", maker, samples[:2], fitted=True)
    with pytest.raises(SystemExit, match="other samples"):
        ablations.Cache(tmp_path / "guess.npy", maker, samples, fitted=True)


def test_without_prior_the_average_head_lies_on_the_landmarks(ablations, maker, samples) -> None:
    coefficients, camera = ablations.average_head(maker, samples[0])
    assert not coefficients.any()
    off = camera.project(maker.mean_landmarks)[:, :2] - samples[0].crop.landmarks[:, :2]
    assert 0 < np.abs(off).mean() < 1.5


def test_a_finished_variant_is_not_trained_again(ablations, one_thread, cache, tmp_path, monkeypatch) -> None:
    out: Path = tmp_path / "results.jsonl"
    one = ablations.Variant("small", fitted=True, width=0.125)
    small = (one, replace(one, name="another", hidden=("picture",), occupancy=True))
    known = ablations.run(small[:1], {True: (cache, cache)}, out, 12, False)
    trained = []
    learn = ablations.learn
    monkeypatch.setattr(ablations, "learn", lambda variant, *rest: trained.append(variant.name) or learn(variant, *rest))
    both = ablations.run(small, {True: (cache, cache)}, out, 12, False)
    assert trained == ["another"] and list(both) == ["small", "another"] and both["small"] == known["small"]
    assert len(both["another"]["each"]["network_surface_mm"]) == PEOPLE
    # Their guesses are half of the people, and nothing is wrong with their place.
    assert 0.1 < np.mean(both["small"]["each"]["guess_surface_mm"]) < 5
    assert ablations.results(out, 24) == {}


def test_the_table_compares_the_same_samples(ablations) -> None:
    def line(*surface: float) -> dict:
        names = (*ablations.FIGURES, "guess_surface_mm", "network_surface_mm")
        each = {name: [1.0] * len(surface) for name in names} | {"network_surface_mm": list(surface)}
        cost = {"parameters": 1_500_000, "processor_seconds": 120, "samples": 600, "longer": 2}
        return {**cost, "occupancy": False, "each": each}

    rows = ablations.table({"full": line(1.0, 2.0, 3.0), "less": line(1.1, 2.2, 3.3)}).splitlines()
    assert "| full | 1.50 | 0.100 |" in rows[2]
    assert "+0.200 ± 0.058" in rows[3]
