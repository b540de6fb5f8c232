"""What the guided volumetric network owes to its parts: trained from nothing without each of them, measured alike.

    python extras/training/ablations.py --materials runs/materials.pkl --pictures runs/fourth --guesses runs/guesses \
        --test-pictures runs/test --test-guesses runs/test-guesses --out runs/ablations --samples 6000

All variants see the same samples in the same order at the same learning rates, and begin with the average head where it lies on
the landmarks, for which there is much to learn in little time; what the fitted guess is worth is one of the questions.
Examples are made once and kept in --out (1.3 MB each), which belongs to these pictures and guesses alone; a variant whose
result is there is not trained again.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from examples import Example, ExampleMaker, Sample, read_samples
from samples import shipped
from torch import Tensor
from train import (
    BATCH,
    FIGURES,
    TEST_SAMPLES,
    compact,
    distance_loss,
    face_middle,
    figures,
    learning_rate,
    losses,
    near_face,
    optimiser_of,
    shown,
    step,
)

from octoprint_facesculpt.reconstruction.alignment import CROP, PICTURE
from octoprint_facesculpt.reconstruction.camera import Camera, fit_camera
from octoprint_facesculpt.reconstruction.guides import CHANNELS, LANDMARK_GROUPS
from octoprint_facesculpt.reconstruction.network import GuidedVolumeNet, Reading
from octoprint_facesculpt.reconstruction.volume import GRID
from octoprint_facesculpt.reconstruction.weights import load

#: Guide channels that show the guess; the landmarks' follow.
DENSE = CHANNELS - len(LANDMARK_GROUPS)
#: Inverse distance of the average head's camera, 1/mm.
AVERAGE_K = 1 / 1000
#: Logits of occupancy in a voxel of distance.
SHARPNESS = 4.0
#: Samples over which the learning rate rises.
WARM_UP = 500
WIDTHS = (64, 144, 192, 192, 192)
#: An example as it is kept.
RECORD = np.dtype(
    [
        ("made", "u1"), ("picture", "u1", (PICTURE, PICTURE, 3)), ("guides", "f2", (CHANNELS, CROP, CROP)),
        ("guess", "i1", (GRID, GRID, GRID)), ("truth", "i1", (GRID, GRID, GRID)), ("displacement", "f4", (3, GRID, GRID)),
        ("seen", "f4", (GRID, GRID)), ("scale", "f8"), ("middle", "f4", (3,)),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """A network that goes without something.

    ``hidden`` inputs are zeros. ``fitted``: the start is the fitted guess instead of the average head. ``packaged``: it is the
    network in the package, as it is. ``occupancy``: it learns which voxels are inside instead of their distances. ``width``
    multiplies the channels, ``share`` the pictures, ``longer`` the samples it sees. Another ``seed`` begins with other weights
    and sees the samples in another order: by how much two trainings of the same differ.
    """

    name: str
    hidden: tuple[str, ...] = ()
    fitted: bool = False
    packaged: bool = False
    occupancy: bool = False
    width: float = 1.0
    share: float = 1.0
    longer: int = 1
    seed: int = 0

    def net(self) -> GuidedVolumeNet:
        """The untrained network."""
        return GuidedVolumeNet(CHANNELS, tuple(int(width * self.width) for width in WIDTHS))

    def read(self, net: GuidedVolumeNet, picture: Tensor, guides: Tensor, guess: Tensor) -> Reading:
        """What ``net`` says without the hidden inputs. Its correction is of the guess, also where it does not see it."""
        guides = guides.clone()
        if "picture" in self.hidden:
            picture = torch.zeros_like(picture)
        if "dense guides" in self.hidden:
            guides[:, :DENSE] = 0
        if "landmarks" in self.hidden:
            guides[:, DENSE:] = 0
        if "guess" not in self.hidden:
            return net(picture, guides, guess)
        reading = net(picture, guides, torch.zeros_like(guess))
        return replace(reading, volume=guess + reading.volume)


VARIANTS = (
    Variant("full"),
    Variant("with the prior: from the fitted guess", fitted=True),
    Variant("the same as it is in the package", fitted=True, packaged=True),
    Variant("without the picture", ("picture",)),
    Variant("without landmarks", ("landmarks",)),
    Variant("without dense guides", ("dense guides",)),
    Variant("occupancy instead of distance", occupancy=True),
    Variant("half the width", width=0.5),
    Variant("half of the pictures", share=0.5),
    Variant("a quarter of the pictures", share=0.25),
    Variant("without the guess's volume", ("guess",)),
    Variant("full, with another seed", seed=1),
    Variant("full, twice as long", longer=2),
)


def occupancy_loss(volume: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy of every voxel's being inside; ``volume`` is read as a logit that is 0 on the surface."""
    inside = (truth < 0).to(volume.dtype)
    return torch.nn.functional.binary_cross_entropy_with_logits(-SHARPNESS * volume, inside, reduction="none")


