"""The weights file: networks and head model in one safetensors file, with its model card beside it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from .closeup import Answer, Closeup, CloseupNet, closeup_points
from .correspondence import CorrespondenceNet
from .descent import ByYaw, Deep, Descent, Shown, step_arrays, step_of, under
from .errors import ReconstructionError
from .guides import CHANNELS
from .head_model import HeadModel
from .look import Observer
from .network import GuidedVolumeNet
from .recognition import Recogniser, RecognitionNet

#: The weights that come with the package.
PACKAGED = Path(__file__).parent / "weights" / "facesculpt-vrn.safetensors"
#: Tensors of so many numbers are stored in bytes (see :func:`_pack`), smaller ones in half precision.
LARGE = 30_000
#: What is stored as it is.
EXACT = ("precision", "head.mean", "person.shape", "person.precision", "closeup.answer.precision")
#: Suffix of the tensor with the steps of one in bytes.
STEP = ".step"


@dataclass(frozen=True)
class Weights:
    """Everything learned, ready to run."""

    observer: Observer
    volume: GuidedVolumeNet
    head: HeadModel
    precision: np.ndarray  #: (C, C) inverse covariance of the errors of the head they find
    identity: dict[str, str]
    closeup: Closeup | None = None


def save(
    path: Path,
    observer: Observer,
    volume: GuidedVolumeNet,
    head: HeadModel,
    precision: np.ndarray,
    metadata: dict[str, str],
    closeup: Closeup | None = None,
) -> None:
    """Write all of it, large matrices and the head's shapes in bytes, everything else that allows it in half precision."""
    from safetensors.numpy import save_file

    tensors: dict[str, np.ndarray] = {"precision": precision.astype(np.float32), "points": observer.vertices.astype(np.int32)}
    modules = {"correspondence.": observer.net, "recognition.": observer.recogniser.net, "volume.": volume}
    if closeup is not None:
        modules["closeup.net."] = closeup.net
        tensors |= {f"closeup.answer.{name}": array.astype(np.float32) for name, array in vars(closeup.answer).items()}
    for prefix, module in modules.items():
        tensors |= {prefix + name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()}
    descent = observer.descent
    tensors |= {"descent.centre": descent.maps.centre, "descent.basis": descent.maps.basis}
    if descent.gradients is not None:
        tensors |= {"descent.gradients.centre": descent.gradients.centre, "descent.gradients.basis": descent.gradients.basis}
    steps = {str(number): step for number, step in enumerate(descent.steps)} | ({"last": descent.last} if descent.last else {})
    for number, step in steps.items():
        arrays = step_arrays(step)
        tensors |= {f"descent.{number}.{name}": array.astype(np.float32) for name, array in arrays.items()}
    for name in ("mean", "shape", "precision"):
        tensors[f"person.{name}"] = getattr(observer.recogniser, name).astype(np.float32)
    tensors |= head.to_tensors()
    stored = {}
    for name, array in tensors.items():
        if name not in EXACT and array.dtype in (np.float16, np.float32) and array.ndim > 1 and array.size >= LARGE:
            stored[name], stored[name + STEP] = _pack(array)
        elif array.dtype == np.float32 and array.ndim > 1 and name not in EXACT:
            stored[name] = array.astype(np.float16)
        else:
            stored[name] = array
    path.parent.mkdir(parents=True, exist_ok=True)
    # One entry: safetensors writes several in any order, and the file should come out the same each time.
    about = {"facesculpt": json.dumps(metadata, sort_keys=True)}
    save_file({name: np.ascontiguousarray(array) for name, array in stored.items()}, path, about)
    path.chmod(0o644)  # safetensors lets only its owner read


def metadata_of(path: Path) -> dict[str, str]:
    """What a weights file says of itself; ``KeyError`` where it is none of ours."""
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        return json.loads((file.metadata() or {})["facesculpt"])


@lru_cache(maxsize=1)
def load(path: Path = PACKAGED) -> Weights:
    """Read the weights of ``path``; :class:`ReconstructionError` ``weights_invalid`` when they are missing or broken."""
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = metadata_of(path)
        for name in [name for name in tensors if name + STEP in tensors]:
            tensors[name] = _unpack(tensors[name], tensors.pop(name + STEP))
        points = tensors["points"]
        correspondence = CorrespondenceNet(len(points), len(tensors["precision"]))
        recognition = RecognitionNet()
        volume = GuidedVolumeNet(CHANNELS, tuple(json.loads(metadata["widths"])))
        modules = {"correspondence.": correspondence, "recognition.": recognition, "volume.": volume}
        answer = {name: array.astype(np.float64) for name, array in under("closeup.answer.", tensors).items()}
        close = CloseupNet(len(tensors["closeup.net.weight"]), len(tensors["closeup.net.head.bias"])) if answer else None
        if close:
            modules["closeup.net."] = close
        for prefix, module in modules.items():
            floats = {k: v.astype(np.float32) if v.dtype == np.float16 else v for k, v in under(prefix, tensors).items()}
            module.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in floats.items()})
            module.eval()
        # A half to two thirds of their time is saved so; recognition would take longer.
        for prefix, module in modules.items():
            if prefix != "recognition.":
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        descent = _descent(tensors)
        recogniser = Recogniser(recognition, *(tensors[f"person.{name}"] for name in ("mean", "shape", "precision")))
        head = HeadModel.from_tensors(tensors)
        precision = tensors["precision"].astype(np.float64)
        closeup = Closeup(close, closeup_points(head, points), Answer(**answer)) if close else None
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise ReconstructionError(
            "weights_invalid", f"The network's weights cannot be read: {error}", "Install the plugin again."
        ) from error
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    identity = {"name": metadata.get("name", path.stem), "version": metadata.get("version", "?"), "sha256": digest}
    observer = Observer.of(head, correspondence, points, descent, recogniser)
    return Weights(observer, volume, head, precision, identity, closeup)


def _descent(tensors: dict[str, np.ndarray]) -> Descent:
    floats = {name: array.astype(np.float32) for name, array in under("descent.", tensors).items()}
    steps: list[ByYaw | Deep] = []
    while one := under(f"{len(steps)}.", floats):
        steps.append(step_of(one))
    maps, gradients = (Shown(floats[f"{name}centre"], floats[f"{name}basis"]) for name in ("", "gradients."))
    return Descent(maps, tuple(steps), gradients, step_of(under("last.", floats)))


def _pack(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, ...) in signed bytes and the step (N,) of each of the N: an error of at most 0.4 % of each one's largest number."""
    values = array.astype(np.float32)
    step = np.abs(values).reshape(len(values), -1).max(1) / 127 + 1e-12
    return np.round(values / step.reshape(-1, *[1] * (values.ndim - 1))).astype(np.int8), step.astype(np.float32)


def _unpack(packed: np.ndarray, step: np.ndarray) -> np.ndarray:
    return packed.astype(np.float32) * step.reshape(-1, *[1] * (packed.ndim - 1))
