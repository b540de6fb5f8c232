"""From a first guess of the head down to the head in the picture: supervised descent on what lies under the guess's points.

The guess says where its points are in the picture; the encoder's finer maps are read just there, and a linear map from what
they show to how the guess is wrong was learned (Xiong and De la Torre, "Supervised Descent Method and its Applications to Face
Alignment", CVPR 2013). What an eyelid a millimetre too low looks like is the same in every face, so a few thousand faces teach
what a network that sees the face as a whole does not learn from a hundred thousand. The first step has a map for each range of
yaw; where it leads, less is wrong and less simply so, and a small network learned the second. Another one learned the last
step, which looks at the picture itself (:mod:`gradients`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .camera import Camera, fit_camera
from .correspondence import REGION
from .head_model import HeadModel

if TYPE_CHECKING:
    from torch import Tensor

#: Bounds of the ranges of yaw in degrees, each with its own map.
YAWS = (-40.0, -15.0, 15.0, 40.0)
#: The encoder's stages that are read: maps of side 64 and 32.
STAGES_READ = (1, 2)
#: Inverse distances a photo can have, 1/mm (0.3 m to infinity).
K_RANGE = (0.0, 0.0033)


@dataclass(frozen=True)
class State:
    """A head and the camera that sees it on the network's picture: ``head`` (C + 1,) coefficients and 1000 k."""

    head: np.ndarray
    camera: Camera


@dataclass(frozen=True)
class Points:
    """The head points of a model: mean (P, 3) and shapes (C, P, 3), mm."""

    mean: np.ndarray
    shapes: np.ndarray

    @classmethod
    def of(cls, model: HeadModel, vertices: np.ndarray) -> Points:
        """Those at the numbered ``vertices`` (P,)."""
        # Picking columns leaves them in an order in which each use of them would copy them: twelve times as slow.
        shapes = np.ascontiguousarray(np.concatenate([model.identity, model.expression])[:, vertices], np.float64)
        return cls(model.mean[vertices].astype(np.float64), shapes)

    def at(self, coefficients: np.ndarray) -> np.ndarray:
        """(P, 3) on the head of ``coefficients`` (C,)."""
        return self.mean + np.tensordot(coefficients, self.shapes, 1)


@dataclass(frozen=True)
class Linear:
    """A linear map: ``change = (features - mean) @ gather @ spread``.

    ``features`` are F numbers (points times K); ``mean`` (F,), ``gather`` (F, R) and ``spread`` (R, C + 1 + 2 P): a change of
    the head, and of the points' places in pixels of the network's picture.
    """

    mean: np.ndarray
    gather: np.ndarray
    spread: np.ndarray

    def change(self, features: np.ndarray) -> np.ndarray:
        return (features - self.mean) @ self.gather @ self.spread


@dataclass(frozen=True)
class ByYaw:
    """A step down: a linear map for each range of yaw."""

    ranges: tuple[Linear, ...]

    def change(self, features: np.ndarray, camera: Camera) -> np.ndarray:
        return self.ranges[yaw_range(camera)].change(features)


@dataclass(frozen=True)
class Deep:
    """A step down: a small network for all yaws.

    What ``gather`` (F, R) makes of the features, and the yaw, go through the ``layers`` but the last, each a weight (I, O) and
    a bias (O,); the last takes their answer beside what was gathered. ``spread`` (R', C + 1 + 2 P) and ``offset`` as in
    :class:`Linear`.
    """

    mean: np.ndarray
    gather: np.ndarray
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    spread: np.ndarray
    offset: np.ndarray

    def change(self, features: np.ndarray, camera: Camera) -> np.ndarray:
        return self.answer(features, camera.yaw)

    def answer(self, features: np.ndarray, yaw: np.ndarray | float) -> np.ndarray:
        """The changes (..., C + 1 + 2 P) for features (..., F) of heads turned by ``yaw`` (...) degrees."""
        from scipy.special import expit

        gathered = (features - self.mean) @ self.gather
        hidden = np.concatenate([gathered, yaw_features(yaw)], -1)
        for weight, bias in self.layers[:-1]:
            hidden = hidden @ weight + bias
            hidden = hidden * expit(hidden)  # SiLU
        weight, bias = self.layers[-1]
        return (np.concatenate([hidden, gathered], -1) @ weight + bias) @ self.spread + self.offset


@dataclass(frozen=True)
class Shown:
    """``centre`` (P, D) and ``basis`` (D, K), which make features of what is read at the points."""

    centre: np.ndarray
    basis: np.ndarray

    def features(self, read: np.ndarray) -> np.ndarray:
        """(P * K,) features of what was read at the points (P, D)."""
        return ((read - self.centre) @ self.basis).ravel()


@dataclass(frozen=True)
class Descent:
    """Its ``steps`` on what the encoder's ``maps`` show, and the ``last`` one on what the picture's ``gradients`` show, if one
    was learned."""

    maps: Shown
    steps: tuple[ByYaw | Deep, ...]
    gradients: Shown | None = None
    last: ByYaw | Deep | None = None


def places_of(points: Points, states: list[State]) -> np.ndarray:
    """Where the points of ``states`` lie, (B, P, 2) pixels."""
    return np.stack([state.camera.project(points.at(state.head[:-1]))[:, :2] for state in states])


