"""Light and dark of the hair in a photo: what of it is locks and what strands, and which way they run.

The way is that of the structure tensor: across it light and dark change most. Where hair curls it is another one every few mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..portrait.matte import INPUT
from .face_map import ramp
from .hair_mask import MM, View

#: Pixels of the picture whose light and dark is looked at for each of the view's, and mm of one.
FINER = 2.0
PIXEL = MM / FINER
#: Light and dark, of 255, is compared in proportion, of what is brighter than so much.
DARKEST = 24.0
#: Widths (standard deviation, mm) between which locks are in the picture, and strands.
LOCKS_MM, STRANDS_MM = (1.3, 5.0), (0.5, 1.6)
#: mm over which contrast is evened out, and the contrast (logarithm) below which it is noise.
EVEN, NOISE = 18.0, 0.05
#: Blur (standard deviation, mm) before slopes of the picture are taken, and those within which they are compared, with shares.
SLOPES, TOGETHER = 1.0, ((3.0, 1.0), (8.0, 0.8))
#: Pixels of the photo for a mm of the head below which it shows no strands, and from which on it shows them all.
BLURRED, SHARP = 0.6, 1.8
#: How well within the hair, 0..1, something counts as such, and from where on wholly.
WELL_WITHIN = (0.6, 0.95)
#: The mean square of slopes that is nothing, and how light and how dark something is at most, in usual contrasts.
FLAT, MOST = 0.004, 2.5
#: How much alike slopes are, 0..1, where they say nothing of a direction, and where they are sure of it.
UNLIKE, ALIKE = 0.12, 0.4
#: mm within which directions are compared.
ORDER = 9.0


@dataclass(frozen=True)
class Grain:
    """Light and dark of a view's hair, :data:`FINER` times as fine as it (S, S): in the widths of ``locks`` and of ``strands``,
    of about -2..2; ``double`` (S, S, 2) cosine and sine of twice the direction (x right, y down) in which it runs, as long as
    sure that is, 0..1; ``order`` (S, S) 0..1 how much alike directions are around there; ``hair`` (S, S) 0..1 where there is
    any; ``sharp`` 0..1 how far the photo is fine enough for strands."""

    locks: np.ndarray
    strands: np.ndarray
    double: np.ndarray
    order: np.ndarray
    hair: np.ndarray
    sharp: float

    @classmethod
    def of(cls, image: np.ndarray, view: View, mask: np.ndarray, pixels_per_mm: float) -> Grain:
        """The grain of the hair, ``mask`` (INPUT, INPUT), of a photo (H, W, 3) with so many pixels for a mm."""
        side = round(INPUT * FINER)
        grey: np.ndarray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        if (blur := 0.4 * PIXEL * pixels_per_mm) > 0.4:
            grey = cv2.GaussianBlur(grey, (0, 0), blur)
        grey = cv2.warpAffine(grey, FINER * view.matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        light = np.log(DARKEST + grey)
        hair = cv2.resize((mask & view.known).astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
        # Its edge against the face and against what is behind it is no strand.
        hair = ramp(_blur(hair, 1.0), *WELL_WITHIN).astype(np.float32)

        def mean(values: np.ndarray, mm: float) -> np.ndarray:
            return _blur(values * hair, mm) / (_blur(hair, mm) + 1e-3)

        def band(fine: float, coarse: float) -> np.ndarray:
            of_it = mean(light, fine) - mean(light, coarse)
            return np.clip(of_it / (np.sqrt(mean(of_it**2, EVEN)) + NOISE), -MOST, MOST)

        locks, strands = band(*LOCKS_MM), band(*STRANDS_MM)
        even = _blur((locks + 0.5 * strands) * hair, max(SLOPES, 0.5 / pixels_per_mm))
        x, y = (cv2.Sobel(even, cv2.CV_32F, *way, scale=1 / 8) * hair for way in ((1, 0), (0, 1)))
        double, total = np.zeros((side, side, 2), np.float32), np.full((side, side), FLAT, np.float32)
        for together, share in TOGETHER:
            xx, yy, xy = (_blur(part, together) for part in (x * x, y * y, x * y))
            # Strands run across the slopes.
            double += share * np.stack([yy - xx, -2 * xy], 2)
            total += share * (xx + yy)
        sharp = float(np.interp(pixels_per_mm, (BLURRED, SHARP), (0, 1)))
        strength = np.linalg.norm(double, axis=2)
        sure = ramp(strength / total, UNLIKE, ALIKE)
        double *= (sure / (strength + 1e-12))[..., None]
        order = np.linalg.norm(_blur(double, ORDER), axis=2) / (_blur(np.linalg.norm(double, axis=2), ORDER) + 1e-3)
        return cls(locks, strands, double, order, hair, sharp)

    def at(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """``locks``, ``strands``, ``double``, ``order`` and ``hair`` at pixels (..., 2) of the view."""
        places = (FINER * pixels - 0.5).astype(np.float32)
        column, row = np.ascontiguousarray(places[..., 0]), np.ascontiguousarray(places[..., 1])
        return tuple(
            cv2.remap(part.astype(np.float32), column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for part in (self.locks, self.strands, self.double, self.order, self.hair)
        )


def _blur(picture: np.ndarray, mm: float) -> np.ndarray:
    """A picture (S, S) blurred by so many mm."""
    return cv2.GaussianBlur(picture, (0, 0), mm / PIXEL)
