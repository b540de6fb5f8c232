"""Heads to train on: ICT-FaceKit as closed template, plus the parts only a picture needs (eyes, mouth)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from octoprint_facesculpt.reconstruction.head_model import HeadModel

#: Depth of the eyelids' inner edges behind their rims and how far they reach towards the middle of the eye, mm.
LID_DEPTH, LID_INWARD = 1.0, 0.5
#: How far the eye rises between the lids, mm, and its rings of vertices as shares of its size.
EYE_BULGE, EYE_RINGS = 2.0, (0.75, 0.5, 0.25)


@dataclass(frozen=True)
class PictureHead:
    """The head as it is drawn: the template's skin (its first vertices, same order) with mouth socket and eyeballs.

    ``mean``, ``shapes`` and ``triangles`` as in :class:`HeadModel`; ``part`` (V',) what a vertex belongs to.
    """

    mean: np.ndarray
    shapes: np.ndarray
    triangles: np.ndarray
    part: np.ndarray
    identity_count: int
    expression_names: tuple[str, ...]

    def vertices(self, coefficients: np.ndarray) -> np.ndarray:
        """(V', 3) float32 vertices of the head of ``coefficients`` (identity, then expression)."""
        flat = coefficients.astype(np.float32) @ self.shapes.reshape(len(self.shapes), -1)
        return self.mean + flat.reshape(-1, 3)


#: Values of ``PictureHead.part``.
FACE, SCALP, MOUTH, EYE = range(4)


def load(path: Path) -> tuple[HeadModel, PictureHead]:
    """Read ``ict_facekit_light.npz``; the model's landmarks are empty until :mod:`landmark_map` has found them."""
    data = np.load(path)
    regions = json.loads(str(data["regions"]))
    mean, triangles = data["mean_mm"], data["triangles"]
    shapes = np.concatenate([data["identity_mm"], data["expression_mm"]])
    names = tuple(str(n) for n in data["expression_names"])
    skin_end = regions["head_and_neck"][1]
    skin = triangles[(triangles < skin_end).all(1)]

    loops = _open_loops(skin)
    # The mean and all shapes, which are put together alike: rows of what a vertex is made of.
    rows = np.concatenate([mean[None, :skin_end], shapes[:, :skin_end]])
    surfaces = [skin]
    for loop in _eyes(loops):
        rows, cover = _covered(rows, skin, loop)
        surfaces.append(cover)
    for loop in _mouth_and_bottom(mean, loops):
        surfaces.append(np.c_[np.roll(loop, -1), loop, np.full(len(loop), rows.shape[1])])
        rows = np.concatenate([rows, rows[:, loop].mean(1, keepdims=True)], 1)
    template = rows.astype(np.float32)
    face = (np.arange(skin_end) < regions["face"][1]) & _inner_face(mean[:skin_end])
    model = HeadModel(
        mean=template[0],
        identity=template[1:101],
        expression=template[101:],
        triangles=np.concatenate(surfaces).astype(np.int32),
        landmark_vertices=np.zeros((478, 3), np.int32),
        landmark_weights=np.zeros((478, 3), np.float32),
        face=np.r_[face, np.zeros(template.shape[1] - skin_end, bool)],
    )

    eyes, eye_triangles = _front_of_eyeballs(mean, triangles, regions)
    keep = np.r_[np.arange(skin_end), eyes]
    renumber = np.full(len(mean), -1)
    renumber[keep] = np.arange(len(keep))
    mouth = np.arange(*regions["mouth_socket"])
    drawn = np.r_[keep, mouth]
    renumber[mouth] = len(keep) + np.arange(len(mouth))
    mouth_triangles = triangles[((triangles >= mouth[0]) & (triangles <= mouth[-1])).all(1)]
    part = np.full(len(drawn), FACE, np.uint8)
    part[regions["face"][1] : skin_end] = SCALP
    part[skin_end : len(keep)] = EYE
    part[len(keep) :] = MOUTH
    picture = PictureHead(
        mean=mean[drawn].astype(np.float32),
        shapes=np.ascontiguousarray(shapes[:, drawn], np.float32),
        triangles=np.concatenate([skin, renumber[eye_triangles], renumber[mouth_triangles]]).astype(np.int32),
        part=part,
        identity_count=100,
        expression_names=names,
    )
    return model, picture


def _inner_face(vertices: np.ndarray) -> np.ndarray:
    """The face from forehead to chin and cheek to cheek, without ears and neck: 95 mm around the tip of the nose."""
    tip = vertices[vertices[:, 2].argmax()]
    return np.linalg.norm(vertices - tip, axis=1) < 95


def _front_of_eyeballs(mean, triangles, regions) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and triangles of the outer layer of both eyeballs, front part only."""
    vertices, faces = [], []
    for side in ("eyeball_left", "eyeball_right"):
        start, end = regions[side]
        centre = (mean[start:end].min(0) + mean[start:end].max(0)) / 2
        offset = mean - centre
        radius = np.linalg.norm(offset, axis=1)
        inside = (triangles >= start).all(1) & (triangles < end).all(1)
        t = triangles[inside]
        middle = offset[t].mean(1)
        direction = middle / np.linalg.norm(middle, axis=1, keepdims=True)
        corners = mean[t]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        outward = np.einsum("ij,ij->i", normal, direction) > 0
        front = (direction[:, 2] > 0.25) & outward & (radius[t].min(1) > 0.8 * np.median(radius[start:end]))
        faces.append(t[front])
        vertices.append(np.unique(t[front]))
    return np.concatenate(vertices), np.concatenate(faces)


def _open_loops(skin: np.ndarray) -> list[np.ndarray]:
    """The open edges of the skin as loops of vertices: mouth, both eyes, and the cut below the shoulders."""
    directed = np.concatenate([skin[:, [0, 1]], skin[:, [1, 2]], skin[:, [2, 0]]])
    known = set(map(tuple, directed.tolist()))
    following = {a: b for a, b in directed.tolist() if (b, a) not in known}
    loops = []
    while following:
        start, vertex = following.popitem()
        loop = [start]
        while vertex != start:
            loop.append(vertex)
            vertex = following.pop(vertex)
        loops.append(np.array(loop))
    return loops


def _mouth_and_bottom(mean, loops) -> tuple[np.ndarray, np.ndarray]:
    """The loops of the mouth and of the cut below the shoulders, each closed with one fan around its middle."""
    bottom = min(loops, key=lambda loop: mean[loop, 1].mean())
    mouth = min((loop for loop in loops if loop is not bottom), key=lambda loop: abs(mean[loop, 0].mean()))
    return mouth, bottom


def _covered(rows: np.ndarray, skin: np.ndarray, loop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``rows`` (1 + S, V, 3) with an eye between the lids that end at ``loop``, and its triangles.

    The inner edges of the lids lie deep behind their rims and in many faces on or in the eyeball; a surface that is to have an
    inside wants them side by side. So they follow the rims at a fixed depth, and between them rises a calotte like the
    eyeball's that opens and closes with the lids.
    """
    near = {int(v): set() for v in loop}
    for triangle in skin[np.isin(skin, loop).any(1)].tolist():
        for v in triangle:
            if v in near:
                near[v] |= set(triangle)
    mean = rows[0]
    inner = set(near)
    rim = np.array([min(near[v] - inner, key=lambda n, v=v: np.linalg.norm(mean[n] - mean[v])) for v in map(int, loop)])
    rows = rows.copy()
    # A tenth of their own place keeps apart what shares a rim.
    rows[:, loop] = 0.9 * rows[:, rim] + 0.1 * rows[:, loop]
    inward = mean[rim].mean(0) - mean[rim]
    inward[:, 2] = 0
    inward *= LID_INWARD / np.linalg.norm(inward, axis=1, keepdims=True)
    rows[0, loop] += inward - [0, 0, LID_DEPTH]
    middle = rows[:, loop].mean(1, keepdims=True)
    triangles, outer, count = [], loop, rows.shape[1]
    for share in EYE_RINGS:
        ring = middle + share * (rows[:, loop] - middle)
        ring[0, :, 2] += EYE_BULGE * (1 - share**2)
        number = count + np.arange(len(loop))
        rows, count = np.concatenate([rows, ring], 1), count + len(loop)
        after, number_after = np.roll(outer, -1), np.roll(number, -1)
        triangles += [np.c_[after, outer, number], np.c_[after, number, number_after]]
        outer = number
    middle[0, 0, 2] += EYE_BULGE
    triangles.append(np.c_[np.roll(outer, -1), outer, np.full(len(outer), count)])
    return np.concatenate([rows, middle], 1), np.concatenate(triangles)


def _eyes(loops) -> list[np.ndarray]:
    """The loops of both eyes: the shortest ones."""
    return sorted(loops, key=len)[:2]


def random_coefficients(rng: np.random.Generator, names: tuple[str, ...], grimacing: float = 0.0) -> np.ndarray:
    """(100 + E,) coefficients of a random person with a random expression.

    Identity is normal, a fifth of the people up to 1.5 times further out; expressions are sparse, smiles and open
    mouths more often than grimaces, left and right mostly together. A share of them is ``grimacing``: nearly everything in
    the face is moved, and far.
    """
    identity = rng.normal(size=100) * (rng.uniform(1.0, 1.5) if rng.random() < 0.2 else 1.0)
    grimaces = grimacing > 0 and rng.random() < grimacing
    return np.r_[identity, (_grimace if grimaces else _mild)(rng, names)].astype(np.float32)


class _Expression:
    """Amounts (E,) of the expressions called ``names``, 0..1."""

    def __init__(self, rng: np.random.Generator, names: tuple[str, ...]) -> None:
        self._rng, self._index = rng, {name: number for number, name in enumerate(names)}
        self.amounts = np.zeros(len(names))

    def one(self, name: str, amount: float) -> None:
        self.amounts[self._index[name]] = amount

    def both(self, stem: str, low: float, high: float, apart: float = 0.05) -> None:
        """Left and right by an amount from ``low`` to ``high``, the sides ``apart`` by that standard deviation."""
        amount = self._rng.uniform(low, high)
        for side in ("_L", "_R"):
            self.one(stem + side, np.clip(amount + self._rng.normal(scale=apart), 0, 1))

    def at_least(self, name: str, amount: float) -> None:
        self.one(name, max(self.amounts[self._index[name]], amount))

    def gaze(self) -> None:
        """The eyes turn, both to the same place."""
        gaze = self._rng.uniform(-0.5, 0.5, 2)
        for side, sign in (("_L", 1), ("_R", -1)):
            self.one("eyeLookOut" + side, max(0.0, sign * gaze[0]))
            self.one("eyeLookIn" + side, max(0.0, -sign * gaze[0]))
            self.one("eyeLookUp" + side, max(0.0, gaze[1]))
            self.one("eyeLookDown" + side, max(0.0, -gaze[1]))


def _mild(rng: np.random.Generator, names: tuple[str, ...]) -> np.ndarray:
    expression = _Expression(rng, names)
    if rng.random() < 0.45:
        expression.both("mouthSmile", 0.1, 0.9)
        expression.both("cheekSquint", 0.0, 0.5)
    if rng.random() < 0.3:
        expression.one("jawOpen", rng.beta(1, 3) * 0.8)
    if rng.random() < 0.3:
        expression.both("eyeBlink", 0.0, 0.6 if rng.random() < 0.8 else 1.0)
    if rng.random() < 0.3:
        expression.both("browDown", 0.0, 0.8)
    elif rng.random() < 0.3:
        expression.both("browInnerUp", 0.0, 0.8)
        expression.both("browOuterUp", 0.0, 0.6)
    for name in rng.choice([n for n in names if not n.startswith(("Pupil", "eyeLook"))], 4, replace=False):
        expression.at_least(name, rng.beta(1, 4))
    expression.gaze()
    return expression.amounts


#: What a grimacing mouth does, one or two of them at a time; stems without a side come left and right.
MOUTHS = (
    "mouthSmile", "mouthFrown", "mouthStretch", "mouthPress", "mouthUpperUp", "mouthLowerDown", "mouthDimple", "mouthFunnel",
    "mouthPucker", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthLeft", "mouthRight",
    "jawForward", "jawLeft", "jawRight", "cheekPuff",
)  # fmt: skip


def _grimace(rng: np.random.Generator, names: tuple[str, ...]) -> np.ndarray:
    """Brows, lids, nose and mouth each make something, most of it far and not the same left and right."""
    expression = _Expression(rng, names)
    if rng.random() < 0.5:
        expression.both("browDown", 0.3, 1.0, 0.15)
    elif rng.random() < 0.7:
        expression.both("browInnerUp", 0.2, 1.0, 0.1)
        expression.both("browOuterUp", 0.0, 1.0, 0.15)
    lids = rng.random()
    if lids < 0.35:
        expression.both("eyeBlink", 0.4, 1.0, 0.05 if lids < 0.3 else 0.5)
    elif lids < 0.55:
        expression.both("eyeWide", 0.3, 1.0)
    if rng.random() < 0.4:
        expression.both("eyeSquint", 0.2, 1.0)
        expression.both("cheekSquint", 0.2, 1.0)
    if rng.random() < 0.3:
        expression.both("noseSneer", 0.2, 1.0, 0.1)
    if rng.random() < 0.5:
        expression.one("jawOpen", rng.uniform(0.1, 0.9))
    for stem in rng.choice(MOUTHS, 1 + rng.integers(2), replace=False):
        if stem in names:
            expression.one(stem, rng.uniform(0.2, 1.0))
        else:
            expression.both(stem, 0.2, 1.0, 0.15)
    expression.gaze()
    return expression.amounts
