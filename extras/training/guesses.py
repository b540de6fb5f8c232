"""What the product makes of drawn pictures before its volumetric network: detection, correspondences, descent, fit. Cached.

    python extras/training/guesses.py --materials runs/materials.pkl --correspondence runs/correspondence.pt \
        --descent runs/encoder.0.npz runs/encoder.1.npz --recognition runs/recognition.pt \
        --landmarks-model face_landmarks_detector.tflite \
        --pictures runs/train --out runs/guesses --shards 12

The volumetric network learns from guesses as wrong as those it will get.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from checkpoint import correspondence, recogniser
from export import read_descent
from samples import Shard, save_arrays, shipped

from octoprint_facesculpt.portrait.landmarker import Landmarker, Roi
from octoprint_facesculpt.reconstruction.alignment import HeadCrop, head_crop
from octoprint_facesculpt.reconstruction.camera import Camera
from octoprint_facesculpt.reconstruction.fitting import Guess
from octoprint_facesculpt.reconstruction.head_model import HeadModel
from octoprint_facesculpt.reconstruction.look import Observer, Sight, look
from octoprint_facesculpt.reconstruction.predictor import first_guess, fit

#: A detector is not given the face's exact region: shift (of its side), logarithm of the size, roll in radians.
DETECTION = np.array([0.05, 0.05, 0.1, 0.1])


@dataclass(frozen=True)
class Learned:
    """As much of the product's weights as there is before the volumetric network."""

    observer: Observer
    head: HeadModel
    precision: np.ndarray


def detect(landmarker: Landmarker, image: np.ndarray, region: Roi) -> np.ndarray | None:
    """MediaPipe's landmarks (478, 3) of the face near ``region``, or None where it sees none."""
    for _ in range(2):
        found = landmarker.run(image, region)
        if found.presence < 0.5 or not np.isfinite(found.landmarks).all():
            return None
        region = Roi.from_landmarks(found.landmarks)
    return found.landmarks


def sights(shard: Shard, learned: Learned, landmarker: Landmarker, rng: np.random.Generator):
    """Yield (i, crop, landmarks, what is seen) of every picture in which a face is found."""
    model = learned.head
    mean_landmarks = model.landmarks(model.mean)
    for i in range(len(shard)):
        image = shard.picture(i)
        truth = shard.true_camera(i).project(model.landmarks(model.vertices(shard.coefficients[i])))
        region = Roi.from_landmarks(truth)
        x, y, size, roll = rng.normal(size=4) * DETECTION
        near = Roi(
            region.cx + x * region.size, region.cy + y * region.size, region.size * float(np.exp(size)), region.roll_rad + roll
        )
        landmarks = detect(landmarker, image, near)
        if landmarks is not None:
            crop = head_crop(landmarks, mean_landmarks)
            yield (
                i,
                crop,
                landmarks,
                look(learned.observer, image, landmarks, crop),
            )


def guess(learned: Learned, crop: HeadCrop, sight: Sight) -> Guess:
    """The fitted guess the volumetric network starts from."""
    prior = first_guess(learned, crop, sight)
    return fit(learned, prior, prior.guess, sight.points)


@cache
def _load(
    materials: Path, checkpoint: Path, steps: tuple[Path, ...], recognition: Path, landmarks_model: Path
) -> tuple[Learned, Landmarker, np.ndarray]:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    model, kept = shipped(materials)
    net, vertices, _ = correspondence(checkpoint)
    descent, precision = read_descent(*steps)
    observer = Observer.of(model, net, vertices, descent, recogniser(recognition)[0])
    return Learned(observer, model, precision), Landmarker(landmarks_model), kept


def make(
    materials: Path, checkpoint: Path, steps: tuple[Path, ...], recognition: Path, landmarks_model: Path, path: Path, out: Path
) -> Path:
    """Write the guesses for the shard ``path`` into the folder ``out`` unless they are there."""
    target = out / path.name
    if target.exists():
        return target
    learned, landmarker, kept = _load(materials, checkpoint, steps, recognition, landmarks_model)
    shard = Shard.read(path, kept)
    rows = []
    for i, crop, landmarks, sight in sights(shard, learned, landmarker, np.random.default_rng(2)):
        found = guess(learned, crop, sight)
        camera: Camera = found.camera
        rows.append(
            {
                "row": i, "landmarks": landmarks, "coefficients": found.coefficients, "rotation": camera.rotation,
                "camera": np.array([camera.scale, camera.k, *camera.centre]),
            }
        )  # fmt: skip
    save_arrays(target, **{key: np.stack([row[key] for row in rows]) for key in rows[0]})
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("materials", "correspondence", "recognition", "landmarks-model", "pictures", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--descent", type=Path, nargs="+", required=True, help="a file for each step")
    parser.add_argument("--shards", type=int, default=12)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    paths = sorted(arguments.pictures.glob("*.npz"))[: arguments.shards]
    steps = tuple(arguments.descent)
    known = (arguments.materials, arguments.correspondence, steps, arguments.recognition, arguments.landmarks_model)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(arguments.processes) as pool:
        jobs = [pool.submit(make, *known, path, arguments.out) for path in paths]
        for job in jobs:
            print(job.result(), flush=True)


if __name__ == "__main__":
    main()
