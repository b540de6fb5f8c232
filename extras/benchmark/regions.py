"""Regions of the face as in REALY (Chai et al., ECCV 2022): nose, mouth, forehead, cheeks."""

from __future__ import annotations

import numpy as np
from protocol import SEVEN, Scan, apply, similarity

#: MediaPipe's landmarks in each region; a point of a scan belongs to the region of the landmark nearest to it.
LANDMARKS = {
    "nose": (
        1, 2, 3, 4, 5, 6, 19, 20, 44, 45, 48, 49, 51, 59, 60, 64, 75, 79, 94, 97, 98, 99, 102, 115, 122, 125, 129, 131, 134,
        141, 166, 168, 174, 188, 193, 195, 196, 197, 198, 209, 217, 218, 219, 220, 235, 236, 237, 238, 239, 240, 241, 242, 248,
        250, 274, 275, 278, 279, 281, 289, 290, 294, 305, 309, 326, 327, 328, 331, 344, 351, 354, 358, 360, 363, 370, 392, 399,
        412, 417, 419, 420, 429, 437, 438, 439, 440, 455, 456, 457, 458, 459, 460, 461, 462,
    ),
    "mouth": (
        0, 11, 12, 13, 14, 15, 16, 17, 37, 38, 39, 40, 41, 42, 61, 62, 72, 73, 74, 76, 77, 78, 80, 81, 82, 84, 85, 86, 87, 88,
        89, 90, 91, 95, 96, 146, 178, 179, 180, 181, 183, 184, 185, 191, 267, 268, 269, 270, 271, 272, 291, 292, 302, 303, 304,
        306, 307, 308, 310, 311, 312, 314, 315, 316, 317, 318, 319, 320, 321, 324, 325, 375, 402, 403, 404, 405, 407, 408, 409,
        415, 57, 287, 164, 393, 167, 18, 313, 83, 182, 406, 106, 335,
    ),
    "forehead": (
        8, 9, 10, 21, 54, 67, 68, 69, 71, 103, 104, 107, 108, 109, 151, 251, 284, 297, 298, 299, 301, 332, 333, 336, 337, 338,
        55, 285, 66, 296, 105, 334, 63, 293, 70, 300,
    ),
    "cheeks": (
        36, 50, 101, 111, 116, 117, 118, 119, 123, 137, 147, 177, 187, 192, 205, 206, 207, 212, 213, 214, 215, 216, 227, 266,
        280, 330, 340, 345, 346, 347, 348, 352, 366, 376, 401, 411, 416, 425, 426, 427, 432, 433, 434, 435, 436, 447, 203, 423,
        142, 371, 126, 355, 100, 329,
    ),
}  # fmt: skip


def regions(scan: Scan, landmarks: np.ndarray) -> dict[str, np.ndarray]:
    """Numbers of the scan's points in each region.

    ``landmarks`` ((478, 3), any frame) are those of the average head: which landmark a point is nearest to must not depend on
    what is judged.
    """
    from scipy.spatial import cKDTree

    placed = apply(similarity(landmarks[list(SEVEN)], scan.surface.landmarks), landmarks[:468])
    nearest = cKDTree(placed).query(scan.points)[1]
    return {name: np.flatnonzero(np.isin(nearest, numbers)) for name, numbers in LANDMARKS.items()}
