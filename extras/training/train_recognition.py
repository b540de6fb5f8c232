"""Learn which head the people have whom the recognition network sees; stops after --minutes, and goes on where it stopped.

    python extras/training/train_recognition.py --materials runs/materials.pkl --train runs/recognised \
        --test runs/recognised-test --recognition node_modules/@vladmandic/face-api/model --out runs/recognition.pt --minutes 60

It begins with dlib's layers and a ridge regression from what they see for every range of yaw, or with those of a weights file;
then the upper layers and the regressions are trained on together. The learning rate rises for ``WARM_UP`` pictures and follows
a half cosine over the whole of --minutes. How far it is off on held-out pictures, each taken together with its mirror image, is
how far it is believed. All maps are held in memory, 18 kB a picture. Who goes on from a weights file should keep some of it
(--kept), which is done once, when the minutes are over.
"""

from __future__ import annotations

import argparse
import math
import pickle
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import checkpoint
import numpy as np
import recognition_weights
import torch
from measure import FaceError
from samples import shipped_model
from torch import Tensor, nn
from train_correspondence import shape_metric

from octoprint_facesculpt.reconstruction.descent import YAWS
from octoprint_facesculpt.reconstruction.head_model import HeadModel, Mirror
from octoprint_facesculpt.reconstruction.recognition import FEATURES, LOWER, RecognitionNet
from octoprint_facesculpt.reconstruction.weights import load

BATCH = 64
#: Learning rate of the layers at its highest; the regressions behind them learn at a share of it.
PEAK_RATE, REGRESSION_SHARE = 1e-3, 0.1
WARM_UP = 6000
#: Pictures the first regressions are made of, and the share of the features' own variance that is added to it.
FIRST_PICTURES, STRENGTH = 12_000, 0.05
#: The covariance of the errors in a range of yaw counts as if so many of its pictures were like all others.
ALIKE = 200
RANGES = len(YAWS) + 1


