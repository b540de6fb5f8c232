"""Several photos of one person become one head: identity is common to them, expression and pose are each photo's own.

Every photo's reconstruction has the head model's topology, so one linear system holds all of them: what the person looks like
(common coefficients), the expression and the place of each reconstruction. A vertex counts in a photo as much as it faced its
camera, so that each part of the head comes from the photo that shows it best: a side view decides about profile, jaw and ear.
What the head model cannot express is averaged with the same weights and put on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from . import check_count
from .camera import Camera
from .errors import ReconstructionError
from .head import Head
from .head_model import OUTER_EYE_CORNERS, HeadModel
from .surface import iso_surface
from .volume import vertex_normals

#: Say of a part that a photo does not show: a guess by what is seen.
HIDDEN_WEIGHT = 0.04
#: Standard deviation of a vertex that faces the camera, mm, and share of vertices that are independent of each other.
DEVIATION_MM, INDEPENDENCE = 1.5, 0.05
#: Every so many vertices of the model are used.
STRIDE = 4
#: Mean distance in mm of the faces of two photos above which they may not show the same person.
DISAGREEMENT_MM = 3.0


@dataclass(frozen=True)
class Agreement:
    """How far the photos agree: mean distance in mm of each photo's own face, without its expression, to the common one, and of
    the two that are furthest apart."""

    each_mm: tuple[float, ...]
    largest_mm: float

    def to_json(self) -> dict[str, object]:
        return {
            "each_mm": [round(value, 2) for value in self.each_mm],
            "largest_mm": round(self.largest_mm, 2),
            "same_person_doubtful": self.largest_mm > DISAGREEMENT_MM,
        }


def fuse(heads: Sequence[Head], model: HeadModel, expression: float = 1.0) -> Head:
    """One head out of reconstructions of several photos of a person.

    Parameters
    ----------
    heads : reconstructions of our own network, at least two
        The fused head has the expression, the place and the projection of the first.
    model : HeadModel
        The one behind them.
    expression : float
        How much of the first head's expression it has, 0..1.

    Raises
    ------
    ReconstructionError
        ``fusion_impossible``: fewer than two or more than ``MAX_PHOTOS`` heads, or some of another network.
    """
    check_count(len(heads))
    shape = (len(model.mean), 3)
    if any(np.shape(head.details.get("final_vertices", ())) != shape for head in heads):
        raise ReconstructionError(
            "fusion_impossible", "Only heads of the same network can be taken together.", "Reconstruct all photos alike."
        )
    seen = [head.details["final_vertices"].astype(np.float64) for head in heads]
    weights = np.stack([facing(head, vertices, model.triangles) for head, vertices in zip(heads, seen, strict=True)])
    common = _Solution.of(model, seen, weights)
    alone = [_Solution.of(model, [one], weights[i : i + 1]).identity for i, one in enumerate(seen)]
    # What is left beyond the model, each part from the photos that show it.
    rest = np.stack([one - common.vertices(model, i) for i, one in enumerate(seen)])
    share = weights / weights.sum(0)
    vertices = common.vertices(model, 0, expression) + np.einsum("pv,pvd->vd", share, rest)
    return _published(heads, model, vertices, agreement(model, common.identity, alone))


def agreement(model: HeadModel, common: np.ndarray, alone: Sequence[np.ndarray]) -> Agreement:
    """Distances between the faces of identity coefficients (I,), without expression, after rigid alignment."""
    face = np.flatnonzero(model.face)[::STRIDE]

    def points(identity: np.ndarray) -> np.ndarray:
        return model.mean[face] + np.tensordot(identity.astype(np.float32), model.identity[:, face], 1)

    shapes = [points(identity) for identity in alone]
    each = tuple(_distance(shape, points(common)) for shape in shapes)
    pairs = [_distance(a, b) for i, a in enumerate(shapes) for b in shapes[:i]]
    return Agreement(each, max(pairs, default=0.0))


def facing(head: Head, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """How much each vertex counts in a photo, (V,): by the cosine of its normal to the camera; little where hidden."""
    rows = head.projection[:, :3]
    towards = np.cross(rows[0], -rows[1])
    away = rows[2] @ rows[2]
    if away > 1e-18:  # in perspective the camera is the point that projects nowhere
        camera = -np.linalg.solve(rows, head.projection[:, 3])
        ray = camera - vertices
        ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    else:
        ray = towards / np.linalg.norm(towards)
    cosine = (vertex_normals(vertices, triangles) * ray).sum(1)
    return np.maximum(cosine.clip(0, 1) ** 2, HIDDEN_WEIGHT)


@dataclass(frozen=True)
class _Solution:
    """``identity`` (I,) of all photos, ``expression`` (P, E) and ``shift`` (P, 3) of each."""

    identity: np.ndarray
    expression: np.ndarray
    shift: np.ndarray

    @classmethod
    def of(cls, model: HeadModel, seen: Sequence[np.ndarray], weights: np.ndarray) -> _Solution:
        """The most probable coefficients: identity is normal, expressions small, heads differ by a shift."""
        used = np.flatnonzero(_reached(model))[::STRIDE]
        count, moves, photos = len(model.identity), len(model.expression), len(seen)
        identity = model.identity[:, used].reshape(count, -1).T.astype(np.float64)
        expression = model.expression[:, used].reshape(moves, -1).T.astype(np.float64)
        shift = np.tile(np.eye(3), (len(used), 1))
        own = np.concatenate([expression, shift], 1)
        size = count + photos * own.shape[1]
        normal, right = np.zeros((size, size)), np.zeros(size)
        normal[np.arange(count), np.arange(count)] = 1.0
        for photo, vertices in enumerate(seen):
            weight = np.repeat(weights[photo, used] * INDEPENDENCE / DEVIATION_MM**2, 3)
            wanted = (vertices[used] - model.mean[used]).ravel()
            start = count + photo * own.shape[1]
            at = np.r_[0:count, start : start + own.shape[1]]
            columns = np.concatenate([identity, own], 1)
            normal[np.ix_(at, at)] += columns.T @ (columns * weight[:, None])
            right[at] += columns.T @ (weight * wanted)
            expressions = np.arange(start, start + moves)
            normal[expressions, expressions] += 4.0  # a movement of half its range is usual
        normal[np.diag_indices(size)] += 1e-6
        solved = np.linalg.solve(normal, right)
        each = solved[count:].reshape(photos, -1)
        return cls(solved[:count], each[:, :moves], each[:, moves:])

    def vertices(self, model: HeadModel, photo: int, expression: float = 1.0) -> np.ndarray:
        """(V, 3) as ``photo`` shows them, with so much of its ``expression``, in its head's frame."""
        return model.vertices(np.r_[self.identity, expression * self.expression[photo]]).astype(np.float64) + self.shift[photo]


