"""How far the head should lean back on its foot, so that it prints best: geometry alone, in seconds.

Turning the whole print back costs half a day and its hold on the bed; turning the head on a level foot costs nothing and
takes the supports off chin, nose and brows. What a lean costs is measured on the mesh: the columns of support under what
overhangs, and what of it touches the face. ``extras/benchmark/orientation.py`` compares this with really sliced prints.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..progress import Progress, silent
from ..reconstruction.head import Head
from .settings import SculptureError, SculptureSettings
from .shaping import Sculpture, sculpt

#: Leans that are compared, degrees. Beyond 20 the sitter looks at the ceiling.
TILTS = (0.0, 5.0, 10.0, 15.0, 20.0)
#: What the slicers' profiles support: surfaces that lean out by more than this from the vertical.
OVERHANG_DEG = 55.0
#: Triangles are enough to compare by; the chosen sculpture is made anew in full.
COMPARED_TRIANGLES = 40_000
#: Columns of support are counted on a grid of this many cells along the sculpture's height.
CELLS = 200
#: A point of the surface belongs to the face when it is this near to a landmark, as a share of the distance from eyes to chin.
FACE_REACH = 0.12
#: How much print a square centimetre of scarred face is worth, as a share of the whole; how much each degree of leaning,
#: because a portrait should not look up without need; and below which angle of tipping the foot is too small.
FACE_WEIGHT, TILT_WEIGHT, MIN_TIP_DEG = 0.03, 0.002, 8.0
#: Supports are printed this much more loosely than the sculpture.
SUPPORT_DENSITY = 0.5
_FOREHEAD, _CHIN = 10, 152


@dataclass(frozen=True)
class Costs:
    """What printing a mesh costs beside its own plastic: mm^3 of supported space, mm^2 of overhang in all and on the face,
    mm^2 on the bed, and the angle in degrees by which it could lean before it tips over."""

    support_mm3: float
    overhang_mm2: float
    face_overhang_mm2: float
    base_area_mm2: float
    tip_deg: float


@dataclass(frozen=True)
class Candidate:
    """A sculpture leaning back by ``tilt_deg``, and what that costs; the smallest ``cost`` is best."""

    tilt_deg: float
    sculpture: Sculpture
    costs: Costs
    cost: float

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {
            "tilt_deg": self.tilt_deg,
            "cost": round(self.cost, 4),
            **{k: round(v, 2) for k, v in asdict(self.costs).items()},
        }


def parse_orientation(text: str) -> float | None:
    """Degrees of lean from ``upright`` or a number, None for ``auto``; :class:`SculptureError` ``orientation_unknown``."""
    if text == "auto":
        return None
    try:
        return 0.0 if text == "upright" else float(text)
    except ValueError as error:
        message = f"There is no orientation '{text[:40]}'."
        raise SculptureError("orientation_unknown", message, "Use auto, upright, or degrees of leaning back.") from error


def candidates(
    head: Head, settings: SculptureSettings, tilts: tuple[float, ...] = TILTS, progress: Progress = silent
) -> list[Candidate]:
    """Coarse sculptures of a head at several leans, best first; :class:`SculptureError` as :func:`.sculpt`."""
    found = []
    for number, tilt in enumerate(tilts):
        progress(number / len(tilts), f"Leaning back {tilt:g} degrees")
        triangles = min(settings.max_triangles, COMPARED_TRIANGLES)
        sculpture = sculpt(head, replace(settings, tilt_deg=tilt, max_triangles=triangles))
        costs = measure(sculpture)
        found.append(Candidate(tilt, sculpture, costs, _cost(tilt, sculpture, costs)))
    progress(1.0, "Orientation chosen")
    return sorted(found, key=lambda candidate: candidate.cost)


def measure(sculpture: Sculpture) -> Costs:
    """What printing a sculpture as it stands costs."""
    from scipy.spatial import cKDTree

    vertices, triangles = sculpture.vertices, sculpture.triangles
    corners = vertices[triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.linalg.norm(normals, axis=1) / 2
    centres = corners.mean(1)
    down = -normals[:, 2] / np.maximum(2 * areas, 1e-12)
    overhangs = (down > np.sin(np.radians(OVERHANG_DEG))) & (corners[:, :, 2].min(1) > 0.3)
    landmarks = sculpture.landmarks
    reach = FACE_REACH * np.linalg.norm(landmarks[_FOREHEAD] - landmarks[_CHIN])
    near, _ = cKDTree(landmarks).query(centres[overhangs], distance_upper_bound=reach)
    return Costs(
        support_mm3=support_volume(vertices, triangles, overhangs, sculpture.settings.height_mm / CELLS),
        overhang_mm2=float(areas[overhangs].sum()),
        face_overhang_mm2=float(areas[overhangs][np.isfinite(near)].sum()),
        base_area_mm2=float(sculpture.checks["base_area_mm2"]),
        tip_deg=tipping_angle(vertices, triangles),
    )


def support_volume(vertices: np.ndarray, triangles: np.ndarray, overhangs: np.ndarray, pitch: float) -> float:
    """mm^3 between overhanging triangles (a mask (T,)) and whatever is below them, on a grid of cells ``pitch`` mm wide."""
    cell, height, owner = _crossings(vertices, triangles, pitch)
    order = np.lexsort((height, cell))
    cell, height, owner = cell[order], height[order], owner[order]
    below = np.zeros(len(cell))
    same = cell[1:] == cell[:-1]
    below[1:][same] = height[:-1][same]
    held = overhangs[owner]
    return float((height[held] - below[held]).sum() * pitch**2)


def tipping_angle(vertices: np.ndarray, triangles: np.ndarray) -> float:
    """By how many degrees a mesh that stands on the bed can lean before it falls; 0 when it does not stand."""
    import trimesh
    from scipy.spatial import ConvexHull, QhullError

    on_bed = vertices[vertices[:, 2] < 0.05][:, :2]
    centre = trimesh.Trimesh(vertices, triangles, process=False).center_mass
    try:
        edges = ConvexHull(on_bed).equations
    except (QhullError, ValueError):
        return 0.0
    inside = -(edges[:, :2] @ centre[:2] + edges[:, 2]).max()
    return float(np.degrees(np.arctan2(max(inside, 0.0), centre[2])))


def _cost(tilt: float, sculpture: Sculpture, costs: Costs) -> float:
    """Support as a share of the print, the face's scars, the pose, and the danger of tipping over."""
    volume = sculpture.checks["volume_mm3"]
    # The weight of a scar is meant for a sculpture as high as a hand.
    scars = costs.face_overhang_mm2 / 100 * (160 / sculpture.settings.height_mm) ** 2
    tipping = max(MIN_TIP_DEG - costs.tip_deg, 0.0)
    return SUPPORT_DENSITY * costs.support_mm3 / volume + FACE_WEIGHT * scars + TILT_WEIGHT * tilt + tipping


