"""Where a photo shows hair.

What of the person lies outside the bald head that was found there is hair (or a hat) above the brows, and teaches what colour
hair has in this photo; the lower half of the face teaches the skin's, and what is below the shoulders the clothes'. By colour
and by where it is the rest of the person is told apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from ..portrait.matte import INPUT, matte_of
from ..portrait.portrait import Portrait
from ..rasterise import rasterise
from .face_map import BROWS, EYES, LIPS, OVAL
from .head import Head

#: The picture in which hair is looked for: its width in mm at the head, and how far down it the eyes are, mm. The network that
#: finds the person knows such views.
WIDE, EYES_DOWN = 480.0, 210.0
MM = WIDE / INPUT
CHIN, CHEEKS = 152, (234, 454)
#: Hair is no further beside the head than this, mm: others' heads and curtains are.
BESIDE = 120.0
#: What teaches the hair's colour is within this many mm of the bald head, and more than this many pixels of it are needed.
NEAR, FEW = 70.0, 120
#: By how much less likely (logarithm) than nearly all of the face what is above the brows must be to teach the hair's colour.
UNLIKE_SKIN = 2.0
#: Kinds of colour of which skin, hair and clothes are made up, how much more than brightness the colour itself counts, and the
#: least variance of each, of 255.
KINDS, COLOURFUL, LEAST = 3, 1.5, 30.0
#: Log likelihood of what is neither.
NEITHER = -16.0
#: Patches of hair and holes in it that are smaller, pixels, are none, nor is what is narrower: the shaded rim of a bald head.
PATCH, HOLE, THREAD = 80, 150, 7


@dataclass(frozen=True)
class View:
    """A head in a square picture of its own, :data:`MM` mm to a pixel.

    ``picture`` (S, S, 3) uint8; ``matrix`` (2, 3) brings pixels of the photo there; ``known`` (S, S) where the photo has any;
    ``person`` (S, S) where somebody is; ``places`` (S, S, 3) of the bald head in the head frame, 0 where it is not, ``bald``
    (S, S); ``landmarks`` (478, 2) pixels.
    """

    picture: np.ndarray
    matrix: np.ndarray
    known: np.ndarray
    person: np.ndarray
    places: np.ndarray
    bald: np.ndarray
    landmarks: np.ndarray

    @classmethod
    def of(cls, portrait: Portrait, head: Head) -> View:
        """The view of the head that was made of a portrait; :class:`AssetError` ``asset_missing``."""
        right, left, middle = head.project(np.array([[-40.0, 0, 0], [40.0, 0, 0], [0, 0, -80.0]]))
        roll = -np.arctan2(left[1] - right[1], max(left[0] - right[0], 1e-6))
        zoom = 1 / (MM * head.pixels_per_mm())
        cos, sin = zoom * np.cos(roll), zoom * np.sin(roll)
        turn = np.array([[cos, -sin], [sin, cos]])
        matrix = np.c_[turn, np.array([INPUT / 2, EYES_DOWN / MM]) - turn @ middle]
        image = portrait.image if zoom > 0.7 else cv2.GaussianBlur(portrait.image, (0, 0), 0.4 / zoom)
        size = (INPUT, INPUT)
        picture = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        known = cv2.warpAffine(np.ones(image.shape[:2], np.uint8), matrix, size, flags=cv2.INTER_NEAREST) > 0
        seen = head.project(head.vertices) @ turn.T + matrix[:, 2]
        raster = rasterise(np.c_[seen, head.vertices @ head.towards_camera()], head.triangles, INPUT, INPUT)
        places = raster.interpolate(head.triangles, head.vertices)
        landmarks = portrait.landmarks[:, :2] @ turn.T + matrix[:, 2]
        return cls(picture, matrix, known, matte_of(picture) > 0.5, places, raster.triangle >= 0, landmarks)

    @cached_property
    def rows(self) -> np.ndarray:
        return np.broadcast_to(np.arange(INPUT)[:, None], (INPUT, INPUT))

    @property
    def brows(self) -> float:
        """The row in which the brows begin."""
        return float(self.landmarks[[one for around in BROWS for one in around], 1].min())

    @property
    def chin(self) -> float:
        """The row of the chin."""
        return float(self.landmarks[CHIN, 1])

    @cached_property
    def beside(self) -> np.ndarray:
        """How far, mm, pixels are to the side of the head's axis."""
        return np.broadcast_to(np.abs(np.arange(INPUT) - INPUT / 2) * MM, (INPUT, INPUT))

    def within(self, around: tuple[int, ...], grow: int = 0) -> np.ndarray:
        """The pixels (S, S) within some landmarks, and so many more, or less, around them."""
        mask = np.zeros((INPUT, INPUT), np.uint8)
        cv2.fillConvexPoly(mask, np.rint(cv2.convexHull(self.landmarks[list(around)].astype(np.float32))).astype(np.int32), 1)
        change = cv2.dilate if grow > 0 else cv2.erode
        return change(mask, np.ones((3, 3), np.uint8), iterations=abs(grow)) > 0

    def pixels(self, head: Head, points: np.ndarray) -> np.ndarray:
        """The pixels (..., 2) of the view that show points (..., 3) of the head frame."""
        seen = head.project(points.reshape(-1, 3)) @ self.matrix[:, :2].T + self.matrix[:, 2]
        return seen.reshape(*points.shape[:-1], 2)


