"""Real scans and heads of MakeHuman under the NoW protocol: pictures of a known surface, and everything made of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from camera_space import error_in_picture, in_picture
from contenders import AVERAGE, MEDIAPIPE, OURS, Eos, average_head, contenders, head_model, head_surface
from meshes import as_scan, draw, facing, read_mesh, scan_of
from protocol import Scan, judge
from regions import regions
from tables import Row, summarise

from octoprint_facesculpt.reconstruction.fusion import fuse
from octoprint_facesculpt.reconstruction.head import Head

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))
from makehuman_people import FACE_CENTRE, People

Project = Callable[[np.ndarray], np.ndarray]

#: Kinds of files that are scans.
SUFFIXES = (".ply", ".obj", ".stl", ".off", ".glb", ".vtk")
#: Yaw in degrees of the renders of a scan.
YAWS = (0.0, 35.0, -35.0)
#: All of them, taken as photos of one person.
TOGETHER = "together"
#: Yaws of the pictures of a MakeHuman head.
PERSON_POSES = {"frontal (0-15)": (0.0, 15.0), "half turned (30-40)": (30.0, 40.0)}
FIRST_PERSON = 770_000


def one_thread() -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def judged(image: np.ndarray, scan: Scan, weights: Path | None, eos: Eos | None, project: Project) -> tuple[Row, Head] | None:
    """Every contender's numbers on one picture, and our head; ``project`` brings the scan's points into the picture's space."""
    made = contenders(image, weights, eos)
    if made is None:
        return None
    surfaces, head = made
    model = head_model(weights)
    named = regions(scan, model.landmarks(model.mean))
    row = {name: judge(surface, scan, named).flat() for name, surface in surfaces.items()}
    truth = project(scan.points)
    eyes = scan.eye_distance * float(np.sqrt(truth.var(0).sum() / scan.points.var(0).sum()))
    row[OURS]["NME in the picture"] = error_in_picture(in_picture(head, head.vertices), truth, eyes)
    row[MEDIAPIPE]["NME in the picture"] = error_in_picture(surfaces[MEDIAPIPE].vertices, truth, eyes)
    return row, head


def in_pixels(camera: Any, scale: float) -> Project:
    """A camera as projection to the picture's space: y up, depth in pixels."""
    return lambda points: camera.project(points) * [1.0, -1.0, scale]


def of_scan(path: Path, weights: Path | None, eos: Eos | None) -> dict[str, Row] | None:
    """Numbers of a scan's renders by yaw; None when no face can be found on it."""
    one_thread()
    made = as_scan(read_mesh(path), path.stem)
    if made is None:
        return None
    scan, mesh = made
    centre = scan.surface.landmarks.mean(0)
    rows, heads = {}, []
    for yaw in YAWS:
        camera = facing((yaw, 0.0), centre)
        image, _, _ = draw(mesh, camera)
        found = judged(image, scan, weights, eos, in_pixels(camera, camera.camera.scale))
        if found is not None:
            rows[f"yaw {yaw:g}"], head = found
            heads.append(head)
    if len(heads) == len(YAWS):
        model = head_model(weights)
        surfaces = {OURS: head_surface(fuse(heads, model)), AVERAGE: average_head(model)}
        named = regions(scan, model.landmarks(model.mean))
        rows[TOGETHER] = {name: judge(surface, scan, named).flat() for name, surface in surfaces.items()}
    return rows


def benchmark_scans(folder: Path, weights: Path | None, eos: Eos | None, pool) -> dict[str, Any]:
    """Every scan of ``folder``: means by yaw and each scan's own row."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    rows = dict(zip(paths, pool.map(of_scan, paths, [weights] * len(paths), [eos] * len(paths)), strict=True))
    named = {path.name: row for path, row in rows.items() if row}
    result: dict[str, Any] = {}
    sets = {"scans, frontal": ("yaw 0",), "scans, yaw 35": ("yaw 35", "yaw -35"), "scans, all three together": (TOGETHER,)}
    for title, wanted in sets.items():
        own = [row[which] for row in named.values() for which in wanted if which in row]
        if own:
            result[title] = summarise(own, "inner median")
    for name, row in named.items():
        alone = [numbers for which, numbers in row.items() if which != TOGETHER]
        result[f"scan {name}"] = summarise(alone, "inner median")
    result["no face found"] = [path.name for path, row in rows.items() if not row]
    return result


@lru_cache(maxsize=1)
def _people(data: Path, folder: Path) -> People:
    return People(data, folder)


def of_person(data: Path, folder: Path, weights: Path | None, yaw: tuple[float, float], seed: int) -> Row | None:
    """Numbers of one photo-like picture of a MakeHuman head, drawn by the training generator's camera, light and film."""
    import picture

    one_thread()
    rng = np.random.default_rng(seed)
    person = _people(data, folder).draw(rng)
    scan = scan_of(person.head, f"person {seed}", FACE_CENTRE)
    if scan is None:
        return None
    camera = picture.random_camera(rng, yaw)
    image = picture.of_mesh(rng, person.mesh, camera)
    found = judged(image, scan, weights, None, in_pixels(camera, camera.scale))
    return found[0] if found is not None else None


def benchmark_people(data: Path, folder: Path, weights: Path | None, heads: int, pool) -> dict[str, Any]:
    """MakeHuman heads by pose."""
    result = {}
    for number, (name, yaw) in enumerate(PERSON_POSES.items()):
        seeds = [FIRST_PERSON + 10_000 * number + i for i in range(heads)]
        columns = [[data] * heads, [folder] * heads, [weights] * heads, [yaw] * heads, seeds]
        rows = [row for row in pool.map(of_person, *columns) if row]
        result[f"CC0 heads, {name}"] = {**summarise(rows, "inner median"), "asked": heads}
    return result
