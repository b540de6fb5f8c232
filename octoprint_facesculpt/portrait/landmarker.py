"""MediaPipe's face landmark network, run by OpenCV: 478 points that tell where the face is and how it is turned.

The network (``face_landmarks_detector.tflite`` of Google's Face Landmarker, Apache-2.0) looks at a square, upright region
of 256 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .portrait import FaceBox

#: Side of the network's input in pixels.
INPUT = 256
#: Landmarks at the outer corners of the subject's right and left eye.
RIGHT_EYE, LEFT_EYE = 33, 263


@dataclass(frozen=True)
class Roi:
    """A square region: middle and side in pixels of the image, roll in radians (positive = clockwise)."""

    cx: float
    cy: float
    size: float
    roll_rad: float

    @classmethod
    def from_box(cls, box: FaceBox) -> Roi:
        """The region MediaPipe takes around a detection: 1.5 times its longer side, turned upright."""
        middle = box.left + box.width / 2, box.top + box.height / 2
        return cls(*middle, 1.5 * max(box.width, box.height), box.roll_rad)

    @classmethod
    def from_landmarks(cls, landmarks: np.ndarray) -> Roi:
        """The region MediaPipe takes from the last landmarks ((478, 3) pixels) when it tracks a face."""
        points = landmarks[:468, :2]
        across = landmarks[LEFT_EYE, :2] - landmarks[RIGHT_EYE, :2]
        roll = float(np.arctan2(across[1], across[0]))
        turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
        upright = points @ turn.T
        low, high = upright.min(0), upright.max(0)
        middle = turn.T @ ((low + high) / 2)
        return cls(float(middle[0]), float(middle[1]), 1.5 * float((high - low).max()), roll)

    def matrix(self) -> np.ndarray:
        """(2, 3) similarity from pixels of the region (0..INPUT) to pixels of the image."""
        zoom = self.size / INPUT
        cos, sin = zoom * np.cos(self.roll_rad), zoom * np.sin(self.roll_rad)
        turn = np.array([[cos, -sin], [sin, cos]])
        return np.c_[turn, [self.cx, self.cy] - turn @ [INPUT / 2, INPUT / 2]]


@dataclass(frozen=True)
class LandmarkResult:
    """Landmarks (478, 3) in pixels of the image (z alike, negative towards the camera), and the probability (0..1) that
    there is a face."""

    landmarks: np.ndarray
    presence: float


class Landmarker:
    """The landmark network. One instance is not to be used by two threads at a time."""

    def __init__(self, landmarks_model: Path) -> None:
        # OpenCV 5's new engine gives out the last layer only.
        engine = (cv2.dnn.ENGINE_CLASSIC,) if hasattr(cv2.dnn, "ENGINE_CLASSIC") else ()
        self._net = cv2.dnn.readNetFromTFLite(str(landmarks_model), *engine)

    def run(self, image: np.ndarray, roi: Roi) -> LandmarkResult:
        """Find the landmarks of the face in ``roi`` of ``image`` ((H, W, 3) uint8, RGB)."""
        matrix = roi.matrix()
        # OpenCV's pixel centres are whole numbers, ours lie at halves.
        sampling = matrix.copy()
        sampling[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        region = cv2.warpAffine(image, sampling, (INPUT, INPUT), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        self._net.setInput(cv2.dnn.blobFromImage(region, 1 / 255.0))
        points, presence = self._net.forward(["Identity", "Identity_1"])
        points = points.reshape(478, 3).astype(np.float64)
        placed = np.c_[points[:, :2] @ matrix[:, :2].T + matrix[:, 2], points[:, 2] * roi.size / INPUT]
        score = 1 / (1 + np.exp(-float(presence.ravel()[0])))
        return LandmarkResult(placed.astype(np.float32), score)
