"""The predictor: a portrait goes in, a head in millimetres comes out.

Dense correspondences -> fitted guess -> a closer look -> better guess -> dense guides -> guided volumetric network -> fine
signed-distance volume -> iso-surface.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..portrait.portrait import Portrait
from ..progress import Progress, silent
from ..rasterise import Raster, rasterise
from .alignment import CROP, HeadCrop, head_crop
from .camera import Camera, fit_camera
from .closeup import Closeup, look_closer
from .covered import mouth_covered
from .descent import K_RANGE, yaw_range
from .fitting import Correspondence, Guess, Prior, refine
from .guides import guide_channels, picture_channels
from .head import Head
from .head_model import OUTER_EYE_CORNERS, HeadModel
from .look import Sight, look
from .plausible import plausible, settled
from .surface import iso_surface
from .volume import (
    GRID,
    TRUNCATION,
    curved_samples,
    from_grid,
    signed_distance,
    surface_samples,
    to_grid,
    vertex_normals,
    without_slits,
)
from .weights import PACKAGED, Weights, load

#: Voxels a side of the volume whose iso-surface becomes the head (VRN: 192 x 192 x 200).
FINE = 192
#: Voxels around the surface in which that volume is a distance and not only a sign, and by how many it is smoothed: an edge
#: sharper than a voxel would come out as teeth.
FINE_REACH, FINE_SMOOTHING = 1.0, 0.6
#: Yaw in degrees up to which the volumetric network's volume is believed, and from which on not at all; spread of its say
#: around the middle of the face in mm (its loss is weighted alike).
BELIEVED_YAW = (15.0, 28.0)
BELIEVED_MM = 70.0
#: How much of what is seen of a person is believed: photos and scans are further from drawn pictures than these are from each
#: other, and real people nearer to the average than the drawn ones. Heads of another model are met better with 0.8 than with 1
#: (frontal 1.03 mm instead of 1.06), four real scans alike (0.81 mm), drawn people a little worse (by 1 %).
CAUTION = 0.8
#: How much of its precision the recognition network is granted. It shares its errors with the descent, and real faces are
#: further from what it learned from: with all of it four scans had 0.82 mm from the front and 0.75 turned, with half 0.82 and
#: 0.74, with a tenth 0.80 and 0.72. Drawn people are as good with half as with all (turned ones by 1 % better), and worse with
#: less.
RECOGNISED = 0.5
#: How much of what a closer look says is wrong with the head is mended: that was learned from drawn people, for whom all of it
#: would be best. With none, half and all of it, 60 of them had 1.52, 1.46 and 1.43 mm from the front, 24 heads of MakeHuman's
#: 0.97, 0.94 and 0.97, four scans 0.73, 0.74 and 0.77; real people's photos were told apart with odds of 0.85, 0.89 and 0.90.
CLOSER = 0.5


def reconstruct(
    portrait: Portrait, *, weights: Path | None = None, expression: float = 1.0, progress: Progress = silent
) -> Head:
    """Reconstruct the head in a portrait.

    Parameters
    ----------
    portrait : Portrait
    weights : path, optional
        Another weights file than the packaged one.
    expression : float
        How much of the photo's expression the head has: 1 all of it, 0 none.

    Raises
    ------
    ReconstructionError
        ``weights_invalid``, ``no_surface``.
    """
    steps = _Steps(progress)
    steps.begin("load", 0.0, "Loading the network")
    learned = load(weights or PACKAGED)
    model = learned.head
    steps.begin("guess", 0.25, "Guessing the head")
    crop = head_crop(portrait.landmarks, model.landmarks(model.mean))
    sight = look(learned.observer, portrait.image, portrait.landmarks, crop)
    prior = first_guess(learned, crop, sight)
    prior = replace(prior, guess=fit(learned, prior, prior.guess, sight.points))
    steps.begin("network", 0.35, "Looking closely")
    covered = False
    if learned.closeup:
        prior, doubt = second_guess(learned, learned.closeup, portrait.image, crop, prior.guess)
        covered = mouth_covered(doubt)
    found = _found(learned, crop, prior, portrait.image, expression)
    steps.begin("volume", 0.55, "Building the volume")
    # The network's volume is coarse; its zero surface is drawn again at full resolution.
    volume = drawn(model, found.points)
    steps.begin("surface", 0.8, "Finding the surface")
    head = _head(learned, crop, found, *iso_surface(volume, found.prior.guess.camera))
    steps.end()
    return replace(head, seconds=steps.seconds, details={**head.details, "covered": covered})


class _Steps:
    """The steps of a reconstruction: how long each takes, and where in the whole it begins."""

    def __init__(self, progress: Progress) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._name, self._since = "", 0.0

    def begin(self, name: str, fraction: float, message: str) -> None:
        self._note()
        self._name, self._since = name, time.perf_counter()
        self._progress(fraction, message)

    def end(self) -> None:
        self._note()
        self._progress(1.0, "Head reconstructed")

    def _note(self) -> None:
        if self._name:
            self.seconds[self._name] = time.perf_counter() - self._since


@dataclass(frozen=True)
class _Found:
    """The head that the networks found: what is known of it (``prior``, whose guess is the fit), where its vertices are with
    the photo's expression or as much of it as is wanted (``points``) and without one (``neutral``), (V, 3) voxels of GRID, and
    how far the former are ``beyond`` what the model can be, with all of the expression, (V, 3) mm."""

    prior: Prior
    points: np.ndarray
    neutral: np.ndarray
    beyond: np.ndarray


def _found(learned: Weights, crop: HeadCrop, prior: Prior, image: np.ndarray, expression: float) -> _Found:
    """The fitted head as the volumetric network corrects it, with as much of its ``expression`` as is wanted."""
    model, guess = learned.head, prior.guess
    points = in_volume(model, guess, GRID)
    fitted = points
    share = believed(model, guess)
    if share.any():
        points = corrected(points, *read(learned, crop, guess, crop.resample(image)), share)
    beyond = from_grid(points, guess.camera, GRID) - guess.vertices(model)
    neutral = points + in_volume(model, neutral_of(guess, model), GRID) - fitted
    return _Found(prior, neutral + expression * (points - neutral), neutral, beyond)


def _head(learned: Weights, crop: HeadCrop, found: _Found, vertices: np.ndarray, triangles: np.ndarray) -> Head:
    """The head with the surface ``vertices`` (N, 3) mm in the model frame and ``triangles`` (T, 3), in the head frame."""
    model, guess = learned.head, found.prior.guess
    final = from_grid(found.points, guess.camera, GRID)
    landmarks = _snap(model.landmarks(final), vertices)
    origin = landmarks[list(OUTER_EYE_CORNERS)].mean(0)
    return Head(
        vertices=(vertices - origin).astype(np.float32),
        triangles=triangles,
        landmarks=(landmarks - origin).astype(np.float32),
        projection=_to_picture(guess.camera, crop, origin),
        model=learned.identity,
        details={
            "camera_distance_mm": float(1 / guess.camera.k) if guess.camera.k > 0 else None,
            "pixels_per_mm": float(guess.camera.scale / np.hypot(*crop.matrix[0, :2])),
            "volume": [FINE] * 3,
            "coefficients": guess.coefficients,
            "yaw": guess.camera.yaw,
            "precision": found.prior.precision,
            "beyond_model": found.beyond.astype(np.float32),
            "fitted_vertices": (guess.vertices(model) - origin).astype(np.float32),
            "final_vertices": (final - origin).astype(np.float32),
            "neutral_vertices": (from_grid(found.neutral, guess.camera, GRID) - origin).astype(np.float32),
        },
    )


def first_guess(learned: Weights, crop: HeadCrop, sight: Sight) -> Prior:
    """The head as it is guessed before the fit, and the camera that puts its points where they were seen.

    Two witnesses, each believed as far as it was right about drawn people: the correspondence network with its descent, and
    the recognition network, which speaks of the identity alone.
    """
    seen = sight.head.astype(np.float64)
    identity = len(learned.head.identity)
    seen[:identity] *= CAUTION
    camera = _placed(learned.head, seen, sight, crop.camera)
    recogniser, turned = learned.observer.recogniser, yaw_range(camera)
    known = np.zeros_like(learned.precision)
    known[:identity, :identity] = RECOGNISED * recogniser.precision[turned]
    person = np.zeros_like(seen)
    person[:identity] = recogniser.identity(sight.person, turned, learned.observer.mirror)
    precision = learned.precision + known
    head = np.linalg.solve(precision, learned.precision @ seen + known @ person)
    head[:identity] = plausible(head[:identity])
    return Prior(Guess(head[:-1], _placed(learned.head, head, sight, camera)), precision)


def second_guess(
    learned: Weights, closeup: Closeup, image: np.ndarray, crop: HeadCrop, guess: Guess
) -> tuple[Prior, np.ndarray]:
    """The head after a closer look at the face of ``image`` ((H, W, 3) uint8) where the ``guess`` is, and how doubtful the
    landmarks are (:class:`Closer`)."""
    closer = look_closer(closeup, image, crop, guess, CLOSER)
    prior = Prior(closer.guess, closeup.answer.precision)
    return replace(prior, guess=_there_is(learned, prior, prior.guess)), closer.doubt


def _placed(model: HeadModel, head: np.ndarray, sight: Sight, camera: Camera) -> Camera:
    """The camera, found from ``camera`` on, that puts the points of ``head`` (C + 1,) where they were seen."""
    start = replace(camera, k=float(np.clip(head[-1] / 1000, *K_RANGE)))
    return fit_camera(sight.points.points(model.vertices(head[:-1])), sight.points.place, start)


def read(learned: Weights, crop: HeadCrop, guess: Guess, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Run the guided network on a guess and the crop's ``picture`` ((PICTURE, PICTURE, 3) uint8): the guess's signed distance
    and what the network adds to it, both (GRID, GRID, GRID) in voxels."""
    import torch

    model = learned.head
    vertices = guess.vertices(model)
    raster = rasterise(guess.camera.project(vertices), model.triangles, CROP, CROP)
    coarse = volume_of(model, in_volume(model, guess, GRID), GRID, TRUNCATION)
    surface = seen_surface(model, vertices, guess.camera, raster)
    inputs = picture_channels(picture), guide_channels(surface, crop.landmarks[:, :2]), coarse
    with torch.inference_mode():
        said = learned.volume(*(torch.from_numpy(array)[None] for array in inputs))
    return coarse, said.volume[0].numpy() - coarse


