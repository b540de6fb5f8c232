"""Several photos of one person become one head: identity is common to them, expression and pose are each photo's own.

What one photo says of a person is drawn towards the average head as far as the photo leaves open; taken together, photos leave
less open, so the common identity is no mean of theirs: what each has measured is added up, and the average head counts once.
What the volumetric network put on top of the head model is averaged, a vertex counting in a photo as much as it faced its
camera, so that each part comes from the photo that shows it best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np

from . import check_count
from .camera import Camera
from .errors import ReconstructionError
from .head import Head
from .head_model import OUTER_EYE_CORNERS, HeadModel
from .plausible import MOST, plausible
from .surface import iso_surface
from .volume import vertex_normals

#: What a reconstruction must tell of itself.
KNOWN = {"coefficients", "precision", "yaw", "beyond_model", "final_vertices"}
#: Say of a part that a photo does not show: a guess by what is seen.
HIDDEN_WEIGHT = 0.04
#: How much of a frontal photo's precision is believed. On drawn people 0.7 is best, on scans of real ones 1 to 2, and those are
#: what it is for.
FRONTAL = 1.5
#: Every so many vertices of the face are compared.
STRIDE = 4
#: Log odds of two photos below which they may not show the same person. Of pairs of real photos of one person 1 % are below it,
#: of two people 49 % (76 and 627 pairs, many of them grimacing). By the distance of the faces, 13 % and 33 % were beyond 3 mm.
DOUBTFUL = -12.0
#: Two photos in whose pictures the face's points lie nearer to each other than this, as a share of its size, are one. A photo
#: and its smaller, grey, noisy or badly compressed copies came out at 0.017 at most, other photos of the person at 0.031 and
#: more, mirrored ones at 0.027. Taken for two photos, one and its copy gave a face 0.3 to 0.7 mm from the photo's own, eight
#: copies one 0.8 to 1.6 mm from it. Of copies the first counts, or another one that is so many times larger.
COPIED, LARGER = 0.02, 1.1


@dataclass(frozen=True)
class Agreement:
    """How far the photos agree: mean distance in mm of each photo's own face, without its expression, to the common one, and of
    the two that are furthest apart; the least :func:`log_odds` of any two."""

    each_mm: tuple[float, ...]
    largest_mm: float
    log_odds: float

    def to_json(self) -> dict[str, object]:
        return {
            "each_mm": [round(value, 2) for value in self.each_mm],
            "largest_mm": round(self.largest_mm, 2),
            "log_odds": round(self.log_odds, 1),
            "same_person_doubtful": self.log_odds < DOUBTFUL,
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
    if any(not head.details.keys() >= KNOWN or len(head.details["beyond_model"]) != len(model.mean) for head in heads):
        raise ReconstructionError(
            "fusion_impossible", "Only heads of the same network can be taken together.", "Reconstruct all photos alike."
        )
    count = len(model.identity)
    believed = [Belief.of(head, count) for head in heads]
    kept = different(heads, model)
    common = common_identity([believed[number] for number in kept])
    identity, moves = plausible(common), believed[0].expression_given(common).clip(0, MOST)
    coefficients = np.r_[identity, moves]
    photos = [heads[number] for number in kept]
    weights = np.stack([facing(head, head.details["final_vertices"].astype(np.float64), model.triangles) for head in photos])
    beyond = np.stack([head.details["beyond_model"] for head in photos]).astype(np.float64)
    on_top = np.einsum("pv,pvd->vd", weights / weights.sum(0), beyond)
    # It stays where the first photo shows it.
    shift = (heads[0].details["final_vertices"] - model.vertices(coefficients) - on_top)[model.face].mean(0)
    vertices = model.vertices(np.r_[identity, expression * moves]) + on_top + shift
    return _published(heads, model, vertices, agreement(model, identity, believed))


@dataclass(frozen=True)
class Belief:
    """What one photo says: ``identity`` (I,) and ``expression`` (E,) coefficients, the ``joint`` precision of both and of 1000
    k (I + E + 1, I + E + 1), the inverse covariance of their errors, and the ``share`` of it that is believed.

    A photo from the side is off by more than that says. On 160 drawn people a second photo at 25 to 40 degrees took the head
    from 1.50 to 1.40 mm with a share that falls with the cosine of the yaw squared, to 1.41 with one that does not; one at 45
    to 60 degrees from 1.48 to 1.42 and 1.44; one in profile is as good as none. (Two frontal photos: from 1.49 to 1.38.)
    """

    identity: np.ndarray
    expression: np.ndarray
    joint: np.ndarray
    share: float = 1.0

    @classmethod
    def of(cls, head: Head, count: int) -> Belief:
        """That behind a reconstruction, of whose coefficients the first ``count`` are the identity's."""
        coefficients = head.details["coefficients"]
        share = FRONTAL * np.cos(np.radians(head.details["yaw"])) ** 2
        return cls(coefficients[:count], coefficients[count:], head.details["precision"], float(share))

    @property
    def precision(self) -> np.ndarray:
        """(I, I) of the identity, whatever the rest may be."""
        count = len(self.identity)
        return self.share * (self.joint[:count, :count] - self.joint[:count, count:] @ self._answers)

    def expression_given(self, identity: np.ndarray) -> np.ndarray:
        """(E,) what the photo's expression is if the person is that of ``identity`` (I,): what was taken for a feature may have
        been a smile."""
        return self.expression - (self._answers @ (identity - self.identity))[: len(self.expression)]

    @cached_property
    def measured(self) -> np.ndarray:
        """(I, I) the precision that the photo added to what was believed before, the standard normal distribution."""
        values, directions = np.linalg.eigh(self.precision)
        return (directions * np.maximum(values - 1.0, 0.0)) @ directions.T

    @property
    def evidence(self) -> np.ndarray:
        """(I,) what it measured, times that precision."""
        return self.identity + self.measured @ self.identity

    @property
    def _answers(self) -> np.ndarray:
        """(E + 1, I) how the rest moves against the identity."""
        count = len(self.identity)
        return np.linalg.solve(self.joint[count:, count:], self.joint[count:, :count])


