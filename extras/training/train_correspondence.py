"""Train the dense correspondence network on drawn pictures; stops after --minutes, and goes on where it stopped.

    python extras/training/train_correspondence.py --materials runs/materials.pkl --train runs/train --test runs/test \
        --landmarks-model face_landmarks_detector.tflite --out runs/correspondence.pt --minutes 90

The learning rate follows a half cosine over the whole of --minutes, summed over all interruptions. A GPU is used when
there is one.
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
import pretrained
import torch
from crops import Crops
from maps import MapDecoder, Maps
from measure import FaceError
from samples import shipped
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from octoprint_facesculpt.reconstruction.correspondence import REGION, CorrespondenceNet, Whole
from octoprint_facesculpt.reconstruction.head_model import HeadModel

BATCH = 32
#: Learning rates by layer. The encoder's layers are known; what begins with the regression has many inputs that move together,
#: and the points are counted in sides of the picture.
RATES = {
    "encoder": 2e-4, "mix": 2e-4, "gather": 3e-6, "points": 1e-6, "head": 1e-5,
}  # fmt: skip
#: Learning rate of the maps' decoder.
DECODER_RATE = 1e-3
#: The maps, half of the work, are learned from one batch in so many: they need fewer pictures than the head as a whole.
MAPS_EVERY = 3
#: Pictures for the ridge regression everything begins with, and its strength.
RIDGE_PICTURES, RIDGE = 6_000, 0.3
#: Stages of the encoder that stay as they are: edges and colours are the same in drawn pictures.
FROZEN_STAGES = 1
#: Points of the head whose places are learned: in the face, and on the rest of head and neck.
FACE_POINTS, OTHER_POINTS = 384, 160
#: Errors of the whole head count this much beside those of the face.
HEAD_SHARE = 0.3
#: Pictures until the learning rates are reached.
WARM_UP = 3_000
#: How often it is measured and saved.
CHECK_SECONDS = 180


def head_points(model: HeadModel) -> np.ndarray:
    """Vertex numbers (P,) spread evenly over the face and, wider, over ears, skull and neck."""
    chin = model.mean[model.face, 1].min()
    # The eyes' and the mouth's covers are not skin; the cut below the shoulders is in no picture.
    used = np.unique(model.triangles)
    skin = used[(model.mean[used, 1] > chin - 60)]
    face = skin[model.face[skin]]
    other = skin[~model.face[skin]]
    return np.r_[_spread(model.mean, face, FACE_POINTS), _spread(model.mean, other, OTHER_POINTS)]


def _spread(places: np.ndarray, candidates: np.ndarray, count: int) -> np.ndarray:
    """Farthest-point sampling of ``count`` of the ``candidates``."""
    chosen = [candidates[0]]
    distance = np.full(len(candidates), np.inf)
    for _ in range(count - 1):
        distance = np.minimum(distance, np.linalg.norm(places[candidates] - places[chosen[-1]], axis=1))
        chosen.append(candidates[distance.argmax()])
    return np.array(chosen)


def shape_metric(model: HeadModel) -> Tensor:
    """(C, C) matrix L with ``|L d|`` the root mean square displacement in mm that a coefficient difference ``d`` makes after
    similarity alignment (to first order), in the face and, with its share, in the whole head."""
    shapes = np.concatenate([model.identity, model.expression]).astype(np.float64)
    used = np.unique(model.triangles)
    above = used[model.mean[used, 1] > model.mean[model.face, 1].min()]
    gram = np.zeros((len(shapes), len(shapes)))
    for share, vertices in ((1.0, np.flatnonzero(model.face)), (HEAD_SHARE, above)):
        places = model.mean[vertices] - model.mean[vertices].mean(0)
        turns = [np.cross(axis, places) for axis in np.eye(3)]
        moves = [np.broadcast_to(axis, places.shape) for axis in np.eye(3)]
        rigid = np.linalg.qr(np.stack([places, *turns, *moves]).reshape(7, -1).T)[0]
        flat = shapes[:, vertices].reshape(len(shapes), -1)
        flat = flat - flat @ rigid @ rigid.T
        gram += share * flat @ flat.T / len(vertices)
    return torch.tensor(np.linalg.cholesky(gram + 1e-4 * np.eye(len(gram))).T, dtype=torch.float32)


def whole_losses(said: Whole, points: Tensor, targets: Tensor, metric: Tensor) -> dict[str, Tensor]:
    """Weighted losses of what is said of the face as a whole: Laplace likelihood of the points, and the head in mm."""
    error = (said.points - points).norm(dim=2)
    placed = (error * torch.exp(-said.log_scale) + 2 * said.log_scale).mean()
    difference = said.head - targets
    head = torch.sqrt(((difference[:, :-1] @ metric.T) ** 2).sum(1) + 1e-4).mean()
    distance = functional.smooth_l1_loss(said.head[:, -1], targets[:, -1], beta=0.2)
    return {"points": 0.25 * placed, "head": head, "distance": 0.2 * distance}


def map_losses(said: Maps, maps: Tensor) -> dict[str, Tensor]:
    """Weighted losses of the maps: Laplace likelihood of the coordinates, normals, silhouette."""
    coordinates, normals, seen = maps[:, :3], maps[:, 3:6], maps[:, 6:]
    off = (said.coordinates - coordinates).norm(dim=1, keepdim=True)
    scale = said.log_scale
    count = seen.sum()
    mapped = ((off * torch.exp(-scale) + 3 * scale) * seen).sum() / count
    turned = ((said.normals - normals).norm(dim=1, keepdim=True) * seen).sum() / count
    covered = functional.binary_cross_entropy_with_logits(said.seen, seen)
    return {"map": 0.25 * mapped, "normals": 0.3 * turned, "seen": 0.3 * covered}


def begin(net: CorrespondenceNet, batches: Iterable[tuple[Tensor, ...]], metric: Tensor) -> None:
    """Set the layers after the features to a ridge regression of reduced rank from the features as they are.

    What MediaPipe's layers know of a face is most of the way to who it is; from there gradients go on.
    """
    features, points, targets = [], [], []
    with torch.no_grad():
        for pictures, places, coefficients, _ in batches:
            features.append(net.features(net.encoder(pictures.float() / 255)))
            points.append(places.flatten(1))
            targets.append(coefficients)
        x, y = torch.cat(features), torch.cat([torch.cat(points), torch.cat(targets)], 1)
        net.feature_mean.copy_(x.mean(0))
        net.feature_deviation.copy_(x.std(0) + 1e-3)
        z = ((x - net.feature_mean) / net.feature_deviation).clamp(-6, 6)
        middle = y.mean(0)
        solved = torch.linalg.solve(z @ z.T + RIDGE * len(z) * torch.eye(len(z)), y - middle)
        fitted = z @ (z.T @ solved)
        # Millimetres count alike in points and heads, so that the rank is spent on what matters.
        weight = torch.cat(
            [torch.full((points[0].shape[1],), 256 / points[0].shape[1] ** 0.5), metric.norm(dim=0), torch.ones(1)]
        )
        _, _, basis = torch.linalg.svd(fitted * weight, full_matrices=False)
        basis = basis[: net.gather.out_features] / weight
        inverse = torch.linalg.pinv(basis)
        # What is gathered has a spread of one, as the layer after it wants.
        spread = (fitted @ inverse).std(0) + 1e-6
        basis, inverse = basis * spread[:, None], inverse / spread
        net.gather.weight.copy_((z.T @ (solved @ inverse)).T)
        net.gather.bias.zero_()
        net.mix[-1].weight.zero_()
        net.mix[-1].bias.zero_()
        count = places // 2
        net.points.weight.zero_()
        net.points.weight.view(count, 3, -1)[:, :2] = basis[:, : 2 * count].T.reshape(count, 2, -1)
        net.points.bias.copy_(torch.cat([middle[: 2 * count].view(count, 2), torch.full((count, 1), -4.0)], 1).flatten())
        net.head.weight.copy_(basis[:, 2 * count :].T)
        net.head.bias.copy_(middle[2 * count :])


class Held:
    """Held-out crops, and the figures measured on them."""

    def __init__(self, model: HeadModel, batches: list, points: np.ndarray) -> None:
        self.batches = batches
        self.face = np.isin(points, np.flatnonzero(model.face))
        self.error = FaceError(model)

    def measure(self, net: torch.nn.Module, decoder: MapDecoder) -> dict[str, float]:
        """Points' errors in pixels of the region, head's error in mm after alignment, coordinates' error in mm."""
        net.eval()
        decoder.eval()
        placed, mapped, heads, means = [], [], [], []
        with torch.no_grad():
            for pictures, points, targets, maps in self.batches:
                stages = net.encoder(pictures.float() / 255)
                whole, said = net.whole(stages), decoder(stages)
                placed.append((REGION * (whole.points - points).norm(dim=2))[:, self.face].mean())
                seen = maps[:, 6]
                off = 100 * (said.coordinates - maps[:, :3]).norm(dim=1)
                mapped.append(((off * seen).sum((1, 2)) / seen.sum((1, 2))).mean())
                heads.append(self.error(whole.head.numpy(), targets.numpy()))
                means.append(self.error(0 * targets.numpy(), targets.numpy()))
        names = ("points_px", "coordinates_mm", "head_mm", "average_head_mm")
        return {n: round(float(np.mean(c)), 4) for n, c in zip(names, (placed, mapped, heads, means), strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("materials", "train", "test", "landmarks-model", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="checkpoint of an earlier training to begin with")
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--shards", type=int, help="learn from so many files only")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bfloat16", action="store_true", help="convolutions in bfloat16, where the processor has it")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, kept = shipped(arguments.materials)
    points = head_points(model)
    metric = shape_metric(model).to(device)
    outputs = len(model.identity) + len(model.expression) + 1

    net = CorrespondenceNet(len(points), outputs)
    pretrained.load_into(net.encoder, arguments.landmarks_model)
    net.to(device, memory_format=torch.channels_last)
    decoder = MapDecoder().to(device, memory_format=torch.channels_last)
    frozen = [net.encoder.stem, net.encoder.first, *net.encoder.stages[:FROZEN_STAGES]]
    for module in frozen:
        module.requires_grad_(False)
    groups = [
        {"params": [p for n, p in net.named_parameters() if n.startswith(name) and p.requires_grad], "peak": rate}
        for name, rate in RATES.items()
    ]
    groups.append({"params": list(decoder.parameters()), "peak": DECODER_RATE})
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01)
    if arguments.start:
        earlier = torch.load(arguments.start)
        net.load_state_dict(earlier["net"])
        decoder.load_state_dict(earlier["decoder"])
    elif not arguments.out.exists():
        first = Crops(arguments.train, model, kept, points, BATCH, 1)
        begin(net, islice(first, RIDGE_PICTURES // BATCH), metric)
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.998), use_buffers=True)
    seen_samples, spent = 0, 0.0
    if arguments.out.exists():
        state = torch.load(arguments.out)
        net.load_state_dict(state["last"])
        decoder.load_state_dict(state["decoder"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        seen_samples, spent = state["samples"], state["seconds"]

    crops = Crops(arguments.train, model, kept, points, BATCH, seen_samples, arguments.shards)
    loader = DataLoader(crops, batch_size=None, num_workers=arguments.workers, prefetch_factor=6)
    held = Held(model, list(islice(iter(Crops(arguments.test, model, kept, points, BATCH, 0)), 12)), points)
    torch.set_num_threads(arguments.threads)

    def save() -> None:
        state = {
            "net": average.module.state_dict(), "last": net.state_dict(), "average": average.state_dict(),
            "decoder": decoder.state_dict(),
            "optimiser": optimiser.state_dict(), "samples": seen_samples, "seconds": spent, "points": torch.from_numpy(points),
            "outputs": outputs, "pictures": 500 * len(list(arguments.train.glob("*.npz"))[: arguments.shards]),
        }  # fmt: skip
        checkpoint.save(arguments.out, state)

    if not spent:
        save()
        checkpoint.log(arguments.out, seen_samples, spent, **held.measure(average.module, decoder))
    budget, last, checked = arguments.minutes * 60, time.monotonic(), spent
    running: list[dict[str, float]] = []
    for number, (pictures, places, targets, maps) in enumerate(loader):
        fraction = (1 + math.cos(math.pi * min(1.0, spent / budget))) / 2
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * min(1.0, seen_samples / WARM_UP) * (0.01 + 0.99 * fraction)
        net.train()
        decoder.train()
        inputs = (pictures.to(device).float() / 255).to(memory_format=torch.channels_last)
        mapped = number % MAPS_EVERY == 0
        with torch.autocast(device.type, torch.bfloat16, enabled=arguments.bfloat16):
            stages = net.encoder(inputs)
            whole, seen = net.whole(stages), decoder(stages) if mapped else None
        parts = whole_losses(whole, places.to(device), targets.to(device), metric)
        if seen is not None:
            parts |= map_losses(seen, maps.to(device))
        optimiser.zero_grad()
        sum(parts.values()).backward()
        torch.nn.utils.clip_grad_norm_([*net.parameters(), *decoder.parameters()], 2.0)
        optimiser.step()
        average.update_parameters(net)
        running.append({name: value.item() for name, value in parts.items()})
        seen_samples += len(inputs)
        now = time.monotonic()
        spent, last = spent + now - last, now
        if spent - checked > CHECK_SECONDS or spent >= budget:
            names = dict.fromkeys(name for r in running for name in r)
            means = {name: round(float(np.mean([r[name] for r in running if name in r])), 4) for name in names}
            checkpoint.log(arguments.out, seen_samples, spent, **means, **held.measure(average.module, decoder))
            save()
            checked, running, last = spent, [], time.monotonic()
        if spent >= budget:
            break


if __name__ == "__main__":
    main()
