"""Do reconstructions tell people apart? Distances between the raw heads of photos of the same and of different people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from contenders import MEDIAPIPE, OURS, head_model
from protocol import apply, similarity
from scans import one_thread

from octoprint_facesculpt.portrait.errors import PortraitError
from octoprint_facesculpt.portrait.reader import read_portrait
from octoprint_facesculpt.reconstruction import reconstruct
from octoprint_facesculpt.reconstruction.fusion import Belief, log_odds

#: Kinds of files that are photos.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".heic")
Distance = Callable[[np.ndarray, np.ndarray, np.ndarray], float]


def made_of(path: Path, weights: Path | None) -> tuple[dict[str, np.ndarray], Belief] | None:
    """Corresponding points (N, 3) of everything made of a photo, by name, and what it says of the person; None where no face is
    found."""
    one_thread()
    try:
        portrait = read_portrait(path, face=0)
    except PortraitError:
        return None
    model = head_model(weights)
    head = reconstruct(portrait, weights=weights, detailed=False)
    shapes = {
        f"{OURS}: landmarks of the raw head": head.landmarks[:468].astype(float),
        f"{OURS}: face of the raw head": head.details["final_vertices"][model.face].astype(float),
        MEDIAPIPE: portrait.landmarks[:468].astype(float) * [1, -1, -1],
    }
    if "neutral_vertices" in head.details:
        shapes[f"{OURS}: face without its expression"] = head.details["neutral_vertices"][model.face].astype(float)
    return shapes, Belief.of(head, len(model.identity))


def root_mean_square(one: np.ndarray, two: np.ndarray, _mean: np.ndarray) -> float:
    """Of the distances of corresponding points, both in the frame of the mean."""
    return float(np.sqrt(((one - two) ** 2).sum(1).mean()))


def cosine(one: np.ndarray, two: np.ndarray, mean: np.ndarray) -> float:
    """One minus the cosine of what distinguishes both from the mean."""
    a, b = (one - mean).ravel(), (two - mean).ravel()
    return 1 - float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-12))


def area_under_curve(same: np.ndarray, different: np.ndarray) -> float:
    """How often a pair of the same person is closer than one of different people (ties count half)."""
    less = (same[:, None] < different[None]).mean()
    return float(less + 0.5 * (same[:, None] == different[None]).mean())


def aligned(shapes: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """All shapes (S, N, 3) in one frame and size, and their mean (N, 3)."""
    mean = shapes[0] - shapes[0].mean(0)
    for _ in range(4):
        moved = np.stack([apply(similarity(shape, mean), shape) for shape in shapes])
        mean = moved.mean(0)
    return moved, mean


def compare(shapes: list[np.ndarray], people: list[str], distance: Distance) -> dict[str, float]:
    """:func:`separated` for shapes that are brought into one frame and size."""
    moved, mean = aligned(shapes)
    return separated(moved, people, lambda one, two: distance(one, two, mean))


def separated(things: Sequence[Any], people: list[str], distance: Callable[[Any, Any], float]) -> dict[str, float]:
    """Area under the curve over all pairs, and how many of each kind there are."""
    pairs = list(combinations(range(len(things)), 2))
    away = np.array([distance(things[i], things[j]) for i, j in pairs])
    same = np.array([people[i] == people[j] for i, j in pairs])
    auc = area_under_curve(away[same], away[~same])
    # A person with many photos has most of the pairs: every person counts alike in the second figure.
    shares = [_of(pairs, people, person) for person in sorted(set(people))]
    own = [area_under_curve(away[same & of], away[~same & of]) for of in shares if (same & of).any()]
    return {"AUC": auc, "AUC, mean of people": float(np.mean(own)), "same": int(same.sum()), "different": int((~same).sum())}


def _of(pairs: list[tuple[int, int]], people: list[str], person: str) -> np.ndarray:
    return np.array([person in (people[i], people[j]) for i, j in pairs])


def person_of(photo: Path, apart: Sequence[str]) -> str:
    """Who a ``photo`` (relative path) shows: whoever its folder is named after, or somebody of its own if it matches one of the
    patterns ``apart``."""
    return str(photo) if any(photo.match(pattern) for pattern in apart) else photo.parent.name


def benchmark_identity(folder: Path, apart: Sequence[str], weights: Path | None, pool) -> dict[str, Any]:
    """``folder`` holds one folder of photos for each person; those in it that are of others again match a pattern of
    ``apart``."""
    paths = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in SUFFIXES)
    found = list(zip(paths, pool.map(made_of, paths, [weights] * len(paths)), strict=True))
    made = [(person_of(path.relative_to(folder), apart), *both) for path, both in found if both]
    people = [person for person, *_ in made]
    result: dict[str, Any] = {"no face found": [str(path.relative_to(folder)) for path, both in found if not both]}
    for name in made[0][1] if made else ():
        own = [shapes[name] for _, shapes, _ in made]
        for kind, distance in (("root mean square", root_mean_square), ("cosine", cosine)):
            result[f"{name}, {kind}"] = compare(own, people, distance)
    if made:
        beliefs = [belief for *_, belief in made]
        result[f"{OURS}: odds that both show one person"] = separated(beliefs, people, lambda a, b: -log_odds(a, b))
    result["photos"], result["people"] = len(made), len(set(people))
    return result


def table(result: dict[str, Any]) -> str:
    rows = {name: values for name, values in result.items() if isinstance(values, dict)}
    lines = [f"### Identity ({result['photos']} photos of {result['people']} people)", ""]
    lines += ["| | AUC | mean of people | pairs same / different |", "|---|---|---|---|"]
    for name, v in rows.items():
        lines.append(f"| {name} | {v['AUC']:.3f} | {v['AUC, mean of people']:.3f} | {v['same']} / {v['different']} |")
    return "\n".join(lines) + "\n"
