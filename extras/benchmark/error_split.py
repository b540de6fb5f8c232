"""What the error of a reconstruction is made of: correspondence, fit, and the side the picture does not show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from contenders import head_model
from protocol import vertex_error

from octoprint_facesculpt.portrait.portrait import Portrait
from octoprint_facesculpt.rasterise import Raster, rasterise
from octoprint_facesculpt.reconstruction.alignment import CROP, head_crop
from octoprint_facesculpt.reconstruction.camera import Camera
from octoprint_facesculpt.reconstruction.fitting import Correspondence, Guess, Prior, refine
from octoprint_facesculpt.reconstruction.head import Head
from octoprint_facesculpt.reconstruction.head_model import HeadModel

#: A vertex this far behind what the camera sees, mm, is hidden.
HIDDEN_MM = 1.5
#: Laplace scale given to true correspondences, crop pixels, and how much of an independent measurement each is.
TRUE_SCALE, INDEPENDENCE = 0.05, 0.012
#: Fits one after the other, each with the points the last one shows.
PASSES = 2


def seen_vertices(projected: np.ndarray, triangles: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Which vertices (V,) the camera sees; ``projected`` (V, 3) in pixels, depth in mm towards it."""
    height, width = shape
    depth = rasterise(projected, triangles, width, height).depth
    x, y = np.floor(projected[:, :2]).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    seen = np.zeros(len(projected), bool)
    seen[inside] = projected[inside, 2] > depth[y[inside], x[inside]] - HIDDEN_MM
    return seen


def dense_error(head: Head, model: HeadModel, camera: Camera, truth: np.ndarray) -> dict[str, float]:
    """Mean error in mm on the model's surface of what is said to be seen at each pixel of the true face.

    ``fitted``: of the final head through its camera. ``read``: of the network's own correspondences, where the head's details
    hold them as ``correspondence``: vertices (N, 3), weights (N, 3) and places (N, 2) in pixels of the picture.
    """
    projected = camera.project(truth)
    low, high = np.floor(projected[model.face, :2].min(0)) - 2, np.ceil(projected[model.face, :2].max(0)) + 2
    width, height = (high - low).astype(int)
    move = np.array([*low, 0.0])
    true = rasterise(projected - move, model.triangles, width, height)
    wanted = true.interpolate(model.triangles, np.c_[model.mean, model.face].astype(np.float32))
    inside = (true.triangle >= 0) & (wanted[..., 3] > 0.5)
    found = _as_seen(head, model, move, width, height)
    both = inside & (found.triangle >= 0)
    place = found.interpolate(model.triangles, model.mean)
    errors = {"dense, fitted": float(np.linalg.norm(place[both] - wanted[both, :3], axis=1).mean())}
    read = head.details.get("correspondence")
    if read is not None:
        vertices, weights, places = read
        x, y = np.floor(np.asarray(places)[:, :2] - low).astype(int).T
        within = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        within[within] = inside[y[within], x[within]]
        said = np.einsum("nk,nkd->nd", weights[within], model.mean[vertices[within]])
        errors["dense, read"] = float(np.linalg.norm(said - wanted[y[within], x[within], :3], axis=1).mean())
    return errors


def _as_seen(head: Head, model: HeadModel, move: np.ndarray, width: int, height: int) -> Raster:
    final = head.details["final_vertices"].astype(float)
    homogeneous = np.c_[final, np.ones(len(final))] @ head.projection.T
    # What is nearer has the larger homogeneous coordinate's inverse; without perspective the third axis is the view's.
    rows = head.projection[:, :3]
    towards = np.cross(rows[0] - rows[2] * move[0], -(rows[1] - rows[2] * move[1]))
    depth = final @ (towards / np.linalg.norm(towards))
    return rasterise(np.c_[homogeneous[:, :2] / homogeneous[:, 2:] - move[:2], depth], model.triangles, width, height)


def fit_of_truth(portrait: Portrait, weights: Path | None, camera: Camera, truth: np.ndarray) -> float:
    """Error of the face in mm when the fit knows the true places of what the picture shows and, of people, their statistics
    alone: what is left is not the correspondence's, but the fit's and the hidden side's."""
    model = head_model(weights)
    crop = head_crop(portrait.landmarks, model.landmarks(model.mean))
    seen = camera.through(crop.matrix)
    places = seen.project(truth).astype(float)
    places[:, 2] *= seen.scale
    count = len(model.identity) + len(model.expression)
    guess = Guess(np.zeros(count), crop.camera)
    prior = Prior(guess, np.diag(np.r_[np.ones(len(model.identity)), np.full(len(model.expression), 4.0), 1.0]))
    for _ in range(PASSES):
        raster = rasterise(guess.camera.project(guess.vertices(model)), model.triangles, CROP, CROP)
        used = (raster.triangle >= 0) & (np.indices(raster.triangle.shape) % 2 == 0).all(0)
        vertices, at = model.triangles[raster.triangle[used]], raster.weights[used].astype(float)
        place = np.einsum("nk,nkd->nd", at, places[vertices])
        scale = np.full(len(at), TRUE_SCALE)
        guess = refine(model, prior, guess, [Correspondence(vertices, at, place, scale, INDEPENDENCE)])
    return vertex_error(guess.vertices(model)[model.face].astype(float), truth[model.face])