def common_identity(believed: Sequence[Belief]) -> np.ndarray:
    """The identity (I,) of which several photos speak independently.

    Each says what is believed after it was seen, and all of them began with the same belief: that the coefficients are standard
    normal. So a photo has measured with the precision ``P - 1``, in no direction with less than none; the measurements and that
    one belief are added up.
    """
    total = np.eye(len(believed[0].identity)) + sum(belief.measured for belief in believed)
    return np.linalg.solve(total, sum(belief.evidence for belief in believed))


def different(heads: Sequence[Head], model: HeadModel) -> list[int]:
    """Numbers of the photos, of copies of one in whatever size only one: what was measured in it is not measured again."""
    face = np.flatnonzero(model.face)[::STRIDE]
    pictures = []
    for head in heads:
        x, y = head.project(head.details["final_vertices"][face]).T
        pictures.append(x + 1j * y - (x + 1j * y).mean())
    sizes = [float(np.linalg.norm(picture)) for picture in pictures]

    def copied(one: int, other: int) -> bool:
        # What is left of one picture when the other is turned and scaled to fit it.
        return 1 - (abs(np.vdot(pictures[one], pictures[other])) / (sizes[one] * sizes[other])) ** 2 < COPIED**2

    kept: list[int] = []
    for number in range(len(heads)):
        place = next((place for place, other in enumerate(kept) if copied(number, other)), None)
        if place is None:
            kept.append(number)
        elif sizes[number] > LARGER * sizes[kept[place]]:
            kept[place] = number
    return kept


def log_odds(one: Belief, other: Belief) -> float:
    """Logarithm of how much likelier two photos are if they show one person than if they show two, for beliefs like those of
    :func:`common_identity` (Prince and Elder, "Probabilistic Linear Discriminant Analysis for Inferences About Identity", ICCV
    2007)."""
    start = np.eye(len(one.identity))

    def explained(measured: np.ndarray, evidence: np.ndarray) -> float:
        precision = start + measured
        return 0.5 * float(evidence @ np.linalg.solve(precision, evidence) - np.linalg.slogdet(precision)[1])

    both = explained(one.measured + other.measured, one.evidence + other.evidence)
    return both - explained(one.measured, one.evidence) - explained(other.measured, other.evidence)


def agreement(model: HeadModel, common: np.ndarray, believed: Sequence[Belief]) -> Agreement:
    """How far photos agree on the identity ``common`` (I,): distances of faces have no expression, and are rigidly aligned."""
    face = np.flatnonzero(model.face)[::STRIDE]

    def points(identity: np.ndarray) -> np.ndarray:
        return model.mean[face] + np.tensordot(identity.astype(np.float32), model.identity[:, face], 1)

    shapes = [points(belief.identity) for belief in believed]
    each = tuple(_distance(shape, points(common)) for shape in shapes)
    largest = max(_distance(a, b) for a, b in combinations(shapes, 2))
    return Agreement(each, largest, min(log_odds(a, b) for a, b in combinations(believed, 2)))


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
            "covered": all(head.details.get("covered") for head in heads),
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
