"""MediaPipe's short-range face detector (BlazeFace), run by OpenCV over the picture and over windows of it.

Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", 2019. The network sees 128 pixels
and wants a face that fills a fifth of them, so smaller faces are looked for in overlapping windows.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from .portrait import FaceBox

INPUT = 128
#: Scores below this are no faces; overlapping boxes above :data:`SAME_FACE` are one.
MIN_SCORE = 0.5
SAME_FACE = 0.3
#: Sides of the windows as shares of the picture's shorter side; the first look is at all of the picture. Smaller windows are
#: only looked at where no certain face is larger than a share of that side: in a group, or far away.
WINDOWS = (0.6, 0.36)
SMALL_WINDOWS, LARGE_FACE, CERTAIN = (0.21, 0.13), 0.12, 0.85
#: In so many windows there is always something that looks a little like a face: in a photo of 29 people these came out at 0.83
#: and more, what was none at 0.60 and less.
SMALL_SCORE = 0.75
#: Windows of fewer pixels are not looked at: what is found in them would be too small.
MIN_WINDOW = 80


class FaceDetector:
    """The detector. One instance is not to be used by two threads at a time."""

    def __init__(self, model: Path) -> None:
        engine = (cv2.dnn.ENGINE_CLASSIC,) if hasattr(cv2.dnn, "ENGINE_CLASSIC") else ()
        self._net = cv2.dnn.readNetFromTFLite(str(model), *engine)
        self._anchors = _anchors()

    def detect(self, image: np.ndarray) -> tuple[FaceBox, ...]:
        """All faces in ``image`` ((H, W, 3) uint8 RGB), largest first."""
        height, width = image.shape[:2]
        shorter = min(width, height)
        found = self._look(image, 0, 0, width, height) + self._look_through(image, [share * shorter for share in WINDOWS])
        if not any(face.score >= CERTAIN and max(face.width, face.height) >= LARGE_FACE * shorter for face in found):
            small = self._look_through(image, [share * shorter for share in SMALL_WINDOWS])
            found += [face for face in small if face.score >= SMALL_SCORE]
        return _merge(found)

    def _look_through(self, image: np.ndarray, sides: list[float]) -> list[FaceBox]:
        """Faces in overlapping windows of some ``sides`` in pixels."""
        height, width = image.shape[:2]
        return [
            face
            for side in sides
            if side >= MIN_WINDOW
            for left in _starts(width, side)
            for top in _starts(height, side)
            for face in self._look(image, left, top, side, side)
        ]

    def _look(self, image: np.ndarray, left: float, top: float, width: float, height: float) -> list[FaceBox]:
        """Faces in one window, letterboxed to the network's input."""
        side = max(width, height)
        x0, y0 = left - (side - width) / 2, top - (side - height) / 2
        zoom = INPUT / side
        matrix = np.array([[zoom, 0, -x0 * zoom], [0, zoom, -y0 * zoom]])
        window = image[max(0, int(top)) : int(np.ceil(top + height)), max(0, int(left)) : int(np.ceil(left + width))]
        if zoom < 0.5:  # an area filter first: bilinear sampling alone would alias
            size = np.maximum(1, np.round(2 * zoom * np.array(window.shape[1::-1]))).astype(int)
            small = cv2.resize(window, size.tolist(), interpolation=cv2.INTER_AREA)
        else:
            small = window
        ratio = small.shape[1] / window.shape[1], small.shape[0] / window.shape[0]
        matrix = np.array(
            [
                [zoom / ratio[0], 0, (max(0, int(left)) - x0) * zoom],
                [0, zoom / ratio[1], (max(0, int(top)) - y0) * zoom],
            ]
        )
        boxed = cv2.warpAffine(small, matrix, (INPUT, INPUT), flags=cv2.INTER_LINEAR)
        self._net.setInput(cv2.dnn.blobFromImage(boxed, 1 / 127.5, mean=(127.5,) * 3))
        boxes, scores = self._net.forward(["regressors", "classificators"])
        return _decode(boxes.reshape(-1, 16), scores.ravel(), self._anchors, x0, y0, side)


def _anchors() -> np.ndarray:
    """Centres (896, 2) of the network's anchors in 0..1: two a cell at 16 x 16, six at 8 x 8."""
    centres = []
    for cells, each in ((16, 2), (8, 6)):
        axis = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(axis, axis, indexing="ij")
        centres.append(np.repeat(np.stack([x.ravel(), y.ravel()], 1), each, 0))
    return np.concatenate(centres)


def _decode(boxes, scores, anchors, x0: float, y0: float, side: float) -> list[FaceBox]:
    """Weighted suppression as MediaPipe does it: overlapping boxes are averaged by their scores."""
    probability = 1 / (1 + np.exp(-scores.astype(np.float64).clip(-50, 50)))
    likely = np.flatnonzero(probability > MIN_SCORE)
    faces = []
    for i in likely:
        box = boxes[i] / INPUT
        cx, cy = box[0] + anchors[i, 0], box[1] + anchors[i, 1]
        eyes = box[4:8].reshape(2, 2) + anchors[i]
        across = eyes[1] - eyes[0]
        faces.append(
            FaceBox(
                float(x0 + side * (cx - box[2] / 2)),
                float(y0 + side * (cy - box[3] / 2)),
                float(side * box[2]),
                float(side * box[3]),
                float(probability[i]),
                float(np.arctan2(across[1], across[0])),
            )
        )
    return list(_merge(faces))


def _merge(faces: list[FaceBox]) -> tuple[FaceBox, ...]:
    left = sorted(faces, key=lambda face: -face.score)
    kept = []
    while left:
        best = left[0]
        same = [face for face in left if overlap(best, face) > SAME_FACE]
        left = [face for face in left if face not in same]
        weights = np.array([face.score for face in same])
        values = np.array([[f.left, f.top, f.width, f.height] for f in same])
        left_edge, top, width, height = (weights @ values / weights.sum()).tolist()
        kept.append(FaceBox(left_edge, top, width, height, best.score, best.roll_rad))
    return tuple(sorted(kept, key=lambda face: -face.width * face.height))


def overlap(a: FaceBox, b: FaceBox) -> float:
    """Intersection over the smaller of both: a face found in a window may be cut by its edge."""
    across = min(a.left + a.width, b.left + b.width) - max(a.left, b.left)
    down = min(a.top + a.height, b.top + b.height) - max(a.top, b.top)
    return max(across, 0) * max(down, 0) / max(min(a.width * a.height, b.width * b.height), 1e-9)


def _starts(length: float, side: float) -> list[float]:
    """Where windows of ``side`` begin so that they cover ``length`` with at least half an overlap."""
    if side >= length:
        return [(length - side) / 2]
    count = int(np.ceil((length - side) / (side / 2))) + 1
    return np.linspace(0, length - side, count).tolist()