def fit(learned: Weights, prior: Prior, guess: Guess, *seen: Correspondence) -> Guess:
    """The guess moved to where its points were ``seen``."""
    return _there_is(learned, prior, refine(learned.head, prior, guess, seen))


def _there_is(learned: Weights, prior: Prior, guess: Guess) -> Guess:
    """The guess as a head that there is."""
    identity, expression = np.split(guess.coefficients, [len(learned.head.identity)])
    return replace(guess, coefficients=np.r_[plausible(identity), settled(expression, prior.expression(len(identity)))])


def neutral_of(guess: Guess, model: HeadModel) -> Guess:
    """The guess without its expression."""
    identity = len(model.identity)
    return replace(guess, coefficients=np.r_[guess.coefficients[:identity], np.zeros(len(model.expression))])


def seen_surface(model: HeadModel, vertices: np.ndarray, camera: Camera, raster: Raster) -> np.ndarray:
    """What the camera sees of a head, (CROP, CROP, 8): model coordinates, camera-axes normals, depth in mm, mask."""
    normals = vertex_normals(vertices, model.triangles) @ camera.rotation.T
    attributes = np.concatenate([vertices, normals], 1).astype(np.float32)
    covered = raster.triangle >= 0
    depth = np.where(covered, raster.depth, 0)
    return np.concatenate([raster.interpolate(model.triangles, attributes), depth[..., None], covered[..., None]], 2).astype(
        np.float32
    )


