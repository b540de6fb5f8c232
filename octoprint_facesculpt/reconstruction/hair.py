"""Hair as a photo shows it, a mass on the bald head, as a sculptor would block it in: as large as its outline, few grooves.

Where hair ends in the picture against what is behind it, it is as thick as it stands out of the bald head there; between such
places, and on the side that the photo does not show, its thickness goes over from one to the other. Around the face it ends
where the photo has its edge, at the neck where hair usually does. What is dark in it is a groove; hair that is not seen has
grooves from the crown down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..portrait.matte import INPUT
from ..portrait.portrait import Portrait
from .around import RADIUS, SHAPE, STEP, UPPER, Around, smoothed
from .face_map import ramp
from .hair_mask import CHEEKS, View, hair_mask
from .head import Hair, Head

#: The middle of the map: above the eyes and behind the landmarks before the ears, mm.
ABOVE_EYES, BEHIND = 10.0, 12.0
#: The edge of hair is looked for no further beside the head than this, mm.
SURE = 98.0
#: How wide ears are on the map, mm, and where they are: degrees from the face, mm below the middle, and mm up and down there.
EAR_MM, EAR_TURN, EAR_DOWN, EAR_HIGH = 75.0, (50.0, 65.0, 115.0, 130.0), 25.0, 60.0
#: What is further behind what the photo shows, mm, is not seen, or only in part.
BEHIND_ANOTHER = (-14.0, -7.0)
#: The thickest hair, mm, and by how many mm it is looked for.
THICK, FINE = 120.0, 3.0
#: Every so many places of the map thickness is found.
EVERY = 5
#: Up to which cosine between a ray and the line of sight its outline is that of the picture, and how much that counts by it.
GRAZING, GRAZES = 0.35, 0.2
#: mm from which on two places have thicknesses of their own, and how this grows with the distance from what is known.
OWN, GROWS = 14.0, 0.5
#: Hair's edge is so thick, mm; from there it grows within this way, mm, or within this share of its whole thickness, to two
#: thirds of it.
EDGE, RISE, SLOPE = 2.5, 14.0, 0.8
#: Where hair is further from its edge, mm, it does not matter how far.
FAR = 150.0
#: Gaps in hair that are narrower and patches of it that are smaller, places of the map, are none.
GAP, PATCH = 9, 400
#: Degrees from the face from which on, and wholly, long hair hangs down no further out than it is at the back of the head.
HANGS = (100.0, 140.0)
#: How deep what is not there lies in the head, mm, so that nothing of it shows.
HIDDEN = 3.0
#: Height of strands, mm, those of the photo and those where it shows none; mm within which light and dark are compared.
STRAND, UNSEEN_STRAND, COMPARED = 1.0, 0.8, 8.0


def hair_of(portrait: Portrait, head: Head) -> Hair | None:
    """The hair on the head that was made of a portrait, None where there is none; :class:`AssetError` ``asset_missing`` when
    the model that finds the person is."""
    view = View.of(portrait, head)
    mask = hair_mask(view)
    if not mask.any():
        return None
    around = Around(np.array([0.0, ABOVE_EYES, head.landmarks[list(CHEEKS), 2].mean() - BEHIND]))
    outermost = around.outermost(head.vertices, head.triangles)
    skull = without_ears(around, outermost)
    sight = _Sight.of(around, skull, view, mask, head)
    thick = _thickness(sight)
    # What one side has alone, a bun say, is not on both.
    thick = sight.mirrored(thick, ramp(-sight.facing, 0.0, 0.3), np.minimum(thick, thick[:, ::-1]))
    thick = _hanging(around, skull, smoothed(thick, 4))
    covered = _in_one(smoothed(_covered(sight, thick), 1.5))
    inside = _inside(around.points(skull), covered > 0.5)
    grown = 1 - np.exp(-inside / np.maximum(RISE, SLOPE * thick))
    height = np.minimum(np.maximum(thick, EDGE), EDGE + thick * grown)
    # What covers an ear leaves nothing of it.
    over = ramp(thick, 6, 12) * ramp(inside, 3, 8) * (outermost - skull + EDGE / 2)
    height = np.maximum(smoothed(height, 1.5), over)
    height = height + ramp(inside, 1, 8) * _strands(sight, portrait.image, height, inside)
    there = ramp(covered, 0.35, 0.65)
    # Below the cut of the neck a ray meets nothing, and a mesh must not be turned inside out there.
    bare = np.maximum(_within(outermost) - HIDDEN, HIDDEN)
    return Hair((bare + there * (skull + height - bare)).astype(np.float32), around.middle)


def without_ears(around: Around, outermost: np.ndarray) -> np.ndarray:
    """The distances (R, C) of a head's outermost places, smoothed, those of the skull where ears stand out."""
    from scipy.ndimage import grey_closing, grey_opening

    wide = round(EAR_MM / STEP) | 1
    turn, down = np.abs(around.turn), around.down - np.pi / 2 * RADIUS - EAR_DOWN
    begins, whole, ends, over = EAR_TURN
    where = ramp(turn, begins, whole) * ramp(over - turn, 0, over - ends) * ramp(EAR_HIGH - np.abs(down), 0, 15)[:, None]
    turned = np.pad(outermost, ((0, 0), (wide, wide)), mode="wrap")
    # Neither the ear nor what is behind it.
    opened = grey_closing(grey_opening(turned, (1, wide)), (1, wide // 2))[:, wide:-wide]
    share = where * ramp(np.abs(outermost - opened), 1, 4)
    return smoothed(outermost + smoothed(share, 1) * (smoothed(opened, 2, 4) - outermost), 2)


@dataclass(frozen=True)
class _Sight:
    """The map around a head as a view shows it: the ``skull`` (R, C), hair in the view (``mask``), the cosines (R, C) between
    rays and lines of sight (``facing``), and how much of each place the photo shows, ``visible`` (R, C) 0..1."""

    around: Around
    skull: np.ndarray
    view: View
    mask: np.ndarray
    head: Head
    facing: np.ndarray
    visible: np.ndarray

    @classmethod
    def of(cls, around: Around, skull: np.ndarray, view: View, mask: np.ndarray, head: Head) -> _Sight:
        points = around.points(skull)
        camera = head.camera()
        towards = camera - points
        facing = (around.directions * towards).sum(2) / np.linalg.norm(towards, axis=2)
        pixels = view.pixels(head, points)
        visible = ramp(facing, 0.0, 0.25) * _sampled(view.known, pixels)
        # Behind the nose, say.
        front = np.where(view.bald, np.linalg.norm(view.places - camera, axis=2), np.inf)
        column, row = np.moveaxis(pixels.astype(int).clip(0, INPUT - 1), 2, 0)
        behind = np.linalg.norm(towards, axis=2) - front[row, column]
        return cls(around, skull, view, mask, head, facing, visible * ramp(-behind, *BEHIND_ANOTHER))

    def pixels(self, thickness: np.ndarray) -> np.ndarray:
        """The pixels (R, C, 2) of the view where hair of some thickness would be."""
        return self.view.pixels(self.head, self.around.points(self.skull + thickness))

    def mirrored(self, values: np.ndarray, share: np.ndarray | float, other: np.ndarray) -> np.ndarray:
        """A map whose places have a ``share`` (R, C) of the ``other``, where the other side of the head is seen."""
        return values + share * self.visible[:, ::-1] * (other - values)


def _thickness(sight: _Sight) -> np.ndarray:
    """How thick hair is, mm (R, C), from its outline."""
    import cv2
    from scipy.spatial import cKDTree

    some = (slice(EVERY // 2, None, EVERY),) * 2
    around, facing, skull = sight.around, sight.facing[some], sight.skull[some]
    rays, begin = around.directions[some], around.points(sight.skull)[some]
    steps = np.arange(0, THICK + FINE, FINE)
    pixels = sight.view.pixels(sight.head, begin + rays * steps[:, None, None, None])
    closed = cv2.morphologyEx((sight.mask | sight.view.bald).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    out = _sampled(closed, pixels) < 0.5
    first = np.where(out.any(0), out.argmax(0), len(steps) - 1)
    last = np.maximum(first - 1, 0)
    room = steps[last] + np.where(last > 0, FINE / 2, 0)
    is_hair = np.take_along_axis(_sampled(sight.mask, pixels) > 0.5, last[None], 0)[0]
    # The outline is that of places which the line of sight grazes: a ray that comes towards it is longer there.
    outlined = np.where(is_hair, np.maximum((skull + room) * np.sqrt(1 - np.minimum(facing**2, 1)) - skull, 0), 0)
    is_known = np.take_along_axis(_sampled(sight.view.known, pixels) > 0.5, first[None], 0)[0]
    counts = np.exp(-((facing / GRAZES) ** 2)) * ((np.abs(facing) < GRAZING) & is_known & out.any(0) & (skull > 0))
    seen = np.flatnonzero(counts > 0.02)
    if not len(seen):
        return np.zeros(SHAPE)
    places = begin.reshape(-1, 3)
    nearest = cKDTree(places[seen]).query(places)[0][:, None]
    apart = ((places[:, None] - places[seen]) ** 2).sum(2) - nearest**2
    weights = np.exp(-apart / (2 * np.maximum(OWN, GROWS * nearest) ** 2)) * counts.ravel()[seen]
    thickness = (weights @ outlined.ravel()[seen] / weights.sum(1)).reshape(facing.shape)
    # No hair stands out where the picture shows something else.
    thickness = np.where(facing > -0.1, np.minimum(thickness, room), thickness)
    turned = np.pad(thickness, ((0, 0), (2, 2)), mode="wrap")
    finer = cv2.resize(turned.astype(np.float32), None, fx=EVERY, fy=EVERY, interpolation=cv2.INTER_LINEAR)
    return smoothed(finer[: SHAPE[0], 2 * EVERY : 2 * EVERY + SHAPE[1]], 2)


def _hanging(around: Around, skull: np.ndarray, thickness: np.ndarray) -> np.ndarray:
    """The thickness (R, C) with which hair at the back hangs down from where the head is widest."""
    reach = skull + thickness
    widest = reach[UPPER - 15 : UPPER + 5].max(0)
    below = np.arange(SHAPE[0])[:, None] > UPPER
    share = ramp(np.abs(around.turn), *HANGS) * below
    return np.maximum(thickness - share * np.maximum(reach - widest, 0), 0)


def _covered(sight: _Sight, thickness: np.ndarray) -> np.ndarray:
    """Where hair is, (R, C) 0..1: as the photo shows it, or the other side of the head, or as it usually is."""
    import cv2
    from scipy.ndimage import distance_transform_edt

    # The edge of the person is not of one colour: what is within it counts.
    view = sight.view
    sure = cv2.erode((view.person & view.known & (view.beside < SURE)).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    rows, columns = distance_transform_edt(~sure, return_distances=False, return_indices=True)
    hair = cv2.GaussianBlur(sight.mask[rows, columns].astype(np.float32), (0, 0), 1.5)
    # At its edge hair is thin.
    seen = _sampled(hair, sight.pixels(np.full(SHAPE, EDGE)))
    height = sight.around.points(sight.skull + thickness)[..., 1]
    turn = np.abs(sight.around.turn)
    neck = -30 - 45 * ramp(turn, 100, 150)
    usual = np.maximum(ramp(height - neck, -6, 6) * ramp(turn, 80, 95), ramp(height, 10, 30))
    # Long hair hides the neck.
    usual = np.maximum(usual, ramp(thickness, 8, 20))
    usual = sight.mirrored(usual, 1.0, seen[:, ::-1])
    return sight.visible * seen + (1 - sight.visible) * usual


def _in_one(covered: np.ndarray) -> np.ndarray:
    """Where hair is, (R, C) 0..1, without gaps that are narrower than :data:`GAP` and without small patches."""
    from scipy.ndimage import grey_closing, label

    closed = np.pad(covered, ((0, 0), (GAP, GAP)), mode="wrap")
    closed = grey_closing(closed, (GAP, GAP))[:, GAP:-GAP]
    patch, _ = label(closed > 0.5)
    large = np.bincount(patch.ravel()) > PATCH
    return np.where(large[patch] | (closed <= 0.5), closed, 0)


def _inside(points: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """How far, mm (R, C), places on the skull (R, C, 3) are from those that are not ``covered`` (R, C), or :data:`FAR`; 0 for
    these."""
    from scipy.spatial import cKDTree

    inside = np.zeros(SHAPE)
    if covered.any() and not covered.all():
        inside[covered] = cKDTree(points[~covered]).query(points[covered], distance_upper_bound=FAR)[0]
    return np.minimum(inside, FAR)


def _within(outermost: np.ndarray) -> np.ndarray:
    """Distances (R, C) at which a mesh with the map's places does not come out of the head between them."""
    from scipy.ndimage import minimum_filter

    return minimum_filter(outermost, 5, mode=("nearest", "wrap"))


def _strands(sight: _Sight, image: np.ndarray, height: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Heights (R, C) in mm of strands."""
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    finer = 0.4 * sight.head.pixels_per_mm()
    if finer > 0.4:
        grey = cv2.GaussianBlur(grey, (0, 0), finer).astype(np.float32)
    points = sight.around.points(sight.skull + height)
    pixels = sight.head.project(points.reshape(-1, 3)).reshape(*SHAPE, 2)
    light = np.log(24 + _sampled(grey, pixels))
    seen = sight.visible * ramp(sight.facing, 0.1, 0.45) * ramp(inside, 1, 5)

    def mean(values: np.ndarray, mm: float) -> np.ndarray:
        return smoothed(values * seen, mm / STEP) / (smoothed(seen, mm / STEP) + 1e-3)

    fine = light - mean(light, COMPARED)
    strands = STRAND * np.tanh(smoothed(fine / (np.sqrt(mean(fine**2, 2 * COMPARED)) + 0.04), 0.6) / 1.2)
    flow = smoothed(np.random.default_rng(7).normal(size=SHAPE), 14, 1.3)
    # At the crown columns are too narrow for strands.
    unseen = UNSEEN_STRAND * np.tanh(flow / flow.std()) * ramp(sight.around.down, 25, 70)[:, None]
    return strands * seen + unseen * (1 - seen) * (1 - smoothed(seen, 3))


def _sampled(picture: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """A picture's (H, W) values at some pixels (..., 2), which count from the corner."""
    from scipy.ndimage import map_coordinates

    places = pixels[..., 1] - 0.5, pixels[..., 0] - 0.5
    return map_coordinates(picture.astype(np.float32), places, order=1, mode="nearest")
