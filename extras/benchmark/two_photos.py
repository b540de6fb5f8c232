"""Two photos of one person against each alone: held-out people, one picture frontal and one from the side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from contenders import AVERAGE, OURS, head_model, portrait_in
from held_out import IDENTITY, draw, truth_of
from protocol import apply, similarity, vertex_error
from tables import Row, summarise

from octoprint_facesculpt.reconstruction import reconstruct
from octoprint_facesculpt.reconstruction.fusion import fuse

FIRST_SEED = 880_000
#: Yaw in degrees of the first picture, and of the second.
FRONT, SIDE = (0.0, 15.0), (45.0, 60.0)
FRONT_ALONE, SIDE_ALONE = "frontal photo alone", "side photo alone"


def measure(path: Path, weights: Path | None, seed: int) -> Row | None:
    """Errors in mm of the face and of the whole head, of both photos and each alone; None where a face is not found."""
    from scans import one_thread

    one_thread()
    front = draw(path, FRONT, seed, "one sigma")
    side = draw(path, SIDE, seed + 5000, "one sigma", front.coefficients[:IDENTITY])
    portraits = [portrait_in(picture.image) for picture in (front, side)]
    if None in portraits:
        return None
    model = head_model(weights)
    heads = [reconstruct(portrait, weights=weights) for portrait in portraits]
    together = fuse(heads, model)
    face = model.face
    skull = (model.mean[:, 1] > model.mean[face, 1].min()) | face
    row: Row = {}
    made = {OURS: (together, front), FRONT_ALONE: (heads[0], front), SIDE_ALONE: (heads[1], side)}
    for name, (head, picture) in made.items():
        row[name] = _errors(head.details["final_vertices"].astype(float), truth_of(path, picture), face, skull)
    row[AVERAGE] = _errors(model.mean.astype(float), truth_of(path, front), face, skull)
    row[OURS]["photos differ by"] = together.details["agreement"]["largest_mm"]
    return row


def _errors(vertices: np.ndarray, truth: np.ndarray, face: np.ndarray, skull: np.ndarray) -> dict[str, float]:
    moved = apply(similarity(vertices[face], truth[face]), vertices)
    ears = skull & ~face & (np.abs(truth[:, 0]) > 65)
    return {
        "face": vertex_error(vertices[face], truth[face]),
        "head": vertex_error(vertices[skull], truth[skull]),
        "ears and sides": float(np.linalg.norm(moved - truth, axis=1)[ears].mean()),
    }


def benchmark_two_photos(path: Path, weights: Path | None, heads: int, pool) -> dict[str, Any]:
    """Summary over ``heads`` people."""
    columns = [[path] * heads, [weights] * heads, [FIRST_SEED + i for i in range(heads)]]
    rows = [row for row in pool.map(measure, *columns) if row]
    return {"two photos, frontal and side": {**summarise(rows, "face"), "asked": heads}} if rows else {}