def in_volume(model: HeadModel, guess: Guess, grid: int) -> np.ndarray:
    """The guess's vertices in its camera's volume, (V, 3) voxels of a ``grid``."""
    return to_grid(guess.camera.project(guess.vertices(model)), guess.camera.scale, grid)


def volume_of(model: HeadModel, points: np.ndarray, grid: int, reach: float) -> np.ndarray:
    """Signed distance (grid, grid, grid) of the template with vertices ``points`` ((V, 3), voxels of that grid)."""
    # The picture's y axis points down, which turns every triangle over.
    normals = -vertex_normals(points, model.triangles)
    samples = surface_samples(model.mean, model.triangles)
    return signed_distance(samples.of(points), samples.of(normals), grid, reach)


def drawn(model: HeadModel, points: np.ndarray) -> np.ndarray:
    """Signed distance (FINE, FINE, FINE) of the smooth surface with the template's vertices at ``points`` ((V, 3), voxels of
    GRID)."""
    from scipy.ndimage import gaussian_filter

    # The picture's y axis points down, which turns every triangle over.
    samples = curved_samples(points * (FINE / GRID), model.triangles[:, ::-1])
    return gaussian_filter(without_slits(signed_distance(*samples, FINE, FINE_REACH)), FINE_SMOOTHING)


