"""MediaPipe's weights for the encoder of the correspondence network, read through OpenCV."""

from __future__ import annotations

from pathlib import Path

import cv2
import torch
from torch import nn

from octoprint_facesculpt.reconstruction.correspondence import FaceEncoder


def load_into(encoder: FaceEncoder, landmarks_model: Path) -> None:
    """Copy the weights of ``face_landmarks_detector.tflite`` into ``encoder``, layer by layer in the order they run.

    Raises
    ------
    ValueError
        The file's layers are not the encoder's.
    """
    engine = (cv2.dnn.ENGINE_CLASSIC,) if hasattr(cv2.dnn, "ENGINE_CLASSIC") else ()
    net = cv2.dnn.readNetFromTFLite(str(landmarks_model), *engine)
    layers = [net.getLayer(i + 1) for i in range(len(net.getLayerNames()))]
    stored = (layer for layer in layers if layer.type in ("Convolution", "PReLU"))
    with torch.no_grad():
        for module, layer in zip(_in_order(encoder), stored, strict=False):
            own = [module.weight] if isinstance(module, nn.PReLU) else [module.weight, module.bias]
            for parameter, blob in zip(own, layer.blobs, strict=True):
                if parameter.numel() != blob.size or (parameter.ndim == 4 and tuple(parameter.shape) != blob.shape):
                    raise ValueError(f"{layer.name}: {blob.shape} where the encoder has {tuple(parameter.shape)}")
                parameter.copy_(torch.from_numpy(blob.reshape(parameter.shape)))


def _in_order(encoder: FaceEncoder) -> list[nn.Module]:
    return [module for module in encoder.modules() if isinstance(module, nn.Conv2d | nn.PReLU)]
