"""Learn what the close-up network's answers mean for the head: a ridge regression from all that is known to what is wrong.

    python extras/training/train_answer.py --materials runs/materials.pkl --samples runs/closer --test runs/closer-test \
        --out runs/answer.npz

The samples are those of ``closeup_samples.py``. How precise the heads are is found from samples that are left out in turn.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measure import FaceError
from samples import save_arrays, shipped
from train_descent import precision

from octoprint_facesculpt.reconstruction.closeup import Answer
from octoprint_facesculpt.reconstruction.descent import YAWS

#: The ridge, as a share of the features' mean square.
STRENGTH = 2.0
#: The samples are left out in so many parts.
PARTS = 5


@dataclass(frozen=True)
class Samples:
    """N guesses: ``features`` (N, F), coefficients and 1000 k of ``guess`` and ``truth`` (N, C + 1), and ``yaw`` (N,)."""

    features: np.ndarray
    guess: np.ndarray
    truth: np.ndarray
    yaw: np.ndarray

    @classmethod
    def read(cls, *folders: Path) -> Samples:
        """All samples of folders of shards."""
        files = [np.load(path) for folder in folders for path in sorted(folder.glob("*.npz"))]
        return cls(*(np.concatenate([file[name] for file in files]).astype(np.float64) for name in cls.__dataclass_fields__))

    def some(self, rows: np.ndarray) -> Samples:
        """Those of some ``rows`` (M,)."""
        return Samples(*(column[rows] for column in vars(self).values()))


def regression(known: Samples) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``mean`` (F,), ``spread`` (F, C + 1) and ``offset`` (C + 1,) of an :class:`Answer`."""
    wrong = known.truth - known.guess
    mean, offset = known.features.mean(0), wrong.mean(0)
    apart = known.features - mean
    square = apart.T @ apart
    strength = STRENGTH * np.trace(square) / len(apart)
    return mean, np.linalg.solve(square + strength * np.eye(len(square)), apart.T @ (wrong - offset)), offset


def learned(known: Samples) -> Answer:
    """The answer, with the precision of errors on samples that it was not learned from."""
    parts = np.arange(len(known.yaw)) % PARTS
    left = np.empty_like(known.truth)
    for part in range(PARTS):
        mean, spread, offset = regression(known.some(np.flatnonzero(parts != part)))
        out = known.some(np.flatnonzero(parts == part))
        left[parts == part] = out.guess + (out.features - mean) @ spread + offset - out.truth
    return Answer(*regression(known), precision(left))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("materials", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("samples", "test"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True, help="folders")
    arguments = parser.parse_args()
    model, _ = shipped(arguments.materials)
    known = Samples.read(*arguments.samples)
    answer, measure = learned(known), FaceError(model)
    print(f"{len(known.yaw)} samples")
    for folder in arguments.test:
        held = Samples.read(folder)
        better = held.guess + answer.change(held.features)
        ranges = np.searchsorted(YAWS, held.yaw)
        for number in np.unique(ranges):
            rows = ranges == number
            before, left = (measure(heads[rows], held.truth[rows]) for heads in (held.guess, better))
            line = "{}, yaw range {}: {} held-out pictures, {:.3f} -> {:.3f} mm"
            print(line.format(folder.name, number, rows.sum(), before, left), flush=True)
    save_arrays(arguments.out, **vars(answer))


if __name__ == "__main__":
    main()
