"""Learn a deep step of supervised descent: a small network for all yaws.

    python extras/training/train_step.py --materials runs/materials.pkl \
        --samples runs/descent-2 --test runs/descent-test-2 --out runs/step.npz --epochs 45

There are more features than pictures, and most of them say the same: the network is given their principal directions, of which
those that hardly vary count for little. Figures are of held-out samples; the samples are those of ``descent_samples.py``.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from measure import FaceError
from samples import save_arrays, shipped
from torch import Tensor, nn
from torch.nn.functional import silu
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from train_correspondence import shape_metric
from train_descent import precision

from octoprint_facesculpt.reconstruction.descent import YAWS, Deep, Descent, step_arrays, step_of, yaw_features
from octoprint_facesculpt.reconstruction.gradients import PATCH
from octoprint_facesculpt.reconstruction.weights import load

#: Principal directions that are kept, samples they are found from, and the one whose spread is where they begin to count less.
DIRECTIONS, FOUND_FROM, SOFT = 2048, 6000, 300
#: Numbers that are gathered of the features, of hidden layers, and that the changes are made of.
GATHERED, HIDDEN, RANK = 192, 384, 72
#: Shares of the inputs and of the hidden numbers that are left out at a time.
LEFT_OUT, LEFT_OUT_HIDDEN = 0.4, 0.1
BATCH, RATE, WEIGHT_DECAY, WARM_UP = 256, 1e-3, 0.3, 200
#: Heads turned beyond the outer ranges of yaw are learned from so much more often than others: there are few of them.
TURNED_FAR = 1.7
#: The last layer's learning rate as a share: its directions are found beforehand.
LAST_RATE = 0.1
#: The same of all of them where a training goes on from a step learned before.
GOING_ON = 0.4


@dataclass(frozen=True)
class Samples:
    """N guesses: ``features`` (N, F) float16, ``head`` and ``truth`` (N, C + 1), ``wrong`` (N, 2 P) px and ``yaw`` (N,)."""

    features: Tensor
    head: np.ndarray
    truth: np.ndarray
    wrong: np.ndarray
    yaw: np.ndarray

    @classmethod
    def read(cls, *folders: Path, shards: int | None = None) -> Samples:
        """All samples of folders of shards, or of some shards of each; those of a folder that is named twice count twice."""
        columns: dict[str, list[np.ndarray]] = {name: [] for name in ("features", "head", "truth", "wrong", "yaw")}
        for path in (path for folder in folders for path in sorted(folder.glob("*.npz"))[:shards]):
            with np.load(path) as data:
                for name, column in columns.items():
                    column.append(data[name].reshape(len(data["yaw"]), -1))
        features, head, truth, wrong, yaw = (np.concatenate(column) for column in columns.values())
        return cls(torch.from_numpy(features), head, truth, wrong, yaw[:, 0])

    @property
    def changes(self) -> np.ndarray:
        """(N, C + 1 + 2 P) what a step should answer."""
        return np.c_[self.truth - self.head, self.wrong].astype(np.float32)


@dataclass(frozen=True)
class Directions:
    """Principal directions of features: ``mean`` (F,) and ``turn`` (F, K), what the network is given of ``features - mean``."""

    mean: Tensor
    turn: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Directions:
        some = features[:: max(1, len(features) // FOUND_FROM)].float()
        mean = some.mean(0)
        some -= mean
        values, vectors = torch.linalg.eigh(some @ some.T)
        kept = slice(-min(DIRECTIONS, len(some) - 1, some.shape[1]), None)
        values, vectors = values[kept].flip(0), vectors[:, kept].flip(1)
        spread = (values / len(some)).sqrt()
        soft = spread[min(SOFT, len(spread) - 1)]
        # Of unit spread each, but for those that vary less than one of them.
        scale = spread / (spread**2 + soft**2)
        return cls(mean, some.T @ vectors / values.sqrt() * scale)

    def __call__(self, features: Tensor) -> Tensor:
        parts = [(part.float() - self.mean) @ self.turn for part in features.split(2000)]
        return torch.cat(parts).half()


class Network(nn.Module):
    """A :class:`Deep` step of what :class:`Directions` give (B, K) and the yaw's features (B, 2)."""

    def __init__(self, directions: int, changes: Tensor, weight: Tensor) -> None:
        super().__init__()
        self.gather = nn.Linear(directions, GATHERED, bias=False)
        nn.init.normal_(self.gather.weight, std=directions**-0.5)
        self.layers = nn.ModuleList(
            [nn.Linear(GATHERED + 2, HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN + GATHERED, min(RANK, len(weight)))]
        )
        self.out = nn.Linear(min(RANK, len(weight)), len(weight))
        self.leave, self.leave_hidden = nn.Dropout(LEFT_OUT), nn.Dropout(LEFT_OUT_HIDDEN)
        # The directions in which heads and points are wrong.
        _, sizes, directions_out = torch.linalg.svd(changes * weight, full_matrices=False)
        typical = sizes[len(sizes) // 40] / len(changes) ** 0.5
        self.out.weight.data = (directions_out[:RANK] / weight).T.contiguous() * typical
        self.out.bias.data = changes.mean(0)

    def forward(self, given: Tensor, yaw: Tensor) -> Tensor:
        gathered = self.gather(self.leave(given))
        hidden = silu(self.layers[0](torch.cat([gathered, yaw], 1)))
        hidden = self.leave_hidden(silu(self.layers[1](self.leave_hidden(hidden))))
        return self.out(self.layers[2](torch.cat([hidden, gathered], 1)))

    @torch.no_grad()
    def begin(self, step: Deep, directions: Directions) -> None:
        """Begin as a ``step`` learned before, as far as the ``directions`` hold what it gathers."""
        step, turn = about(step, directions.mean.numpy()), directions.turn
        self.gather.weight.data = (torch.from_numpy(step.gather).T @ turn / (turn**2).sum(0)).contiguous()
        for layer, (weight, bias) in zip(self.layers, step.layers, strict=True):
            layer.weight.data, layer.bias.data = torch.from_numpy(weight.T.copy()), torch.from_numpy(bias.copy())
        self.out.weight.data = torch.from_numpy(step.spread.T.copy())
        self.out.bias.data = torch.from_numpy(step.offset.copy())

    def step(self, directions: Directions) -> Deep:
        """The step that the plugin takes."""
        with torch.no_grad():
            layers = tuple((layer.weight.T.numpy().copy(), layer.bias.numpy().copy()) for layer in self.layers)
            gather = (directions.turn @ self.gather.weight.T).numpy()
            return Deep(directions.mean.numpy(), gather, layers, self.out.weight.T.numpy().copy(), self.out.bias.numpy().copy())


def train(known: Samples, directions: Directions, metric: Tensor, epochs: float, start: Deep | None = None) -> Network:
    """The network after so many passes over the samples, from ``start`` on; ``metric`` (C, C) as :func:`shape_metric` makes
    it."""
    heads, changes = len(metric), torch.from_numpy(known.changes)
    points = changes.shape[1] - heads - 1
    # A pixel of the picture is about a millimetre: heads and points count alike.
    weight = torch.cat([metric.norm(dim=0), torch.ones(1), torch.full((points,), points**-0.5)])
    given, yaw = directions(known.features), torch.from_numpy(yaw_features(known.yaw)).float()
    net = Network(given.shape[1], changes[:FOUND_FROM], weight)
    rate = RATE
    if start is not None:
        net.begin(start, directions)
        rate *= GOING_ON
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.998))
    last = list(net.out.parameters())
    others = [parameter for name, parameter in net.named_parameters() if not name.startswith("out.")]
    groups = [{"params": others, "share": 1.0}, {"params": last, "share": LAST_RATE}]
    optimiser = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY)
    often = torch.from_numpy(np.where((known.yaw < YAWS[0]) | (known.yaw > YAWS[-1]), TURNED_FAR, 1.0))
    total = max(1, round(epochs * len(changes) / BATCH))
    for number in range(total):
        fraction = (1 + math.cos(math.pi * number / total)) / 2
        for group in optimiser.param_groups:
            group["lr"] = rate * group["share"] * min(1.0, (number + 1) / WARM_UP) * (0.01 + 0.99 * fraction)
        rows = torch.multinomial(often, BATCH, replacement=True)
        off = net(given[rows].float(), yaw[rows]) - changes[rows]
        head = torch.sqrt(((off[:, :heads] @ metric.T) ** 2).sum(1) + 1e-4).mean()
        loss = head + off[:, heads + 1 :].unflatten(1, (-1, 2)).norm(dim=2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        average.update_parameters(net)
        if (number + 1) % max(1, total // 10) == 0:
            print(f"{(number + 1) * BATCH / len(changes):.1f} epochs, loss {loss.item():.3f}", flush=True)
    return average.module.eval()


def about(step: Deep, mean: np.ndarray) -> Deep:
    """The same step with another ``mean`` (F,): what is gathered of the difference goes into the biases behind it."""
    moved, count = (mean - step.mean) @ step.gather, step.gather.shape[1]
    (first, first_bias), *others, (last, last_bias) = step.layers
    layers = ((first, first_bias + moved @ first[:count]), *others, (last, last_bias + moved @ last[-count:]))
    return replace(step, mean=mean, layers=layers)


def between(trained: Deep, start: Deep, kept: float) -> Deep:
    """The step between the one a training began with and the one it ended with, a share of whose weights is ``kept``: it
    forgets less of what other samples taught (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022)."""
    before, after = step_arrays(about(start, trained.mean)), step_arrays(trained)
    step = step_of({name: kept * before[name] + (1 - kept) * array for name, array in after.items()})
    assert isinstance(step, Deep)
    return step


def step_for(descent: Descent, basis: np.ndarray) -> Deep:
    """The small network of ``descent`` that reads what the ``basis`` (D, K) makes features of: gradients or the encoder's
    maps. ValueError where there is none."""
    step = descent.last if len(basis) == PATCH else descent.steps[-1]
    if not isinstance(step, Deep):
        raise ValueError("the weights to start from have no small network that reads such samples")
    return step


def changes_of(step: Deep, samples: Samples) -> np.ndarray:
    """What the step answers to all samples, (N, C + 1 + 2 P)."""
    rows = np.array_split(np.arange(len(samples.yaw)), len(samples.yaw) // 1000 + 1)
    return np.concatenate([step.answer(samples.features[some].float().numpy(), samples.yaw[some]) for some in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("materials", "test", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--samples", type=Path, nargs="+", required=True, help="folders; those of one named twice count twice")
    parser.add_argument("--shards", type=int, help="learn from so many files of each only")
    parser.add_argument("--start", type=Path, help="weights file, to go on from the step in it that reads the same")
    parser.add_argument("--kept", type=float, default=0.0, help="share of the step of --start in what comes out")
    parser.add_argument("--epochs", type=float, default=45)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    model, _ = shipped(arguments.materials)
    known, held = Samples.read(*arguments.samples, shards=arguments.shards), Samples.read(arguments.test)
    directions = Directions.of(known.features)
    with np.load(min(arguments.samples[0].glob("*.npz"))) as first:
        common = {"centre": first["centre"], "basis": first["basis"]}
    start = step_for(load(arguments.start).observer.descent, common["basis"]) if arguments.start else None
    step = train(known, directions, shape_metric(model), arguments.epochs, start).step(directions)
    if start is not None:
        step = between(step, start, arguments.kept)
    change, count = changes_of(step, held), held.head.shape[1]
    better, measure = held.head + change[:, :count], FaceError(model)
    print(f"{len(known.yaw)} samples")
    ranges = np.searchsorted(YAWS, held.yaw)
    for number in range(len(YAWS) + 1):
        rows = ranges == number
        guess, stepped = (measure(heads[rows], held.truth[rows]) for heads in (held.head, better))
        before, left = (
            np.linalg.norm(off[rows].reshape(rows.sum(), -1, 2), axis=2).mean()
            for off in (held.wrong, held.wrong - change[:, count:])
        )
        print(f"yaw range {number}: {guess:.3f} -> {stepped:.3f} mm, points {before:.2f} -> {left:.2f} px", flush=True)
    save_arrays(arguments.out, **common, precision=precision(better - held.truth), **step_arrays(step))


if __name__ == "__main__":
    main()