@dataclass(frozen=True)
class Seen:
    """N pictures: ``maps`` (N, C, H, W) uint8 in steps of ``step`` (N, C), ``identity`` (N, I), yaw range ``number`` (N,), and
    which are ``mirrored`` (N,) images, each shard's in the order of the pictures before them."""

    maps: np.ndarray
    step: np.ndarray
    identity: np.ndarray
    number: np.ndarray
    mirrored: np.ndarray

    @classmethod
    def read(cls, folder: Path) -> Seen:
        """All that :mod:`recognised` wrote into a folder."""
        files = [np.load(path) for path in sorted(folder.glob("*.npz"))]
        return cls(
            np.concatenate([file["maps"] for file in files]),
            np.concatenate([np.repeat(file["step"][None], len(file["maps"]), 0) for file in files]),
            np.concatenate([file["identity"] for file in files]).astype(np.float32),
            np.concatenate([np.searchsorted(YAWS, file["yaw"]) for file in files]),
            np.concatenate([file["mirrored"] for file in files]),
        )

    def __len__(self) -> int:
        return len(self.number)

    def at(self, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Maps, identity and number of some of them."""
        maps = torch.from_numpy(self.maps[rows]).float() * torch.from_numpy(self.step[rows])[..., None, None]
        ordered = maps.contiguous(memory_format=torch.channels_last)
        return ordered, torch.from_numpy(self.identity[rows]), torch.from_numpy(self.number[rows])

    def parts(self, rows: np.ndarray) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The same, a batch at a time."""
        return (self.at(some) for some in np.array_split(rows, max(1, len(rows) // BATCH)))


class Regressions(nn.Module):
    """Features (B, FEATURES) of pictures of yaw ranges ``number`` (B,) -> identity (B, I)."""

    def __init__(self, identity: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(RANGES, FEATURES))
        self.shape = nn.Parameter(torch.zeros(RANGES, FEATURES, identity))

    def forward(self, features: Tensor, number: Tensor) -> Tensor:
        return torch.einsum("bf,bfi->bi", features - self.mean[number], self.shape[number])

    @torch.no_grad()
    def begin(self, features: Tensor, identity: Tensor, number: Tensor) -> None:
        """Ridge regressions."""
        for one in range(RANGES):
            rows = number == one
            x, y = features[rows].double(), identity[rows].double()
            mean = x.mean(0)
            covariance = (x - mean).T @ (x - mean)
            ridge = STRENGTH * covariance.trace() / FEATURES * torch.eye(FEATURES)
            self.mean[one] = mean
            self.shape[one] = torch.linalg.solve(covariance + ridge, (x - mean).T @ y)


@torch.no_grad()
def said_of(net: RecognitionNet, regressions: Regressions, seen: Seen, mirror: Mirror) -> np.ndarray:
    """Identity of all pictures that are not mirror images, each taken together with its own."""
    parts = seen.parts(np.arange(len(seen)))
    said = torch.cat([regressions(net.upper(maps), number) for maps, _, number in parts]).numpy()
    return (said[~seen.mirrored] + mirror.of(said[seen.mirrored])) / 2


def precision_of(wrong: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Precision (RANGES, I, I) of errors (N, I) by yaw range; left and right count as alike."""
    shared = wrong.T @ wrong / len(wrong)
    found = []
    for one in range(RANGES):
        own = wrong[(number == one) | (number == RANGES - 1 - one)]
        gram = own.T @ own
        like_all = (np.trace(gram) / len(own) / np.trace(shared) if len(own) else 1.0) * shared
        found.append(np.linalg.inv((gram + ALIKE * like_all) / (len(own) + ALIKE)))
    return np.stack(found)


def face_errors(model: HeadModel, said: np.ndarray, identity: np.ndarray, number: np.ndarray) -> list[str]:
    """A line for each yaw range: how many pictures, error of the average and of what was ``said`` (N, I), mm."""
    measure, lines = FaceError(model), []
    for one in range(RANGES):
        rows = number == one
        # The expression, which is not asked for, and the camera's number count as known.
        rest = np.zeros((rows.sum(), len(model.expression) + 1))
        average, alone = (measure(*(np.c_[x[rows], rest] for x in (found, identity))) for found in (0 * said, said))
        lines.append(f"yaw range {one}: {rows.sum()} held-out pictures, average {average:.3f} -> {alone:.3f} mm")
    return lines


def states_of(weights: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Network and regressions of a weights file."""
    recogniser = load(weights).observer.recogniser
    return recogniser.net.state_dict(), {name: torch.from_numpy(getattr(recogniser, name)) for name in ("mean", "shape")}


def blended(trained: dict[str, Tensor], start: dict[str, Tensor], kept: float) -> dict[str, Tensor]:
    """The weights between those a training began and ended with: they forget less of what the earlier pictures taught than the
    trained ones (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022)."""
    return {name: torch.lerp(weight, start[name].to(weight.dtype), kept) for name, weight in trained.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("materials", "train", "test", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    begin = parser.add_mutually_exclusive_group(required=True)
    begin.add_argument("--recognition", type=Path, help="folder with dlib's network, to begin with that")
    begin.add_argument("--start", type=Path, help="weights file, to go on from the network in it")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=PEAK_RATE, help="learning rate at its highest")
    parser.add_argument("--kept", type=float, default=0.0, help="share of the network of --start in what comes out")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bfloat16", action="store_true", help="convolutions in bfloat16, where the processor has it")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    materials = pickle.loads(arguments.materials.read_bytes())
    model, _ = shipped_model(materials.model, materials.head.expression_names)
    metric = shape_metric(model)[:, : len(model.identity)]
    seen, held_out = Seen.read(arguments.train), Seen.read(arguments.test)
    own = ~held_out.mirrored
    net, regressions = RecognitionNet(), Regressions(len(model.identity))
    rng = np.random.default_rng(0)
    learned, spent, kept = 0, 0.0, 0.0
    upper = list(net.blocks[LOWER:].parameters())
    rates = [{"params": upper, "share": 1.0}, {"params": list(regressions.parameters()), "share": REGRESSION_SHARE}]
    optimiser = torch.optim.AdamW(rates, lr=arguments.rate)
    begun = states_of(arguments.start) if arguments.start else ({}, {})
    if arguments.out.exists():
        state = torch.load(arguments.out)
        net.load_state_dict(state["net"])
        regressions.load_state_dict(state["regressions"])
        optimiser.load_state_dict(state["optimiser"])
        learned, spent, kept = state["learned"], state["seconds"], state.get("kept", 0.0)
        rng = np.random.default_rng(learned)
    elif arguments.start:
        net.load_state_dict(begun[0])
        regressions.load_state_dict(begun[1])
    else:
        recognition_weights.load_into(net, arguments.recognition)
        parts = list(seen.parts(rng.permutation(len(seen))[:FIRST_PICTURES]))
        with torch.no_grad():
            features = torch.cat([net.upper(maps) for maps, *_ in parts])
        regressions.begin(features, *(torch.cat(columns) for columns in list(zip(*parts, strict=True))[1:]))
    net.to(memory_format=torch.channels_last)

    def save() -> None:
        said, truth = said_of(net, regressions, held_out, model.mirror), (held_out.identity[own], held_out.number[own])
        precision = torch.from_numpy(precision_of(said - truth[0], truth[1])).float()
        table = "\n".join(face_errors(model, said, *truth))
        print(table, flush=True)
        state = {"net": net.state_dict(), "regressions": regressions.state_dict(), "optimiser": optimiser.state_dict()}
        numbers = {"learned": learned, "seconds": spent, "pictures": len(seen), "table": table, "kept": kept}
        checkpoint.save(arguments.out, {**state, **numbers, "precision": precision})

    budget, last, checked, running = arguments.minutes * 60, time.monotonic(), spent, []
    while spent < budget:
        maps, identity, number = seen.at(rng.integers(0, len(seen), BATCH))
        warm = min(1.0, learned / WARM_UP + 0.02)
        rate = arguments.rate * warm * (0.02 + 0.98 * (1 + math.cos(math.pi * spent / budget)) / 2)
        for group in optimiser.param_groups:
            group["lr"] = rate * group["share"]
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bfloat16):
            features = net.upper(maps)
        difference = regressions(features.float(), number) - identity
        loss = torch.sqrt(((difference @ metric.T) ** 2).sum(1) + 1e-3).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(upper, 1.0)
        optimiser.step()
        running.append(loss.item())
        learned += BATCH
        now = time.monotonic()
        spent, last = spent + now - last, now
        if spent - checked > 300 or spent >= budget:
            checkpoint.log(arguments.out, learned, spent, loss=round(float(np.mean(running)), 4))
            save()
            checked, running, last = spent, [], time.monotonic()
    if arguments.kept and not kept:
        kept = arguments.kept
        for module, start in zip((net, regressions), begun, strict=True):
            module.load_state_dict(blended(module.state_dict(), start, arguments.kept))
        save()


if __name__ == "__main__":
    main()
