"""A head's front as a portrait shows it: what is seen of it, where, in which colours, and how the light falls on its skin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from ..portrait.portrait import Portrait
from .face_map import SURFACE, ramp
from .head import Head
from .unrolled import SHAPE, STEP, Unrolled

#: MediaPipe's landmarks before the ears; the axis of the map is behind them, mm.
EARS, BEHIND = (234, 454), 12.0
#: Cosines between the surface and the line of sight up to which a place is not seen, and from which on it is seen well.
SEEN = (0.2, 0.45)
#: What is further behind what the photo shows there, mm, is hidden by it; and the size of such a place, mm.
HIDDEN, CELL = 10.0, 3.0
#: Every so many places of the map it is found where the landmarks say that the photo shows them.
EVERY = 4
#: Surface is smoothed so much, mm, before it is asked which way it faces.
SMOOTH = 2.0


@dataclass(frozen=True)
class Frontal:
    """The map of a head as a portrait shows it.

    ``skull`` (R, C) is how far, mm, the bald head is from the axis, 0 where it is not; ``points`` (R, C, 3) are its places;
    ``normals`` (R, C, 3) point out of it; ``places`` (478, 2) are columns and rows of the landmarks; ``pixels`` (R, C, 2) of
    the photo show each place, and ``visible`` (R, C) 0..1 how well; ``colours`` (R, C, 3) float32.
    """

    map: Unrolled
    skull: np.ndarray
    points: np.ndarray
    normals: np.ndarray
    places: np.ndarray
    pixels: np.ndarray
    visible: np.ndarray
    colours: np.ndarray

    @classmethod
    def of(cls, portrait: Portrait, head: Head) -> Frontal:
        """The front of the head that was made of a portrait; its expression may be another one since."""
        unrolled = Unrolled(np.array([0.0, head.landmarks[list(EARS), 2].mean() - BEHIND]))
        skull = unrolled.outermost(head.vertices, head.triangles)
        points = unrolled.points(skull)
        places = unrolled.places(head.landmarks)[:, :2]
        pixels = _pixels(portrait.landmarks[:, :2], head, points, places)
        normals = _normals(points)
        image, finer = portrait.image, 0.4 * STEP * head.pixels_per_mm()
        visible = ramp((normals * _towards(head, points)).sum(2), *SEEN) * _first(head, points, pixels, skull > 0)
        height, width = image.shape[:2]
        visible *= ((pixels > 0) & (pixels < (width, height))).all(2)
        if finer > 0.4:
            # What the map is too coarse for would come out as something else.
            image = cv2.GaussianBlur(image, (0, 0), finer)
        # Pixels count from their edge, and this from their middle.
        x, y = np.moveaxis(pixels.astype(np.float32) - 0.5, 2, 0)
        colours = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
        return cls(unrolled, skull, points, normals, places, pixels, visible.astype(np.float32), colours)

    @cached_property
    def grey(self) -> np.ndarray:
        """The brightness (R, C), 0..255."""
        return cv2.cvtColor(self.colours, cv2.COLOR_RGB2GRAY)

    def region(self, around: tuple[int, ...], grow: float = 0.0, soft: float = 0.5) -> np.ndarray:
        """1 within some landmarks, moved out by ``grow`` mm, 0 outside, and between them ``soft`` mm to both sides: (R, C)."""
        mask = np.zeros(SHAPE, np.uint8)
        cv2.fillPoly(mask, [np.rint(self.places[list(around)] * 16).astype(np.int32)], 255, shift=4)
        inwards = cv2.distanceTransform(mask, cv2.DIST_L2, 5) - cv2.distanceTransform(255 - mask, cv2.DIST_L2, 5)
        return ramp(inwards * STEP + grow, -soft, soft).astype(np.float32)

    def row_of(self, line: tuple[int, ...]) -> np.ndarray:
        """The rows (C,) of a line along landmarks from the subject's right to the left."""
        columns, rows = self.places[list(line)].T
        order = np.argsort(columns, kind="stable")
        return np.interp(np.arange(SHAPE[1]) + 0.5, columns[order], rows[order])


def _pixels(seen: np.ndarray, head: Head, points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The pixels (R, C, 2) of a photo that show places (R, C, 3) of a head: where it was seen, but for what the landmarks, that
    were ``seen`` (478, 2) and have ``places`` (478, 2) on the map, are beside it."""
    from scipy.interpolate import LinearNDInterpolator

    rows, columns = SHAPE
    beside = (seen - head.project(head.landmarks))[:SURFACE]
    # Far from the face nothing is known of that.
    far = np.array([[-0.2, -0.2], [1.2, -0.2], [-0.2, 1.2], [1.2, 1.2]]) * (columns, rows)
    between = LinearNDInterpolator(np.r_[places[:SURFACE], far], np.r_[beside, np.zeros((4, 2))], fill_value=0.0)
    some = np.meshgrid(np.arange(0, columns + EVERY, EVERY), np.arange(0, rows + EVERY, EVERY))
    coarse = cv2.GaussianBlur(between(np.stack(some, 2).astype(np.float64)).astype(np.float32), (0, 0), 1.0)
    places_of = np.meshgrid(np.float32((np.arange(columns) + 0.5) / EVERY), np.float32((np.arange(rows) + 0.5) / EVERY))
    offset = cv2.remap(coarse, *places_of, cv2.INTER_LINEAR)
    return head.project(points.reshape(-1, 3)).reshape(rows, columns, 2) + offset


def _normals(points: np.ndarray) -> np.ndarray:
    smooth = cv2.GaussianBlur(points, (0, 0), SMOOTH / STEP)
    normals = np.cross(np.gradient(smooth, axis=0), np.gradient(smooth, axis=1))
    return normals / np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-9)


def _towards(head: Head, points: np.ndarray) -> np.ndarray:
    towards = head.camera() - points
    return towards / np.linalg.norm(towards, axis=2, keepdims=True)


def _first(head: Head, points: np.ndarray, pixels: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Which places (R, C, 3) nothing else of the map hides from the camera, (R, C) bool."""
    away = np.linalg.norm(head.camera() - points, axis=2)
    cell = np.floor(pixels / (CELL * head.pixels_per_mm())).astype(np.int64)
    cell -= cell.reshape(-1, 2).min(0)
    number = np.unique(cell[..., 1] * (cell[..., 0].max() + 1) + cell[..., 0], return_inverse=True)[1].reshape(SHAPE)
    nearest = np.full(number.max() + 1, np.inf)
    np.minimum.at(nearest, number[there], away[there])
    return there & (away - nearest[number] < HIDDEN)
