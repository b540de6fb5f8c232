"""What the reconstruction room hands on: a head in millimetres and the camera that saw it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .around import SHAPE, Around
from .unrolled import SHAPE as UNROLLED_SHAPE
from .unrolled import Unrolled

#: The map of a relief: mm from one place to the next, how many rows and columns of them, and where the first is, (x, y) mm.
MAP_STEP, MAP_SHAPE, MAP_TOP_LEFT = 0.5, (441, 381), (-95.0, 80.0)
#: A relief is carved into what lies no more than this behind the face's front, mm: into all of it, and into nothing of it.
CARVED_MM, UNTOUCHED_MM = 6.0, 16.0
#: Where a camera is that shows no perspective, mm.
FAR_AWAY = 1e5
#: The place in the head, mm, away from which it stands out.
WITHIN = (0.0, -35.0, -220.0)


@dataclass(frozen=True)
class Relief:
    """What stands out of a face or lies deeper than its head's surface, on a map of the face from the front (head frame).

    Attributes
    ----------
    height : (H, W) float32
        mm, of :data:`MAP_SHAPE` places that are :data:`MAP_STEP` mm apart, in rows from the forehead down.
    front : (H, W) float32
        z of the face's surface in mm; -inf beside it.
    teeth : (H, W) float32
        z of the teeth in an open mouth in mm, NaN elsewhere.
    """

    height: np.ndarray
    front: np.ndarray
    teeth: np.ndarray

    def heights(self, points: np.ndarray) -> np.ndarray:
        """The heights (N,) in mm that move points (N, 3) of the head frame; 0 for what is not of the face's front."""
        from scipy.ndimage import map_coordinates

        columns, rows = ((points[:, :2] - MAP_TOP_LEFT) * (1 / MAP_STEP, -1 / MAP_STEP)).T
        # Beside the face everything is far behind it.
        front = np.where(np.isfinite(self.front), self.front, 1e4)
        height, front = (map_coordinates(part, (rows, columns), order=1, mode="nearest") for part in (self.height, front))
        behind = np.clip((front - points[:, 2] - CARVED_MM) / (UNTOUCHED_MM - CARVED_MM), 0, 1)
        return height * (1 - behind)

    def moved(self, points: np.ndarray, share: float = 1.0) -> np.ndarray:
        """Points (N, 3) of the head frame where the relief puts them, or a ``share`` of the way.

        Space itself is moved, away from a place far within the head, so that up to half more than the whole of a relief no
        surface cuts itself that did not before.
        """
        away = points - WITHIN
        away /= np.linalg.norm(away, axis=1, keepdims=True)
        return points + (share * self.heights(points))[:, None] * away


@dataclass(frozen=True)
class Hair:
    """A mass of hair on a head: how far it reaches on a map around it, ``reach`` (R, C) float32 mm of
    :data:`~octoprint_facesculpt.reconstruction.around.SHAPE` places around a ``middle`` (3,); within the head where there is
    none."""

    reach: np.ndarray
    middle: np.ndarray

    def mesh(self) -> tuple[np.ndarray, np.ndarray]:
        """Its closed mesh, vertices (V, 3) float64 and triangles (T, 3), of which some are in the head."""
        return Around(self.middle).mesh(self.reach)


@dataclass(frozen=True)
class Beard:
    """A mass of beard on a head, as far as it reaches on a part of a map of its front.

    Attributes
    ----------
    reach, root : (r, c) float32
        How far, mm, it reaches from the map's axis, and from where within the head; beside the beard both are within.
    begin : (2,) int
        The row and the column of the map with which the part begins.
    axis : (2,) float64
        The map's, see :class:`~octoprint_facesculpt.reconstruction.unrolled.Unrolled`.
    """

    reach: np.ndarray
    root: np.ndarray
    begin: np.ndarray
    axis: np.ndarray

    def mesh(self) -> tuple[np.ndarray, np.ndarray]:
        """Its closed mesh, vertices (V, 3) float64 and triangles (T, 3), of which some are in the head."""
        row, column = self.begin.tolist()
        return Unrolled(self.axis).mesh(self.reach, self.root, (row, column))


