"""Which way the picture gets brighter around points of the face, at the full fineness of the picture.

The encoder's maps have a place for every four pixels and more. Where a lid, a lip or a jaw really ends, the gradients'
directions show (Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005; as features of a descent:
Xiong and De la Torre, CVPR 2013).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch.nn.functional import grid_sample, normalize

#: Directions that are told apart, and how sharply: a gradient counts for those near its own with this power of the cosine.
DIRECTIONS, SHARPNESS = 8, 3
#: Histograms a side of a patch, pixels between them, and the spread over which each of them gathers.
CELLS, PITCH, GATHERED = 7, 3.5, 1.6
#: Spread in pixels by which grain is smoothed first.
SMOOTHED = 0.8
#: Numbers of a patch.
PATCH = DIRECTIONS * CELLS**2


def direction_maps(picture: np.ndarray) -> np.ndarray:
    """How much of a picture (H, W, 3) uint8 gets brighter in each direction: (DIRECTIONS, H, W) float32, for a picture of any
    exposure alike."""
    import cv2

    grey = picture.astype(np.float32).mean(2)
    grey = cv2.GaussianBlur((grey - grey.mean()) / (grey.std() + 5), (0, 0), SMOOTHED)
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *axis, ksize=3) for axis in ((1, 0), (0, 1)))
    # The root of its length: a shadow's edge is no hundred times as telling as a lid's.
    size = np.sqrt(across * across + down * down) + 1e-6
    weight = size ** (0.5 - SHARPNESS)
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    along = (np.maximum(np.float32(np.cos(a)) * across + np.float32(np.sin(a)) * down, 0) for a in angles)
    return np.stack([cv2.GaussianBlur(one**SHARPNESS * weight, (0, 0), GATHERED) for one in along])


def patches(maps: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(P, PATCH) what :func:`direction_maps` show around ``places`` ((P, 2) pixels), each patch of length one."""
    size = maps.shape[1]
    steps = PITCH * (np.arange(CELLS) - CELLS // 2)
    around = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    grid = torch.from_numpy((places[:, None] + around) * (2 / size) - 1).float()
    shown = grid_sample(torch.from_numpy(maps)[None], grid[None], padding_mode="border", align_corners=False)[0]
    return normalize(shown.permute(1, 2, 0).flatten(1), dim=1, eps=1e-3).numpy()


def read_around(pictures: Iterable[np.ndarray], places: np.ndarray) -> np.ndarray:
    """The patches of ``pictures`` (B of (H, W, 3) uint8) at ``places`` (B, P, 2): (B, P, PATCH)."""
    return np.stack([patches(direction_maps(picture), place) for picture, place in zip(pictures, places, strict=True)])
