"""dlib's face recognition network from the folder in which face-api carries it in bytes.

The npm package ``@vladmandic/face-api`` (MIT licence) has ``model/face_recognition_model.bin`` and its manifest: the weights of
``dlib_face_recognition_resnet_model_v1`` (Davis King, CC0 1.0), each tensor with the smallest value and the step of its bytes.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from octoprint_facesculpt.reconstruction.recognition import BLOCKS, RecognitionNet

NAME = "face_recognition_model"


def read(folder: Path) -> dict[str, np.ndarray]:
    """All tensors by name; ``ValueError`` where the file does not hold just these."""
    manifest = json.loads((folder / f"{NAME}-weights_manifest.json").read_text())
    raw = (folder / f"{NAME}.bin").read_bytes()
    at, tensors = 0, {}
    for entry in (weight for group in manifest for weight in group["weights"]):
        count, coding = int(np.prod(entry["shape"])), entry.get("quantization")
        stored = np.frombuffer(raw, np.dtype(coding["dtype"] if coding else entry["dtype"]), count, at)
        at += stored.nbytes
        values = stored.astype(np.float32) * coding["scale"] + coding["min"] if coding else stored.astype(np.float32)
        tensors[entry["name"]] = values.astype(np.float32).reshape(entry["shape"])
    if at != len(raw):
        raise ValueError(f"{NAME}.bin has {len(raw)} bytes, its manifest speaks of {at}")
    return tensors


def load_into(net: RecognitionNet, folder: Path) -> None:
    """Copy the weights in ``folder`` into ``net``; each convolution takes up the scaling that follows it."""
    tensors = read(folder)
    pairs = [(net.stem, f"conv{BLOCKS[0][0]}_down")]
    for block, name in zip(net.blocks, _names(), strict=True):
        pairs += [(block.first, f"{name}/conv1"), (block.second, f"{name}/conv2")]
    with torch.no_grad():
        for convolution, name in pairs:
            _copy(convolution, name, tensors)


def _copy(convolution: nn.Conv2d, name: str, tensors: dict[str, np.ndarray]) -> None:
    scale = tensors[f"{name}/scale/weights"]
    weight = (tensors[f"{name}/conv/filters"] * scale).transpose(3, 2, 0, 1)
    bias = tensors[f"{name}/conv/bias"] * scale + tensors[f"{name}/scale/biases"]
    if weight.shape != tuple(convolution.weight.shape):
        raise ValueError(f"{name}: {weight.shape} where the network has {tuple(convolution.weight.shape)}")
    convolution.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
    convolution.bias.copy_(torch.from_numpy(bias))


def _names() -> list[str]:
    """What face-api calls the residual blocks: by width and number, those that halve the size and the last by what they do."""
    names, number = [], 0
    for width, down in BLOCKS:
        number = 0 if down else number + 1
        names.append(f"conv{width}_down" if down else f"conv{width}_{number}")
    return [*names[:-1], f"{names[-1]}_out"]
