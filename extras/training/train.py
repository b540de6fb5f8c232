"""Train the guided volumetric network on cached samples; stops after --minutes, and goes on where it stopped.

    python extras/training/train.py --materials runs/materials.pkl --pictures runs/train --guesses runs/guesses \
        --test-pictures runs/test --test-guesses runs/test-guesses --out runs/volume.pt --minutes 60

The learning rate follows a half cosine over the whole of --minutes, summed over all interruptions. A GPU is used when
there is one.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path

import checkpoint
import numpy as np
import torch
from examples import Example, ExampleMaker, Sample, read_samples
from samples import shipped
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
#: Distance error near the face in mm of the guess and of the network, and the error of the displacement in crop pixels.
FIGURES = ("guess_mm", "network_mm", "guess_displacement_px", "network_displacement_px")
#: Steps of a voxel's distance that is kept in a byte.
STEPS = 127 / TRUNCATION


def compact(example: Example) -> Example:
    """The example in as few bytes as it can be kept in: volumes in bytes, guides in half precision."""
    return replace(
        example,
        guides=example.guides.astype(np.float16),
        guess=np.round(example.guess * STEPS).astype(np.int8),
        truth=np.round(example.truth * STEPS).astype(np.int8),
    )


def face_middle(sample: Sample) -> np.ndarray:
    """Middle of the face's landmarks (3,) in voxels: x, y, and z from the middle of the volume."""
    return sample.crop.landmarks[:468].mean(0) * GRID / CROP


def shown(example: Example, picture: np.ndarray, middle: np.ndarray, mirrored: bool) -> tuple[np.ndarray, ...]:
    """What a batch holds of a :func:`compact` example, or of its mirror image; ``picture`` (PICTURE, PICTURE, 3) uint8.

    Picture, guides, guess, truth, displacement, seen, middle of the face, scale.
    """
    channels = picture_channels(picture)
    if mirrored:
        example, channels = example.mirrored(), channels[..., ::-1].copy()
        middle = middle * [-1, 1, 1] + [GRID, 0, 0]
    return (
        channels, example.guides.astype(np.float32),
        example.guess.astype(np.float32) / STEPS, example.truth.astype(np.float32) / STEPS,
        example.displacement, example.seen, middle.astype(np.float32), np.float32(example.scale),
    )  # fmt: skip


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
            self.kept[i] = compact(self.maker.make(sample, *self.maker.guess(sample, wrong)))
        mirrored = bool(self.mixed and torch.rand(()) < 0.5)
        return shown(self.kept[i], sample.picture(), face_middle(sample), mirrored)


def face_weight(middle: Tensor) -> Tensor:
    """Weights (B, GRID, GRID, GRID) that fall off with the distance to the middle of the face ((B, 3) x, y, z)."""
    axis = torch.arange(GRID, dtype=torch.float32) + 0.5
    z = (axis[None] - GRID / 2 - middle[:, 2:3])[:, :, None, None]
    y = (axis[None] - middle[:, 1:2])[:, None, :, None]
    x = (axis[None] - middle[:, 0:1])[:, None, None, :]
    return 1 + FACE_WEIGHT * torch.exp(-(x**2 + y**2 + z**2) / (2 * 12.0**2))


def distance_loss(volume: Tensor, truth: Tensor) -> Tensor:
    """Error of every voxel's signed distance, in voxels."""
    clamped = volume.clamp(-TRUNCATION, TRUNCATION) * 0.98 + volume * 0.02
    return torch.nn.functional.smooth_l1_loss(clamped, truth, beta=0.1, reduction="none")


def losses(
    reading: Reading, guess: Tensor, truth: Tensor, displacement: Tensor, seen: Tensor, middle: Tensor, voxel_loss=distance_loss
) -> tuple[Tensor, Tensor]:
    """Mean weighted ``voxel_loss`` of the volume near either surface, and the displacement's Laplace likelihood."""
    near = ((guess.abs() < TRUNCATION) | (truth.abs() < TRUNCATION)) * face_weight(middle)
    volume = (voxel_loss(reading.volume, truth) * near).sum() / near.sum()
    error = (reading.displacement - displacement).abs().sum(1, keepdim=True)
    scale = reading.log_scale.clamp(-4, 4)
    flow = ((error * torch.exp(-scale) + 3 * scale) * seen[:, None]).sum() / seen.sum()
    return volume, flow


def near_face(middle: Tensor) -> Tensor:
    """Voxels (B, GRID, GRID, GRID) of the face's surroundings ((B, 3) its middle), where the errors are measured."""
    return face_weight(middle) > 1 + FACE_WEIGHT * 0.4


def figures(reading: Reading, guess, truth, displacement, seen, middle, scale) -> np.ndarray:
    """Means over a batch, in the order of ``FIGURES``."""
    face = (truth.abs() < 0.7) * near_face(middle)
    pitch = CROP / GRID / scale[:, None, None, None]
    count = face.sum()
    wrong, flow = displacement - reading.displacement, displacement.norm(dim=1) * seen
    return np.array(
        [
            float(((guess - truth).abs() * pitch * face).sum() / count),
            float(((reading.volume.clamp(-TRUNCATION, TRUNCATION) - truth).abs() * pitch * face).sum() / count),
            float(flow.sum() / seen.sum()),
            float((wrong.norm(dim=1) * seen).sum() / seen.sum()),
        ]
    )


def learning_rate(seen_samples: int, share: float, warm_up: int = 2000) -> float:
    """Rate after ``seen_samples`` and a ``share`` of the training: a warm-up of so many samples, then a half cosine."""
    return PEAK_RATE * min(1.0, seen_samples / warm_up) * (0.02 + 0.98 * (1 + math.cos(math.pi * share)) / 2)


def optimiser_of(net: GuidedVolumeNet) -> torch.optim.Optimizer:
    """What trains ``net``."""
    return torch.optim.AdamW(net.parameters(), lr=PEAK_RATE, weight_decay=0.01)


def step(net: GuidedVolumeNet, optimiser: torch.optim.Optimizer, volume: Tensor, flow: Tensor, rate: float) -> None:
    """Take a step down both :func:`losses`."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad()
    (volume + 0.03 * flow).backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()


def evaluate(net: GuidedVolumeNet, loader: DataLoader) -> dict[str, float]:
    """The ``FIGURES`` of held-out samples."""
    net.eval()
    with torch.no_grad():
        measured = [figures(net(*batch[:3]), *batch[2:]) for batch in loader]
    return dict(zip(FIGURES, np.mean(measured, 0).round(4).tolist(), strict=True))


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
    model, kept = shipped(arguments.materials)
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
    optimiser = optimiser_of(net)
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
            net.train()
            with torch.autocast(device.type, torch.bfloat16, enabled=arguments.bfloat16):
                reading = net(picture.to(memory_format=torch.channels_last), guides, guess)
            volume, flow = losses(reading, guess, truth, displacement, seen, middle)
            step(net, optimiser, volume, flow, learning_rate(seen_samples, spent / budget))
            running.append((volume.item(), flow.item()))
            seen_samples += len(guess)
            now = time.monotonic()
            spent, last = spent + now - last, now
            if spent - checked > 420 or spent >= budget:
                volume_loss, flow_loss = np.mean(running, 0).round(4).tolist()
                named = {"volume_loss": volume_loss, "flow_loss": flow_loss, **evaluate(net, held_out)}
                checkpoint.log(arguments.out, seen_samples, spent, **named)
                save()
                checked, running, last = spent, [], time.monotonic()
                if spent >= budget:
                    break


if __name__ == "__main__":
    main()
