"""The weights file: networks and head model in one safetensors file, with its model card beside it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..errors import FaceSculptError
from .guides import CHANNELS
from .head_model import HeadModel
from .network import FirstGuess, GuidedVolumeNet

#: The weights that come with the package.
PACKAGED = Path(__file__).parent / "weights" / "facesculpt-vrn.safetensors"


class ReconstructionError(FaceSculptError):
    """The reconstruction cannot be made (codes ``weights_invalid``, ``no_surface``)."""


@dataclass(frozen=True)
class Weights:
    """Everything learned, ready to run."""

    guess: FirstGuess
    volume: GuidedVolumeNet
    head: HeadModel
    precision: np.ndarray  #: (C, C) inverse covariance of the first guess's errors
    identity: dict[str, str]


def save(
    path: Path,
    guess: FirstGuess,
    volume: GuidedVolumeNet,
    head: HeadModel,
    precision: np.ndarray,
    metadata: dict[str, str],
) -> None:
    """Write all of it, networks in half precision and the head's shapes in bytes (see :func:`_pack`)."""
    from safetensors.numpy import save_file

    tensors: dict[str, np.ndarray] = {"precision": precision.astype(np.float32)}
    for prefix, module in (("guess.", guess), ("volume.", volume)):
        for name, tensor in module.state_dict().items():
            array = tensor.detach().cpu().numpy()
            tensors[prefix + name] = array.astype(np.float16) if array.dtype == np.float32 and array.ndim > 1 else array
    for name, array in head.to_tensors().items():
        if name in ("head.identity", "head.expression"):
            tensors[name], tensors[name + ".step"] = _pack(array)
        else:
            tensors[name] = array
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, path, metadata)
    path.chmod(0o644)  # safetensors lets only its owner read


@lru_cache(maxsize=1)
def load(path: Path = PACKAGED) -> Weights:
    """Read the weights of ``path``; :class:`ReconstructionError` ``weights_invalid`` when they are missing or broken."""
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
        for name in ("head.identity", "head.expression"):
            tensors[name] = _unpack(tensors[name], tensors.pop(name + ".step"))
        guess = FirstGuess(tensors["guess.linear.weight"].shape[1], len(tensors["guess.linear.weight"]))
        volume = GuidedVolumeNet(CHANNELS, tuple(json.loads(metadata["widths"])))
        for prefix, module in (("guess.", guess), ("volume.", volume)):
            state = {name[len(prefix) :]: array for name, array in tensors.items() if name.startswith(prefix)}
            floats = {k: v.astype(np.float32) if v.dtype == np.float16 else v for k, v in state.items()}
            module.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in floats.items()})
            module.eval()
        head = HeadModel.from_tensors(tensors)
        precision = tensors["precision"].astype(np.float64)
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise ReconstructionError(
            "weights_invalid", f"The network's weights cannot be read: {error}", "Install the plugin again."
        ) from error
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    identity = {"name": metadata.get("name", path.stem), "version": metadata.get("version", "?"), "sha256": digest}
    return Weights(guess, volume, head, precision, identity)


def _pack(shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shapes (S, V, 3) in signed bytes and their steps (S,): an error of at most 0.4 % of each shape's largest move."""
    values = shapes.astype(np.float32)
    step = np.abs(values).reshape(len(values), -1).max(1) / 127 + 1e-12
    return np.round(values / step[:, None, None]).astype(np.int8), step.astype(np.float32)


def _unpack(packed: np.ndarray, step: np.ndarray) -> np.ndarray:
    return packed.astype(np.float32) * step[:, None, None]
