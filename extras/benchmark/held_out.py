"""Held-out heads of the head model: people, lights and cameras of seeds training never uses, in skins and hair of their own.

Two sets of people are drawn into the same pictures: *all*, of whom a fifth is up to 1.5 times further from the average than the
model's statistics say, as in training; and *one sigma*, whose coefficients are normal.
"""

from __future__ import annotations

import copy
import pickle
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from camera_space import error_in_picture, in_picture
from contenders import AVERAGE, MEDIAPIPE, OURS, average_head, head_model, head_surface, mediapipe_mesh, portrait_in
from error_split import dense_error, fit_of_truth, seen_vertices
from protocol import SEVEN, Scan, Surface, apply, judge, similarity, vertex_error
from regions import regions
from tables import Row, summarise

from octoprint_facesculpt.reconstruction import reconstruct

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

#: Yaw in degrees, either way.
POSES = {"frontal (0-15)": (0.0, 15.0), "half turned (30-40)": (30.0, 40.0), "nearly profile (55-65)": (55.0, 65.0)}
FIRST_SEED = 990_000
FIT = "fit"
PEOPLE = ("all", "one sigma")
#: Number of standard normal coefficients that make a person.
IDENTITY = 100


@cache
def materials_of(path: Path) -> Any:
    """The generator's materials (``extras/training/prepare.py``)."""
    return pickle.loads(path.read_bytes())


def truth_of(path: Path, drawn: Any) -> np.ndarray:
    """The vertices (V, 3) of the template behind a picture."""
    materials = materials_of(path)
    return materials.model.vertices(drawn.coefficients).astype(float)


def draw(path: Path, yaw: tuple[float, float], seed: int, people: str, identity: np.ndarray | None = None) -> Any:
    """The picture of a seed; ``people`` is one of ``PEOPLE``, or the person is that of ``identity`` (IDENTITY,)."""
    import heads
    import picture

    materials = materials_of(path)
    original = heads.random_coefficients

    def other(rng: np.random.Generator, *arguments: Any) -> np.ndarray:
        plain = copy.deepcopy(rng).normal(size=IDENTITY)
        drawn = original(rng, *arguments)
        stretch = drawn[:IDENTITY] / plain
        if np.ptp(stretch) > 1e-3 * stretch.mean():
            raise ValueError("The generator no longer draws a person's coefficients first.")
        drawn[:IDENTITY] = plain if identity is None else identity
        return drawn

    heads.random_coefficients = original if people == "all" and identity is None else other
    try:
        wardrobe = materials.dressed(held_out=True)
        return picture.draw(np.random.default_rng(seed), materials.head, wardrobe, yaw=yaw, clay=0.0)
    finally:
        heads.random_coefficients = original


def measure(path: Path, weights: Path | None, yaw: tuple[float, float], seed: int, people: str) -> Row | None:
    """Every contender's errors on one picture, or None where no face is found in it."""
    from scans import one_thread

    one_thread()
    drawn = draw(path, yaw, seed, people)
    portrait = portrait_in(drawn.image)
    if portrait is None:
        return None
    model = head_model(weights)
    head = reconstruct(portrait, weights=weights, detailed=False)
    truth = truth_of(path, drawn)
    projected = drawn.camera.project(truth).astype(float)
    seen = seen_vertices(projected, model.triangles, drawn.image.shape[:2])

    face = model.face
    # Ears and skull count, neck and shoulders do not.
    skull = (model.mean[:, 1] > model.mean[face, 1].min()) | face
    stages = {name: head.details[f"{key}_vertices"].astype(float) for name, key in STAGES.items() if _has(head, key)}
    row: Row = {}
    for name, vertices in {**stages, AVERAGE: model.mean.astype(float)}.items():
        moved = apply(similarity(vertices[face], truth[face]), vertices)
        away = np.linalg.norm(moved - truth, axis=1)
        row[name] = {
            "face": float(away[face].mean()),
            "face, seen": float(away[face & seen].mean()),
            "face, hidden": float(away[face & ~seen].mean()) if (face & ~seen).any() else float("nan"),
            "head": vertex_error(vertices[skull], truth[skull]),
        }
    scan = Scan(Surface(truth, model.triangles, model.landmarks(truth)[list(SEVEN)], "truth"), np.ones(len(truth), bool))
    named = regions(scan, model.landmarks(model.mean))
    surfaces = {OURS: head_surface(head), AVERAGE: average_head(model), MEDIAPIPE: mediapipe_mesh(portrait, weights)}
    for name, surface in surfaces.items():
        row.setdefault(name, {}).update(judge(surface, scan, named).flat())
    row[OURS].update(dense_error(head, model, drawn.camera, truth))
    row[OURS]["face, with true correspondences"] = fit_of_truth(portrait, weights, drawn.camera, truth)
    points = drawn.camera.project(scan.points) * [1.0, -1.0, drawn.camera.scale]
    eyes = scan.eye_distance * drawn.camera.scale
    row[OURS]["NME in the picture"] = error_in_picture(in_picture(head, head.vertices), points, eyes)
    row[MEDIAPIPE]["NME in the picture"] = error_in_picture(surfaces[MEDIAPIPE].vertices, points, eyes)
    return row


#: Stages of the reconstruction by the name of their vertices in ``Head.details``.
STAGES = {FIT: "fitted", OURS: "final"}


def _has(head, key: str) -> bool:
    return f"{key}_vertices" in head.details


def benchmark_held_out(path: Path, weights: Path | None, heads: int, pool, people: tuple[str, ...] = PEOPLE) -> dict[str, Any]:
    """Both sets of people in all poses."""
    result = {}
    for who in people:
        for number, (name, yaw) in enumerate(POSES.items()):
            seeds = [FIRST_SEED + 10_000 * number + i for i in range(heads)]
            columns = [[path] * heads, [weights] * heads, [yaw] * heads, seeds, [who] * heads]
            rows = [row for row in pool.map(measure, *columns) if row]
            if rows:
                result[f"held out, {who}, {name}"] = {**summarise(rows, "face"), "asked": heads}
    return result
