"""The regressions behind the recognition network begin as ridge regressions, and are believed as far as they were right."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from octoprint_facesculpt.reconstruction.head_model import Mirror
from octoprint_facesculpt.reconstruction.recognition import CHIP, FEATURES, PLACES, RecognitionNet


@pytest.fixture
def training():
    """The script under test."""
    import train_recognition

    return train_recognition


def test_every_range_of_yaw_has_its_own_linear_map(training) -> None:
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(training.RANGES, FEATURES, 3, generator=generator)
    features = torch.randn(training.RANGES * 800, FEATURES, generator=generator) + 2
    number = torch.arange(len(features)) % training.RANGES
    identity = torch.einsum("bf,bfi->bi", features, true[number])
    regressions = training.Regressions(3)
    regressions.begin(features, identity - identity.mean(0), number)
    said = regressions(features, number)
    for one in range(training.RANGES):
        expected = identity[number == one]
        expected = expected - expected.mean(0)
        # The ridge draws it a little towards the mean.
        assert (said[number == one] - expected).std() < 0.12 * expected.std()


def test_precision_is_that_of_the_errors_with_left_and_right_alike(training) -> None:
    rng = np.random.default_rng(1)
    number = np.repeat([0, 1, 2, 3, 4], [2000, 3000, 8000, 3000, 2000])
    deviation = np.array([3.0, 2.0, 1.0, 2.0, 3.0])[number, None] * [1.0, 0.5]
    precision = training.precision_of(rng.normal(size=(len(number), 2)) * deviation, number)
    assert np.allclose(precision[0], precision[4]) and np.allclose(precision[1], precision[3])
    # The share of all other pictures lets each range lean a little towards them, in form but not in size.
    assert 1 / np.diag(precision[2]) == pytest.approx([1.0, 0.25], rel=0.05)
    assert 1 / np.diag(precision[0]) == pytest.approx([9.0, 2.25], rel=0.05)


def test_few_pictures_of_a_range_take_their_form_from_all(training) -> None:
    rng = np.random.default_rng(2)
    number = np.repeat([0, 2], [3, 5000])
    precision = training.precision_of(rng.normal(size=(len(number), 40)), number)
    # Three errors have a covariance of rank three.
    assert np.linalg.cond(precision[0]) < 10 * (1 + 3 / training.ALIKE)


def test_a_picture_and_its_mirror_image_are_taken_together(training, monkeypatch: pytest.MonkeyPatch) -> None:
    import chips

    monkeypatch.setattr(chips, "DETECTION", 0.0)  # or both would be aligned a little differently
    torch.manual_seed(6)
    net, regressions = RecognitionNet().eval(), training.Regressions(3)
    torch.nn.init.normal_(regressions.shape)
    mirror = Mirror(np.arange(1), np.array([0, 2, 1]), np.array([-1, 1, 1]))
    picture = cv2.resize(np.random.default_rng(5).integers(0, 255, (20, 20, 3), np.uint8), (CHIP, CHIP))
    coded = [cv2.imencode(".png", image)[1] for image in (picture, picture[:, ::-1])]
    # Left and right of the middle alike, so that a mirror image is aligned as the mirror image of what is aligned.
    half = (PLACES - [0.5, 0] + (PLACES - [0.5, 0])[[3, 2, 1, 0, 4]] * [-1, 1]) / 2 + [0.5, 0]
    places = np.tile(CHIP * half, (2, 1, 1))
    held_out = chips.Chips(coded, places, np.zeros((2, 3), np.float32), np.array([-20.0, 20.0]))
    one, other = training.said_of(net, regressions, held_out, mirror)
    assert mirror.of(other) == pytest.approx(one, abs=0.02 * np.abs(one).max())
    with torch.inference_mode():
        alone = regressions(net(held_out.aligned(np.random.default_rng(0), np.arange(1))), torch.tensor([1]))[0].numpy()
    assert np.abs(alone - one).max() > 0.1 * np.abs(one).max()


def test_upper_layers_go_on_where_the_lower_ones_end() -> None:
    torch.manual_seed(4)
    net, picture = RecognitionNet().eval(), torch.rand(1, 3, CHIP, CHIP)
    with torch.inference_mode():
        seen = net.lower(picture)
        assert seen.shape == (1, 64, 17, 17)
        assert torch.allclose(net.upper(seen), net(picture))


def test_what_comes_out_lies_between_the_start_and_the_end(training) -> None:
    from octoprint_facesculpt.reconstruction.weights import PACKAGED

    net, maps = training.states_of(PACKAGED)
    RecognitionNet().load_state_dict(net)
    assert maps["shape"].shape[:2] == (training.RANGES, FEATURES)
    trained = {name: weight + 1 for name, weight in maps.items()}
    for kept in (0.0, 0.3, 1.0):
        for name, weight in training.blended(trained, maps, kept).items():
            torch.testing.assert_close(weight, maps[name] + 1 - kept)