def average_head(maker: ExampleMaker, sample: Sample) -> tuple[np.ndarray, Camera]:
    """The start without a prior: the average head where it lies best on the landmarks."""
    start = replace(sample.crop.camera, k=AVERAGE_K)
    camera = fit_camera(maker.mean_landmarks, sample.crop.landmarks[:, :2].astype(np.float64), start)
    return np.zeros_like(sample.coefficients), camera


class Cache:
    """Examples of ``samples`` in a file, each made when it is first asked for; from their guesses or from the average head."""

    def __init__(self, path: Path, maker: ExampleMaker, samples: list[Sample], fitted: bool) -> None:
        self.maker, self.samples, self.fitted = maker, samples, fitted
        if not path.exists():
            np.lib.format.open_memmap(path, "w+", RECORD, (len(samples),))
        self._records = np.lib.format.open_memmap(path, "r+")
        if self._records.dtype != RECORD or len(self._records) != len(samples):
            raise SystemExit(f"{path} holds examples of other samples; give another folder as --out.")

    def make(self, rows: np.ndarray) -> None:
        """Make those of ``rows`` that there are not."""
        for i in np.unique(rows):
            if self._records[i]["made"]:
                continue
            sample, record = self.samples[i], self._records[i]
            start = self.maker.guess(sample, 1.0) if self.fitted else average_head(self.maker, sample)
            example = compact(self.maker.make(sample, *start))
            for field in fields(Example):
                record[field.name] = getattr(example, field.name)
            record["picture"], record["middle"] = sample.picture(), face_middle(sample)
            record["made"] = 1

    def batch(self, rows: np.ndarray, mirrored: np.ndarray) -> list[Tensor]:
        """What :func:`train.shown` makes of examples ``rows`` (B,), those that are ``mirrored`` (B,) as in a mirror."""
        items = []
        for i, turned in zip(rows, mirrored, strict=True):
            record = self._records[i]
            example = Example(**{field.name: record[field.name] for field in fields(Example)})
            items.append(shown(example, record["picture"], record["middle"], bool(turned)))
        return [torch.from_numpy(np.stack(column)) for column in zip(*items, strict=True)]


