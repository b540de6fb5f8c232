"""Looking at a photo: what the correspondence network says of a face, in pixels of the head crop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..portrait.landmarker import Roi
from .alignment import HeadCrop
from .correspondence import REGION, CorrespondenceNet, Whole
from .descent import Descent, Points, begin, read_at
from .fitting import Correspondence
from .recognition import Recogniser
from .resampling import resample

#: The same face looked at a few times in regions that differ by this: shift (2, of the side), logarithm of the size, roll
#: (rad). Their mean is better than any of them.
VIEWS = np.array(
    [
        [0.0, 0.0, 0.0, 0.0],
        [0.02, 0.015, 0.05, 0.04],
        [-0.02, -0.015, -0.05, -0.04],
        [0.015, -0.02, -0.04, 0.05],
        [-0.015, 0.02, 0.04, -0.05],
    ]
)
#: How much of an independent measurement one head point is: they share their errors.
POINT_INDEPENDENCE = 0.02


@dataclass(frozen=True)
class Sight:
    """What is seen of a head: ``head`` (C + 1,) coefficients and 1000 k, where its points are, seen or hidden, and what the
    recognition network says of the ``person`` (FEATURES,)."""

    head: np.ndarray
    points: Correspondence
    person: np.ndarray


@dataclass(frozen=True)
class Observer:
    """Everything learned that looks at a photo.

    ``vertices`` (P,) are the numbers of the network's head points on the model, ``points`` the points themselves.
    """

    net: CorrespondenceNet
    vertices: np.ndarray
    points: Points
    descent: Descent
    recogniser: Recogniser


def look(observer: Observer, image: np.ndarray, landmarks: np.ndarray, crop: HeadCrop) -> Sight:
    """Look at the face with MediaPipe's ``landmarks`` ((478, 3) pixels) in ``image`` ((H, W, 3) uint8)."""
    import torch

    face = Roi.from_landmarks(landmarks)
    regions = [
        Roi(face.cx + x * face.size, face.cy + y * face.size, face.size * float(np.exp(size)), face.roll_rad + roll)
        for x, y, size, roll in VIEWS
    ]
    pictures = np.stack([picture_of(image, region) for region in regions]).transpose(0, 3, 1, 2).astype(np.float32) / 255
    with torch.inference_mode():
        stages = observer.net.encoder(torch.from_numpy(pictures))
        whole = observer.net.whole(stages)
    head, placed = _descend(observer.descent, observer.points, stages, whole)
    to_crop = [_after(crop.matrix, region.matrix()) for region in regions]
    zoom = np.hypot(*crop.matrix[:, 0]) * np.array([region.size for region in regions])

    placed = np.stack([p @ m[:, :2].T + m[:, 2] for p, m in zip(placed, to_crop, strict=True)])
    scale = np.exp(whole.log_scale.numpy()) * zoom[:, None]
    certainty = 1 / scale
    place = (placed * certainty[..., None]).sum(0) / certainty.sum(0)[:, None]
    vertices, weights = np.repeat(observer.vertices[:, None], 3, 1), np.tile([1.0, 0.0, 0.0], (len(placed[0]), 1))
    named = Correspondence(vertices, weights, place, scale.mean(0), POINT_INDEPENDENCE)
    return Sight(head.mean(0), named, observer.recogniser.look(image, landmarks))


def _descend(descent: Descent, points: Points, stages: list, whole: Whole) -> tuple[np.ndarray, np.ndarray]:
    """Heads (B, C + 1) and places of the points (B, P, 2) in pixels of each view, all steps down from what the network said."""
    heads, places = whole.head.double().numpy(), REGION * whole.points.double().numpy()
    states = [begin(points, head, place) for head, place in zip(heads, places, strict=True)]
    for number in range(len(descent.steps)):
        seen = np.stack([state.camera.project(points.at(state.head[:-1]))[:, :2] for state in states])
        read = read_at(stages, seen)
        taken = [descent.down(points, *view) for view in zip(states, seen, [number] * len(states), read, strict=True)]
        states, places = [state for state, _ in taken], np.stack([place for _, place in taken])
    return np.stack([state.head for state in states]), places


def picture_of(image: np.ndarray, region: Roi) -> np.ndarray:
    """``region`` of ``image`` ((H, W, 3) uint8) as (REGION, REGION, 3) uint8; beyond the picture its edge is repeated."""
    import cv2

    return resample(image, cv2.invertAffineTransform(region.matrix()), REGION)


def _after(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The similarity (2, 3) that does ``first``, then ``second``."""
    return np.c_[second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]]
