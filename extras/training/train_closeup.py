"""Learn where the points of a guess really are from a closer look at the face; stops after --minutes, goes on where it stopped.

    python extras/training/train_closeup.py --materials runs/materials.pkl --weights facesculpt-vrn.safetensors \
        --pictures runs/train --guessed runs/guessed --guesses runs/guesses --test runs/others \
        --test-guesses runs/guesses-others --out runs/closeup.pt --minutes 120

It begins with the layers of the recognition network in --weights, where the points are from, too. Of some pictures there are
--guesses; the guesses of all others borrow their errors. The loss is the points' likelihood with Laplace distributed errors,
whose scale the network gives, and the error of the head that it says by itself. All pictures are held in memory as JPEG, 25 kB
each.
"""

from __future__ import annotations

import argparse
import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import checkpoint
import numpy as np
import torch
from closeups import CloseupMaker, Examples, Face, drawn, guessed
from examples import read_samples
from measure import FaceError
from samples import shipped
from torch import Tensor, nn
from train_correspondence import shape_metric

from octoprint_facesculpt.reconstruction.closeup import CloseupNet
from octoprint_facesculpt.reconstruction.descent import YAWS
from octoprint_facesculpt.reconstruction.head_model import HeadModel
from octoprint_facesculpt.reconstruction.weights import load

BATCH = 32
#: Learning rate at its highest, and the share of it at which the recognition network's layers learn.
PEAK_RATE, TRUNK_SHARE, WEIGHT_DECAY = 2e-3, 0.3, 1e-2
WARM_UP = 4000
#: Points further than this from the middle of the face (mm) count for so much: neck and skull are hardly in the window.
FAR, FAR_WEIGHT = 110.0, 0.3
#: Scale in pixels that is said in the beginning, and a length below which errors do not matter.
FIRST_SCALE, SMALL = 1.6, 0.1
#: How much an error of a millimetre of the head counts beside the points.
HEAD = 0.3
#: How many of the examples are of pictures with a guess of their own.
OWN_GUESS = 0.35
#: Minutes between two looks at the held-out examples.
CHECKED_EVERY = 8


def loss_of(moved: Tensor, log_scale: Tensor, off: Tensor, weight: Tensor) -> Tensor:
    """Negative logarithm of the likelihood of ``off`` (B, P, 2), but for a constant."""
    distance = torch.sqrt(((moved - off) ** 2).sum(-1) + SMALL**2)
    return (weight * (distance * torch.exp(-log_scale) + 2 * log_scale)).mean()


