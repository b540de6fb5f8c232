"""The encoder with MediaPipe's weights is MediaPipe's encoder."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from octoprint_facesculpt import assets
from octoprint_facesculpt.reconstruction.correspondence import REGION, FaceEncoder

#: Layers after which OpenCV's copy of the network is read: the last of each stage.
ENDS = ("p_re_lu_134", "p_re_lu_144", "p_re_lu_154", "p_re_lu_164", "p_re_lu_174", "p_re_lu_184", "p_re_lu_194")


def test_every_map_is_the_original_network_s(assets_folder: Path) -> None:
    import pretrained

    model = assets.asset_path("face_landmarks_detector", assets_folder)
    encoder = FaceEncoder().eval()
    pretrained.load_into(encoder, model)
    picture = np.random.default_rng(0).random((1, 3, REGION, REGION), np.float32)
    engine = (cv2.dnn.ENGINE_CLASSIC,) if hasattr(cv2.dnn, "ENGINE_CLASSIC") else ()
    net = cv2.dnn.readNetFromTFLite(str(model), *engine)
    net.setInput(picture)
    expected = net.forward([next(name for name in net.getLayerNames() if f"/{end}/" in name) for end in ENDS])
    with torch.inference_mode():
        found = encoder(torch.from_numpy(picture))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-3)


def test_another_network_s_layers_are_refused(assets_folder: Path) -> None:
    import pretrained

    with pytest.raises(ValueError, match="where the encoder has"):
        pretrained.load_into(FaceEncoder(), assets.asset_path("face_detector", assets_folder))
