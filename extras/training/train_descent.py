"""Learn a step of supervised descent for every range of yaw: ridge regression of reduced rank, in closed form.

    python extras/training/train_descent.py --materials runs/materials.pkl \
        --samples runs/descent --test runs/descent-test --out runs/descent.npz

The strength of the regression is the one that is best on half of the held-out samples; figures are of the other half.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from measure import FaceError
from samples import shipped
from torch import Tensor
from train_correspondence import shape_metric

from octoprint_facesculpt.reconstruction.descent import YAWS

#: Strengths to choose from: shares of the features' own variance that are added to it.
STRENGTHS = (0.2, 0.4, 0.8, 1.6, 3.2, 6.4)


@dataclass(frozen=True)
class Set:
    """Samples of one range of yaw: features (N, F) float16, outputs (N, C + 1 + 2 P), guessed and true heads (N, C + 1)."""

    features: np.ndarray
    outputs: np.ndarray
    head: np.ndarray
    truth: np.ndarray

    def __len__(self) -> int:
        return len(self.head)


def read(folder: Path, number: int, most: int | None = None) -> Set:
    """All samples of yaw range ``number`` in a folder of shards."""
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("features", "head", "truth", "wrong")}
    for path in sorted(folder.glob("*.npz"))[:most]:
        data = np.load(path)
        rows = np.flatnonzero(np.searchsorted(YAWS, data["yaw"]) == number)
        for name, column in columns.items():
            column.append(data[name][rows])
    features, head, truth, wrong = (np.concatenate(column) for column in columns.values())
    outputs = np.c_[truth - head, wrong.reshape(len(wrong), -1)].astype(np.float32)
    return Set(features.reshape(len(features), -1), outputs, head, truth)


def precision(errors: np.ndarray) -> np.ndarray:
    """Inverse covariance (C + 1, C + 1) of the ``errors`` (N, C + 1) of held-out heads.

    A little more spread than measured on drawn pictures: photos are further from them than they are from each other.
    """
    covariance = np.cov(errors.T)
    return np.linalg.inv(covariance + 0.02 * np.diag(np.diag(covariance)) + 1e-6 * np.eye(len(covariance)))


class Regression:
    """Ridge regression on a set of samples in its dual form: there are about as many features as samples."""

    def __init__(self, known: Set) -> None:
        x = torch.from_numpy(known.features).float()
        self.mean = x.mean(0)
        self._x = x.sub_(self.mean)
        self._y = torch.from_numpy(known.outputs)
        self._gram = self._x @ self._x.T
        self._own = float(self._gram.diagonal().mean())

    def solve(self, strength: float, weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
        """(gather (F, rank), spread (rank, O)); ``weight`` (O,) tells how much each output counts."""
        gram = self._gram.clone()
        gram.diagonal().add_(strength * self._own)
        solved = self._x.T @ torch.cholesky_solve(self._y, torch.linalg.cholesky(gram))
        _, _, directions = torch.linalg.svd((self._x[::4] @ solved) * weight, full_matrices=False)
        directions = directions[:rank]
        return (solved * weight) @ directions.T, directions / weight


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("materials", "samples", "test", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--shards", type=int, help="learn from so many files only")
    parser.add_argument("--rank", type=int, default=72, help="numbers through which the many features act on the many outputs")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model, _ = shipped(arguments.materials)
    measure = FaceError(model)
    heads = shape_metric(model).norm(dim=0)
    arrays, after = {}, []
    for number in range(len(YAWS) + 1):
        known, held = read(arguments.samples, number, arguments.shards), read(arguments.test, number)
        points = known.outputs.shape[1] - len(heads) - 1
        # A pixel of the picture is about a millimetre: heads and points count alike.
        weight = torch.cat([heads, torch.ones(1), torch.full((points,), points**-0.5)])
        regression = Regression(known)
        asked = torch.from_numpy(held.features).float() - regression.mean
        found = {strength: regression.solve(strength, weight, arguments.rank) for strength in STRENGTHS}
        change = {s: (asked @ gather @ spread).numpy() for s, (gather, spread) in found.items()}
        choose, report = slice(0, None, 2), slice(1, None, 2)
        count = held.head.shape[1]
        errors = {s: measure(held.head[choose] + c[choose, :count], held.truth[choose]) for s, c in change.items()}
        best = min(errors, key=errors.__getitem__)
        better = held.head + change[best][:, :count]
        left = (held.outputs - change[best])[:, count:].reshape(len(held), -1, 2)
        before = held.outputs[:, count:].reshape(len(held), -1, 2)
        average, guess, stepped = (measure(h[report], held.truth[report]) for h in (0 * better, held.head, better))
        away = [np.linalg.norm(one[report], axis=2).mean() for one in (before, left)]
        tried = {s: round(e, 3) for s, e in errors.items()}
        print(
            f"yaw range {number}: {len(known)} samples, errors by strength {tried}; "
            f"average {average:.3f}, guess {guess:.3f} -> {stepped:.3f} mm, points {away[0]:.2f} -> {away[1]:.2f} px",
            flush=True,
        )
        gather, spread = found[best]
        arrays |= {
            f"{number}.mean": regression.mean.numpy(),
            f"{number}.gather": gather.numpy(),
            f"{number}.spread": spread.numpy(),
        }
        after.append(better - held.truth)
    first = np.load(min(arguments.samples.glob("*.npz")))
    arrays |= {"centre": first["centre"], "basis": first["basis"], "precision": precision(np.concatenate(after))}
    np.savez(arguments.out, **arrays)


if __name__ == "__main__":
    main()