@torch.inference_mode()
def errors(net: CloseupNet, batches: list[Examples], model: HeadModel) -> list[str]:
    """A line for each range of yaw: how far off MediaPipe's landmarks are before and after the look, px, and the faces of the
    average head and of the one that is said, mm."""
    net.eval()
    landmarks, measure = len(model.landmark_vertices), FaceError(model)
    before, left, heads = [], [], []
    for one in batches:
        moved, _, said = net(one.pictures.contiguous(memory_format=torch.channels_last), one.pose, one.places)
        heads.append(np.c_[said.numpy(), one.truth[:, -1]])
        before.append(one.off[:, :landmarks].norm(dim=2).mean(1))
        left.append((one.off - moved)[:, :landmarks].norm(dim=2).mean(1))
    net.train()
    ranges = np.searchsorted(YAWS, np.concatenate([one.yaw for one in batches]))
    lines = []
    for number in range(len(YAWS) + 1):
        rows = torch.from_numpy(ranges == number)
        if not rows.any():
            continue
        figures = [torch.cat(some)[rows].mean().item() for some in (before, left)]
        alone, truth = (np.concatenate(some)[rows] for some in (heads, [one.truth for one in batches]))
        figures += [measure(some, truth) for some in (0 * alone, alone)]
        line = "yaw range {}: {} held-out pictures, landmarks {:.3f} -> {:.3f} px, average {:.3f} -> {:.3f} mm"
        lines.append(line.format(number, rows.sum(), *figures))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("materials", "weights", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("pictures", "guessed", "guesses", "test", "test-guesses"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True, help="folders of shards")
    parser.add_argument("--start", type=Path, help="state of an earlier training to begin with")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=PEAK_RATE, help="learning rate at its highest")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bfloat16", action="store_true", help="convolutions in bfloat16, where the processor has it")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    model, kept = shipped(arguments.materials)
    weights = load(arguments.weights)

    def with_guesses(pictures: list[Path], guesses: list[Path]) -> list[Face]:
        pairs = zip(pictures, guesses, strict=True)
        return [guessed(sample) for pair in pairs for sample in read_samples(*pair, kept, model)]

    own = with_guesses(arguments.guessed, arguments.guesses)
    held_out = with_guesses(arguments.test, arguments.test_guesses)
    maker, faces = CloseupMaker(weights, own), drawn(arguments.pictures, kept)
    print(f"{len(faces)} pictures and {len(own)} with guesses", flush=True)

    points = maker.points.mean
    net = CloseupNet(len(points), len(model.identity) + len(model.expression))
    nn.init.zeros_(net.head.weight)
    metric = shape_metric(model)
    net.trunk.load_state_dict(weights.observer.recogniser.net.state_dict(), strict=False)
    with torch.no_grad():
        net.bias[:, 2] = math.log(FIRST_SCALE)
    trunk = list(net.trunk.parameters())
    others = [parameter for name, parameter in net.named_parameters() if not name.startswith("trunk.")]
    groups = [{"params": others, "share": 1.0}, {"params": trunk, "share": TRUNK_SHARE}]
    optimiser = torch.optim.AdamW(groups, lr=arguments.rate, weight_decay=WEIGHT_DECAY)
    seen, spent = 0, 0.0
    if arguments.start:
        net.load_state_dict(torch.load(arguments.start)["net"], strict=False)
    if arguments.out.exists():
        state = torch.load(arguments.out)
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        seen, spent = state["samples"], state["seconds"]
    net.to(memory_format=torch.channels_last)
    away = np.linalg.norm(points - model.mean[model.face].mean(0), axis=1)
    weight = torch.from_numpy(np.where(away > FAR, FAR_WEIGHT, 1.0)).float()
    parts = np.array_split(np.arange(len(held_out)), len(held_out) // BATCH + 1)
    batches = [maker.make(np.random.default_rng(), [held_out[i] for i in rows], varied=False) for rows in parts]

    def one(seed: list[int]) -> Examples:
        rng = np.random.default_rng(seed)
        kinds = [own if mine else faces for mine in rng.random(BATCH) < OWN_GUESS]
        return maker.make(rng, [kind[rng.integers(len(kind))] for kind in kinds])

    budget, last, checked, running = arguments.minutes * 60, time.monotonic(), spent, []
    ahead = ThreadPoolExecutor(2)
    coming = [ahead.submit(one, [seen, number]) for number in range(3)]
    begun, number = seen, len(coming)
    while spent < budget:
        batch = coming.pop(0).result()
        coming.append(ahead.submit(one, [begun, number]))
        number += 1
        fraction = min(1.0, seen / WARM_UP + 0.02) * (0.01 + 0.99 * (1 + math.cos(math.pi * spent / budget)) / 2)
        for group in optimiser.param_groups:
            group["lr"] = arguments.rate * group["share"] * fraction
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bfloat16):
            moved, log_scale, said = net(batch.pictures.contiguous(memory_format=torch.channels_last), batch.pose, batch.places)
        heads = (said.float() - torch.from_numpy(batch.truth[:, :-1]).float()) @ metric.T
        loss = loss_of(moved.float(), log_scale.float(), batch.off, weight) + HEAD * torch.sqrt((heads**2).sum(1) + 1e-3).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        running.append(loss.item())
        seen += BATCH
        now = time.monotonic()
        spent, last = spent + now - last, now
        if spent - checked > 60 * CHECKED_EVERY or spent >= budget:
            checkpoint.log(arguments.out, seen, spent, loss=round(float(np.mean(running)), 4))
            table = "\n".join(errors(net, batches, model))
            print(table, flush=True)
            state = {"net": net.state_dict(), "optimiser": optimiser.state_dict(), "samples": seen, "seconds": spent}
            checkpoint.save(arguments.out, {**state, "pictures": len(faces) + len(own), "table": table})
            checked, running, last = spent, [], time.monotonic()


if __name__ == "__main__":
    main()
