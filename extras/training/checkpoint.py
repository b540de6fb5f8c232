"""What a training leaves behind: its state, never half written, and a line of figures each time it was measured."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from octoprint_facesculpt.reconstruction.closeup import CloseupNet
from octoprint_facesculpt.reconstruction.correspondence import CorrespondenceNet
from octoprint_facesculpt.reconstruction.recognition import Recogniser, RecognitionNet
from octoprint_facesculpt.reconstruction.weights import load

#: Suffix of the weights in the package, from which training can go on.
WEIGHTS = ".safetensors"


def save(path: Path, state: dict[str, Any]) -> None:
    """Write the state of a training to ``path`` in one go."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def log(path: Path, samples: int, seconds: float, **figures: float) -> None:
    """Print the figures and add them to the log beside the state at ``path``."""
    line = json.dumps({"samples": samples, "minutes": round(seconds / 60, 1), **figures})
    print(line, flush=True)
    with path.with_suffix(".jsonl").open("a") as file:
        file.write(line + "\n")


def correspondence(path: Path) -> tuple[CorrespondenceNet, np.ndarray, dict[str, Any]]:
    """The correspondence network in a state or weights file, the numbers of its head points (P,), and the state itself."""
    if path.suffix == WEIGHTS:
        observer = load(path).observer
        return observer.net, observer.vertices, {}
    state = torch.load(path, map_location="cpu")
    net = CorrespondenceNet(len(state["points"]), state["outputs"]).eval()
    net.load_state_dict(state["net"])
    return net, state["points"].numpy(), state


def recogniser(path: Path) -> tuple[Recogniser, dict[str, Any]]:
    """The recogniser in a state of :mod:`train_recognition` or in a weights file, and the state itself."""
    if path.suffix == WEIGHTS:
        return load(path).observer.recogniser, {}
    state = torch.load(path, map_location="cpu")
    net = RecognitionNet().eval()
    net.load_state_dict(state["net"])
    learned = (state["regressions"]["mean"], state["regressions"]["shape"], state["precision"])
    return Recogniser(net, *(part.numpy() for part in learned)), state


def closeup(path: Path) -> tuple[CloseupNet, dict[str, Any]]:
    """The network that :mod:`train_closeup` learned, and the state it is in."""
    state = torch.load(path, map_location="cpu")
    net = CloseupNet(len(state["net"]["weight"]), len(state["net"]["head.bias"])).eval()
    net.load_state_dict(state["net"])
    return net, state
