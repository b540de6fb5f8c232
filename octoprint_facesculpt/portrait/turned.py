"""Faces that are turned so far that a single look misses them.

The detector finds them, but reads the head's tilt from the line of the eyes, which then lie nearly behind each other, and the
landmark network looks at a region that is turned away. Here it begins from several regions and follows each, as MediaPipe
follows a face through a film: a face draws all of them to the same place, and what is none does not.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .landmarker import Landmarker, LandmarkResult, Roi
from .portrait import FaceBox

#: Detections below this score are not looked at again; faces in three-quarter and profile views come out above it.
MIN_SCORE = 0.6
#: Tilts in radians beside the detector's, and sizes of the first region.
ROLLS, SIZES = (0.0, -0.35, 0.35), (1.0, 1.25)
#: Looks from each beginning, of which the first is at the region it begins with.
LOOKS = 4
#: Landmarks that are nearer than this to others, as a share of the face's diagonal, agree; so many must.
SAME_PLACE, AGREEING = 0.04, 4
#: The best of those that agree must be as probable as this.
MIN_PRESENCE = 0.9


def find_turned(landmarker: Landmarker, image: np.ndarray, box: FaceBox) -> LandmarkResult | None:
    """The landmarks of the face in a detected ``box`` of ``image`` ((H, W, 3) uint8, RGB); None where there is none."""
    if box.score < MIN_SCORE:
        return None
    start = Roi.from_box(box)
    found = [
        _followed(landmarker, image, replace(start, size=start.size * size, roll_rad=roll))
        for roll in (start.roll_rad, *ROLLS)
        for size in SIZES
    ]
    return agreed(found)


def agreed(found: list[LandmarkResult]) -> LandmarkResult | None:
    """The most probable of the largest group at the same place; None where there is no such group, or no face in it."""
    points = np.stack([result.landmarks[:468, :2] for result in found])
    diagonal = np.linalg.norm(np.ptp(points, axis=1), axis=1)
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1).mean(-1) / diagonal[:, None]
    near = apart < SAME_PLACE
    group = near[near.sum(1).argmax()]
    best = max((result for result, inside in zip(found, group, strict=True) if inside), key=lambda result: result.presence)
    return best if group.sum() >= AGREEING and best.presence >= MIN_PRESENCE else None


def _followed(landmarker: Landmarker, image: np.ndarray, roi: Roi) -> LandmarkResult:
    result = landmarker.run(image, roi)
    for _ in range(LOOKS - 1):
        result = landmarker.run(image, Roi.from_landmarks(result.landmarks))
    return result
