"""A beard as a photo shows it, a mass on the bald head, as a sculptor would block it in.

It is thick within and thin at its edge, and denser beards are thicker. What is dark in it is a groove; its hair hangs from the
nose outwards, and so do the grooves where the photo does not show it. Whether there is one at all, and where, says
:mod:`beard_mask`.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..assets import AssetError
from ..portrait.portrait import Portrait
from .beard_mask import JAWLINE, Evidence, Kind, Look, coverage, is_white, kind_of_beard, length_of
from .face_map import OVAL, ramp
from .frontal import Frontal
from .hair_mask import View, hair_mask
from .head import Beard, Head
from .unrolled import SHAPE, STEP

#: The tip of the nose, from which a beard's hair hangs outwards.
NOSE = 4
#: How thick a beard is, mm, whose hair is hardly darker than skin, and one that is as dark as this (logarithm); so many mm from
#: its edge two thirds of that are reached.
THIN, THICK, DENSE, RISE = 3.5, 6.0, (0.3, 0.8), 5.5
#: The chin's height above its edge, mm: a beard hangs down from where it is furthest out there.
CHIN_HIGH = 14.0
#: How dark hair is, mm within which light and dark are compared, and how high strands are, mm, those of the photo and others.
COMPARED, STRAND, UNSEEN_STRAND = 5.0, 0.7, 0.5
#: Strands are looked for so many mm up and down the way they hang.
ALONG = 3.0
#: Beards that are thinner, mm, are none, and beside them the mass goes down so steeply, over so many mm, until it is so deep in
#: the head, where it begins still deeper; nothing is less far than this from the axis.
THINNEST, DOWN, BESIDE, HIDDEN, ROOT, LEAST = 0.3, 0.4, (2.0, 5.0), 2.0, 5.0, 5.0
#: mm around the beard that belong to its mesh.
MARGIN = 6.0


def beard_of(portrait: Portrait, head: Head) -> Beard | None:
    """The beard on the head that was made of a portrait, None where there certainly is none, or none for certain."""
    face = Frontal.of(portrait, head)
    evidence = Evidence.of(face)
    if evidence is None:
        return None
    kind = kind_of_beard(face, evidence)
    if kind.lip is Look.NONE or (kind.lip is Look.WHITE and not _has_white_hair(portrait, head)):
        return None
    covered = coverage(face, evidence, kind)
    if covered.max() < 0.5:
        return None
    height = _height(face, evidence, kind, covered)
    strands = _strands(face)
    height += ramp(height, 0.5, 2.0) * strands
    return _mass(face, height, _hanging(face, height, length_of(face, kind, covered), strands))


def _has_white_hair(portrait: Portrait, head: Head) -> bool:
    """Without the model that finds the person nobody has."""
    try:
        view = View.of(portrait, head)
    except AssetError:
        return False
    mask = hair_mask(view)
    skin = view.within(OVAL, -3) & view.bald & (view.rows > view.brows) & (view.rows < view.landmarks[NOSE, 1])
    return is_white(view.picture[mask], view.picture[skin])


def _height(face: Frontal, evidence: Evidence, kind: Kind, covered: np.ndarray) -> np.ndarray:
    """How thick a beard is, mm (R, C)."""
    inside = cv2.distanceTransform((covered > 0.3).astype(np.uint8), cv2.DIST_L2, 5) * STEP
    apart = np.abs(evidence.brighter) * face.visible
    dense = float(np.quantile(apart[covered > 0.5], 0.6)) if (covered > 0.5).any() else 0.0
    thick = THIN + (THICK - THIN) * float(ramp(np.array(dense), *DENSE))
    height = thick * covered * (1 - np.exp(-((inside / RISE) ** 2)))
    return cv2.GaussianBlur(height.astype(np.float32), (0, 0), 1.0 / STEP)


def _hanging(face: Frontal, height: np.ndarray, length: np.ndarray, strands: np.ndarray) -> np.ndarray:
    """How far from the axis, mm (R, C), a beard reaches that is so high on the jaw, mm (R, C), and of such a ``length`` (C,)
    below it, where it meets throat or chest; 0 where it does not hang."""
    rows, columns = np.arange(SHAPE[0])[:, None] + 0.5, np.arange(SHAPE[1])
    jaw = face.row_of(JAWLINE)
    below = (rows - jaw) * STEP
    down = below / np.maximum(length, 1.0)
    on = face.skull + height
    hangs = below > -CHIN_HIGH
    # It falls from where the chin is furthest out.
    chin = np.where(hangs, np.maximum.accumulate(np.where(hangs & (below < 0), on, 0.0), 0), on)
    end = face.skull[(jaw + length / STEP).astype(int).clip(0, SHAPE[0] - 1), columns]
    reach = cv2.GaussianBlur(chin - (chin - end) * np.clip(down, 0, 1) ** 2, (0, 0), 2.0 / STEP)
    reach += ramp(below, -3.0, 3.0) * ramp(1 - down, 0.0, 0.2) * strands
    # Beside the chin it goes over into the jaw.
    reach = on + ramp(length, 1.0, 15.0) * (reach - on)
    return np.where((length > 1) & hangs & (down < 1), reach, 0.0)


def _strands(face: Frontal) -> np.ndarray:
    """Heights (R, C) in mm of strands."""
    light = np.log(24 + face.grey).astype(np.float32)
    seen = face.visible

    def mean(values: np.ndarray, mm: float) -> np.ndarray:
        return cv2.GaussianBlur(values * seen, (0, 0), mm / STEP) / (cv2.GaussianBlur(seen, (0, 0), mm / STEP) + 1e-3)

    fine = light - mean(light, COMPARED)
    shown = _along(face, fine / (np.sqrt(mean(fine**2, 2 * COMPARED)) + 0.04))
    noise = _along(face, np.random.default_rng(7).normal(size=SHAPE).astype(np.float32))
    noise -= cv2.GaussianBlur(noise, (0, 0), 3.0 / STEP)
    strands = STRAND * np.tanh(1.5 * shown) * seen + UNSEEN_STRAND * np.tanh(noise / noise.std()) * (1 - seen)
    return strands.astype(np.float32)


def _along(face: Frontal, values: np.ndarray) -> np.ndarray:
    """A map (R, C) of which each place has the mean of what is up and down the hair that hangs there."""
    columns, rows = np.meshgrid(np.arange(SHAPE[1], dtype=np.float32), np.arange(SHAPE[0], dtype=np.float32))
    x, y = columns - face.places[NOSE, 0], rows - face.places[NOSE, 1]
    away = np.maximum(np.hypot(x, y), 1.0)
    steps = np.arange(-ALONG, ALONG + 0.5) / STEP
    ways = [((columns + step * x / away).astype(np.float32), (rows + step * y / away).astype(np.float32)) for step in steps]
    return np.mean([cv2.remap(values, *way, cv2.INTER_LINEAR) for way in ways], 0)


def _mass(face: Frontal, height: np.ndarray, hanging: np.ndarray) -> Beard:
    """The mass that is so thick, mm (R, C), on the bald head, and reaches as far, mm (R, C), where it is ``hanging``."""
    from scipy.ndimage import minimum_filter

    around = np.ones((2 * round(MARGIN / STEP) + 1,) * 2)
    rows, columns = np.nonzero(cv2.dilate(((height > 0.1) | (hanging > 0)).astype(np.uint8), around))
    begin = np.array([rows.min(), columns.min()])
    part = np.s_[begin[0] : rows.max() + 1, begin[1] : columns.max() + 1]
    skull, height, hanging = face.skull[part], height[part], hanging[part]
    bare = np.maximum(minimum_filter(skull, 5, mode="nearest") - HIDDEN, LEAST + ROOT)
    outside = cv2.distanceTransform(((height < THINNEST) & (hanging < skull)).astype(np.uint8), cv2.DIST_L2, 5) * STEP
    there = 1 - ramp(outside, *BESIDE)
    grown = np.maximum(_grown(skull, height), hanging)
    reach = bare + there * (grown - THINNEST - DOWN * outside - bare)
    root = np.maximum(np.minimum(bare, reach) - ROOT, LEAST)
    return Beard(reach.astype(np.float32), root.astype(np.float32), begin, face.map.axis)


def _grown(skull: np.ndarray, height: np.ndarray) -> np.ndarray:
    """How far, mm (r, c), a surface reaches that is so high, mm (r, c), over the skull's, whichever way that faces."""
    grown = skull + height
    rows, columns = skull.shape
    furthest = int(height.max() / STEP)
    for down in range(-furthest, furthest + 1):
        for right in range(-furthest, furthest + 1):
            away = np.hypot(down, right) * STEP
            if not 0 < away < height.max():
                continue
            here = np.s_[max(down, 0) : rows + min(down, 0), max(right, 0) : columns + min(right, 0)]
            there = np.s_[max(-down, 0) : rows + min(-down, 0), max(-right, 0) : columns + min(-right, 0)]
            reach = skull[there] + np.sqrt(np.maximum(height[there] ** 2 - away**2, 0))
            grown[here] = np.where(height[there] > away, np.maximum(grown[here], reach), grown[here])
    return grown
