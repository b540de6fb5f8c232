"""Which pixels of a picture show the person: MediaPipe's network for selfies, run by OpenCV.

The network (``selfie_segmentation.tflite`` of Google's MediaPipe, Apache-2.0) looks at a square of 256 pixels with a person
from the chest up. On old and grey photos, too, it finds the outline of the hair.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..assets import asset_path

ASSET = "selfie_segmentation"
#: Side of the network's input and of its output in pixels.
INPUT = 256


def matte_of(picture: np.ndarray, assets: Path | None = None) -> np.ndarray:
    """How sure it is that the pixels of ``picture`` ((INPUT, INPUT, 3) uint8, RGB) show the person, (INPUT, INPUT) float32
    0..1; :class:`AssetError` ``asset_missing`` when the model is."""
    # OpenCV 5's new engine gives out the last layer only.
    engine = (cv2.dnn.ENGINE_CLASSIC,) if hasattr(cv2.dnn, "ENGINE_CLASSIC") else ()
    net = cv2.dnn.readNetFromTFLite(str(asset_path(ASSET, assets)), *engine)
    net.setInput(cv2.dnn.blobFromImage(picture, 1 / 255.0))
    return net.forward().reshape(INPUT, INPUT)
