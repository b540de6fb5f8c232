"""Learn which head the people have whom the recognition network sees; stops after --minutes, and goes on where it stopped.

    python extras/training/train_recognition.py --materials runs/materials.pkl --pictures runs/train --test runs/others \
        --recognition node_modules/@vladmandic/face-api/model --out runs/recognition.pt --minutes 60

It begins with dlib's layers and a ridge regression from what they see for every range of yaw, or with those of a weights file;
then the upper layers and the regressions are trained on together. Pictures are drawn from their shards in other places, colours
and mirrors each time (:mod:`chips`); shards that are new when it goes on are learned from, too. The learning rate rises for
``WARM_UP`` pictures and follows a half cosine over the whole of --minutes. How far it is off on held-out pictures, each taken
together with its mirror image, is how far it is believed. All pictures are held in memory as JPEG, 25 kB each. Who goes on from
a weights file should keep some of it (--kept), which is done once, when the minutes are over.
"""

from __future__ import annotations

import argparse
import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import checkpoint
import numpy as np
import recognition_weights
import torch
from chips import Chips, range_of
from measure import FaceError
from samples import shipped
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
#: Seed of how held-out pictures are aligned, and minutes between two looks at them.
HELD_OUT, CHECKED_EVERY = 11, 10
#: The covariance of the errors in a range of yaw counts as if so many of its pictures were like all others.
ALIKE = 200
RANGES = len(YAWS) + 1


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
def begin(net: RecognitionNet, regressions: Regressions, chips: Chips, rng: np.random.Generator, mirror: Mirror) -> None:
    """Ridge regressions from what the network sees of some pictures."""
    some = rng.permutation(len(chips))[:FIRST_PICTURES]
    batches = (chips.varied(rng, rows, mirror) for rows in np.array_split(some, len(some) // BATCH + 1))
    columns = zip(*((net(pictures), *asked) for pictures, *asked in batches), strict=True)
    regressions.begin(*(torch.cat(column) for column in columns))


@torch.no_grad()
def said_of(net: RecognitionNet, regressions: Regressions, chips: Chips, mirror: Mirror) -> np.ndarray:
    """Identity (N, I) of all pictures, each taken together with its mirror image."""
    rng, said = np.random.default_rng(HELD_OUT), []
    for rows in np.array_split(np.arange(len(chips)), len(chips) // BATCH + 1):
        seen, yaw = chips.aligned(rng, rows), chips.yaw[rows]
        own, mirrored = (
            regressions(net(pictures.contiguous(memory_format=torch.channels_last)).float(), range_of(turn)).numpy()
            for pictures, turn in ((seen, yaw), (seen.flip(3), -yaw))
        )
        said.append((own + mirror.of(mirrored)) / 2)
    return np.concatenate(said)


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
    for name in ("materials", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("pictures", "test"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True, help="folders of shards")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--recognition", type=Path, help="folder with dlib's network, to begin with that")
    source.add_argument("--start", type=Path, help="weights file, to go on from the network in it")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=PEAK_RATE, help="learning rate at its highest")
    parser.add_argument("--kept", type=float, default=0.0, help="share of the network of --start in what comes out")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bfloat16", action="store_true", help="convolutions in bfloat16, where the processor has it")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model, kept_coefficients = shipped(arguments.materials)
    metric = shape_metric(model)[:, : len(model.identity)]
    chips, held_out = (Chips.read(folders, model, kept_coefficients) for folders in (arguments.pictures, arguments.test))
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
        begin(net, regressions, chips, rng, model.mirror)
    net.to(memory_format=torch.channels_last)

    def save() -> None:
        truth = held_out.identity, range_of(held_out.yaw).numpy()
        said = said_of(net, regressions, held_out, model.mirror)
        precision = torch.from_numpy(precision_of(said - truth[0], truth[1])).float()
        table = "\n".join(face_errors(model, said, *truth))
        print(table, flush=True)
        state = {"net": net.state_dict(), "regressions": regressions.state_dict(), "optimiser": optimiser.state_dict()}
        numbers = {"learned": learned, "seconds": spent, "pictures": len(chips), "table": table, "kept": kept}
        checkpoint.save(arguments.out, {**state, **numbers, "precision": precision})

    def drawn() -> tuple[Tensor, Tensor, Tensor]:
        return chips.varied(rng, rng.integers(0, len(chips), BATCH), model.mirror)

    budget, last, checked, running = arguments.minutes * 60, time.monotonic(), spent, []
    ahead = ThreadPoolExecutor(1)
    coming = ahead.submit(drawn)
    while spent < budget:
        pictures, identity, number = coming.result()
        coming = ahead.submit(drawn)
        warm = min(1.0, learned / WARM_UP + 0.02)
        rate = arguments.rate * warm * (0.02 + 0.98 * (1 + math.cos(math.pi * spent / budget)) / 2)
        for group in optimiser.param_groups:
            group["lr"] = rate * group["share"]
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bfloat16):
            with torch.no_grad():
                seen = net.lower(pictures.contiguous(memory_format=torch.channels_last))
            features = net.upper(seen)
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
        if spent - checked > 60 * CHECKED_EVERY or spent >= budget:
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
