"""Hair as a photo shows it, a mass on the bald head, as a sculptor would block it in: as large as its outline, then its locks.

Where hair ends in the picture against what is behind it, it is as thick as it stands out of the bald head there; between such
places, and on the side that the photo does not show, its thickness goes over from one to the other. Around the face it ends
where the photo has its edge, at the neck where hair usually does; there it begins thin, and strands end sooner or later than
others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..portrait.matte import INPUT
from ..portrait.portrait import Portrait
from .around import RADIUS, SHAPE, STEP, UPPER, Around, smoothed
from .face_map import ramp
from .grain import Grain
from .hair_mask import CHEEKS, View, hair_mask
from .head import Hair, Head
from .strands import strands_of

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
EVERY = 7
#: Up to which cosine between a ray and the line of sight its outline is that of the picture, and how much that counts by it.
GRAZING, GRAZES = 0.35, 0.2
#: mm from which on two places have thicknesses of their own, and how this grows with the distance from what is known.
OWN, GROWS = 14.0, 0.5
#: Hair is at least so thick, mm, and so thick at most is its edge, otherwise such a share of it, and at least so much; within
#: so many mm.
EDGE, EDGE_SHARE, THIN_EDGE, EDGE_RISE = 2.5, 0.1, 0.6, 3.5
#: From its edge hair grows within this way, mm, or within this share of its whole thickness, to two thirds of it; beside it
#: its surface dips below the skin by so much of the way.
RISE, SLOPE, DIPS = 14.0, 0.8, 0.6
#: Where hair is further from its edge, mm, it does not matter how far.
FAR = 150.0
#: Gaps in hair that are narrower, mm, and patches of it that are smaller, mm^2, are none.
GAP, PATCH = 18.0, 1500.0
#: Degrees from the face from which on, and wholly, long hair hangs down no further out than it is at the back of the head.
HANGS = (100.0, 140.0)
#: How deep what is not there lies in the head, mm, so that nothing of it shows.
HIDDEN = 3.0
#: Within so many mm a mesh with the map's places is not deeper than at them.
BETWEEN = 10.0
#: Cosines between rays and the line of sight at which the photo shows nothing of strands, and all.
TURNED_AWAY = (0.1, 0.45)
#: How far, mm, locks and strands stand out or lie deep; the thickness of hair, mm, up to which locks are only such a share
#: of that, and from which on they are whole; mm from the edge within which they begin.
LOCK, STRAND, SHORT, SHORT_LOCK, EDGED = 0.9, 0.4, (3.0, 14.0), 0.3, 8.0
#: How many mm strands end sooner or later than others, by how many all do, and how much of that fine strands do by themselves.
ENDS, ENDS_SOONER, FINE_ENDS = 2.5, 0.5, 0.3
#: mm from the crown of the map up to which nothing stands out, and from which on all does.
CROWN = (1.0, 6.0)


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
    thick = _hanging(around, skull, smoothed(thick, 8 / STEP))
    covered = _in_one(smoothed(_covered(sight, thick), 3.0 / STEP))
    inside = _inside(around.points(skull), covered > 0.5)
    ears = outermost - skull + EDGE / 2
    smooth = _height(thick, inside, ears)
    grain = Grain.of(portrait.image, view, mask, head.pixels_per_mm())
    seen = sight.visible * ramp(sight.facing, *TURNED_AWAY)
    strands = strands_of(around, skull + smooth, grain, sight.pixels(smooth), seen, head.camera())
    # Each strand ends in a place of its own.
    inside = inside + ENDS * ((1 - FINE_ENDS) * strands.locks + FINE_ENDS * strands.strands) - ENDS_SOONER
    relief = LOCK * (SHORT_LOCK + (1 - SHORT_LOCK) * ramp(thick, *SHORT)) * strands.locks + STRAND * strands.strands
    # At the crown columns are too narrow for strands.
    relief *= ramp(around.down, *CROWN)[:, None] * ramp(inside, 0, EDGED)
    height = _height(thick, inside, ears) + relief + DIPS * np.minimum(inside, 0)
    # Below the cut of the neck a ray meets nothing, and a mesh must not be turned inside out there.
    bare = np.maximum(_within(outermost) - HIDDEN, HIDDEN)
    return Hair(np.maximum(bare, skull + height).astype(np.float32), around.middle)


def _height(thick: np.ndarray, inside: np.ndarray, ears: np.ndarray) -> np.ndarray:
    """How high, mm (R, C), hair stands on the skull that is so ``thick`` and so far ``inside`` its edge, mm (R, C), and over
    ``ears`` that stand out (R, C)."""
    within = np.maximum(inside, 0)
    edge = np.clip(EDGE_SHARE * thick, THIN_EDGE, EDGE) * (1 - np.exp(-within / EDGE_RISE))
    grown = 1 - np.exp(-within / np.maximum(RISE, SLOPE * thick))
    height = np.minimum(np.maximum(thick, EDGE), edge + thick * grown)
    # What covers an ear leaves nothing of it.
    return np.maximum(smoothed(height, 1.5 / STEP), ramp(thick, 6, 12) * ramp(inside, 3, 8) * ears)


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
    opened = smoothed(opened, 4 / STEP, 8 / STEP)
    return smoothed(outermost + smoothed(share, 2 / STEP) * (opened - outermost), 4 / STEP)


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
    from scipy.spatial.distance import cdist

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
    apart = cdist(places, places[seen], "sqeuclidean") - nearest**2
    weights = np.exp(-apart / (2 * np.maximum(OWN, GROWS * nearest) ** 2)) * counts.ravel()[seen]
    thickness = (weights @ outlined.ravel()[seen] / weights.sum(1)).reshape(facing.shape)
    # No hair stands out where the picture shows something else.
    thickness = np.where(facing > -0.1, np.minimum(thickness, room), thickness)
    turned = np.pad(thickness, ((0, 0), (2, 2)), mode="wrap")
    finer = cv2.resize(turned.astype(np.float32), None, fx=EVERY, fy=EVERY, interpolation=cv2.INTER_LINEAR)
    return smoothed(finer[: SHAPE[0], 2 * EVERY : 2 * EVERY + SHAPE[1]], 4 / STEP)


def _hanging(around: Around, skull: np.ndarray, thickness: np.ndarray) -> np.ndarray:
    """The thickness (R, C) with which hair at the back hangs down from where the head is widest."""
    reach = skull + thickness
    widest = reach[UPPER - round(30 / STEP) : UPPER + round(10 / STEP)].max(0)
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

    gap = round(GAP / STEP)
    closed = np.pad(covered, ((0, 0), (gap, gap)), mode="wrap")
    closed = grey_closing(closed, (gap, gap))[:, gap:-gap]
    patch, _ = label(closed > 0.5)
    large = np.bincount(patch.ravel()) * STEP**2 > PATCH
    return np.where(large[patch] | (closed <= 0.5), closed, 0)


def _inside(points: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """How far, mm (R, C), places on the skull (R, C, 3) are within what is ``covered`` (R, C), below 0 how far without, up to
    :data:`FAR`."""
    import cv2
    from scipy.ndimage import map_coordinates
    from scipy.spatial import cKDTree

    wrapped = np.pad(covered.astype(np.uint8), ((0, 0), (1, 1)), mode="wrap")
    edge = covered & (cv2.erode(wrapped, np.ones((3, 3), np.uint8))[:, 1:-1] == 0)
    if not edge.any():
        return np.full(SHAPE, FAR if covered.any() else -FAR)
    # Distances change slowly: every other place will do.
    away = cKDTree(points[edge]).query(points[::2, ::2], distance_upper_bound=FAR)[0]
    away = np.where(covered[::2, ::2], 1, -1) * np.minimum(away, FAR) + STEP / 2
    rows, columns = np.indices(SHAPE) / 2
    around = np.pad(away, ((0, 0), (0, 1)), mode="wrap")
    return smoothed(map_coordinates(around, (rows, columns), order=1, mode="nearest"), 1.5 / STEP)


def _within(outermost: np.ndarray) -> np.ndarray:
    """Distances (R, C) at which a mesh with the map's places does not come out of the head between them."""
    from scipy.ndimage import minimum_filter

    return minimum_filter(outermost, round(BETWEEN / STEP), mode=("nearest", "wrap"))


def _sampled(picture: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """A picture's (H, W) values at some pixels (..., 2), which count from the corner."""
    from scipy.ndimage import map_coordinates

    places = pixels[..., 1] - 0.5, pixels[..., 0] - 0.5
    return map_coordinates(picture.astype(np.float32), places, order=1, mode="nearest")
