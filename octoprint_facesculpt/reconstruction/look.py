"""Looking at a photo: what the correspondence network says of a face, in pixels of the head crop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..portrait.landmarker import Roi
from .alignment import HeadCrop, after
from .correspondence import REGION, CorrespondenceNet, Whole
from .descent import Descent, Points, begin, descend, down, places_of
from .fitting import Correspondence
from .gradients import read_around
from .head_model import HeadModel, Mirror
from .recognition import Recogniser
from .resampling import resample

#: The same face looked at a few times, in regions that differ by this: shift (2, of the side), logarithm of the size, roll
#: (rad). Each is looked at as it is and in a mirror, so that a picture and its mirror image show mirrored heads. The mean is
#: better than any of them; what is seen in a mirror is off by something else, and counts like several others.
VIEWS = np.array([[0.0, 0.0, 0.0, 0.0], [0.02, 0.015, 0.05, 0.04]])
IN_MIRROR = VIEWS * [-1.0, 1.0, 1.0, -1.0]
#: How much of an independent measurement one head point is: they share their errors.
POINT_INDEPENDENCE = 0.05


@dataclass(frozen=True)
class Sight:
    """What is seen of a head: ``head`` (C + 1,) coefficients and 1000 k, where its points are, seen or hidden, and what the
    recognition network says of the ``person`` and of his mirror image (2, FEATURES)."""

    head: np.ndarray
    points: Correspondence
    person: np.ndarray


@dataclass(frozen=True)
class Observer:
    """Everything learned that looks at a photo.

    ``vertices`` (P,) are the numbers of the network's head points on the model, ``points`` the points themselves, ``mirror``
    says what becomes of a head of the model in a mirror.
    """

    net: CorrespondenceNet
    vertices: np.ndarray
    points: Points
    descent: Descent
    recogniser: Recogniser
    mirror: Mirror

    @classmethod
    def of(
        cls, model: HeadModel, net: CorrespondenceNet, vertices: np.ndarray, descent: Descent, recogniser: Recogniser
    ) -> Observer:
        """Networks whose head points are the ``vertices`` (P,) of ``model``."""
        return cls(net, vertices, Points.of(model, vertices), descent, recogniser, model.mirror)


def look(observer: Observer, image: np.ndarray, landmarks: np.ndarray, crop: HeadCrop) -> Sight:
    """Look at the face with MediaPipe's ``landmarks`` ((478, 3) pixels) in ``image`` ((H, W, 3) uint8)."""
    import torch

    face = Roi.from_landmarks(landmarks)
    regions = [
        Roi(face.cx + x * face.size, face.cy + y * face.size, face.size * float(np.exp(size)), face.roll_rad + roll)
        for x, y, size, roll in (*VIEWS, *IN_MIRROR)
    ]
    pictures = np.stack([picture_of(image, region) for region in regions])
    mirrored = slice(len(VIEWS), None)
    pictures[mirrored] = pictures[mirrored, :, ::-1]
    with torch.inference_mode():
        stages = observer.net.encoder(torch.from_numpy(pictures.transpose(0, 3, 1, 2).astype(np.float32) / 255))
        whole = observer.net.whole(stages)
    heads, placed = _descend(observer.descent, observer.points, pictures, stages, whole)
    heads[mirrored, :-1] = observer.mirror.of(heads[mirrored, :-1])
    placed[mirrored, :, 0] = REGION - placed[mirrored, :, 0]

    to_crop = [after(crop.matrix, region.matrix()) for region in regions]
    zoom = np.hypot(*crop.matrix[:, 0]) * np.array([region.size for region in regions])
    placed = np.stack([p @ m[:, :2].T + m[:, 2] for p, m in zip(placed, to_crop, strict=True)])
    scale = np.exp(whole.log_scale.numpy()) * zoom[:, None]
    # In a mirror each point is the one on the other side of the head.
    vertices = np.concatenate([observer.vertices, observer.mirror.vertices[observer.vertices]])
    halves = (_mean(placed[views], scale[views]) for views in (slice(len(VIEWS)), mirrored))
    place, scale = (np.concatenate(both) for both in zip(*halves, strict=True))
    corners = np.repeat(vertices[:, None], 3, 1), np.tile([1.0, 0.0, 0.0], (len(vertices), 1))
    named = Correspondence(*corners, place, scale, POINT_INDEPENDENCE)
    return Sight(heads.mean(0), named, observer.recogniser.look(image, landmarks))


def _mean(placed: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places (P, 2) of points seen at ``placed`` (B, P, 2), and their scales, by their ``scale`` (B, P) of each view."""
    certainty = 1 / scale
    return (placed * certainty[..., None]).sum(0) / certainty.sum(0)[:, None], scale.mean(0)


def _descend(
    descent: Descent, points: Points, pictures: np.ndarray, stages: list, whole: Whole
) -> tuple[np.ndarray, np.ndarray]:
    """Heads (B, C + 1) and places of the points (B, P, 2) in pixels of each view, all steps down from what the network said of
    the ``pictures`` (B, REGION, REGION, 3)."""
    said = zip(whole.head.double().numpy(), REGION * whole.points.double().numpy(), strict=True)
    states, places = descend(descent, points, stages, [begin(points, head, place) for head, place in said])
    if descent.gradients is not None and descent.last is not None:
        places = places_of(points, states)
        states, places = down(descent.last, descent.gradients, points, states, places, read_around(pictures, places))
    return np.stack([state.head for state in states]), places


def picture_of(image: np.ndarray, region: Roi) -> np.ndarray:
    """``region`` of ``image`` ((H, W, 3) uint8) as (REGION, REGION, 3) uint8; beyond the picture its edge is repeated."""
    import cv2

    return resample(image, cv2.invertAffineTransform(region.matrix()), REGION)
