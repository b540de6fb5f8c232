"""Train the encoder on through what descent reads out of it, from a correspondence network and its steps of descent.

    python extras/training/train_encoder.py --materials runs/materials.pkl --train runs/fresh --test runs/test \
        --correspondence runs/correspondence.pt --descent runs/descent.npz runs/descent-2.npz --out runs/encoder.pt --minutes 60

Ridge regression only uses what the encoder happens to show; here the errors of the heads after the steps go back into the
encoder (as in Trigeorgis et al., "Mnemonic Descent Method", CVPR 2016). ``--train`` should be pictures the regression did not
see, on which its errors are as they will be. What is written takes the place of all: the network, and beside it the steps,
with the suffixes ``.0.npz``, ``.1.npz`` and so on.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import checkpoint
import numpy as np
import torch
from crops import Crops
from export import read_descent
from measure import FaceError
from samples import shipped
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from train_correspondence import shape_metric, whole_losses
from train_descent import precision

from octoprint_facesculpt.reconstruction.correspondence import REGION, CorrespondenceNet, Whole
from octoprint_facesculpt.reconstruction.descent import ByYaw, Descent, Points, begin, places_of, sample, settle, yaw_range

BATCH = 32
#: Learning rates: of the encoder, of the layers that see the face as a whole, and, as shares of their numbers' size, of what is
#: read and of the steps (whose thousands of inputs move together).
ENCODER, WHOLE, BASIS, STEP = 5e-5, 7.5e-7, 2.5e-4, 1.25e-5
#: Share of the features that is hidden from the step at a time.
HIDDEN = 0.2
#: Pictures until the learning rates are reached.
WARM_UP = 2_000
#: How often it is measured and saved.
CHECK_SECONDS = 240
HELD_BATCHES = 8
#: Batches of held-out crops whose errors are the prior of the fit.
PRECISION_BATCHES = 60


class Reading(nn.Module):
    """A linear step of a :class:`Descent` as layers: features (B, P K) -> change (B, C + 1 + 2 P)."""

    mean: Tensor

    def __init__(self, step: ByYaw) -> None:
        super().__init__()
        parts = step.ranges
        self.register_buffer("mean", torch.from_numpy(np.stack([one.mean for one in parts])).float())
        self.gather = nn.Parameter(torch.from_numpy(np.stack([one.gather for one in parts])).float())
        self.spread = nn.Parameter(torch.from_numpy(np.stack([one.spread for one in parts])).float())
        self.hide = nn.Dropout(HIDDEN)

    def forward(self, features: Tensor, ranges: np.ndarray) -> Tensor:
        change = torch.empty(len(features), self.spread.shape[2])
        for number in np.unique(ranges):
            rows = torch.from_numpy(ranges == number)
            change[rows] = self.hide(features[rows] - self.mean[number]) @ self.gather[number] @ self.spread[number]
        return change

    def numbers(self) -> dict[str, np.ndarray]:
        """The step as :mod:`train_descent` writes it."""
        arrays = {}
        for number, mean in enumerate(self.mean.numpy()):
            arrays[f"{number}.mean"] = mean
            arrays[f"{number}.gather"] = self.gather[number].detach().numpy()
            arrays[f"{number}.spread"] = self.spread[number].detach().numpy()
        return arrays


class Model(nn.Module):
    """Correspondence network and all steps together."""

    centre: Tensor

    def __init__(self, net: CorrespondenceNet, descent: Descent, points: Points) -> None:
        super().__init__()
        self.net, self._points = net, points
        self.register_buffer("centre", torch.from_numpy(descent.maps.centre).float())
        self.basis = nn.Parameter(torch.from_numpy(descent.maps.basis).float())
        self.readings = nn.ModuleList(Reading(step) for step in descent.steps)

    def forward(self, pictures: Tensor, bfloat16: bool) -> tuple[Whole, list[tuple[Tensor, Tensor]]]:
        """What is said of the whole face, and after each step the heads (B, C + 1) and the points' places (B, P, 2) px.

        A step's error goes back into what it read, not into where the step before it put the points.
        """
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            stages = self.net.encoder(pictures)
            whole = self.net.whole(stages)
        heads = whole.head.detach().double().numpy()
        pairs = zip(heads, REGION * whole.points.detach().double().numpy(), strict=True)
        states = [begin(self._points, head, places) for head, places in pairs]
        after: list[tuple[Tensor, Tensor]] = []
        for reading in self.readings:
            places = torch.from_numpy(places_of(self._points, states)).float()
            features = ((sample(stages, places) - self.centre) @ self.basis).flatten(1)
            change = reading(features, np.array([yaw_range(state.camera) for state in states]))
            guessed = torch.from_numpy(np.stack([state.head for state in states])).float()
            count = guessed.shape[1]
            after.append((guessed + change[:, :count], places + change[:, count:].unflatten(1, (-1, 2))))
            found = [part.detach().double().numpy() for part in after[-1]]
            states = [
                settle(self._points, head, place, state.camera) for head, place, state in zip(*found, states, strict=True)
            ]
        return whole, after

    def steps(self) -> list[dict[str, np.ndarray]]:
        """The steps as :mod:`train_descent` writes them, without their precision."""
        common = {"centre": self.centre.numpy(), "basis": self.basis.detach().numpy()}
        return [common | reading.numbers() for reading in self.readings]


def errors(model: Model, batches: Iterable[tuple[Tensor, ...]]) -> np.ndarray:
    """(N, C + 1) errors of the heads after the last step."""
    model.eval()
    with torch.no_grad():
        return np.concatenate([(model(p.float() / 255, False)[1][-1][0] - targets).numpy() for p, _, targets, _ in batches])


def measured(model: Model, batches: list, measure: FaceError) -> dict[str, float]:
    """Points' errors in px and heads' errors in mm on held-out crops."""
    model.eval()
    off, heads = [], []
    with torch.no_grad():
        for pictures, points, targets, _ in batches:
            head, places = model(pictures.float() / 255, False)[1][-1]
            off.append((places - REGION * points).norm(dim=2).mean().item())
            heads += [measure(h[None], t[None]) for h, t in zip(head.numpy(), targets.numpy(), strict=True)]
    return {"points_px": round(float(np.mean(off)), 3), "head_mm": round(float(np.mean(heads)), 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("materials", "train", "test", "correspondence", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--descent", type=Path, nargs="+", required=True, help="a file for each step")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bfloat16", action="store_true", help="convolutions in bfloat16, where the processor has it")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    head_model, kept = shipped(arguments.materials)
    net, vertices, stored = checkpoint.correspondence(arguments.correspondence)
    descent, _ = read_descent(*arguments.descent)
    model = Model(net, descent, Points.of(head_model, vertices)).to(memory_format=torch.channels_last)
    metric = shape_metric(head_model)

    frozen = [net.encoder.stem, net.encoder.first]
    for module in frozen:
        module.requires_grad_(False)
    whole = [p for n, p in net.named_parameters() if not n.startswith("encoder")]
    groups = [
        {"params": [p for p in net.encoder.parameters() if p.requires_grad], "peak": ENCODER},
        {"params": whole, "peak": WHOLE},
    ]
    factors = [(parameter, STEP) for reading in model.readings for parameter in (reading.gather, reading.spread)]
    for parameter, share in ((model.basis, BASIS), *factors):
        groups.append({"params": [parameter], "peak": share * float(parameter.detach().square().mean().sqrt())})
    optimiser = torch.optim.AdamW(groups, weight_decay=0.0)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.998), use_buffers=True)
    seen, spent = 0, 0.0
    if arguments.out.exists():
        state = torch.load(arguments.out)
        average.load_state_dict(state["average"])
        model.load_state_dict(state["last"])
        optimiser.load_state_dict(state["optimiser"])
        seen, spent = state["samples"] - stored["samples"], state["seconds"] - stored["seconds"]
    crops = Crops(arguments.train, head_model, kept, vertices, BATCH, seen + 1, maps=False)
    loader = DataLoader(crops, batch_size=None, num_workers=1, prefetch_factor=6)
    held = list(islice(iter(Crops(arguments.test, head_model, kept, vertices, BATCH, 0, maps=False)), HELD_BATCHES))
    torch.set_num_threads(arguments.threads)
    measure = FaceError(head_model)

    def report(**figures: float) -> None:
        state = {
            "net": average.module.net.state_dict(), "average": average.state_dict(), "last": model.state_dict(),
            "optimiser": optimiser.state_dict(), "samples": stored["samples"] + seen, "seconds": stored["seconds"] + spent,
            "points": stored["points"], "outputs": stored["outputs"],
            "pictures": stored["pictures"] + 500 * len(list(arguments.train.glob("*.npz"))),
        }  # fmt: skip
        checkpoint.save(arguments.out, state)
        checkpoint.log(arguments.out, seen, spent, **figures, **measured(average.module, held, measure))

    if not spent:
        report()
    budget, last, checked = arguments.minutes * 60, time.monotonic(), spent
    running: list[dict[str, float]] = []
    for pictures, points, targets, _ in loader:
        fraction = (1 + math.cos(math.pi * min(1.0, spent / budget))) / 2
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * min(1.0, seen / WARM_UP) * (0.01 + 0.99 * fraction)
        model.train()
        inputs = (pictures.float() / 255).to(memory_format=torch.channels_last)
        said, after = model(inputs, arguments.bfloat16)
        parts = {"whole": 0.3 * sum(whole_losses(said, points, targets, metric).values())}
        for number, (head, places) in enumerate(after):
            off = (head - targets)[:, :-1] @ metric.T
            parts[f"head {number}"] = torch.sqrt((off**2).sum(1) + 1e-4).mean()
            parts[f"places {number}"] = (places - REGION * points).norm(dim=2).mean()
        optimiser.zero_grad()
        sum(parts.values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        average.update_parameters(model)
        running.append({name: value.item() for name, value in parts.items()})
        seen += len(pictures)
        now = time.monotonic()
        spent, last = spent + now - last, now
        if spent - checked > CHECK_SECONDS or spent >= budget:
            report(**{name: round(float(np.mean([r[name] for r in running])), 4) for name in running[0]})
            checked, running, last = spent, [], time.monotonic()
        if spent >= budget:
            break
    trained = average.module
    tests = islice(iter(Crops(arguments.test, head_model, kept, vertices, BATCH, 1, maps=False)), PRECISION_BATCHES)
    certain = precision(errors(trained, tests))
    for number, step in enumerate(trained.steps()):
        np.savez(arguments.out.with_suffix(f".{number}.npz"), precision=certain, **step)


if __name__ == "__main__":
    main()