def down(
    step: ByYaw | Deep, shown: Shown, points: Points, states: list[State], places: np.ndarray, read: np.ndarray
) -> tuple[list[State], np.ndarray]:
    """A ``step`` from each of ``states``, whose points lie at ``places`` ((B, P, 2) pixels) and show ``read`` (B, P, D); also
    the new places (B, P, 2) of the points."""
    after, moved = [], []
    for state, place, one in zip(states, places, read, strict=True):
        change = step.change(shown.features(one), state.camera)
        count = len(state.head)
        moved.append(place + change[count:].reshape(-1, 2))
        after.append(settle(points, state.head + change[:count], moved[-1], state.camera))
    return after, np.stack(moved)


def descend(descent: Descent, points: Points, stages: list[Tensor], states: list[State]) -> tuple[list[State], np.ndarray]:
    """All steps that read the encoder's ``stages`` (B, D, S, S); also where they put the points (B, P, 2)."""
    places = places_of(points, states)
    for step in descent.steps:
        places = places_of(points, states)
        states, places = down(step, descent.maps, points, states, places, read_at(stages, places))
    return states, places


def yaw_range(camera: Camera) -> int:
    """Which range of yaw a head seen by ``camera`` is in, 0 to len(YAWS)."""
    return int(np.searchsorted(YAWS, camera.yaw))


def step_arrays(step: ByYaw | Deep) -> dict[str, np.ndarray]:
    """The numbers of a step of descent by name."""
    if isinstance(step, ByYaw):
        names = ("mean", "gather", "spread")
        return {f"{number}.{name}": getattr(one, name) for number, one in enumerate(step.ranges) for name in names}
    arrays = {name: getattr(step, name) for name in ("mean", "gather", "spread", "offset")}
    for number, (weight, bias) in enumerate(step.layers):
        arrays |= {f"layers.{number}.weight": weight, f"layers.{number}.bias": bias}
    return arrays


def step_of(arrays: dict[str, np.ndarray]) -> ByYaw | Deep:
    """The inverse of :func:`step_arrays`; KeyError where something is missing."""
    if "gather" not in arrays:
        parts = [under(f"{number}.", arrays) for number in range(len(YAWS) + 1)]
        return ByYaw(tuple(Linear(part["mean"], part["gather"], part["spread"]) for part in parts))
    layers: list[tuple[np.ndarray, np.ndarray]] = []
    while layer := under(f"layers.{len(layers)}.", arrays):
        layers.append((layer["weight"], layer["bias"]))
    return Deep(arrays["mean"], arrays["gather"], tuple(layers), arrays["spread"], arrays["offset"])


def under(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays whose name begins with ``prefix``, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def yaw_features(yaw: np.ndarray | float) -> np.ndarray:
    """(..., 2) what a network is told of a ``yaw`` in degrees."""
    share = np.asarray(yaw) / 60.0
    return np.stack([share, share**2], -1)


def begin(points: Points, head: np.ndarray, places: np.ndarray) -> State:
    """The state in which the head ``head`` (C + 1,) has its points at ``places`` ((P, 2) pixels)."""
    return settle(points, head, places, affine_camera(points.at(head[:-1]), places))


def settle(points: Points, head: np.ndarray, places: np.ndarray, camera: Camera) -> State:
    """The state with the camera, found from ``camera`` on, that brings the points closest to ``places`` ((P, 2) pixels)."""
    start = replace(camera, k=float(np.clip(head[-1] / 1000, *K_RANGE)))
    return State(head, fit_camera(points.at(head[:-1]), places, start))


def affine_camera(points: np.ndarray, pixels: np.ndarray) -> Camera:
    """The weak-perspective camera nearest to the affine one that takes ``points`` ((N, 3) mm) to ``pixels`` ((N, 2))."""
    middle = points.mean(0)
    affine, *_ = np.linalg.lstsq(np.c_[points - middle, np.ones(len(points))], pixels * [1, -1], rcond=None)
    rows = affine[:3].T
    u, sizes, vt = np.linalg.svd(rows, full_matrices=False)
    turned = u @ vt
    scale = float(sizes.mean())
    rotation = np.vstack([turned, np.cross(turned[0], turned[1])])
    return Camera(rotation, scale, 0.0, (affine[3] - scale * (turned @ middle)) * [1, -1])


def read_at(stages: list[Tensor], places: np.ndarray) -> np.ndarray:
    """What the encoder's ``stages`` (B, D, S, S) show at ``places`` ((B, P, 2) pixels of its picture): (B, P, D)."""
    import torch

    return sample(stages, torch.from_numpy(places).float()).numpy()


def sample(stages: list[Tensor], places: Tensor) -> Tensor:
    """:func:`read_at` with tensors, through which an error goes back into the ``stages``."""
    import torch
    from torch.nn.functional import grid_sample

    grid = (places * (2 / REGION) - 1)[:, :, None]
    read = [grid_sample(stages[i].float(), grid, padding_mode="border", align_corners=False)[..., 0] for i in STAGES_READ]
    return torch.cat(read, 1).transpose(1, 2)
