"""Draw training samples into shards on disk: seeded, resumable, one process a core.

    python extras/training/generate.py --materials runs/materials.pkl --landmarks-model MODEL.tflite \
        --out runs/train --shards 80 --first-seed 0

Every shard is ``SHARD`` samples in one ``.npz``, drawn from its own seed: an interrupted run goes on with the missing
shards, and the same function can be mapped over a cluster (``dask.distributed.Client.map(make_shard, ...)``).
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
import picture
from materials import Materials

from octoprint_facesculpt.portrait.landmarker import Landmarker, Roi
from octoprint_facesculpt.reconstruction.alignment import head_crop

SHARD = 250


@cache
def _load(materials: Path, landmarks_model: Path) -> tuple[Materials, Landmarker]:
    cv2.setNumThreads(1)
    return pickle.loads(materials.read_bytes()), Landmarker(landmarks_model)


def sample(rng: np.random.Generator, materials: Materials, landmarker: Landmarker) -> dict[str, np.ndarray] | None:
    """One sample, or None where the detector sees no face (as it would in use)."""
    drawn = picture.draw(rng, materials.head, materials.wardrobe)
    model = materials.model
    truth = drawn.camera.project(model.landmarks(materials.head.vertices(drawn.coefficients)[_template(materials)]))
    region = Roi.from_landmarks(truth)
    jitter = rng.normal(scale=0.02, size=4) * [region.size, region.size, 1, 2]
    roi = Roi(region.cx + jitter[0], region.cy + jitter[1], region.size * (1 + jitter[2]), region.roll_rad + jitter[3])
    found = landmarker.run(drawn.image, roi)
    if found.presence < 0.5 or not np.isfinite(found.landmarks).all():
        return None
    crop = head_crop(found.landmarks, model.landmarks(model.mean))
    camera = drawn.camera.through(crop.matrix)
    return {
        "coefficients": drawn.coefficients,
        "crop": crop.resample(drawn.image),
        "landmarks": found.landmarks,
        "activations": found.activations.astype(np.float16),
        "rotation": camera.rotation.astype(np.float32),
        "camera": np.array([camera.scale, camera.k, *camera.centre], np.float32),
    }


def _template(materials: Materials) -> np.ndarray:
    """Vertices of the picture head that stand for the template's (the fans' middles are never landmarks)."""
    count = len(materials.model.mean)
    return np.minimum(np.arange(count), len(materials.head.mean) - 1)


def make_shard(materials: Path, landmarks_model: Path, out: Path, seed: int) -> Path:
    """Draw the shard of ``seed`` unless it is there."""
    path = out / f"{seed:06d}.npz"
    if path.exists():
        return path
    loaded, landmarker = _load(materials, landmarks_model)
    rng = np.random.default_rng(seed)
    samples: list[dict[str, np.ndarray]] = []
    while len(samples) < SHARD:
        made = sample(rng, loaded, landmarker)
        if made is not None:
            samples.append(made)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, **{key: np.stack([s[key] for s in samples]) for key in samples[0]})
    os.replace(part, path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--materials", type=Path, required=True)
    parser.add_argument("--landmarks-model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shards", type=int, default=80)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(arguments.processes) as pool:
        jobs = [
            pool.submit(make_shard, arguments.materials, arguments.landmarks_model, arguments.out, seed)
            for seed in range(arguments.first_seed, arguments.first_seed + arguments.shards)
        ]
        for job in jobs:
            print(job.result(), flush=True)


if __name__ == "__main__":
    main()
