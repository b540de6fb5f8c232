"""Train the guided volumetric network on cached samples; stops after --minutes, and goes on where it stopped.

    python extras/training/train.py --materials runs/materials.pkl --pictures runs/train --guesses runs/guesses \
        --test-pictures runs/test --test-guesses runs/test-guesses --out runs/volume.pt --minutes 60

The learning rate follows a half cosine over the whole of --minutes, summed over all interruptions. A GPU is used when
there is one.
"""

from __future__ import annotations

import argparse
import math
import pickle
import time
from dataclasses import replace
from pathlib import Path

import checkpoint
import numpy as np
import torch
from examples import Example, ExampleMaker, Sample, read_samples
from samples import shipped_model
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from octoprint_facesculpt.reconstruction.alignment import CROP
from octoprint_facesculpt.reconstruction.guides import CHANNELS, picture_channels
from octoprint_facesculpt.reconstruction.network import GuidedVolumeNet, Reading
from octoprint_facesculpt.reconstruction.volume import GRID, TRUNCATION
from octoprint_facesculpt.reconstruction.weights import load

BATCH = 12
PEAK_RATE = 1.5e-3
#: Voxels around the middle of the face count this much more than those of shoulders and skull.
FACE_WEIGHT = 4.0
#: Share of examples that start from the first guess itself; the others start nearer to the truth.
FIRST_GUESSES = 0.6
#: Held-out samples to measure on.
TEST_SAMPLES = 400
#: Steps of a voxel's distance that is kept in a byte.
STEPS = 127 / TRUNCATION


class Examples(Dataset):
    """Examples of ``samples``; when ``mixed`` some with improved guesses, and half of the time their mirror images.

    An example costs more to make than to learn from: each is kept (about 1.2 MB) for the following epochs.
    """

    def __init__(self, maker: ExampleMaker, samples: list[Sample], mixed: bool) -> None:
        self.maker, self.samples, self.mixed = maker, samples, mixed
        self.kept: dict[int, Example] = {}

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, i: int) -> tuple[np.ndarray, ...]:
        sample = self.samples[i]
        if i not in self.kept:
            improved = self.mixed and torch.rand(()) > FIRST_GUESSES
            wrong = float(torch.rand(())) if improved else 1.0
            made = self.maker.make(sample, *self.maker.guess(sample, wrong))
            self.kept[i] = replace(
                made,
                guides=made.guides.astype(np.float16),
                guess=np.round(made.guess * STEPS).astype(np.int8),
                truth=np.round(made.truth * STEPS).astype(np.int8),
            )
        example, picture = self.kept[i], picture_channels(sample.picture())
        middle = sample.crop.landmarks[:468].mean(0) * GRID / CROP
        if self.mixed and torch.rand(()) < 0.5:
            example, picture = example.mirrored(), picture[..., ::-1].copy()
            middle[0] = GRID - middle[0]
        return (
            picture, example.guides.astype(np.float32),
            example.guess.astype(np.float32) / STEPS, example.truth.astype(np.float32) / STEPS,
            example.displacement, example.seen, middle.astype(np.float32), np.float32(example.scale),
        )  # fmt: skip


def face_weight(middle: Tensor) -> Tensor:
    """Weights (B, GRID, GRID, GRID) that fall off with the distance to the middle of the face ((B, 3) x, y, z)."""
    axis = torch.arange(GRID, dtype=torch.float32) + 0.5
    z = (axis[None] - GRID / 2 - middle[:, 2:3])[:, :, None, None]
    y = (axis[None] - middle[:, 1:2])[:, None, :, None]
    x = (axis[None] - middle[:, 0:1])[:, None, None, :]
    return 1 + FACE_WEIGHT * torch.exp(-(x**2 + y**2 + z**2) / (2 * 12.0**2))


def losses(reading: Reading, guess: Tensor, truth: Tensor, displacement: Tensor, seen: Tensor, middle: Tensor):
    """Mean weighted distance error (voxels) near either surface, and the displacement's Laplace likelihood."""
    near = ((guess.abs() < TRUNCATION) | (truth.abs() < TRUNCATION)) * face_weight(middle)
    volume = torch.nn.functional.smooth_l1_loss(
        reading.volume.clamp(-TRUNCATION, TRUNCATION) * 0.98 + reading.volume * 0.02, truth, beta=0.1, reduction="none"
    )
    volume = (volume * near).sum() / near.sum()
    error = (reading.displacement - displacement).abs().sum(1, keepdim=True)
    scale = reading.log_scale.clamp(-4, 4)
    flow = ((error * torch.exp(-scale) + 3 * scale) * seen[:, None]).sum() / seen.sum()
    return volume, flow