def believed(model: HeadModel, guess: Guess) -> np.ndarray:
    """How much of the volumetric network's correction is taken at each vertex, (V,) 0..1.

    In the face of somebody who looks into the camera it makes the head better, at the skull and from the side worse than the
    fit, so that is all it is asked for.
    """
    yaw = abs(guess.camera.yaw)
    frontal = np.clip((BELIEVED_YAW[1] - yaw) / (BELIEVED_YAW[1] - BELIEVED_YAW[0]), 0, 1)
    middle = model.mean[model.face].mean(0)
    away = ((model.mean - middle) ** 2).sum(1)
    return frontal * np.exp(-away / (2 * BELIEVED_MM**2))


def corrected(points: np.ndarray, coarse: np.ndarray, correction: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The guess's vertices ((V, 3), voxels of GRID) on the zero surface of ``coarse + correction`` (GRID, GRID, GRID), each
    its ``share`` (V,) of the way.

    A distance that is ``c`` larger means a surface ``c`` further in, along the distance's gradient. Between the two sides of
    what is thinner than a voxel (lids, ears) the gradient vanishes, and such folds keep the shape they have in the guess.
    """
    from scipy.ndimage import gaussian_filter, map_coordinates

    smooth = gaussian_filter(coarse, 1.0)
    at = points[:, ::-1].T - 0.5
    sample = {"order": 1, "mode": "nearest"}
    distance = map_coordinates(correction, at, **sample)
    gradient = np.stack([map_coordinates(g, at, **sample) for g in np.gradient(smooth)[::-1]], 1)
    return points - (share * distance)[:, None] * gradient


def _snap(points: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """The nearest surface vertex of each of ``points``: the landmarks of the guess on the final head."""
    from scipy.spatial import cKDTree

    return vertices[cKDTree(vertices).query(points)[1]]


def _to_picture(camera: Camera, crop: HeadCrop, origin: np.ndarray) -> np.ndarray:
    """(3, 4) projection from the head frame (model frame moved to ``origin``) to pixels of the whole picture."""
    move = np.eye(4)
    move[:3, 3] = origin
    back = np.linalg.inv(np.vstack([crop.matrix, [0, 0, 1]]))
    return back @ camera.matrix() @ move
