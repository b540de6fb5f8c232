"""What the lower layers of the recognition network see of drawn pictures. Cached, in bytes.

    python extras/training/recognised.py --materials runs/materials.pkl --recognition node_modules/@vladmandic/face-api/model \
        --pictures runs/train --out runs/recognised

With ``--mirrored`` the mirror images come behind the pictures of each shard, as pictures of mirrored people.
"""

from __future__ import annotations

import argparse
import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import recognition_weights
import torch
from samples import ShapeStack, Shard, save_arrays, shipped_model

from octoprint_facesculpt.reconstruction.head_model import HeadModel
from octoprint_facesculpt.reconstruction.recognition import RecognitionNet, aligned

BATCH = 50
#: Standard deviation of MediaPipe's landmarks from the true ones, share of the distance between the eyes' outer corners.
DETECTION = 0.02


@cache
def load(materials: Path, recognition: Path) -> tuple[HeadModel, np.ndarray, RecognitionNet]:
    """Head model, kept coefficients and network."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    loaded = pickle.loads(materials.read_bytes())
    net = RecognitionNet().eval()
    recognition_weights.load_into(net, recognition)
    return *shipped_model(loaded.model, loaded.head.expression_names), net.to(memory_format=torch.channels_last)


def make(materials: Path, recognition: Path, mirrored: bool, path: Path, out: Path) -> Path:
    """Write what is seen of the shard ``path`` into the folder ``out`` unless it is there."""
    target = out / path.name
    if target.exists():
        return target
    model, kept, net = load(materials, recognition)
    shard, stack, rng = Shard.read(path, kept), ShapeStack(model), np.random.default_rng(11)
    seen: dict[bool, list[np.ndarray]] = {False: [], True: []}
    for rows in np.array_split(np.arange(len(shard)), max(1, len(shard) // BATCH)):
        pictures = []
        for row, head in zip(rows, stack.vertices(shard.coefficients[rows]), strict=True):
            landmarks = shard.true_camera(row).project(model.landmarks(head))[:, :2]
            eyes = np.linalg.norm(landmarks[33] - landmarks[263])
            noisy = landmarks + DETECTION * eyes * rng.normal(size=landmarks.shape)
            pictures.append(aligned(shard.picture(row), noisy))
        x = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().div(255)
        for turned in (False, True)[: 1 + mirrored]:
            with torch.inference_mode():
                seen[turned].append(net.lower((x.flip(3) if turned else x).to(memory_format=torch.channels_last)).numpy())
    maps = np.concatenate(seen[False] + seen[True])
    step = maps.max((0, 2, 3)) / 255 + 1e-6
    coded = np.round(maps / step[:, None, None]).astype(np.uint8)
    yaw = np.array([shard.true_camera(row).yaw for row in range(len(shard))])
    identity = shard.coefficients[:, : len(model.identity)]
    image = np.zeros(len(shard), bool)
    if mirrored:
        identity, yaw, image = np.r_[identity, model.mirror.of(identity)], np.r_[yaw, -yaw], np.r_[image, ~image]
    save_arrays(target, maps=coded, step=step, identity=identity, yaw=yaw, mirrored=image)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("materials", "recognition", "pictures", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--mirrored", action="store_true", help="also mirror images; the held-out pictures need them")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    known = (arguments.materials, arguments.recognition, arguments.mirrored)
    with ProcessPoolExecutor(arguments.processes) as pool:
        jobs = [pool.submit(make, *known, path, arguments.out) for path in sorted(arguments.pictures.glob("*.npz"))]
        for job in jobs:
            print(job.result(), flush=True)


if __name__ == "__main__":
    main()
