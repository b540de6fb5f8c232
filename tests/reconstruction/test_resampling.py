"""Parts of pictures as the networks see them."""

from __future__ import annotations

import numpy as np
import pytest

from octoprint_facesculpt.reconstruction.resampling import resample


@pytest.mark.parametrize("zoom", [0.2, 1.0, 3.0])
def test_the_picture_is_sampled_where_it_should_be(zoom: float) -> None:
    y, x = np.mgrid[:800, :900] + 0.5
    image = np.stack([x / 900, y / 800, np.zeros_like(x)], 2) * 255
    matrix = np.array([[zoom, 0, 96 - zoom * 450], [0, zoom, 96 - zoom * 400]])
    seen = resample(image.astype(np.uint8), matrix, 192)
    assert seen.shape == (192, 192, 3)
    expected = ((np.array([120.5, 60.5]) - matrix[:, 2]) / zoom) / [900, 800] * 255
    np.testing.assert_allclose(seen[60, 120, :2], expected, atol=1.6)


@pytest.mark.parametrize(("edge", "expected"), [(True, 200), (False, 0)])
def test_beyond_the_picture_its_edge_is_repeated_or_it_is_black(edge: bool, expected: int) -> None:
    image = np.full((40, 50, 3), 200, np.uint8)
    seen = resample(image, np.array([[1.0, 0, 30], [0, 1.0, 30]]), 64, edge=edge)
    assert (seen[10, 10] == expected).all() and (seen[50, 50] == 200).all()
