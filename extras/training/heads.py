"""Heads to train on: ICT-FaceKit as closed template, plus the parts only a picture needs (eyes, mouth)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from octoprint_facesculpt.reconstruction.head_model import HeadModel


@dataclass(frozen=True)
class PictureHead:
    """The head as it is drawn: template without its fans, with mouth socket and eyeballs.

    ``mean``, ``identity``, ``expression`` as in :class:`HeadModel`, on V' vertices of which the first
    ``template_vertices`` are those of the template (same order).
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

    eyes, eye_triangles = _front_of_eyeballs(mean, triangles, regions)
    keep = np.r_[np.arange(skin_end), eyes]
    renumber = np.full(len(mean), -1)
    renumber[keep] = np.arange(len(keep))
    loops = _open_loops(skin)
    fan_mean, fan_shapes, fans = _fans(mean, shapes, loops)
    lids = _lids(mean, loops, _outermost(mean, eyes))
    model = HeadModel(
        mean=np.concatenate([mean[keep], fan_mean]).astype(np.float32),
        identity=np.concatenate([shapes[:, keep], fan_shapes], 1)[:100].astype(np.float32),
        expression=np.concatenate([shapes[:, keep], fan_shapes], 1)[100:].astype(np.float32),
        triangles=np.concatenate(
            [skin, renumber[lids], np.where(fans >= len(mean), fans - len(mean) + len(keep), fans)]
        ).astype(np.int32),
        landmark_vertices=np.zeros((478, 3), np.int32),
        landmark_weights=np.zeros((478, 3), np.float32),
        face=np.r_[(keep < regions["face"][1]) & _inner_face(mean[keep]), np.zeros(len(fan_mean), bool)],
    )

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


def _fans(mean, shapes, loops) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Close the mouth and the cut below the shoulders with one fan each around the middle of the open edge.

    Returns the new vertices (2, 3), their shapes (S, 2, 3) and triangles that name them len(mean) and len(mean) + 1.
    """
    bottom = min(loops, key=lambda loop: mean[loop, 1].mean())
    mouth = min((loop for loop in loops if loop is not bottom), key=lambda loop: abs(mean[loop, 0].mean()))
    centres, centre_shapes, fans = [], [], []
    for i, loop in enumerate((mouth, bottom)):
        hub = np.full(len(loop), len(mean) + i)
        fans.append(np.c_[np.roll(loop, -1), loop, hub])
        centres.append(mean[loop].mean(0))
        centre_shapes.append(shapes[:, loop].mean(1))
    return np.array(centres), np.stack(centre_shapes, 1), np.concatenate(fans)


def _outermost(mean: np.ndarray, eyes: np.ndarray) -> np.ndarray:
    """Those vertices of the ``eyes`` with none in front of them: the model has a cornea over an inner eyeball."""
    across = np.linalg.norm(mean[eyes, None, :2] - mean[None, eyes, :2], axis=2)
    behind = (across < 2.0) & (mean[None, eyes, 2] > mean[eyes, None, 2] + 0.4 + 1.0 * across)
    return eyes[~behind.any(1)]


def _lids(mean, loops, eyes) -> np.ndarray:
    """Triangles from the rim of each eye to rings of the eyeball's own vertices, so that lids and eyes are one surface."""
    triangles = []
    for loop in loops:
        middle = mean[loop].mean(0)
        if abs(middle[0]) < 10 or abs(middle[1] - mean[eyes, 1].mean()) > 15:
            continue
        own = eyes[np.sign(mean[eyes, 0]) == np.sign(middle[0])]
        outer = loop
        for share in (0.7, 0.4):
            places = middle[:2] + share * (mean[loop, :2] - middle[:2])
            ring = own[np.linalg.norm(mean[own, None, :2] - places[None], axis=2).argmin(0)]
            after, ring_after = np.roll(outer, -1), np.roll(ring, -1)
            triangles += [np.c_[after, outer, ring], np.c_[after, ring, ring_after]]
            outer = ring
        hub = own[np.linalg.norm(mean[own, :2] - middle[:2], axis=1).argmin()]
        triangles.append(np.c_[np.roll(outer, -1), outer, np.full(len(outer), hub)])
    joined = np.concatenate(triangles)
    # Two places of a ring may share a vertex; what lies between them has no area.
    distinct = (joined[:, 0] != joined[:, 1]) & (joined[:, 1] != joined[:, 2]) & (joined[:, 2] != joined[:, 0])
    return joined[distinct]


def random_coefficients(rng: np.random.Generator, names: tuple[str, ...]) -> np.ndarray:
    """(100 + E,) coefficients of a random person with a random expression.

    Identity is normal, a fifth of the people up to 1.5 times further out; expressions are sparse, smiles and open
    mouths more often than grimaces, left and right mostly together.
    """
    identity = rng.normal(size=100) * (rng.uniform(1.0, 1.5) if rng.random() < 0.2 else 1.0)
    expression = np.zeros(len(names))
    index = {n: i for i, n in enumerate(names)}

    def both(stem: str, low: float, high: float) -> None:
        amount = rng.uniform(low, high)
        for side in ("_L", "_R"):
            expression[index[stem + side]] = np.clip(amount + rng.normal(scale=0.05), 0, 1)

    if rng.random() < 0.45:
        both("mouthSmile", 0.1, 0.9)
        both("cheekSquint", 0.0, 0.5)
    if rng.random() < 0.3:
        expression[index["jawOpen"]] = rng.beta(1, 3) * 0.8
    if rng.random() < 0.3:
        both("eyeBlink", 0.0, 0.6 if rng.random() < 0.8 else 1.0)
    if rng.random() < 0.3:
        both("browDown", 0.0, 0.8)
    elif rng.random() < 0.3:
        both("browInnerUp", 0.0, 0.8)
        both("browOuterUp", 0.0, 0.6)
    for name in rng.choice([n for n in names if not n.startswith(("Pupil", "eyeLook"))], 4, replace=False):
        expression[index[name]] = max(expression[index[name]], rng.beta(1, 4))
    gaze = rng.uniform(-0.5, 0.5, 2)
    for side, sign in (("_L", 1), ("_R", -1)):
        expression[index["eyeLookOut" + side]] = max(0.0, sign * gaze[0])
        expression[index["eyeLookIn" + side]] = max(0.0, -sign * gaze[0])
        expression[index["eyeLookUp" + side]] = max(0.0, gaze[1])
        expression[index["eyeLookDown" + side]] = max(0.0, -gaze[1])
    return np.r_[identity, expression].astype(np.float32)