@dataclass(frozen=True)
class Head:
    """A reconstructed head, life size, in the head frame.

    Head frame: origin midway between the outer corners of the eyes, x to the subject's left, y up, z out of the
    face; millimetres.

    Attributes
    ----------
    vertices : (V, 3) float32
    triangles : (T, 3) int32
        Counter-clockwise seen from outside. The mesh is closed: head, neck and shoulders with a cut bottom.
    landmarks : (478, 3) float32
        MediaPipe's points on the surface, head frame.
    projection : (3, 4) float64
        Maps homogeneous head-frame points to homogeneous pixels of the upright image.
    model : dict
        ``name``, ``version``, ``sha256`` of the weights.
    seconds : dict
        Wall time of each step.
    relief : Relief, optional
        What the photo shows of the face that the surface is too smooth for.
    hair : Hair, optional
        The hair that the photo shows.
    beard : Beard, optional
        The beard that it shows for certain.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    landmarks: np.ndarray
    projection: np.ndarray
    model: dict[str, str]
    seconds: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    relief: Relief | None = None
    hair: Hair | None = None
    beard: Beard | None = None

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project (N, 3) head-frame points to (N, 2) pixels of the upright image."""
        homogeneous = np.c_[points, np.ones(len(points))] @ self.projection.T
        return homogeneous[:, :2] / homogeneous[:, 2:]

    def pixels_per_mm(self) -> float:
        """Pixels of the upright image that a mm has which faces the camera, at the eyes."""
        steps = self.project(np.vstack([np.zeros(3), np.eye(3)]))
        return float(np.sqrt(((steps[1:] - steps[0]) ** 2).sum() / 2))

    def towards_camera(self) -> np.ndarray:
        """The direction (3,), of length 1, from the middle of the eyes to the camera that saw it."""
        x, y, w = self.projection[:, :3]
        column, row, depth = self.projection[:, 3]
        # How pixels change with places; their y axis points down.
        direction = np.cross(x - column / depth * w, row / depth * w - y)
        return direction / np.linalg.norm(direction)

    def camera(self) -> np.ndarray:
        """Where the camera was, (3,) mm; very far away when the photo shows no perspective."""
        direction = self.towards_camera()
        # Along that line the third row, which perspective divides by, falls from its value at the eyes to 0.
        fall = -float(self.projection[2, :3] @ direction) / float(self.projection[2, 3])
        return direction / max(fall, 1 / FAR_AWAY)

    def save(self, path: Path) -> None:
        """Write the head to an ``.npz`` file, for the next stage."""
        relief, hair, beard = self.relief, self.hair, self.beard
        nothing = np.zeros(0, np.float32)
        with path.open("wb") as file:
            np.savez(
                file,
                relief=nothing if relief is None else np.stack([relief.height, relief.front, relief.teeth]),
                hair=nothing if hair is None else hair.reach,
                middle=nothing if hair is None else hair.middle,
                beard=nothing if beard is None else np.stack([beard.reach, beard.root]),
                begin=nothing if beard is None else beard.begin,
                axis=nothing if beard is None else beard.axis,
                vertices=self.vertices,
                triangles=self.triangles,
                landmarks=self.landmarks,
                projection=self.projection,
            )

    @classmethod
    def load(cls, path: Path) -> Head:
        """Read what :meth:`save` wrote; :class:`ValueError` or :class:`OSError` when it is damaged."""
        with np.load(path, allow_pickle=False) as data:
            maps = data["relief"] if "relief" in data else np.zeros(0)
            if maps.size and maps.shape != (3, *MAP_SHAPE):
                raise ValueError(f"a relief of {maps.shape}")
            reach, middle = (data[name] if name in data else np.zeros(0) for name in ("hair", "middle"))
            if reach.size and (reach.shape != SHAPE or middle.shape != (3,)):
                raise ValueError(f"hair of {reach.shape} around {middle.shape}")
            return cls(
                data["vertices"], data["triangles"], data["landmarks"], data["projection"], model={},
                relief=Relief(*maps) if maps.size else None, hair=Hair(reach, middle) if reach.size else None,
                beard=_beard(*(data[name] if name in data else np.zeros(0) for name in ("beard", "begin", "axis"))),
            )  # fmt: skip


def _beard(maps: np.ndarray, begin: np.ndarray, axis: np.ndarray) -> Beard | None:
    """The beard of a file, None where it has none; :class:`ValueError` when it is damaged."""
    if not maps.size:
        return None
    part = maps.ndim == 3 and len(maps) == 2 and min(maps.shape[1:]) > 1 and begin.shape == axis.shape == (2,)
    if not part or (begin < 0).any() or (begin + maps.shape[1:] > UNROLLED_SHAPE).any():
        raise ValueError(f"a beard of {maps.shape} that begins at {begin} around {axis}")
    reach, root = maps
    return Beard(reach, root, begin.astype(np.int64), axis)
