"""What a silhouette would be worth to the fit, if it were perfect.

    python extras/benchmark/silhouette.py --materials extras/training/runs/materials.pkl [--heads 40]

Held-out people; their heads are fitted as the plugin does before its volumetric network, and once more with their true outline
as a further witness: wherever the face makes the outline of the guess, it is told how far from there the true head ends. A
matte of the person could tell no more than that, and less where hair, clothes or a hand are in front.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from contenders import portrait_in
from held_out import POSES, draw, truth_of
from protocol import vertex_error

from octoprint_facesculpt.rasterise import Raster, rasterise
from octoprint_facesculpt.reconstruction.alignment import CROP, head_crop
from octoprint_facesculpt.reconstruction.camera import Camera
from octoprint_facesculpt.reconstruction.fitting import Correspondence, Guess
from octoprint_facesculpt.reconstruction.head_model import HeadModel
from octoprint_facesculpt.reconstruction.look import look
from octoprint_facesculpt.reconstruction.predictor import first_guess, fit
from octoprint_facesculpt.reconstruction.weights import load

FIRST_SEED = 772_000
#: Samples a crop pixel in which outlines are found, every so many of which are taken, how far away in crop pixels the true one
#: may be, and how often the fit follows it.
FINENESS, EVERY, REACH, ROUNDS = 4, 6, 6, 4
#: Laplace scales in crop pixels by which the outline may be believed, and how much of an independent measurement a place is.
SCALES, INDEPENDENCE = (0.5, 0.2), 0.1


def seen(model: HeadModel, vertices: np.ndarray, camera: Camera) -> Raster:
    """The head on its crop, FINENESS samples a crop pixel."""
    return rasterise(camera.project(vertices) * [FINENESS, FINENESS, 1], model.triangles, CROP * FINENESS, CROP * FINENESS)


def outline(model: HeadModel, guess: Guess, inside: np.ndarray, scale: float) -> Correspondence:
    """Where the outline of the guess's face should be for it to end where ``inside``, the true head, does."""
    raster = seen(model, guess.vertices(model), guess.camera)
    covered = (raster.triangle >= 0).astype(np.uint8)
    y, x = np.nonzero(covered - cv2.erode(covered, np.ones((3, 3))))
    y, x = (axis[model.face[model.triangles[raster.triangle[y, x]]].all(1)][::EVERY] for axis in (y, x))
    depth = cv2.distanceTransform(covered, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - covered, cv2.DIST_L2, 5)
    slope = np.stack(np.gradient(cv2.GaussianBlur(depth, (0, 0), 3))[::-1])[:, y, x].T
    outward = -slope / np.linalg.norm(slope, axis=1, keepdims=True)
    away = np.arange(-REACH * FINENESS, REACH * FINENESS + 1)
    places = np.stack([x, y], 1)[:, None] + outward[:, None] * away[:, None]
    column, row = places.round().astype(int).clip(0, CROP * FINENESS - 1).transpose(2, 0, 1)
    ends = inside[row, column][:, :-1] & ~inside[row, column][:, 1:]
    nearest = np.where(ends, np.abs(away[:-1]), np.inf).argmin(1)
    found = ends.any(1)
    triangle, weights = raster.triangle[y, x][found], raster.weights[y, x][found].astype(float)
    vertices = model.triangles[triangle]
    points = guess.camera.project(np.einsum("nk,nkd->nd", weights, guess.vertices(model)[vertices]))[:, :2]
    moved = points + (outward * away[nearest, None] / FINENESS)[found]
    return Correspondence(vertices, weights, moved, np.full(len(vertices), scale), INDEPENDENCE)


def measure(path: Path, yaw: tuple[float, float], seed: int) -> list[float] | None:
    """Error of the face in mm without outline and with it, by SCALES; None where no face is found."""
    from scans import one_thread

    one_thread()
    drawn = draw(path, yaw, seed, "one sigma")
    portrait = portrait_in(drawn.image)
    if portrait is None:
        return None
    learned = load()
    model, truth = learned.head, truth_of(path, drawn)
    crop = head_crop(portrait.landmarks, model.landmarks(model.mean))
    sight = look(learned.observer, portrait.image, portrait.landmarks, crop)
    prior = first_guess(learned, crop, sight)
    start = fit(learned, prior, prior.guess, sight.points)
    inside = seen(model, truth, drawn.camera.through(crop.matrix)).triangle >= 0
    fitted = [start]
    for scale in SCALES:
        guess = start
        for _ in range(ROUNDS):
            guess = fit(learned, prior, guess, sight.points, outline(model, guess, inside, scale))
        fitted.append(guess)
    return [vertex_error(guess.vertices(model)[model.face].astype(float), truth[model.face]) for guess in fitted]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--materials", type=Path, required=True, help="of the training generator (extras/training/prepare.py)")
    parser.add_argument("--heads", type=int, default=40, help="pictures a pose")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    print(f"face, mm; outline believed within {SCALES} crop pixels")
    with ProcessPoolExecutor(arguments.processes) as pool:
        for number, (name, yaw) in enumerate(POSES.items()):
            seeds = [FIRST_SEED + 1000 * number + i for i in range(arguments.heads)]
            rows = pool.map(measure, [arguments.materials] * len(seeds), [yaw] * len(seeds), seeds)
            errors = np.array([row for row in rows if row])
            gained = errors[:, 1:] - errors[:, :1]
            means, spread = gained.mean(0), gained.std(0) / len(errors) ** 0.5
            told = ", ".join(f"{m:+.3f} ± {s:.3f}" for m, s in zip(means, spread, strict=True))
            print(f"{name} ({len(errors)} pictures): {errors[:, 0].mean():.3f}, with the true outline {told}", flush=True)


if __name__ == "__main__":
    main()