def hair_mask(view: View) -> np.ndarray:
    """Where a view shows hair, (S, S) bool."""
    none = np.zeros((INPUT, INPUT), bool)
    person = view.person & view.known & (view.beside < BESIDE)
    oval, rows, bald = view.within(OVAL), view.rows, view.bald
    parts = np.any([view.within(around, 2) for around in (*BROWS, *EYES, LIPS)], 0)
    skin = _Colours.of(view, view.within(OVAL, -3) & (rows > view.brows) & ~parts)
    if skin is None:
        return none
    away = cv2.distanceTransform((~bald).astype(np.uint8), cv2.DIST_L2, 5) * MM
    ears = view.landmarks[list(CHEEKS), 1].mean()
    outside = person & (away > 2 * MM) & (away < NEAR) & ~oval & (rows < 0.4 * view.brows + 0.6 * ears)
    above = person & ~oval & (rows < view.brows)
    taught = outside | (above & (skin.log_likelihood < skin.usual - UNLIKE_SKIN))
    hair = _Colours.of(view, taught)
    if hair is None:
        return none
    low = (bald & (view.places[..., 1] < -150)) | (~bald & (rows > view.chin + 75 / MM))
    clothes = _Colours.of(view, person & low)
    may_be_hair, may_be_skin, may_be_clothes = _expected(view, oval)
    others = np.logaddexp(np.log(may_be_skin) + skin.log_likelihood, NEITHER)
    if clothes is not None:
        others = np.logaddexp(others, np.log(may_be_clothes) + clothes.log_likelihood)
    odds = np.clip(np.log(may_be_hair) + hair.log_likelihood - others, -6, 6)
    odds = cv2.bilateralFilter(np.where(person, odds, -6).astype(np.float32), 5, 6, 1.5)
    # A neighbour's shoulder does not reach so high.
    return _whole((cv2.GaussianBlur(odds, (0, 0), 1.2) > 0) & person, taught & (rows < view.brows + 10 / MM))


def _expected(view: View, oval: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How likely hair, skin and clothes are at each pixel (S, S) before its colour is looked at."""
    rows, bald = view.rows, view.bald
    x, y, z = np.moveaxis(view.places, 2, 0)
    skin = np.select([oval & (rows > view.brows), oval, bald & (rows > view.chin), bald], [0.995, 0.5, 0.5, 0.32], 0.03)
    clothes = np.where(rows < view.chin - 10 / MM, 0.002, 0.1 + 0.7 * np.clip((rows - view.chin) * MM / 120, 0, 1))
    clothes = np.where(bald & (y < -130), 0.9, clothes)
    hair = np.clip(1 - skin - clothes, 0.005, 1)
    hair = np.where(oval & (rows > view.brows + 8 / MM), 0.003, hair)
    throat = bald & (y < -101) & (np.abs(x) < 50) & (z > -110)
    return np.where(throat, 0.02, hair), skin, clothes


@dataclass(frozen=True)
class _Colours:
    """Which colours something has in a view: ``log_likelihood`` (S, S) of all pixels' colours, and the ``usual`` one, below
    which only few of its own pixels are."""

    log_likelihood: np.ndarray
    usual: float

    @classmethod
    def of(cls, view: View, where: np.ndarray) -> _Colours | None:
        """The colours of the pixels ``where`` (S, S); None when they are too few."""
        from scipy.cluster.vq import kmeans2

        if where.sum() < FEW:
            return None
        lab = cv2.GaussianBlur(cv2.cvtColor(view.picture, cv2.COLOR_RGB2Lab), (0, 0), 0.8)
        colours = lab.reshape(-1, 3) * (1.0, COLOURFUL, COLOURFUL)
        of_it = colours[where.ravel()]
        _, kind = kmeans2(of_it, KINDS, minit="++", seed=1, iter=8)
        said = []
        for number in range(KINDS):
            part = of_it[kind == number]
            if len(part) < 8:
                continue
            spread = np.cov(part.T) + np.eye(3) * LEAST
            apart = np.linalg.solve(np.linalg.cholesky(spread), (colours - part.mean(0)).T)
            said.append(np.log(len(part) / len(of_it)) - 0.5 * (apart**2).sum(0) - 0.5 * np.linalg.slogdet(spread)[1])
        likelihood = np.logaddexp.reduce(said).reshape(INPUT, INPUT)
        return cls(likelihood, float(np.percentile(likelihood[where], 3)))


def _whole(mask: np.ndarray, taught: np.ndarray) -> np.ndarray:
    """A mask (S, S) without small holes, without threads, and without patches that have nothing of what was ``taught``."""
    _, hole, measures, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    small = measures[:, cv2.CC_STAT_AREA] < HOLE
    small[0] = False
    wide = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (THREAD, THREAD))
    whole = cv2.morphologyEx((mask | small[hole]).astype(np.uint8), cv2.MORPH_OPEN, wide)
    _, patch = cv2.connectedComponents(whole, connectivity=4)
    sure = np.bincount(patch[taught], minlength=patch.max() + 1) > PATCH
    sure[0] = False
    return sure[patch]
