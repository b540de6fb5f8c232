"""What a photo shows of a face that its head is too smooth for: brows, creases, the rims of the lids, the gaze, and teeth.

Brightness is no height. A sculptor reads it otherwise: what is darker than the skin around it lies deeper, but for brows, which
are dark and stand out (Sohn, *Ubiquitous creation of bas-relief surfaces with depth-of-field effects*, 2017), and eyes are not
modelled but drilled, the pupil a hole with a peg in it for the light that eyes catch.
"""

from __future__ import annotations

import numpy as np

from ..portrait.portrait import Portrait
from .face_map import BROWS, EYES, IRISES, LIPS, MOUTH, OVAL, FaceMap, blurred, ramp
from .head import MAP_SHAPE, MAP_STEP, Head, Relief
from .teeth import teeth_of

#: What there is of the skin: the face without its rim, mm, and how soft that is; and without eyes, brows and lips.
RIM, RIM_SOFT = -7.0, 6.0
#: Brightness is compared with that of the skin within so many mm around, of which less than this, mm, is noise; noise is also
#: what differs by less than this share within that many mm.
AROUND, FINEST = 7.0, 0.45
NOISE, NOISE_MM = 0.12, 1.2
#: Depth of creases and height of what shines, mm, and by which share darker or brighter than the skin three quarters of it are
#: reached.
CREASE, SHINE, CONTRAST = 0.9, 0.35, 0.35
#: How far dark brows stand out, mm, and their strands besides.
BROW, STRAND = 1.1, 0.5
#: Of what covers a mouth nothing is carved: below this landmark of the nose, and mm until there is nothing left.
NOSE, FADING_MM = 2, 8.0
#: Lips are darker than skin all over; this share of their creases is left.
ON_LIPS = 0.3
#: Hair over the forehead: mm within which its colour is told from skin, by how many spreads of the skin's colours it differs,
#: and the least that such a spread is, of 255.
HAIR_MM, HAIR, LEAST_SPREAD = 2.5, (2.5, 4.5), 9.0
#: Of an iris: its radius as a share of the eye's width, its depth in mm, and the pupil's; radii of pupil and peg, and where the
#: peg is, as shares of the iris's. Eyes that are open by less, mm, are not drilled.
IRIS, IRIS_MM, PUPIL_MM = 0.21, 0.45, 1.3
PUPIL, PEG, PEG_AT = 0.52, 0.26, (-0.28, 0.3)
OPEN_MM = 3.0


def relief_of(portrait: Portrait, head: Head, covered: bool = False) -> Relief:
    """The relief of the face in a portrait, of which the head was made; its expression may be another one since.

    What is in front of a mouth that is ``covered`` is left out.
    """
    face = FaceMap(portrait.landmarks[:, :2], head)
    visible = face.visible()
    eyes = np.maximum(*(face.region(around, 0.3, 0.6) for around in EYES))
    brows = np.maximum(*(face.region(around, 2.5, 2.0) for around in BROWS))
    lips = face.region(LIPS, 0.5, 1.0)
    whole = face.region(OVAL, RIM, RIM_SOFT) * visible
    if covered:
        whole = whole * ramp(face.places[NOSE, 1] + FADING_MM / MAP_STEP - face.grid[..., 1], 0.0, FADING_MM / MAP_STEP)
    skin = whole * (1 - eyes) * (1 - brows) * (1 - lips)
    height = np.zeros(MAP_SHAPE, np.float32)
    teeth = np.full(MAP_SHAPE, np.nan, np.float32)
    if (skin > 0.5).any():
        colours = face.colours(portrait.image)
        height = _skin_and_brows(colours, skin, brows, lips) * whole * (1 - face.region(MOUTH, 0.5, 0.7)) * (1 - eyes)
        height *= 1 - _hair(face, colours, skin)
        for iris, around in zip(IRISES, EYES, strict=True):
            height -= visible * _drilled(face, iris, around)
        if not covered:
            teeth = teeth_of(face, portrait.image, float(np.median(_grey(colours)[skin > 0.5])))
    return Relief(height.astype(np.float32), face.front, teeth)


def _skin_and_brows(colours: np.ndarray, skin: np.ndarray, brows: np.ndarray, lips: np.ndarray) -> np.ndarray:
    """Heights (H, W) in mm of creases and brows."""
    light = _light(_grey(colours), skin)
    contrast = light - blurred(light * skin, AROUND) / (blurred(skin, AROUND) + 1e-3)
    creases = np.where(contrast < 0, CREASE, SHINE) * np.tanh(contrast / CONTRAST) * (1 - (1 - ON_LIPS) * lips)
    strands = STRAND * np.tanh((light - blurred(light, NOISE_MM)) / NOISE) * ramp(-contrast, 0.05, 0.3)
    hairs = BROW * np.tanh(np.maximum(-contrast, 0) / CONTRAST) + strands
    return creases + brows * (hairs - creases)


def _light(brightness: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """The logarithm of a brightness, of which the skin's darkest and brightest places are the same for every photo, without
    the photo's grain."""
    import cv2

    low, high = np.percentile(brightness[skin > 0.5], [2, 98])
    even = 0.25 + 0.75 * np.clip((brightness - low) / max(high - low, 8.0), -0.3, 1.2)
    light = np.log(np.maximum(even, 0.06)).astype(np.float32)
    return blurred(cv2.bilateralFilter(light, 9, NOISE, NOISE_MM / MAP_STEP), FINEST)


def _hair(face: FaceMap, colours: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """Where hair hangs over the forehead, (H, W) 0..1: what there has another colour than the skin below."""
    smooth = blurred(colours, HAIR_MM)
    brows = face.places[[one for around in BROWS for one in around], 1]
    rows = face.grid[..., 1]
    below = smooth[(skin > 0.5) & (rows > brows.max())]
    if not len(below):
        return np.zeros(MAP_SHAPE, np.float32)
    usual = np.median(below, 0)
    # As a standard deviation, but of what is usual: shadows and glasses are not.
    spread = np.maximum(1.4826 * np.median(np.abs(below - usual), 0), LEAST_SPREAD)
    apart = np.abs((smooth - usual) / spread).max(2)
    above = ramp(brows.min() - rows, 0.0, 6.0 / MAP_STEP)
    return blurred((ramp(apart, *HAIR) * above).astype(np.float32), HAIR_MM)


def _drilled(face: FaceMap, iris: int, around: tuple[int, ...]) -> np.ndarray:
    """How deep, mm, the eye within some landmarks is drilled where the photo shows its iris: (H, W)."""
    eye = face.region(around, -0.2, 0.4)
    if (eye > 0.5).sum(0).max() * MAP_STEP < OPEN_MM:
        return np.zeros(MAP_SHAPE, np.float32)
    radius = IRIS * float(np.linalg.norm(face.landmarks[around[0]] - face.landmarks[around[8]]))
    x, y = np.moveaxis((face.grid - face.place_of(face.seen[iris])) * (MAP_STEP, -MAP_STEP), 2, 0)
    away = np.hypot(x, y)
    peg = ramp(PEG * radius - np.hypot(x - PEG_AT[0] * radius, y - PEG_AT[1] * radius), -0.25, 0.25)
    depth = IRIS_MM * ramp(radius - away, 0.0, 0.6) + PUPIL_MM * ramp(PUPIL * radius - away, -0.3, 0.3)
    return eye * depth * (1 - peg)


def _grey(colours: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)
