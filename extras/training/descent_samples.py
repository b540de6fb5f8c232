"""What supervised descent learns from: guesses, what the encoder shows under their points, and how wrong they are. Cached.

    python extras/training/descent_samples.py --materials runs/materials.pkl --correspondence runs/correspondence.pt \
        --pictures runs/train --out runs/descent

With ``--descent`` they are of the guesses after the steps in these files; in a weights file, after all but its last, or after
its first ``--steps``. A step should be learned from pictures that those before it did not see, on which the errors they leave
are as they will be. With ``--gradients`` they are for the last step, which reads the picture's gradients instead of the
encoder's maps.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from checkpoint import correspondence
from crops import into_region, jittered
from export import read_descent
from samples import ShapeStack, Shard, save_arrays, shipped

from octoprint_facesculpt.portrait.landmarker import Roi
from octoprint_facesculpt.reconstruction.correspondence import REGION, CorrespondenceNet
from octoprint_facesculpt.reconstruction.descent import Descent, Points, Shown, begin, descend, places_of, read_at
from octoprint_facesculpt.reconstruction.gradients import read_around
from octoprint_facesculpt.reconstruction.head_model import HeadModel
from octoprint_facesculpt.reconstruction.look import picture_of

#: Pictures that go through the encoder together.
BATCH = 50
#: Numbers kept of what is read at a point.
FEATURES = 32
#: The same of the picture's gradients, and pictures these are chosen by.
GRADIENT_FEATURES, GRADIENT_PICTURES = 48, 300


@cache
def load(materials: Path, checkpoint: Path) -> tuple[HeadModel, np.ndarray, CorrespondenceNet, np.ndarray]:
    """Head model, kept coefficients, network and its head points."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    model, kept = shipped(materials)
    net, vertices, _ = correspondence(checkpoint)
    return model, kept, net.to(memory_format=torch.channels_last), vertices


def looked_at(shard: Shard, model: HeadModel, net: CorrespondenceNet, vertices: np.ndarray, rng: np.random.Generator):
    """Yield for each batch: rows, pictures, encoder's maps, first states, and the true places of the points in pixels."""
    stack, points = ShapeStack.of(model), Points.of(model, vertices)
    for rows in np.array_split(np.arange(len(shard)), max(1, len(shard) // BATCH)):
        pictures, truth = [], []
        for row, head in zip(rows, stack.vertices(shard.coefficients[rows]), strict=True):
            camera = shard.true_camera(row)
            region = jittered(Roi.from_landmarks(camera.project(model.landmarks(head))), rng)
            pictures.append(picture_of(shard.picture(row), region))
            truth.append(camera.through(into_region(region)).project(head[vertices])[:, :2])
        x = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().div(255)
        with torch.inference_mode():
            stages = net.encoder(x.to(memory_format=torch.channels_last))
            whole = net.whole(stages)
        said = zip(whole.head.double().numpy(), REGION * whole.points.double().numpy(), strict=True)
        yield rows, pictures, stages, [begin(points, head, places) for head, places in said], np.stack(truth)


def choose(path: Path, materials: Path, checkpoint: Path, descent: Descent | None) -> Shown:
    """The mean of what is read at each point, and its principal directions, with a spread of one; with a ``descent`` of what
    gradients show after it."""
    model, kept, net, vertices = load(materials, checkpoint)
    points, read = Points.of(model, vertices), []
    for _, pictures, stages, states, _ in looked_at(Shard.read(path, kept), model, net, vertices, np.random.default_rng(3)):
        if descent is None:
            read.append(read_at(stages, places_of(points, states)))
        elif BATCH * len(read) < GRADIENT_PICTURES:
            read.append(read_around(pictures, places_of(points, descend(descent, points, stages, states)[0])))
    found = np.concatenate(read)
    count = FEATURES if descent is None else GRADIENT_FEATURES
    centre = found.mean(0)
    flat = (found - centre).reshape(-1, found.shape[2])[::5]
    values, directions = np.linalg.eigh(flat.T @ flat / len(flat))
    return Shown(centre, directions[:, -count:] / np.sqrt(values[-count:]))


def before_last(descent: Descent, gradients: bool) -> Descent:
    """The steps of a weights file but the last; ``gradients`` are read as that reads them, or not at all."""
    return replace(descent, gradients=descent.gradients if gradients else None, last=None)


def make(materials: Path, checkpoint: Path, descent: Descent, path: Path, out: Path) -> Path:
    """Write the samples of the shard ``path`` after the steps of ``descent`` into the folder ``out`` unless they are there."""
    target = out / path.name
    if target.exists():
        return target
    model, kept, net, vertices = load(materials, checkpoint)
    points = Points.of(model, vertices)
    shard = Shard.read(path, kept)
    shown = descent.gradients or descent.maps
    columns: dict[str, list] = {name: [] for name in ("features", "head", "truth", "wrong", "yaw")}
    for rows, pictures, stages, states, true_places in looked_at(shard, model, net, vertices, np.random.default_rng(5)):
        states, _ = descend(descent, points, stages, states)
        places = places_of(points, states)
        read = read_at(stages, places) if descent.gradients is None else read_around(pictures, places)
        columns["features"].append(((read - shown.centre) @ shown.basis).astype(np.float16))
        columns["head"].append(np.stack([state.head for state in states]))
        columns["truth"].append(np.c_[shard.coefficients[rows], 1000 * shard.camera[rows, 1]])
        columns["wrong"].append((true_places - places).astype(np.float32))
        columns["yaw"].append(np.array([state.camera.yaw for state in states]))
    known = {"centre": shown.centre.astype(np.float32), "basis": shown.basis.astype(np.float32)}
    save_arrays(target, **known, **{name: np.concatenate(column) for name, column in columns.items()})
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("materials", "correspondence", "pictures", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--descent", type=Path, nargs="*", default=[], help="the steps before, a file for each")
    parser.add_argument("--steps", type=int, help="take so many steps only of a weights file in --descent")
    parser.add_argument("--gradients", action="store_true", help="for the last step, after --descent")
    parser.add_argument("--shards", type=int)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    paths = sorted(arguments.pictures.glob("*.npz"))[: arguments.shards]
    known = (arguments.materials, arguments.correspondence)
    arguments.out.mkdir(parents=True, exist_ok=True)
    descent = read_descent(*arguments.descent, steps=arguments.steps)[0] if arguments.descent else None
    if descent is not None and descent.gradients is not None:
        descent = before_last(descent, arguments.gradients)
    elif descent is None or arguments.gradients:
        # The same for all samples of a network, whichever folder they come from.
        basis = arguments.correspondence.with_suffix(".gradients.npz" if descent else ".basis.npz")
        if not basis.exists():
            np.savez(basis, **vars(choose(paths[0], *known, descent)))
        shown = Shown(**np.load(basis))
        descent = replace(descent, gradients=shown) if descent else Descent(shown, ())
    with ProcessPoolExecutor(arguments.processes) as pool:
        jobs = [pool.submit(make, *known, descent, path, arguments.out) for path in paths]
        for job in jobs:
            print(job.result(), flush=True)


if __name__ == "__main__":
    main()
