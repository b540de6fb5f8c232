"""What the network's answers are learned from: guesses, what the close-up network says of them, how wrong they are. Cached.

    python extras/training/closeup_samples.py --materials runs/materials.pkl --weights facesculpt-vrn.safetensors \
        --closeup runs/closeup.pt --pictures runs/train --guesses runs/guesses --out runs/closer

``train_answer.py`` learns from them.
"""

from __future__ import annotations

import argparse
import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import checkpoint
import cv2
import numpy as np
import torch
from closeups import ExampleMaker, guessed
from samples import save_arrays, shipped_model

from octoprint_facesculpt.reconstruction.closeup import CloseupNet, features
from octoprint_facesculpt.reconstruction.weights import load

#: Pictures that go through the network together.
BATCH = 32


@cache
def known(materials: Path, weights: Path, closeup: Path) -> tuple[ExampleMaker, CloseupNet, np.ndarray, np.ndarray]:
    """Example maker, network, kept coefficients, and the mean head's landmarks."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    loaded = pickle.loads(materials.read_bytes())
    model, kept = shipped_model(loaded.model, loaded.head.expression_names)
    return ExampleMaker(load(weights)), checkpoint.closeup(closeup)[0], kept, model.landmarks(model.mean)


def make(materials: Path, weights: Path, closeup: Path, pictures: Path, guesses: Path, out: Path) -> Path:
    """Write the samples of the guesses of the file ``guesses`` into the folder ``out`` unless they are there."""
    target = out / guesses.name
    if target.exists():
        return target
    maker, net, kept, mean_landmarks = known(materials, weights, closeup)
    faces = guessed(pictures, [guesses], kept, mean_landmarks)
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