def order(pictures: int, share: float, total: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Which samples (total,) are learned from one after the other, and whether in a mirror: epochs of the same few."""
    rng, mirror = np.random.default_rng(2 * seed), np.random.default_rng(2 * seed + 1)
    some = rng.permutation(pictures)[: round(pictures * share)]
    epochs = [rng.permutation(some) for _ in range(-(-total // len(some)))]
    return np.concatenate(epochs)[:total], mirror.random(total) < 0.5


def surface_error(field: Tensor, truth: Tensor, near: Tensor, pitch: float) -> float:
    """Mean distance in mm of the surface of ``field`` from the true one, of which ``truth`` holds the signed distances.

    The surface is where the field (D, H, W) changes its sign between neighbouring voxels that are both ``near``, by linear
    interpolation: alike for distances and for occupancy. ``pitch`` is mm a voxel. NaN where there is none.
    """
    found = []
    for axis in range(3):
        one, other = ([part.narrow(axis, k, part.shape[axis] - 1) for part in (field, truth, near)] for k in (0, 1))
        crossed = ((one[0] < 0) != (other[0] < 0)) & one[2] & other[2]
        a, b = one[0][crossed], other[0][crossed]
        along = a / (a - b)
        found.append((one[1][crossed] * (1 - along) + other[1][crossed] * along).abs())
    return float(torch.cat(found).mean()) * pitch


def measure(variant: Variant, net: GuidedVolumeNet, held_out: Cache) -> np.ndarray:
    """``FIGURES`` and the surface error of start and network for each held-out sample, (N, 6)."""
    net.eval()
    rows = np.arange(len(held_out.samples))
    measured = []
    for start in range(0, len(rows), BATCH):
        batch = held_out.batch(rows[start : start + BATCH], np.zeros(len(rows[start : start + BATCH]), bool))
        with torch.no_grad():
            reading = variant.read(net, *batch[:3])
        for i in range(len(batch[0])):
            _, _, guess, truth, _, _, middle, scale = one = [part[i : i + 1] for part in batch]
            said = Reading(reading.volume[i : i + 1], reading.displacement[i : i + 1], reading.log_scale[i : i + 1])
            near, pitch = near_face(middle)[0], CROP / GRID / float(scale)
            surfaces = [surface_error(field[0], truth[0], near, pitch) for field in (guess, said.volume)]
            measured.append([*figures(said, *one[2:]), *surfaces])
    return np.array(measured)


def learn(variant: Variant, cache: Cache, samples: int, bfloat16: bool) -> tuple[GuidedVolumeNet, float, float]:
    """The network of ``variant`` after ``samples``, and how many seconds that took, by the clock and of the processor."""
    if variant.packaged:
        return load().volume, 0.0, 0.0
    torch.manual_seed(variant.seed)
    net = variant.net().to(memory_format=torch.channels_last)
    optimiser = optimiser_of(net)
    rows, mirrored = order(len(cache.samples), variant.share, samples, variant.seed)
    cache.make(rows)
    began, worked = time.monotonic(), time.process_time()
    net.train()
    for seen in range(0, samples - BATCH + 1, BATCH):
        picture, *batch = cache.batch(rows[seen : seen + BATCH], mirrored[seen : seen + BATCH])
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            reading = variant.read(net, picture.to(memory_format=torch.channels_last), *batch[:2])
        voxel_loss = occupancy_loss if variant.occupancy else distance_loss
        volume, flow = losses(reading, *batch[1:6], voxel_loss=voxel_loss)
        step(net, optimiser, volume, flow, learning_rate(seen, seen / samples, WARM_UP))
    return net, time.monotonic() - began, time.process_time() - worked


def results(path: Path, samples: int) -> dict[str, dict]:
    """What is known of the variants that saw ``samples``, by name."""
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {line["variant"]: line for line in lines if line["samples"] == samples}


def table(known: dict[str, dict]) -> str:
    """Markdown of what is known; differences to the full network are of the same samples, with their standard error."""
    rows = [
        "| | M parameters | s a sample | surface, start, mm | network, mm | more than full, mm "
        "| distance, start, mm | network, mm | displacement, start, px | network, px |",
        "|--" * 10 + "|",
    ]
    for name, line in known.items():
        samples = {key: np.array(column) for key, column in line["each"].items()}
        mean = {key: f"{column.mean():.3f}" for key, column in samples.items()}
        if line["occupancy"]:
            mean["network_mm"] = "no distance"
        more = ""
        if name != "full" and "full" in known:
            difference = samples["network_surface_mm"] - np.array(known["full"]["each"]["network_surface_mm"])
            more = f"{difference.mean():+.3f} ± {difference.std(ddof=1) / np.sqrt(len(difference)):.3f}"
        shown_figures = [
            mean["guess_surface_mm"], mean["network_surface_mm"], more, mean["guess_mm"], mean["network_mm"],
            mean["guess_displacement_px"], mean["network_displacement_px"],
        ]  # fmt: skip
        speed = f"{line['processor_seconds'] / line['samples'] / line['longer']:.3f}" if line["processor_seconds"] else ""
        cells = [name, f"{line['parameters'] / 1e6:.2f}", speed, *shown_figures]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def run(
    variants: tuple[Variant, ...], caches: dict[bool, tuple[Cache, Cache]], out: Path, samples: int, bfloat16: bool
) -> dict[str, dict]:
    """Train and measure the ``variants`` of which ``out`` has no result yet.

    ``caches`` to learn from and held out, by whether they start from the fitted guess. Returns what is known then.
    """
    for variant in variants:
        if variant.name in results(out, samples):
            continue
        cache, held_out = caches[variant.fitted]
        held_out.make(np.arange(len(held_out.samples)))
        net, seconds, processor_seconds = learn(variant, cache, samples * variant.longer, bfloat16)
        each = measure(variant, net, held_out).round(4).T.tolist()
        line = {
            "variant": variant.name, "samples": samples, "longer": variant.longer, "occupancy": variant.occupancy,
            "parameters": sum(p.numel() for p in net.parameters()), "seconds": round(seconds, 1),
            "processor_seconds": round(processor_seconds, 1),
            "each": dict(zip((*FIGURES, "guess_surface_mm", "network_surface_mm"), each, strict=True)),
        }  # fmt: skip
        with out.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(table(results(out, samples)).splitlines()[-1], f"{seconds:.0f} s", flush=True)
    return results(out, samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("materials", "pictures", "guesses", "test-pictures", "test-guesses", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=6000, help="that each variant sees")
    parser.add_argument("--variants", type=int, default=len(VARIANTS), help="so many, the most telling ones first")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bfloat16", action="store_true", help="convolutions in bfloat16, where the processor has it")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model, kept = shipped(arguments.materials)
    maker = ExampleMaker(model)
    learned = read_samples(arguments.pictures, arguments.guesses, kept, model)
    held_out = read_samples(arguments.test_pictures, arguments.test_guesses, kept, model, TEST_SAMPLES)
    arguments.out.mkdir(parents=True, exist_ok=True)

    def caches(start: str, fitted: bool) -> tuple[Cache, Cache]:
        paths = (arguments.out / f"{start}.npy", arguments.out / f"{start}-test.npy")
        return Cache(paths[0], maker, learned, fitted), Cache(paths[1], maker, held_out, fitted)

    both = {False: caches("average", False), True: caches("guess", True)}
    variants = VARIANTS[: arguments.variants]
    print(f"{len(learned)} samples to learn from, {len(held_out)} held out", flush=True)
    print(table(run(variants, both, arguments.out / "results.jsonl", arguments.samples, arguments.bfloat16)))


if __name__ == "__main__":
    main()