def _crossings(vertices: np.ndarray, triangles: np.ndarray, pitch: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the vertical lines through the cells' middles cross a mesh: cell, height and triangle of each crossing."""
    low = vertices[:, :2].min(0)
    points = vertices[triangles].copy()
    # A line exactly through an edge would count it twice or not at all.
    points[:, :, :2] = (points[:, :, :2] - low) / pitch + 0.5 + np.array([1e-5, 1.7e-5])
    a, b, c = points[:, 0], points[:, 1], points[:, 2]
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    first = np.ceil(points[:, :, :2].min(1)).astype(np.int64)
    size = np.maximum(np.floor(points[:, :, :2].max(1)).astype(np.int64) - first + 1, 0)
    count = np.where(np.abs(area) > 1e-12, size.prod(1), 0)
    owner = np.repeat(np.arange(len(triangles)), count)
    step = np.arange(len(owner)) - np.repeat(count.cumsum() - count, count)
    x, y = first[owner, 0] + step % size[owner, 0], first[owner, 1] + step // size[owner, 0]
    a, b, c = a[owner], b[owner], c[owner]
    u = ((b[:, 0] - x) * (c[:, 1] - y) - (b[:, 1] - y) * (c[:, 0] - x)) / area[owner]
    v = ((c[:, 0] - x) * (a[:, 1] - y) - (c[:, 1] - y) * (a[:, 0] - x)) / area[owner]
    inside = (u >= 0) & (v >= 0) & (u + v <= 1)
    height = u * a[:, 2] + v * b[:, 2] + (1 - u - v) * c[:, 2]
    columns = int(points[:, :, 0].max()) + 2
    return (y * columns + x)[inside], height[inside], owner[inside]
