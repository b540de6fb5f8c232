"""The teeth between the lips of somebody who smiles: a head has none, and its mouth is a hole.

Where the photo is bright between the lips there are teeth, a little behind them; where it is dark the mouth is open as before.
"""

from __future__ import annotations

import numpy as np

from .face_map import LIPS, LOWER_LIP, UPPER_LIP, FaceMap, blurred, ramp
from .head import MAP_SHAPE, MAP_STEP

#: The head's mouth is open where its surface is so many mm behind the lips; lower openings, mm, show no teeth.
OPEN_MM, LEAST_MM = 2.5, 2.0
#: What is as bright as this share of the skin is a tooth, and at least this share of the mouth has to be.
BRIGHT, LEAST_SHARE = 0.7, 0.15
#: Teeth are so many mm behind the lips, under which they reach so far, and there they are at least this far below the surface.
BEHIND, UNDER, HIDDEN = 4.0, 4.0, 2.0
#: How deep, mm, the mouth is where it is dark: from which logarithm of the share of the skin's brightness on, and all of it.
DEEP, DARK = 8.0, (0.35, 0.9)
#: How deep the furrows between teeth are, mm, how wide, mm, and the contrast at which three quarters of that are reached.
FURROW, FURROW_MM, CONTRAST = 0.6, 1.5, 0.12


def teeth_of(face: FaceMap, image: np.ndarray, skin: float) -> np.ndarray:
    """z in mm of the teeth that a photo (H', W', 3) uint8 shows, whose ``skin`` is so bright, as far as they reach under the
    lips: (H, W) float32, NaN elsewhere."""
    import cv2

    none = np.full(MAP_SHAPE, np.nan, np.float32)
    surface = face.surface(LIPS)
    mouth = _hole(face, surface)
    columns = np.flatnonzero(mouth.any(0))
    if not len(columns) or mouth.sum(0).max() * MAP_STEP < LEAST_MM:
        return none
    pixels = _between_the_lips(face, mouth, columns)
    bright = cv2.cvtColor(face.colours(image, pixels), cv2.COLOR_RGB2GRAY) / max(skin, 1.0)
    if (bright[mouth] > BRIGHT).mean() < LEAST_SHARE:
        return none
    light = blurred(np.log(np.maximum(bright, 0.06)).astype(np.float32), 0.4)
    depth = DEEP * ramp(-light, *DARK) - FURROW * np.tanh((light - blurred(light, FURROW_MM)) / CONTRAST)
    # From the lips' edges on to where they hide it.
    depth *= blurred(cv2.dilate(mouth.astype(np.float32), np.ones((3, 3))), 0.5)
    z = np.where(mouth, face.front - BEHIND, np.minimum(face.front - BEHIND, surface - HIDDEN)) - depth
    reach = 2 * round(UNDER / MAP_STEP) + 1
    under = cv2.dilate(mouth.astype(np.uint8), np.ones((reach, reach))) > 0
    return np.where(under & np.isfinite(z), z, np.nan).astype(np.float32)


def _hole(face: FaceMap, surface: np.ndarray) -> np.ndarray:
    """Where the mouth of a head with such a ``surface`` (z, (H, W)) is open, (H, W) bool: the largest such place."""
    import cv2

    open_ = (face.region(LIPS, -0.5) > 0.5) & (surface < face.front - OPEN_MM)
    _, parts, figures, _ = cv2.connectedComponentsWithStats(open_.astype(np.uint8))
    sizes = figures[1:, cv2.CC_STAT_AREA]
    return parts == 1 + sizes.argmax() if len(sizes) else open_


def _between_the_lips(face: FaceMap, mouth: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Pixels (H, W, 2) of the photo for the places of an open ``mouth`` (H, W) that has some ``columns``: as far from its
    corners and as far between its lips. The landmarks on the lips' edges of a head lie too near to each other for that."""
    everywhere = np.arange(MAP_SHAPE[1])
    right, left = face.places[[UPPER_LIP[0], UPPER_LIP[-1]], 0]
    across = np.clip((everywhere - right) / (left - right), 0, 1)
    upper, lower = (_along(face.seen[list(lip)], across) for lip in (UPPER_LIP, LOWER_LIP))
    top = np.interp(everywhere, columns, mouth[:, columns].argmax(0))
    high = np.interp(everywhere, columns, mouth[:, columns].sum(0))
    down = ((np.arange(MAP_SHAPE[0])[:, None] - top) / high)[..., None]
    return (1 - down) * upper + down * lower


def _along(line: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Points (N, 2) at some shares of the length of a line (P, 2)."""
    length = np.r_[0, np.linalg.norm(np.diff(line, axis=0), axis=1).cumsum()]
    return np.stack([np.interp(shares * length[-1], length, line[:, axis]) for axis in (0, 1)], 1)
