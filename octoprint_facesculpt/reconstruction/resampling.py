"""Bringing a part of a picture into the square a network looks at."""

from __future__ import annotations

import numpy as np


def resample(image: np.ndarray, matrix: np.ndarray, side: int, *, edge: bool = True) -> np.ndarray:
    """The square picture (side, side, 3) uint8 into which ``matrix`` ((2, 3) similarity, pixels to pixels) brings ``image``.

    Beyond the picture ((H, W, 3) uint8) its ``edge`` is repeated, or it is black.
    """
    import cv2

    zoom = np.hypot(matrix[0, 0], matrix[1, 0])
    if zoom < 0.5:  # an area filter first: bilinear sampling alone would alias
        size = np.maximum(1, np.round(2 * zoom * np.array(image.shape[1::-1]))).astype(int)
        ratio = size / np.array(image.shape[1::-1])
        image = cv2.resize(image, size.tolist(), interpolation=cv2.INTER_AREA)
        matrix = np.c_[matrix[:, :2] / ratio, matrix[:, 2]]
    # OpenCV's pixel centres are whole numbers, ours lie at halves.
    centred = np.c_[matrix[:, :2], matrix[:, 2] + matrix[:, :2] @ [0.5, 0.5] - 0.5]
    border = cv2.BORDER_REPLICATE if edge else cv2.BORDER_CONSTANT
    return cv2.warpAffine(image, centred, (side, side), flags=cv2.INTER_LINEAR, borderMode=border)
