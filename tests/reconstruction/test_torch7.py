"""The reader of Torch7's files, and the import of VRN's weights through it."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from octoprint_facesculpt.reconstruction.vrn2017 import load_network

from .torch7_writer import Module, Writer
from .vrn_file import VrnFile, run

TRAINING = Path(__file__).resolve().parents[2] / "extras" / "training"


@pytest.fixture(scope="module")
def torch7():
    return _import("torch7")


@pytest.fixture(scope="module")
def convert_vrn():
    return _import("convert_vrn")


def _import(name: str):
    sys.path.insert(0, str(TRAINING))
    try:
        return __import__(name)
    finally:
        sys.path.remove(str(TRAINING))


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Module]:
    """A file of the size and nesting of the released one, and what was written into it."""
    network = VrnFile().network()
    path = tmp_path_factory.mktemp("vrn") / "vrn-unguided.t7"
    path.write_bytes(Writer().value(network))
    return path, network


def test_every_kind_of_value_comes_back(torch7, tmp_path: Path) -> None:
    shared = np.arange(12, dtype=np.float64).reshape(3, 4)
    turned = np.arange(6, dtype=np.float32).reshape(2, 3).T
    written = {"number": 1.5, "whole": 3, "text": "Gesicht", "yes": True, "nothing": None, 1: shared, 2: shared, 3: turned}
    path = tmp_path / "values.t7"
    path.write_bytes(Writer().value(written))
    read = torch7.load(path)
    assert read["number"] == 1.5 and read["whole"] == 3 and read["text"] == "Gesicht" and read["yes"] is True
    assert read["nothing"] is None
    np.testing.assert_array_equal(read[1], shared)
    assert read[2] is read[1]  # a reference, not a copy
    np.testing.assert_array_equal(read[3], turned)


def test_an_object_may_refer_to_itself(torch7, tmp_path: Path) -> None:
    loop = Module("nn.Sequential")
    loop.fields["self"] = loop
    path = tmp_path / "loop.t7"
    path.write_bytes(Writer().value(loop))
    read = torch7.load(path)
    assert read["self"] is read


def _tensor(shape, strides, count, stored=4) -> bytes:
    """A tensor of a storage that says it has ``count`` elements and has ``stored``."""
    data = struct.pack("<ii", 4, 1) + _string("V 1") + _string("torch.FloatTensor") + struct.pack("<i", len(shape))
    data += b"".join(struct.pack("<q", n) for n in (*shape, *strides, 1))
    data += struct.pack("<ii", 4, 2) + _string("V 1") + _string("torch.FloatStorage") + struct.pack("<q", count)
    return data + bytes(4 * stored)


def _string(text: str) -> bytes:
    return struct.pack("<i", len(text)) + text.encode()


HOSTILE = {
    "empty": b"",
    "unknown type": struct.pack("<i", 99),
    "string longer than the file": struct.pack("<ii", 2, 1 << 30),
    "string of negative length": struct.pack("<ii", 2, -5),
    "table of two thousand million": struct.pack("<iii", 3, 1, 2_000_000_000),
    "storage larger than the file": _tensor([4], [1], 1 << 60),
    "tensor beyond its storage": _tensor([1000], [1], 4),
    "tensor that repeats its storage": _tensor([1 << 20, 1 << 20], [0, 0], 4),
    "tensor of negative size": _tensor([-4], [1], 4),
    "tensor of many dimensions": _tensor([1] * 50, [1] * 50, 4),
    "tables in tables": b"".join(struct.pack("<iii", 3, n, 1) for n in range(1, 5000)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused(torch7, tmp_path: Path, name: str) -> None:
    path = tmp_path / "hostile.t7"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(torch7.Torch7Error):
        torch7.load(path)


def test_a_file_cut_anywhere_is_refused(torch7, tmp_path: Path) -> None:
    whole = Writer().value({"a": np.arange(5.0), "b": Module("nn.ReLU"), "c": "text"})
    path = tmp_path / "cut.t7"
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        with pytest.raises(torch7.Torch7Error):
            torch7.load(path)


def test_the_imported_network_computes_what_the_file_says(torch7, convert_vrn, released) -> None:
    """Every layer in its place: the modules as written, run one by one, give the same volume."""
    path, written = released
    ours = convert_vrn.convert(torch7.load(path))
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, found = run(written, picture), ours(picture)
    assert expected.shape == found.shape == (1, 200, 32, 32)
    assert expected.std() > 0.05  # the weights do say something
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_deviations_of_older_files_are_understood(convert_vrn, torch7) -> None:
    from torch import nn

    place = nn.BatchNorm2d(4)
    variance = np.array([0.5, 1.0, 2.0, 4.0])
    fields = {"weight": np.ones(4), "bias": np.zeros(4), "running_mean": np.zeros(4), "running_std": (variance + 1e-3) ** -0.5}
    with torch.no_grad():
        convert_vrn._copy_normalisation(torch7.Object("nn.SpatialBatchNormalization", {**fields, "eps": 1e-3}), place, 0)
    x = torch.ones(1, 4, 1, 1)
    expected = torch.from_numpy((variance + 1e-3) ** -0.5).float()
    torch.testing.assert_close(place.eval()(x).flatten(), expected, rtol=1e-5, atol=1e-6)


def test_another_network_is_refused_with_the_layer(torch7, convert_vrn, released) -> None:
    network = torch7.load(released[0])
    first = network.modules[0]
    wrong = torch7.Object(first.kind, {**first.fields, "weight": np.zeros((64, 3, 5, 5), np.float32)})
    table = {**network["modules"], 1: wrong}
    with pytest.raises(torch7.Torch7Error, match="layer 0 has weights"):
        convert_vrn.convert(torch7.Object(network.kind, {"modules": table}))
    del table[1]
    with pytest.raises(torch7.Torch7Error, match="548 layers"):
        convert_vrn.convert(torch7.Object(network.kind, {"modules": table}))


def test_the_command_writes_weights_the_engine_loads(convert_vrn, released, tmp_path: Path, monkeypatch) -> None:
    path, written = released
    out = tmp_path / "vrn.safetensors"
    monkeypatch.setattr(sys, "argv", ["convert_vrn.py", str(path), "-o", str(out)])
    convert_vrn.main()
    first = load_network(out).stem[0].weight
    np.testing.assert_array_equal(first.detach().numpy(), written.fields["modules"][1].fields["weight"])


def test_the_command_says_what_is_wrong(convert_vrn, tmp_path: Path, monkeypatch) -> None:
    broken = tmp_path / "broken.t7"
    broken.write_bytes(b"not a network")
    monkeypatch.setattr(sys, "argv", ["convert_vrn.py", str(broken), "-o", str(tmp_path / "out.safetensors")])
    with pytest.raises(SystemExit) as ended:
        convert_vrn.main()
    assert "broken.t7" in str(ended.value)