def evaluate(net: GuidedVolumeNet, loader: DataLoader) -> dict[str, float]:
    """Held-out figures: distance error near the face in mm of the guess and of the network, and displacement in pixels."""
    net.eval()
    sums = np.zeros(5)
    with torch.no_grad():
        for picture, guides, guess, truth, displacement, seen, middle, scale in loader:
            reading = net(picture, guides, guess)
            face = (truth.abs() < 0.7) * (face_weight(middle) > 1 + FACE_WEIGHT * 0.4)
            pitch = 2.0 / scale[:, None, None, None]
            count = face.sum()
            sums[0] += float(((guess - truth).abs() * pitch * face).sum() / count)
            sums[1] += float(((reading.volume.clamp(-2, 2) - truth).abs() * pitch * face).sum() / count)
            flow = displacement.norm(dim=1) * seen
            sums[2] += float(flow.sum() / seen.sum())
            sums[3] += float(((displacement - reading.displacement).norm(dim=1) * seen).sum() / seen.sum())
            sums[4] += 1
    names = ("guess_mm", "network_mm", "guess_displacement_px", "network_displacement_px")
    return dict(zip(names, (sums[:4] / sums[4]).round(4).tolist(), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("materials", "pictures", "guesses", "test-pictures", "test-guesses", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="weights of an earlier training to begin with")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="each keeps its own examples")
    parser.add_argument("--most", type=int, default=6000, help="samples to learn from; each keeps 1.2 MB")
    parser.add_argument("--bfloat16", action="store_true", help="convolutions in bfloat16, where the processor has it")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    materials = pickle.loads(arguments.materials.read_bytes())
    model, kept = shipped_model(materials.model, materials.head.expression_names)
    maker = ExampleMaker(model)
    samples = read_samples(arguments.pictures, arguments.guesses, kept, model, arguments.most)
    examples = Examples(maker, samples, mixed=True)
    loader = DataLoader(
        examples, BATCH, shuffle=True, num_workers=arguments.workers, drop_last=True, prefetch_factor=4, persistent_workers=True
    )
    test_samples = read_samples(arguments.test_pictures, arguments.test_guesses, kept, model, TEST_SAMPLES)
    held_out = DataLoader(
        Examples(maker, test_samples, mixed=False), BATCH, num_workers=1, prefetch_factor=2, persistent_workers=True
    )

    net = GuidedVolumeNet(CHANNELS).to(device, memory_format=torch.channels_last)
    print(f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f} M parameters, {len(examples)} samples", flush=True)
    optimiser = torch.optim.AdamW(net.parameters(), lr=PEAK_RATE, weight_decay=0.01)
    seen_samples, spent = 0, 0.0
    if arguments.start:
        net.load_state_dict(load(arguments.start).volume.state_dict())
    if arguments.out.exists():
        state = torch.load(arguments.out)
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        seen_samples, spent = state["samples"], state["seconds"]
        torch.manual_seed(seen_samples)

    def save() -> None:
        state = {"net": net.state_dict(), "optimiser": optimiser.state_dict()}
        checkpoint.save(arguments.out, {**state, "samples": seen_samples, "seconds": spent, "pictures": len(examples)})

    budget, last, checked, running = arguments.minutes * 60, time.monotonic(), spent, []
    while spent < budget:
        for batch in loader:
            picture, guides, guess, truth, displacement, seen, middle, _ = (t.to(device) for t in batch)
            rate = PEAK_RATE * min(1.0, seen_samples / 2000) * (0.02 + 0.98 * (1 + math.cos(math.pi * spent / budget)) / 2)
            for group in optimiser.param_groups:
                group["lr"] = rate
            net.train()
            with torch.autocast(device.type, torch.bfloat16, enabled=arguments.bfloat16):
                reading = net(picture.to(memory_format=torch.channels_last), guides, guess)
            volume, flow = losses(reading, guess, truth, displacement, seen, middle)
            loss = volume + 0.03 * flow
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            running.append((volume.item(), flow.item()))
            seen_samples += len(guess)
            now = time.monotonic()
            spent, last = spent + now - last, now
            if spent - checked > 420 or spent >= budget:
                figures = np.mean(running, 0).round(4).tolist()
                named = {"volume_loss": figures[0], "flow_loss": figures[1], **evaluate(net, held_out)}
                checkpoint.log(arguments.out, seen_samples, spent, **named)
                save()
                checked, running, last = spent, [], time.monotonic()
                if spent >= budget:
                    break


if __name__ == "__main__":
    main()
