"""The network's input: the picture beside what the first guess would look like from the same camera."""

from __future__ import annotations

import numpy as np

from .alignment import CROP

#: MediaPipe landmark groups that get a Gaussian channel each: brows, eyes with irises, nose, lips, outline of the face.
LANDMARK_GROUPS = (
    (46, 52, 53, 55, 63, 65, 66, 70, 105, 107, 276, 282, 283, 285, 293, 295, 296, 300, 334, 336),
    (33, 133, 144, 145, 153, 154, 155, 157, 158, 159, 160, 161, 163, 173, 246, 263, 362, 373, 374, 380, 381, 382,
     384, 385, 386, 387, 388, 390, 398, 466, 468, 473),
    (1, 2, 4, 5, 6, 45, 48, 64, 97, 98, 115, 168, 195, 197, 220, 275, 278, 294, 326, 327, 344, 440),
    (0, 13, 14, 17, 37, 39, 40, 61, 78, 81, 82, 84, 87, 91, 146, 178, 181, 185, 191, 267, 269, 270, 291, 308, 311,
     312, 314, 317, 321, 375, 402, 405, 409, 415),
    (10, 21, 54, 58, 67, 93, 103, 109, 127, 132, 136, 148, 149, 150, 152, 162, 172, 176, 234, 251, 284, 288, 297,
     323, 332, 338, 356, 361, 365, 377, 378, 379, 389, 397, 400, 454),
)  # fmt: skip
#: Standard deviation of a landmark's Gaussian in crop pixels (VRN used 1 at 192 pixels).
LANDMARK_SIGMA = 1.0
#: Channels: model coordinates 3, normals 3, depth 1, silhouette 1, landmarks.
CHANNELS = 8 + len(LANDMARK_GROUPS)
#: Those that point sideways, and change their sign in a mirror.
SIDEWAYS = (0, 3)


def picture_channels(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8 as (3, H, W) float32 of one exposure: light tells little about shape, much about film."""
    scaled = picture.astype(np.float32) / 127.5 - 1.0
    return np.ascontiguousarray(((scaled - scaled.mean()) / (scaled.std() + 0.1)).transpose(2, 0, 1))


def guide_channels(surface: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Stack the dense guides, (CHANNELS, CROP, CROP) float32.

    Parameters
    ----------
    surface : (CROP, CROP, 8) float32
        The guess seen from the camera: model coordinates in mm, normals in camera axes, depth in mm, 1 on the head.
    landmarks : (478, 2) crop pixels
    """
    scaled = surface * np.array([0.01, 0.01, 0.01, 1, 1, 1, 0.01, 1], np.float32)
    heat = [landmark_heat(landmarks[list(group)]) for group in LANDMARK_GROUPS]
    return np.concatenate([scaled.transpose(2, 0, 1), heat]).astype(np.float32)


def landmark_heat(points: np.ndarray) -> np.ndarray:
    """One channel (CROP, CROP) with a Gaussian of height 1 at each of ``points`` ((N, 2) crop pixels)."""
    centres = np.arange(CROP) + 0.5
    across = np.exp(-((centres[None] - points[:, :1]) ** 2) / (2 * LANDMARK_SIGMA**2))
    down = np.exp(-((centres[None] - points[:, 1:2]) ** 2) / (2 * LANDMARK_SIGMA**2))
    return np.max(down[:, :, None] * across[:, None, :], axis=0)
