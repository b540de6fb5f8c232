"""Several photos of one person against one of them: held-out people, in pictures from the front and from the side."""

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
#: Yaw in degrees of each picture of a person; the first gives the expression that heads are measured with.
POSES = ((0.0, 15.0), (45.0, 60.0), (0.0, 15.0), (25.0, 40.0))
#: Which of them are taken together.
TOGETHER = {OURS: (0, 1, 2, 3), "two frontal photos": (0, 2), "frontal and half turned": (0, 3), "frontal and side": (0, 1)}
ALONE = "frontal photo alone"


def measure(path: Path, weights: Path | None, seed: int) -> Row | None:
    """Errors in mm of the face and of the whole head, of one photo and of several; None where a face is not found."""
    from scans import one_thread

    one_thread()
    pictures = [draw(path, POSES[0], seed, "one sigma")]
    identity = pictures[0].coefficients[:IDENTITY]
    pictures += [draw(path, yaw, seed + 5000 * (i + 1), "one sigma", identity) for i, yaw in enumerate(POSES[1:])]
    portraits = [portrait_in(picture.image) for picture in pictures]
    if None in portraits:
        return None
    model = head_model(weights)
    heads = [reconstruct(portrait, weights=weights, detailed=False) for portrait in portraits]
    face = model.face
    skull = (model.mean[:, 1] > model.mean[face, 1].min()) | face
    fused = {name: fuse([heads[i] for i in chosen], model) for name, chosen in TOGETHER.items()}
    made = {**fused, ALONE: heads[0]}
    truth = truth_of(path, pictures[0])
    row = {name: _errors(head.details["final_vertices"].astype(float), truth, face, skull) for name, head in made.items()}
    row[AVERAGE] = _errors(model.mean.astype(float), truth, face, skull)
    for name, head in fused.items():
        row[name]["photos differ by"] = head.details["agreement"]["largest_mm"]
    return row


def _errors(vertices: np.ndarray, truth: np.ndarray, face: np.ndarray, skull: np.ndarray) -> dict[str, float]:
    moved = apply(similarity(vertices[face], truth[face]), vertices)
    ears = skull & ~face & (np.abs(truth[:, 0]) > 65)
    return {
        "face": vertex_error(vertices[face], truth[face]),
        "head": vertex_error(vertices[skull], truth[skull]),
        "ears and sides": float(np.linalg.norm(moved - truth, axis=1)[ears].mean()),
    }


def benchmark_several_photos(path: Path, weights: Path | None, heads: int, pool) -> dict[str, Any]:
    """Summary over ``heads`` people."""
    columns = [[path] * heads, [weights] * heads, [FIRST_SEED + i for i in range(heads)]]
    rows = [row for row in pool.map(measure, *columns) if row]
    return {"four photos": {**summarise(rows, "face"), "asked": heads}} if rows else {}
