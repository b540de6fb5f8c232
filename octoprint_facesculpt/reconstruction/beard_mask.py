"""Where a photo shows a beard, if it shows any.

A shadow is dark, too, and so are lips, a nostril and a microphone; none of them may make a beard on a child. So the face's own
skin tells how bright skin is that faces this way, on this side; and only who is darker than that on both sides of the upper lip
and on the chin, or brighter and as grey as hair is, has a beard. What else stands out of the skin like this is a part of it.
Stubble, which lets the skin through, is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np

from .face_map import BROWS, EYES, LIPS, OVAL, ramp
from .frontal import Frontal
from .unrolled import SHAPE, STEP

#: MediaPipe's landmarks along the upper end of beards, from the subject's right ear over the nose to the left one.
UPPER = (127, 227, 137, 123, 147, 187, 206, 98, 2, 327, 426, 411, 376, 352, 366, 447, 356)
#: Those of the jaw from ear to ear.
JAWLINE = (234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454)
#: The upper lip's halves, the chin, and the cheeks above the jaw: the subject's right first.
UPPER_LIP = ((206, 98, 2, 0, 37, 39, 185, 57), (426, 327, 2, 0, 267, 269, 409, 287))
CHIN = (208, 32, 140, 176, 148, 152, 377, 400, 369, 262, 428, 200)
EARS, TIP = (234, 454), 152
LOWER_LIP = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95, 78)
CHEEKS = (
    (187, 207, 212, 202, 210, 169, 150, 136, 172, 138, 213, 147),
    (411, 427, 432, 422, 430, 394, 379, 365, 397, 367, 433, 376),
)
#: mm around eyes, brows and lips that are no skin, and between the skin that is looked at and where beards end.
AROUND_EYES, AROUND_BROWS, AROUND_LIPS, ABOVE = 5.0, 4.0, 1.5, 3.0
#: mm within which brightness is taken together, and two measures between which hair has its texture.
TOGETHER, FINE, COARSE = 1.0, 0.6, 2.5
#: How far above the beard's end, mm, the skin tells the light of its side, and to how many mm beside.
SIDE_HIGH, SIDE_WIDE = 32.0, 6.0
#: More of the face's skin than this, places of the map, is needed, and of any part that is asked.
SKIN, PART = 800, 40
#: By how much (logarithm) a beard's chin and both halves of its upper lip are darker than skin would be, and how many times as
#: much as the skin itself varies; by how much that chin is darker than the lower lip, which shadows darken as well, and the
#: least share of the brows' darkness that an upper lip has.
DARK_CHIN, DARK_LIP, TIMES_CHIN, TIMES_LIP = 0.40, 0.24, 1.8, 1.2
BELOW_LIP, OF_BROWS = 0.12, 0.35
#: How many times rougher than skin a beard's chin is; one that is less must be so many times darker, as must its upper lip.
ROUGH, SMOOTH = 1.8, 1.25
#: How much darker both halves of an upper lip are that has a moustache whatever the chin has, and three quarters of them, as
#: the nose's shadow is narrower; and how much darker than the chin, as light from above leaves shade below the lips, too.
MOUSTACHE, TIMES_MOUSTACHE, MOUSTACHE_MOST, ABOVE_CHIN = 0.30, 1.75, 0.15, 0.05
#: How much darker both cheeks are and the upper lip's darker half of a beard whose chin has the light; all of it is rough.
DARK_CHEEKS, DARKER_LIP = 0.7, 0.3
#: By how much a white beard's chin is brighter at least, and which share of the skin's colour is left of its chin and its upper
#: lip; in a photo with less colour than this, by how much that chin and both halves of that lip are brighter.
BRIGHT_CHIN, GREY_CHIN, GREY_LIP, COLOUR, WHITE_CHIN, WHITE_LIP = 0.08, 0.35, 0.65, 5.0, 0.25, 0.12
#: Hair is white that is brighter than skin, of 100, and has no more than this share of its colour.
WHITE_HAIR, GREY_HAIR = 5.0, 0.5
#: Below a moustache which shares of the skin's colour skin has, and how dark a chin is too dark to tell.
SKIN_COLOUR, TOO_DARK = (0.45, 1.5), -0.3
#: Which shares of the beard's own difference from skin are none of it, and all of it; a beard differs by this at least.
NONE, ALL, LEAST = 0.25, 0.65, 0.35
#: mm within which a beard is of one density, that of another colour in a photo's grain, too; how soft its edge is; and how wide
#: it is at least beside the upper lip.
EVEN, EVEN_COLOUR, EDGE, WIDE = 2.0, 5.0, 1.0, 11
#: Beards reach so far, mm, behind the landmarks before the ears, and further below these: where the jaw ends.
AT_EARS, AT_JAW = 7.0, 14.0
#: Parts are looked at so far within, mm; and so far around an upper lip its moustache may be.
INNER, WIDER = 1.5, 4.0
#: Below the jaw beards end after so many mm of skin, whatever is there.
BELOW = (12.0, 26.0)
#: A beard that is brighter than shadows hangs below the chin as far as its colour goes on: squared spreads from it, of 3, at
#: most, and the least variances of lightness and colour; mm within which places are taken together, and the share of them that
#: must be like it; how many mm to both sides of the chin, and how long it is at least for any of this, and at most.
ALIKE, LEAST_VARIANCE, LIKE_MM, LIKE = 12.0, (30.0, 8.0, 8.0), 4.0, 0.45
HANGING_WIDE, SHORT, LONG = 46.0, 10.0, 65.0


@dataclass(frozen=True)
class Evidence:
    """How the lower part of a face differs from its skin.

    ``brighter`` (R, C): logarithm of its brightness beside that of skin in this light, ``rough`` (R, C) its texture as a
    multiple of the skin's, ``colour`` (R, C) the share of the skin's colour that it has, which means something in a
    ``colourful`` photo only; ``spread``: by how much (logarithm) the skin's own brightness varies.
    """

    brighter: np.ndarray
    rough: np.ndarray
    colour: np.ndarray
    spread: float
    colourful: bool

    @classmethod
    def of(cls, face: Frontal) -> Evidence | None:
        """None when too little of the skin is seen."""
        skin = _skin(face)
        sure = skin > 0.5
        if sure.sum() < SKIN:
            return None
        # So that a dark photo's grain and a deep shadow are no more than they are.
        light = np.log(face.grey + 6 + 0.03 * np.percentile(face.grey[sure], 97))
        smooth = cv2.GaussianBlur(light, (0, 0), TOGETHER / STEP)
        expected, spread = _shaded(smooth, face.normals, sure)
        brighter = smooth - expected
        brighter -= _side(face, skin, brighter)
        fine = cv2.GaussianBlur(light, (0, 0), FINE / STEP) - cv2.GaussianBlur(light, (0, 0), COARSE / STEP)
        rough = np.sqrt(cv2.GaussianBlur(fine**2, (0, 0), COARSE / STEP))
        lab = cv2.GaussianBlur(cv2.cvtColor(face.colours / 255, cv2.COLOR_RGB2Lab), (0, 0), 1.5 / STEP)
        usual = np.median(lab[sure], 0)[1:]
        strength = float(np.hypot(*usual))
        colour = lab[..., 1:] @ usual / max(strength, 1e-6) ** 2
        return cls(brighter, rough / (np.median(rough[sure]) + 0.005), colour, spread, strength > COLOUR)


def _skin(face: Frontal) -> np.ndarray:
    """The skin that no beard covers, (R, C) 0..1."""
    below = np.arange(SHAPE[0])[:, None] + 0.5 > face.row_of(UPPER) - ABOVE / STEP
    other = [face.region(around, AROUND_EYES) for around in EYES] + [face.region(around, AROUND_BROWS) for around in BROWS]
    return face.region(OVAL, -4.0) * (1 - np.max(other, 0)) * face.visible * ~below


def _shaded(light: np.ndarray, normals: np.ndarray, skin: np.ndarray) -> tuple[np.ndarray, float]:
    """The brightness (R, C) that skin has which faces this way, after that of the ``skin`` (R, C), and this one's spread.

    It changes linearly with the direction, as in an even light (Ramamoorthi & Hanrahan, "An efficient representation for
    irradiance environment maps", 2001); no more than that can be told of what faces other ways than the skin.
    """
    basis = np.stack([np.ones_like(light), *np.moveaxis(normals, 2, 0)], 2)
    basis[..., 3] -= 1
    known, values = basis[skin][::3], light[skin][::3]
    # What is in front of the skin, glasses and hair, counts little.
    weights = np.ones(len(values))
    little = np.diag([3e-4, 6e-3, 0.09, 0.09]) * len(values)
    start = little @ (np.median(values), 0, 0, 0)
    for _ in range(6):
        weighed = known * weights[:, None]
        shading = np.linalg.solve(weighed.T @ known + little, weighed.T @ values + start)
        off = values - known @ shading
        spread = 1.4826 * np.median(np.abs(off)) + 0.03
        weights = 1 / (1 + (off / (1.5 * spread)) ** 2)
    return basis @ shading, float(spread)


def _side(face: Frontal, skin: np.ndarray, brighter: np.ndarray) -> np.ndarray:
    """By how much (C,) the skin above each place is ``brighter`` (R, C) than it would be: a lamp beside the face."""
    from scipy.ndimage import gaussian_filter1d

    rows = np.arange(SHAPE[0])[:, None]
    near = skin * (rows > face.row_of(UPPER) - (SIDE_HIGH + ABOVE) / STEP)
    total = gaussian_filter1d(near.sum(0), SIDE_WIDE / STEP)
    return gaussian_filter1d((near * np.clip(brighter, -0.6, 0.6)).sum(0), SIDE_WIDE / STEP) / (total + 3)


class Look(Enum):
    """In what a part with a beard differs from skin."""

    NONE = "none"
    DARK = "dark"
    WHITE = "white"
    COLOURED = "coloured"

    def apart(self, evidence: Evidence) -> np.ndarray:
        """By how much each place does, (R, C)."""
        if self is Look.DARK:
            return -evidence.brighter
        other = np.abs(1 - evidence.colour).astype(np.float32)
        return np.maximum(evidence.brighter, 0.5 * other) if self is Look.WHITE else other


@dataclass(frozen=True)
class Kind:
    """What beard somebody has: on the upper ``lip`` and on the ``chin``, and whether that chin is ``lit``, so that it is darker
    than skin only in parts."""

    lip: Look
    chin: Look
    lit: bool = False


def kind_of_beard(face: Frontal, evidence: Evidence) -> Kind:
    """The beard that somebody certainly has; a white one only if the hair :func:`is_white`, too."""
    free = face.visible * (1 - face.region(LIPS, AROUND_LIPS))

    def of(values: np.ndarray, around: tuple[int, ...], share: float = 0.5, seen: np.ndarray = free) -> float:
        """What a ``share`` of a part is at most; NaN where it is not seen."""
        part = (face.region(around, -INNER) * seen) > 0.5
        return float(np.quantile(values[part], share)) if part.sum() > PART else np.nan

    def both(values: np.ndarray, parts: tuple[tuple[int, ...], ...], share: float = 0.5) -> float:
        """The same of the part where it is most."""
        found = [of(values, part, share) for part in parts]
        return np.nan if np.isnan(found).all() else float(np.nanmax(found))

    brighter, spread = evidence.brighter, evidence.spread
    chin, lip, most = of(brighter, CHIN), both(brighter, UPPER_LIP), both(brighter, UPPER_LIP, 0.75)
    darker = -both(-brighter, UPPER_LIP)
    rough = of(evidence.rough, CHIN) > ROUGH
    times = 1.0 if rough else SMOOTH
    below_lip = chin < of(brighter, LOWER_LIP, seen=face.visible) - BELOW_LIP
    dark_chin = chin < -max(times * DARK_CHIN, TIMES_CHIN * spread) and below_lip
    dark_lip = lip < -max(times * DARK_LIP, TIMES_LIP * spread) and lip < OF_BROWS * both(brighter, BROWS)
    if dark_chin and dark_lip:
        return Kind(Look.DARK, Look.DARK)
    rough &= both(evidence.rough, CHEEKS) > ROUGH
    if rough and below_lip and both(brighter, CHEEKS) < -DARK_CHEEKS and darker < -DARKER_LIP:
        return Kind(Look.DARK, Look.DARK, lit=True)
    coloured = of(evidence.colour, CHIN) if evidence.colourful else 1.0
    if lip < -max(MOUSTACHE, TIMES_MOUSTACHE * spread) and most < -MOUSTACHE_MOST and lip < chin - ABOVE_CHIN:
        other = chin > TOO_DARK and not SKIN_COLOUR[0] < coloured < SKIN_COLOUR[1]
        return Kind(Look.DARK, Look.COLOURED if other else Look.NONE)
    if evidence.colourful:
        white = coloured < GREY_CHIN and both(evidence.colour, UPPER_LIP) < GREY_LIP and chin > BRIGHT_CHIN
    else:
        white = darker > WHITE_LIP and chin > max(WHITE_CHIN, spread)
    if white:
        return Kind(Look.WHITE, Look.WHITE)
    return Kind(Look.NONE, Look.NONE)


def is_white(hair: np.ndarray, skin: np.ndarray) -> bool:
    """Whether the colours (N, 3) uint8 of hair are those of white hair, on somebody with such ``skin`` (M, 3)."""
    if len(hair) < PART or len(skin) < PART:
        return False
    light, colour = [], []
    for colours in (hair, skin):
        lab = np.median(cv2.cvtColor(colours[None].astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[0], 0)
        light.append(lab[0])
        colour.append(lab[1:])
    grey = colour[0] @ colour[1] < GREY_HAIR * max(float(colour[1] @ colour[1]), COLOUR**2)
    return bool(light[0] > light[1] + WHITE_HAIR and grey)


def coverage(face: Frontal, evidence: Evidence, kind: Kind) -> np.ndarray:
    """How much of each place a beard of a ``kind`` covers, (R, C) 0..1."""
    may = _possible(face)
    lip = np.max([face.region(part, -INNER) for part in UPPER_LIP], 0)
    seen = face.visible * (1 - face.region(LIPS, 0.0))
    near = np.max([face.region(around, WIDER, WIDER) for around in UPPER_LIP], 0)
    whole = np.zeros(SHAPE, np.float32)
    for look, part in ((kind.lip, lip), (kind.chin, face.region(CHIN, -INNER))):
        sure = part * may * face.visible > 0.5
        if look is Look.NONE or not sure.any():
            continue
        apart = look.apart(evidence)
        # As dense as the beard is where it is densest, it need not be everywhere.
        usual = max(float(np.quantile(apart[sure], 0.7)), LEAST)
        covered = ramp(apart / usual, NONE, ALL)
        if kind.lit:
            covered = np.maximum(covered, np.maximum(lip, face.region(CHIN, INNER, 3.0)))
        if kind.lip is not kind.chin:
            # What a moustache is like tells nothing of the chin, where a shadow is.
            covered *= near if part is lip else 1 - near
        # A sculptor does not leave gaps, nor crumbs, between hairs.
        even = EVEN_COLOUR if look is Look.COLOURED else EVEN
        covered = ramp(cv2.GaussianBlur(_filled(covered, seen), (0, 0), even / STEP), 0.25, 0.7) * may
        whole = np.maximum(whole, _in_one(covered, sure))
    wide = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (round(WIDE / STEP),) * 2)
    whole = np.maximum(whole * near, cv2.morphologyEx(whole, cv2.MORPH_OPEN, wide))
    return cv2.GaussianBlur(whole, (0, 0), EDGE / STEP)


def length_of(face: Frontal, kind: Kind, covered: np.ndarray) -> np.ndarray:
    """How far, mm (C,), a beard hangs down below the jaw, by what it ``covered`` (R, C) above; 0 for a dark one, as nobody
    knows it from the chin's shadow or a dark collar."""
    none = np.zeros(SHAPE[1])
    beard = (face.region(CHIN, WIDER) * covered * face.visible) > 0.5
    if kind.chin in (Look.NONE, Look.DARK) or beard.sum() < PART:
        return none
    lab = cv2.GaussianBlur(cv2.cvtColor(face.colours / 255, cv2.COLOR_RGB2Lab), (0, 0), 2.0 / STEP)
    (apart, rare), (skin, rarer) = (_apart(lab, where) for where in (beard, _skin(face) > 0.5))
    alike = ((apart < ALIKE) & (apart + rare < skin + rarer)).astype(np.float32)
    unseen = face.visible < 0.5
    like = cv2.GaussianBlur(np.where(unseen, np.float32(0.5), alike), (0, 0), LIKE_MM / STEP) > LIKE
    rows, jaw = np.arange(SHAPE[0])[:, None] + 0.5, face.row_of(JAWLINE)
    below = rows > jaw
    # What is below the first place that is none is none either.
    length = ((np.cumsum(below & ~like & ~unseen, 0) == 0) & below & ~unseen).sum(0) * STEP
    # Of the chin's underside, which comes first, nothing is seen.
    length = np.where(length > 0, length + (below & unseen).sum(0) * STEP, 0.0)
    aside = (np.arange(SHAPE[1]) + 0.5 - face.places[TIP, 0]) * STEP / HANGING_WIDE
    middle = min(float(np.median(length[np.abs(aside) < 0.3])), LONG)
    if middle < SHORT:
        return none
    return np.minimum(cv2.GaussianBlur(length[None], (0, 0), 6.0 / STEP)[0], middle * np.sqrt(np.maximum(1 - aside**2, 0)))


def _apart(colours: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, float]:
    """Squared spreads (R, C) by which colours (R, C, 3) are apart from those of some places (R, C), and these spreads' size."""
    of_it = colours[where].astype(np.float64)
    spread = np.cov(of_it.T) + np.diag(LEAST_VARIANCE)
    off = (colours - of_it.mean(0)) @ np.linalg.inv(np.linalg.cholesky(spread)).T
    return (off**2).sum(2), float(np.linalg.slogdet(spread)[1])


def _possible(face: Frontal) -> np.ndarray:
    """Where beards grow, (R, C) 0..1: from the cheeks down to the throat, but for lips and nostrils."""
    rows = np.arange(SHAPE[0])[:, None] + 0.5
    below = ramp((rows - face.row_of(UPPER)) * STEP, 0.0, 4.0)
    # The way down the surface from the jaw, of which little is seen from the front.
    steps = np.linalg.norm(np.diff(face.points, axis=0, prepend=face.points[:1]), axis=2)
    way = np.where(rows > face.row_of(JAWLINE), steps, 0.0).cumsum(0)
    columns = np.arange(SHAPE[1]) + 0.5
    (right, left), ears = face.places[list(EARS), 0], face.places[list(EARS), 1].mean()
    behind = AT_EARS + (AT_JAW - AT_EARS) * ramp((rows - ears) * STEP, 15.0, 35.0)
    beside = ramp((columns - right) * STEP + behind, -3.0, 3.0) * ramp((left - columns) * STEP + behind, -3.0, 3.0)
    return below * beside * (1 - ramp(way, *BELOW)) * (1 - face.region(LIPS, 0.5, 1.0)) * (face.skull > 0)


def _filled(covered: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """A map (R, C) where it is ``seen`` (R, C); elsewhere as on the other side, or as around."""
    both = np.maximum(seen, 0.5 * seen[:, ::-1])
    whole = (covered * seen + covered[:, ::-1] * (both - seen)) / np.maximum(both, 1e-3)
    for mm in (4.0, 12.0):
        near = cv2.GaussianBlur(whole * both, (0, 0), mm / STEP) / (cv2.GaussianBlur(both, (0, 0), mm / STEP) + 1e-3)
        whole = both * whole + (1 - both) * near
        both = np.maximum(both, cv2.GaussianBlur(both, (0, 0), mm / STEP))
    return whole.astype(np.float32)


def _in_one(covered: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """A map (R, C) without patches that have nothing of some ``parts`` (R, C)."""
    _, patch = cv2.connectedComponents((covered > 0.3).astype(np.uint8), connectivity=4)
    sure = np.bincount(patch[parts], minlength=patch.max() + 1) > PART
    sure[0] = False
    near = cv2.dilate(sure[patch].astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return np.where(near, covered, 0.0)
