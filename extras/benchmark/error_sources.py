"""What a better picture would be worth, and what of the error is the person and what his expression.

    python extras/benchmark/error_sources.py --materials extras/training/runs/materials.pkl [--heads 40]

Held-out people from the front, each drawn three times alike: as they are measured everywhere else, without what lens, film and
age do to a picture, and without hair, glasses and things in front of the face, too. Errors are those of the face in mm after
similarity alignment: of the head as it was found, of its person with the true expression, of its expression on the true person.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
from contenders import head_model, portrait_in
from held_out import IDENTITY, POSES, draw, materials_of
from protocol import vertex_error

from octoprint_facesculpt.reconstruction import reconstruct

FIRST_SEED = 771_000
AS_DRAWN, SHARP, BARE = "as drawn", "sharp", "sharp and bare"
FOUND, PERSON, EXPRESSION = "as found", "person", "expression"


@contextmanager
def spared(kind: str) -> Iterator[None]:
    """Pictures without what a ``kind`` of them has not."""
    import appearance
    import picture

    nothing = np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32), np.zeros((0, 3), np.float32)
    with ExitStack() as stack:
        if kind != AS_DRAWN:
            stack.enter_context(patch.object(picture, "photograph", lambda _rng, image: image))
        if kind == BARE:
            stack.enter_context(patch.object(appearance, "worn_hair", lambda *_: nothing))
            for name in ("_glasses", "_occluder"):
                stack.enter_context(patch.object(picture, name, lambda _rng, image, *_: image))
        yield


def measure(path: Path, seed: int) -> dict[str, dict[str, float]] | None:
    """Errors by kind of picture; None where a face is not found in all."""
    from samples import shipped_model
    from scans import one_thread

    one_thread()
    materials, model = materials_of(path), head_model(None)
    _, kept = shipped_model(materials.model, materials.head.expression_names)
    identity = np.random.default_rng(seed).normal(size=IDENTITY)
    rows = {}
    for kind in (AS_DRAWN, SHARP, BARE):
        with spared(kind):
            drawn = draw(path, next(iter(POSES.values())), seed, "one sigma", identity)
        portrait = portrait_in(drawn.image)
        if portrait is None:
            return None
        found, truth = reconstruct(portrait, detailed=False).details["coefficients"], drawn.coefficients[kept]
        heads = {
            FOUND: found,
            PERSON: np.r_[found[:IDENTITY], truth[IDENTITY:]],
            EXPRESSION: np.r_[truth[:IDENTITY], found[IDENTITY:]],
        }
        target = model.vertices(truth)[model.face].astype(float)
        rows[kind] = {name: vertex_error(model.vertices(c)[model.face].astype(float), target) for name, c in heads.items()}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--materials", type=Path, required=True, help="of the training generator (extras/training/prepare.py)")
    parser.add_argument("--heads", type=int, default=40)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    seeds = range(FIRST_SEED, FIRST_SEED + arguments.heads)
    with ProcessPoolExecutor(arguments.processes) as pool:
        rows = [row for row in pool.map(measure, [arguments.materials] * len(seeds), seeds) if row]
    print(f"{len(rows)} people")
    for kind in (AS_DRAWN, SHARP, BARE):
        told = (f"{name} {np.mean([row[kind][name] for row in rows]):.3f}" for name in (FOUND, PERSON, EXPRESSION))
        print(f"{kind}: {', '.join(told)}")


if __name__ == "__main__":
    main()
