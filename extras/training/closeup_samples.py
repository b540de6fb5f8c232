"""What the network's answers are learned from: guesses, what the close-up network says of them, how wrong they are. Cached.

    python extras/training/closeup_samples.py --materials runs/materials.pkl --weights facesculpt-vrn.safetensors \
        --closeup runs/closeup.pt --pictures runs/train --guesses runs/guesses --out runs/closer

``train_answer.py`` learns from them.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import checkpoint
import cv2
import numpy as np
import torch
from closeups import CloseupMaker, guessed
from examples import samples_of
from samples import save_arrays, shipped

from octoprint_facesculpt.reconstruction.closeup import CloseupNet, features
from octoprint_facesculpt.reconstruction.head_model import HeadModel
from octoprint_facesculpt.reconstruction.weights import load

#: Pictures that go through the network together.
BATCH = 32


@cache
def known(materials: Path, weights: Path, closeup: Path) -> tuple[CloseupMaker, CloseupNet, HeadModel, np.ndarray]:
    """Maker of examples, network, head model, and kept coefficients."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    model, kept = shipped(materials)
    return CloseupMaker(load(weights)), checkpoint.closeup(closeup)[0], model, kept


def make(materials: Path, weights: Path, closeup: Path, pictures: Path, guesses: Path, out: Path) -> Path:
    """Write the samples of the guesses of the file ``guesses`` into the folder ``out`` unless they are there."""
    target = out / guesses.name
    if target.exists():
        return target
    maker, net, model, kept = known(materials, weights, closeup)
    faces = [guessed(sample) for sample in samples_of(pictures / guesses.name, guesses, kept, model)]
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("features", "guess", "truth", "yaw")}
    for start in range(0, len(faces), BATCH):
        some = maker.make(np.random.default_rng(0), faces[start : start + BATCH], varied=False)
        with torch.inference_mode():
            read = [one.numpy() for one in net(some.pictures, some.pose, some.places)]
        seen = features(*read, some.guess).astype(np.float16)
        for name, values in (("features", seen), ("guess", some.guess), ("truth", some.truth), ("yaw", some.yaw)):
            columns[name].append(values)
    save_arrays(target, **{name: np.concatenate(column) for name, column in columns.items()})
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("materials", "weights", "closeup", "pictures", "guesses", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    given = (arguments.materials, arguments.weights, arguments.closeup, arguments.pictures)
    with ProcessPoolExecutor(arguments.processes) as pool:
        jobs = [pool.submit(make, *given, path, arguments.out) for path in sorted(arguments.guesses.glob("*.npz"))]
        for job in jobs:
            print(job.result(), flush=True)


if __name__ == "__main__":
    main()
