"""A map of a face as it is seen from the front, in millimetres of its head, and what a photo shows at each place of it.

The landmarks bring one to the other: where a landmark is in the photo, and where on the head. Turned faces, perspective and an
expression that the head has no more are all the same to them.
"""

from __future__ import annotations

import numpy as np

from ..rasterise import rasterise
from .head import MAP_SHAPE, MAP_STEP, MAP_TOP_LEFT, Head

#: MediaPipe's landmarks around the face, the eyes (the outer and the inner corner are the first and the ninth), the brows, and
#: the lips; an iris's middle for each eye. Those of the face's surface come first.
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136,
    172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
EYES = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)
BROWS = ((70, 63, 105, 66, 107, 55, 65, 52, 53, 46), (300, 293, 334, 296, 336, 285, 295, 282, 283, 276))
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
#: The edges of the mouth between the lips, both from the subject's right to the left.
UPPER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
MOUTH = (*LOWER_LIP, *UPPER_LIP[-2:0:-1])
IRISES = (468, 473)
SURFACE = 468
#: The cosine between the face and the line of sight up to which a place is not seen, and from which on it is seen well.
SEEN = (0.25, 0.55)
#: mm around a part of the face within which its surface is drawn.
MARGIN_MM = 2.0


class FaceMap:
    """The map of a face: ``seen`` (478, 2) are its landmarks in pixels of the photo, and ``head`` is what was found there.

    Places are (row, column) of :data:`MAP_SHAPE`.
    """

    def __init__(self, seen: np.ndarray, head: Head) -> None:
        from scipy.spatial import Delaunay

        self.seen, self._head, self.pixels_per_mm = seen.astype(np.float64), head, head.pixels_per_mm()
        self.landmarks = head.landmarks.astype(np.float64)
        #: (478, 2) columns and rows of the landmarks; (H, W, 2) those of all places.
        self.places = _columns_and_rows(self.landmarks)
        self.grid = np.stack(np.meshgrid(*map(np.arange, MAP_SHAPE[::-1])), 2).astype(np.float64)
        mesh = Delaunay(self.places[:SURFACE])
        self._triangles = mesh.simplices
        places = self.grid.reshape(-1, 2)
        triangle = mesh.find_simplex(places)
        transform = mesh.transform[triangle]
        two = np.einsum("nij,nj->ni", transform[:, :2], places - transform[:, 2])
        self._weights, self._corners = np.c_[two, 1 - two.sum(1)], mesh.simplices[triangle]
        #: (H, W) which places are within the landmarks, and there their z in mm, -inf elsewhere.
        self.inside = (triangle >= 0).reshape(MAP_SHAPE)
        self.front = np.where(self.inside, self._spread(self.landmarks[:SURFACE, 2]), -np.inf).astype(np.float32)

    def visible(self) -> np.ndarray:
        """How well each place is seen in the photo, (H, W) 0..1: by the share of its area that is left there."""
        corners, seen = self.landmarks[self._triangles], self.seen[self._triangles]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        left = _signed(seen) * np.sign(_signed(self.places[self._triangles])) / self.pixels_per_mm**2
        whole, shown = (np.bincount(self._triangles.ravel(), part.repeat(3), SURFACE) for part in (area, left))
        return (ramp(self._spread(shown / np.maximum(whole, 1e-9)), *SEEN) * self.inside).astype(np.float32)

    def colours(self, image: np.ndarray, pixels: np.ndarray | None = None) -> np.ndarray:
        """The colours (H, W, 3) float32 of a photo (H', W', 3) uint8 at all places, or at ``pixels`` (H, W, 2) for each."""
        import cv2

        finer = 0.4 * MAP_STEP * self.pixels_per_mm
        if finer > 0.4:
            # What the map is too coarse for would come out as something else.
            image = cv2.GaussianBlur(image, (0, 0), finer)
        pixels = self._spread(self.seen[:SURFACE]) if pixels is None else pixels
        # Landmarks count from a pixel's edge, and this from its middle.
        x, y = np.moveaxis(pixels.astype(np.float32) - 0.5, 2, 0)
        return cv2.remap(image.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def region(self, around: tuple[int, ...], grow: float = 0.0, soft: float = 0.5) -> np.ndarray:
        """1 within some landmarks, moved out by ``grow`` mm, 0 outside, and between them ``soft`` mm to both sides: (H, W)."""
        import cv2

        mask = np.zeros(MAP_SHAPE, np.uint8)
        cv2.fillPoly(mask, [np.rint(self.places[list(around)] * 16).astype(np.int32)], 255, shift=4)
        inwards = cv2.distanceTransform(mask, cv2.DIST_L2, 5) - cv2.distanceTransform(255 - mask, cv2.DIST_L2, 5)
        return ramp(inwards * MAP_STEP + grow, -soft, soft).astype(np.float32)

    def place_of(self, pixel: np.ndarray) -> np.ndarray:
        """Column and row (2,) of a pixel of the photo: by the triangle that it is most within."""
        corners = self.seen[self._triangles]
        whole = _signed(corners)
        shares = []
        for corner in range(3):
            moved = corners.copy()
            moved[:, corner] = pixel
            shares.append(_signed(moved) / np.where(whole == 0, np.inf, whole))
        weights = np.stack(shares, 1)
        best = int(weights.min(1).argmax())
        return weights[best] @ self.places[self._triangles[best]]

    def surface(self, around: tuple[int, ...]) -> np.ndarray:
        """z in mm of the head's own surface around some landmarks, (H, W) float32; -inf elsewhere."""
        vertices = self._head.vertices
        points = np.c_[_columns_and_rows(vertices) + 0.5, vertices[:, 2]]
        part, margin = self.places[list(around)], MARGIN_MM / MAP_STEP
        near = ((points[:, :2] > part.min(0) - margin) & (points[:, :2] < part.max(0) + margin)).all(1)
        triangles = self._head.triangles[near[self._head.triangles].all(1)]
        return rasterise(points, triangles, *MAP_SHAPE[::-1]).depth

    def _spread(self, values: np.ndarray) -> np.ndarray:
        """Values (V, ...) of the surface's landmarks at all places (H, W, ...); those outside them are not to be used."""
        return np.einsum("nk,nk...->n...", self._weights, values[self._corners]).reshape(*MAP_SHAPE, *values.shape[1:])


def blurred(values: np.ndarray, mm: float) -> np.ndarray:
    """A map (H, W, ...) float32 without what is finer than some mm."""
    import cv2

    return cv2.GaussianBlur(values, (0, 0), mm / MAP_STEP)


def ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 up to ``low``, 1 from ``high`` on, and smooth between them."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def _columns_and_rows(points: np.ndarray) -> np.ndarray:
    return (points[:, :2] - MAP_TOP_LEFT) * (1 / MAP_STEP, -1 / MAP_STEP)


def _signed(corners: np.ndarray) -> np.ndarray:
    """Twice the areas (T,) of triangles (T, 3, 2), negative for those that turn the other way."""
    (ax, ay), (bx, by), (cx, cy) = np.moveaxis(corners, 0, 2)
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
