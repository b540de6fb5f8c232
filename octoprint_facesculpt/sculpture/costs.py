"""What it costs to print a sculpture as it stands, from its geometry alone: time, filament, supports, scars, stability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .shaping import Sculpture

#: What the slicers' profiles support: surfaces that lean out by more than this from the vertical. From the second angle on
#: they print rough without, and so do surfaces that face up within the third of level: each layer ends as a terrace.
OVERHANG_DEG, ROUGH_DEG, TERRACE_DEG = 55.0, 40.0, 30.0
#: From here on columns of support really grow: slicers hold whole strips of a layer, of which not all lean out as far.
COLUMN_DEG = 50.0
#: Columns of support are counted on a grid of this many cells along the sculpture's height.
CELLS = 200
#: A point of the surface belongs to the face when it is this near to a landmark, as a share of the distance from eyes to chin.
FACE_REACH = 0.12
#: How much plastic a print is, as measured on busts that were sliced: height of layers and width of lines, mm; walls; layers of
#: solid skin and from which slope on it is needed; shares of infill and of supported space; dense layers for what is supported,
#: of which few lie under it: columns are wider than what they hold, and most of a slender one is its own wall.
LAYER, WIDTH, WALLS, SKINS, SKIN_SLOPE, INFILL, SUPPORT, DENSE = 0.2, 0.44, 2.3, 3.4, 0.6, 0.09, 0.28, 16
#: mm/s of walls, skins, infill and supports with their travels and turns, and seconds that every layer takes besides.
WALL_SPEED, SKIN_SPEED, INFILL_SPEED, SUPPORT_SPEED, LAYER_SECONDS = 26.0, 20.0, 37.0, 20.0, 3.5
#: g/mm^3 of PLA.
DENSITY = 1.24e-3
#: MediaPipe's landmarks of the forehead, between the brows, and of the chin.
_FOREHEAD, _GLABELLA, _CHIN = 10, 9, 152


@dataclass(frozen=True)
class Costs:
    """What printing a mesh costs: seconds and g of filament, roughly; mm^3 of supported space; mm^2 of overhang that needs
    supports, in all and on the face, and of the face that prints rough without; mm^2 on the bed; mm of height; the angle
    in degrees by which it could lean before it tips over; and by how many degrees the finished bust's face looks up."""

    seconds: float
    filament_g: float
    support_mm3: float
    overhang_mm2: float
    face_overhang_mm2: float
    face_rough_mm2: float
    base_area_mm2: float
    height_mm: float
    tip_deg: float
    gaze_deg: float


def measure(sculpture: Sculpture) -> Costs:
    """What printing a sculpture as it stands costs."""
    from scipy.spatial import cKDTree

    vertices, triangles = sculpture.vertices, sculpture.triangles
    corners = vertices[triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.linalg.norm(normals, axis=1) / 2
    up = normals[:, 2] / np.maximum(2 * areas, 1e-12)
    off_bed = corners[:, :, 2].min(1) > 0.3
    overhangs = (-up > np.sin(np.radians(OVERHANG_DEG))) & off_bed
    rough = (-up > np.sin(np.radians(ROUGH_DEG))) & off_bed & ~overhangs | (up > np.cos(np.radians(TERRACE_DEG)))
    landmarks = sculpture.landmarks
    reach = FACE_REACH * np.linalg.norm(landmarks[_FOREHEAD] - landmarks[_CHIN])
    seen = np.flatnonzero(overhangs | rough)
    near, _ = cKDTree(landmarks).query(corners[seen].mean(1), distance_upper_bound=reach)
    face = np.zeros(len(triangles), bool)
    face[seen] = np.isfinite(near)
    held = (-up > np.sin(np.radians(COLUMN_DEG))) & off_bed
    support = support_volume(vertices, triangles, held, sculpture.settings.height_mm / CELLS)
    height = float(vertices[:, 2].max())
    seconds, filament = _printing(areas, up, held, float(sculpture.checks["volume_mm3"]), support, height)
    return Costs(
        seconds=seconds,
        filament_g=filament,
        support_mm3=support,
        overhang_mm2=float(areas[overhangs].sum()),
        face_overhang_mm2=float(areas[overhangs & face].sum()),
        face_rough_mm2=float(areas[rough & face].sum()),
        base_area_mm2=float(sculpture.checks["base_area_mm2"]),
        height_mm=height,
        tip_deg=tipping_angle(vertices, triangles),
        gaze_deg=gaze(landmarks) - sculpture.settings.lean_deg,
    )


def gaze(landmarks: np.ndarray) -> float:
    """By how many degrees a face (478, 3) in print frame looks up: 0 when the chin is straight below the brows."""
    _, y, z = landmarks[_GLABELLA] - landmarks[_CHIN]
    return float(np.degrees(np.arctan2(y, z)))


def _printing(
    areas: np.ndarray, up: np.ndarray, held: np.ndarray, volume: float, support: float, height: float
) -> tuple[float, float]:
    """Seconds and g of a print, of triangles with ``areas`` (T,) and the vertical part ``up`` (T,) of their normals. Those of
    the mask ``held`` (T,) stand on ``support`` mm^3 of supported space.

    The outlines of all layers together are the surface's area, seen from the side, over the layers' height.
    """
    outlines = float((areas * np.sqrt(np.maximum(1 - up**2, 0))).sum()) / LAYER
    walls = WALLS * outlines
    skins = SKINS * float((areas * np.abs(up))[np.abs(up) > SKIN_SLOPE].sum()) / WIDTH
    bead = LAYER * WIDTH
    infill = INFILL * max(volume - (walls + skins) * bead, 0.0) / bead
    supports = SUPPORT * support / bead + DENSE * float(areas[held].sum()) / WIDTH
    seconds = walls / WALL_SPEED + skins / SKIN_SPEED + infill / INFILL_SPEED + supports / SUPPORT_SPEED
    return seconds + LAYER_SECONDS * height / LAYER, (walls + skins + infill + supports) * bead * DENSITY


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
