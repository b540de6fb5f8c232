"""Train the first guess: ridge regression, then a small non-linear correction.

python extras/training/train_guess.py --materials runs/materials.pkl --train runs/train --test runs/test --out runs/guess.pt
"""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path

import numpy as np
import samples as data
import torch

from octoprint_facesculpt.reconstruction.head_model import HeadModel
from octoprint_facesculpt.reconstruction.network import FirstGuess
from octoprint_facesculpt.reconstruction.weights import load


def surface_error(model: HeadModel, predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean vertex distance of the face region after similarity alignment, mm, one number a head."""
    from trimesh.registration import procrustes

    face = np.flatnonzero(model.face)[::4]
    small = HeadModel(
        model.mean[face], model.identity[:, face], model.expression[:, face], model.triangles,
        model.landmark_vertices, model.landmark_weights, model.face,
    )  # fmt: skip
    errors = []
    for p, t in zip(predicted, truth, strict=True):
        a, b = small.vertices(p), small.vertices(t)
        _, moved, _ = procrustes(a, b, reflection=False)
        errors.append(np.linalg.norm(moved - b, axis=1).mean())
    return np.array(errors)


def ridge(x: torch.Tensor, y: torch.Tensor, strength: float) -> torch.Tensor:
    """(F, C) weights that minimise ``|x w - y|^2 + strength N |w|^2`` for standardised ``x`` and centred ``y``."""
    if len(x) < x.shape[1]:
        gram = x @ x.T + strength * len(x) * torch.eye(len(x))
        return x.T @ torch.linalg.solve(gram, y)
    gram = x.T @ x + strength * len(x) * torch.eye(x.shape[1])
    return torch.linalg.solve(gram, x.T @ y)


def millimetres(model: HeadModel) -> torch.Tensor:
    """(C + 1, C + 1) matrix L with ``|L d|`` the root mean square displacement of the face in mm for a coefficient
    difference ``d`` (and for the inverse distance, 1000 k, one mm per unit)."""
    shapes = np.concatenate([model.identity, model.expression])[:, model.face]
    flat = shapes.reshape(len(shapes), -1) / np.sqrt(model.face.sum())
    gram = flat @ flat.T + 1e-3 * np.eye(len(flat))
    root = np.eye(len(gram) + 1)
    root[:-1, :-1] = np.linalg.cholesky(gram).T
    return torch.tensor(root, dtype=torch.float32)


def train(
    model: HeadModel, x: torch.Tensor, y: torch.Tensor, x_test: torch.Tensor, truth: np.ndarray, epochs: int, strength: float
) -> FirstGuess:
    """Fit a :class:`FirstGuess` to features (N, F) and targets (N, C + 1), reporting the held-out error."""
    torch.manual_seed(0)
    guess = FirstGuess(x.shape[1], y.shape[1])
    guess.mean.copy_(x.mean(0))
    guess.deviation.copy_(x.std(0) + 1e-3)
    z = ((x - guess.mean) / guess.deviation).clamp(-5, 5)
    weights = ridge(z, y - y.mean(0), strength)
    with torch.no_grad():
        guess.linear.weight.copy_(weights.T)
        guess.linear.bias.copy_(y.mean(0))

    def report(label: str) -> None:
        guess.eval()
        with torch.no_grad():
            predicted = guess(x_test).numpy()[:, :-1]
        print(f"{label}: {surface_error(model, predicted, truth).mean():.3f} mm", flush=True)

    average = surface_error(model, np.zeros_like(truth), truth).mean()
    print(f"average head: {average:.3f} mm")
    report("ridge")
    to_mm = millimetres(model)
    optimiser = torch.optim.AdamW(
        [
            {"params": [*guess.inner.parameters(), *guess.outer.parameters()], "lr": 5e-4, "weight_decay": 0.05},
            {"params": guess.linear.parameters(), "lr": 2e-6},
        ]
    )
    steps = epochs * (len(x) // 256)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    for epoch in range(epochs):
        guess.train()
        order = torch.randperm(len(x))
        for rows in order.split(256)[: len(x) // 256]:
            difference = (guess(x[rows]) - y[rows]) @ to_mm.T
            loss = torch.sqrt((difference**2).sum(1) + 1e-4).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        if epoch % 4 == 3:
            report(f"epoch {epoch + 1} (training loss {loss.item():.3f})")
    return guess


def out_of_fold(x: torch.Tensor, y: torch.Tensor, strength: float) -> torch.Tensor:
    """Ridge predictions (N, C + 1) of each half of the samples by the other half.

    The hourglass must learn on guesses as wrong as those it will get, not on ones that have seen the answer.
    """
    predicted = torch.empty_like(y)
    halves = torch.arange(len(x)) % 2
    for half in (0, 1):
        known, asked = x[halves != half], x[halves == half]
        mean, deviation = known.mean(0), known.std(0) + 1e-3
        weights = ridge(((known - mean) / deviation).clamp(-5, 5), y[halves != half] - y[halves != half].mean(0), strength)
        predicted[halves == half] = ((asked - mean) / deviation).clamp(-5, 5) @ weights + y[halves != half].mean(0)
    return predicted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--materials", type=Path, required=True)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--ridge", type=float, default=0.3)
    parser.add_argument("--known", type=Path, help="take the first guess of these weights instead of learning one")
    arguments = parser.parse_args()
    materials = pickle.loads(arguments.materials.read_bytes())
    model, kept = data.shipped_model(materials.model, materials.head.expression_names)
    mean_landmarks = model.landmarks(model.mean)
    train_set, test_set = (data.read(folder, kept, without="crop") for folder in (arguments.train, arguments.test))
    x = torch.from_numpy(data.features(train_set, mean_landmarks))
    y = torch.from_numpy(data.targets(train_set))
    x_test = torch.from_numpy(data.features(test_set, mean_landmarks))
    print(f"{len(x)} training samples, {len(x_test)} held out, {x.shape[1]} features", flush=True)
    truth = torch.from_numpy(data.targets(test_set))
    if arguments.known:
        guess = load(arguments.known).guess
        train_predictions = y + _growth(model, guess, x, y, x_test, test_set.coefficients) * (predict(guess, x) - y)
    else:
        guess = train(model, x, y, x_test, test_set.coefficients, arguments.epochs, arguments.ridge)
        train_predictions = out_of_fold(x, y, arguments.ridge)
    test_predictions = predict(guess, x_test)
    spread = (torch.cov((train_predictions - y).T) + torch.cov((test_predictions - truth).T)) / 2
    torch.save(
        {
            "state": guess.state_dict(),
            "features": x.shape[1],
            "outputs": y.shape[1],
            "train_predictions": train_predictions,
            "test_predictions": test_predictions,
            "spread": spread,
        },
        arguments.out,
    )


def predict(guess: FirstGuess, x: torch.Tensor) -> torch.Tensor:
    """Outputs (N, C + 1) for features (N, F)."""
    guess.eval()
    with torch.no_grad():
        return torch.cat([guess(rows) for rows in x.split(1000)])


def _growth(model: HeadModel, guess: FirstGuess, x, y, x_test, truth: np.ndarray) -> float:
    """How much larger the guess's errors are on people it has not seen than on these, some of which it may have."""
    seen = surface_error(model, predict(guess, x[::16]).numpy()[:, :-1], y[::16, :-1].numpy()).mean()
    unseen = surface_error(model, predict(guess, x_test).numpy()[:, :-1], truth).mean()
    print(f"known guess: {unseen:.3f} mm held out, {seen:.3f} mm here", flush=True)
    return max(1.0, float(unseen / seen))


if __name__ == "__main__":
    main()