def _reached(model: HeadModel) -> np.ndarray:
    """Vertices (V,) of the head without neck and shoulders, whose shape photos seldom show."""
    return (model.mean[:, 1] > model.mean[model.face, 1].min()) | model.face


def _published(heads: Sequence[Head], model: HeadModel, vertices: np.ndarray, agreed: Agreement) -> Head:
    """The head of ``vertices`` ((V, 3), frame of the first of ``heads``) as a surface of its own."""
    from scipy.spatial import cKDTree

    from .alignment import CROP, CROP_CENTRE, CROP_MM
    from .predictor import FINE, drawn
    from .volume import to_grid

    first = heads[0]
    # A camera far away in front of the head: its volume is the head's own box.
    camera = Camera(np.eye(3), CROP / CROP_MM, 0.0, np.full(2, CROP / 2))
    moved = vertices - vertices[model.face].mean(0) + (model.mean[model.face].mean(0) - CROP_CENTRE)
    back = vertices[0] - moved[0]
    surface, triangles = iso_surface(drawn(model, to_grid(camera.project(moved), camera.scale)), camera)
    surface = surface + back
    landmarks = surface[cKDTree(surface).query(model.landmarks(vertices))[1]]
    origin = landmarks[list(OUTER_EYE_CORNERS)].mean(0)
    move = np.eye(4)
    move[:3, 3] = origin
    return replace(
        first,
        vertices=(surface - origin).astype(np.float32),
        triangles=triangles,
        landmarks=(landmarks - origin).astype(np.float32),
        projection=first.projection @ move,
        seconds=_summed(heads),
        details={
            **{key: first.details[key] for key in ("camera_distance_mm", "pixels_per_mm") if key in first.details},
            "volume": [FINE] * 3,
            "final_vertices": (vertices - origin).astype(np.float32),
            "agreement": agreed.to_json(),
        },
    )


def _summed(heads: Sequence[Head]) -> dict[str, float]:
    return {step: sum(head.seconds.get(step, 0.0) for head in heads) for step in heads[0].seconds}


def _distance(points: np.ndarray, target: np.ndarray) -> float:
    from trimesh.registration import procrustes

    moved = procrustes(points, target, reflection=False, scale=False)[1]
    return float(np.linalg.norm(moved - target, axis=1).mean())
