"""The recognition network with face-api's weights computes what face-api computes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from octoprint_facesculpt.reconstruction.recognition import CHIP, COLOURS, RecognitionNet

#: face-api's names of the residual blocks, with their widths.
BLOCKS = {
    "conv32_1": 32, "conv32_2": 32, "conv32_3": 32, "conv64_down": 64, "conv64_1": 64, "conv64_2": 64, "conv64_3": 64,
    "conv128_down": 128, "conv128_1": 128, "conv128_2": 128, "conv256_down": 256, "conv256_1": 256, "conv256_2": 256,
    "conv256_down_out": 256,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in face-api's format, of random numbers in the sizes of the real one."""
    rng = np.random.default_rng(5)
    weights: list[dict] = []
    raw = b""

    def add(name: str, shape: list[int], low: float, step: float) -> None:
        nonlocal raw
        weights.append(
            {"name": name, "shape": shape, "dtype": "float32", "quantization": {"dtype": "uint8", "min": low, "scale": step}}
        )
        raw += rng.integers(0, 256, shape, np.uint8).tobytes()

    def convolution(name: str, side: int, inputs: int, outputs: int) -> None:
        size = (side * side * inputs) ** -0.5
        add(f"{name}/conv/filters", [side, side, inputs, outputs], -size, size / 127)
        add(f"{name}/conv/bias", [outputs], -0.1, 0.001)
        add(f"{name}/scale/weights", [outputs], 0.5, 0.004)
        add(f"{name}/scale/biases", [outputs], -0.2, 0.002)

    convolution("conv32_down", 7, 3, 32)
    before = 32
    for name, width in BLOCKS.items():
        convolution(f"{name}/conv1", 3, before, width)
        convolution(f"{name}/conv2", 3, width, width)
        before = width
    last = rng.normal(size=(256, 128)).astype("<f4")
    weights.append({"name": "fc", "shape": [256, 128], "dtype": "float32"})
    folder = tmp_path_factory.mktemp("face-api")
    (folder / "face_recognition_model-weights_manifest.json").write_text(json.dumps([{"weights": weights}]))
    (folder / "face_recognition_model.bin").write_bytes(raw + last.tobytes())
    return folder


def reference(tensors: dict[str, np.ndarray], picture: torch.Tensor) -> torch.Tensor:
    """The network as face-api writes it down: convolution, bias, scale and offset one after the other."""

    def layer(x: torch.Tensor, name: str, stride: int, padding: int) -> torch.Tensor:
        filters, *columns = (
            torch.from_numpy(np.array(tensors[f"{name}/{part}"]))
            for part in ("conv/filters", "conv/bias", "scale/weights", "scale/biases")
        )
        bias, scale, offset = (column[:, None, None] for column in columns)
        return (functional.conv2d(x, filters.permute(3, 2, 0, 1), None, stride, padding) + bias) * scale + offset

    x = (255 * picture - torch.tensor(COLOURS)[:, None, None]) / 256
    x = functional.max_pool2d(functional.relu(layer(x, "conv32_down", 2, 0)), 3, 2)
    for name in BLOCKS:
        down = "down" in name
        body = functional.relu(layer(x, f"{name}/conv1", 2 if down else 1, 0 if down else 1))
        body = layer(body, f"{name}/conv2", 1, 1)
        beside = functional.avg_pool2d(x, 2) if down else x
        height, width = (max(body.shape[i], beside.shape[i]) for i in (2, 3))
        total = torch.zeros(len(x), body.shape[1], height, width)
        total[:, :, : body.shape[2], : body.shape[3]] += body
        total[:, : beside.shape[1], : beside.shape[2], : beside.shape[3]] += beside
        x = functional.relu(total)
    return x.mean((2, 3))


def test_the_network_computes_what_face_api_computes(folder: Path) -> None:
    import recognition_weights

    net = RecognitionNet().eval()
    recognition_weights.load_into(net, folder)
    picture = torch.from_numpy(np.random.default_rng(6).random((2, 3, CHIP, CHIP), np.float32))
    with torch.inference_mode():
        found, expected = net(picture), reference(recognition_weights.read(folder), picture)
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_a_file_of_another_length_is_refused(folder: Path, tmp_path: Path) -> None:
    import recognition_weights

    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes() + (b"\0" if path.suffix == ".bin" else b""))
    with pytest.raises(ValueError, match="manifest"):
        recognition_weights.read(tmp_path)
