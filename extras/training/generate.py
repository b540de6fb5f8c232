"""Draw training pictures into shards on disk: seeded, resumable, one process a core.

    python extras/training/generate.py --materials runs/materials.pkl --out runs/train --shards 200 --first-seed 0

Every shard is ``SHARD`` pictures with their truth in one ``.npz``, drawn from its own seed: an interrupted run goes on with
the missing shards, and the same function can be mapped over a cluster (``dask.distributed.Client.map(make_shard, ...)``).
"""

from __future__ import annotations

import argparse
import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import cv2
import heads
import numpy as np
import picture
from materials import Materials
from samples import save_arrays

SHARD = 500
#: How many heads are made at a time: the shapes are read from memory once for all of them.
PEOPLE = 50
#: Shards from this seed on are for measuring: people, skins and hairstyles that training never sees.
FIRST_HELD_OUT = 900_000


@cache
def _load(materials: Path) -> Materials:
    cv2.setNumThreads(1)
    return pickle.loads(materials.read_bytes())


def samples(rng: np.random.Generator, materials: Materials, count: int, held_out: bool, clay: float, grimacing: float = 0.0):
    """Yield ``count`` samples: picture as JPEG bytes, coefficients (C,), rotation (3, 3) and scale, k, centre (4,)."""
    head, wardrobe = materials.head, materials.dressed(held_out=held_out)
    flat = head.shapes.reshape(len(head.shapes), -1)
    for start in range(0, count, PEOPLE):
        people = range(min(PEOPLE, count - start))
        coefficients = [heads.random_coefficients(rng, head.expression_names, grimacing) for _ in people]
        vertices = head.mean + (np.stack(coefficients) @ flat).reshape(len(coefficients), -1, 3)
        for person in zip(coefficients, vertices, strict=True):
            drawn = picture.draw(rng, head, wardrobe, person=person, clay=clay)
            coded, camera = coded_picture(rng, drawn.image), drawn.camera
            yield coded, drawn.coefficients, camera.rotation, np.array([camera.scale, camera.k, *camera.centre])


def coded_picture(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8 as JPEG, half of them as they go through the web."""
    quality = int(rng.integers(25, 90)) if rng.random() < 0.5 else 94
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]


def make_shard(materials: Path, out: Path, clay: float, grimacing: float, seed: int) -> Path:
    """Draw the shard of ``seed`` unless it is there."""
    path = out / f"{seed:06d}.npz"
    if path.exists():
        return path
    rng = np.random.default_rng(seed)
    drawn = samples(rng, _load(materials), SHARD, seed >= FIRST_HELD_OUT, clay, grimacing)
    coded, *truth = zip(*drawn, strict=True)
    columns = dict(zip(("coefficients", "rotation", "camera"), (np.float32(column) for column in truth), strict=True))
    save_arrays(path, jpeg=np.concatenate(coded), ends=np.cumsum([len(c) for c in coded]), **columns)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--materials", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--clay", type=float, default=picture.CLAY, help="share of heads of one colour, as scans are")
    parser.add_argument("--grimacing", type=float, default=0.0, help="share of people who make a face")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.shards)
    with ProcessPoolExecutor(arguments.processes) as pool:
        known = (arguments.materials, arguments.out, arguments.clay, arguments.grimacing)
        jobs = [pool.submit(make_shard, *known, seed) for seed in seeds]
        for job in jobs:
            print(job.result(), flush=True)


if __name__ == "__main__":
    main()
