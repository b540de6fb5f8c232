"""What the portrait room hands on: an upright picture, one chosen face and its landmarks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class QualityNote:
    """Something about the picture that the result will suffer from (``severity``: info, warning, error)."""

    code: str
    severity: str
    message: str


@dataclass(frozen=True)
class FaceBox:
    """A detected face: axis-aligned box in pixels of the upright photo, detector score 0..1, and the roll of
    the eye line in radians (0 = level, positive = clockwise in the image)."""

    left: float
    top: float
    width: float
    height: float
    score: float
    roll_rad: float = 0.0


@dataclass(frozen=True)
class Portrait:
    """One face in one photo, ready for reconstruction.

    Attributes
    ----------
    image : (H, W, 3) uint8
        The picture the face is looked at in, RGB and upright: the photo, or the surroundings of a small face in a large one.
    size : tuple of int
        Width and height of the whole upright photo as it was decoded, at most ``PortraitLimits.working_px``.
    place : (2, 3) float64
        Brings pixels of ``image`` to pixels of the whole photo.
    decoded : dict
        How the photo was decoded: ``format``, ``mode``, ``width``, ``height`` (of the file), ``orientation``, ``scale``
        (pixels per upright file pixel), ``turned_deg``, ``frame`` (the number of the picture in a file of several).
    faces : tuple of FaceBox
        All faces found, largest first, in pixels of the whole photo.
    face : int
        Index of the chosen one in ``faces``.
    landmarks : (478, 3) float32
        MediaPipe's landmarks in pixels of ``image``; z in the same unit, negative towards the camera.
    presence : float
        The landmark network's face probability, 0..1.
    quality : float
        0..1, how well the picture suits the reconstruction.
    notes : tuple of QualityNote
    """

    image: np.ndarray
    size: tuple[int, int]
    place: np.ndarray
    decoded: dict[str, Any]
    faces: tuple[FaceBox, ...]
    face: int
    landmarks: np.ndarray
    presence: float
    quality: float
    notes: tuple[QualityNote, ...] = field(default_factory=tuple)
