"""A head becomes a sculpture: upright, cut, set on a plinth, scaled, and a closed solid that a printer can make.

All shaping is done life size with exact booleans of manifold solids, so that the result is a closed two-manifold by
construction; it is checked all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..progress import Progress, silent
from ..reconstruction.head import Head
from .carving import carved, teeth
from .settings import MAX_LEAN, SculptureError, SculptureSettings

if TYPE_CHECKING:
    from manifold3d import Manifold

#: MediaPipe's landmarks of the chin, below the lower lip, and of both cheeks where the ears begin.
CHIN, LIP, EARS = 152, 17, (234, 454)
#: Head frame (x to the subject's left, y up, z forward) to print frame (x alike, face towards -y, z up).
UPRIGHT = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
#: Where the bust ends below the eyes (at the lowest), and the head style's neck, in distances from eyes to chin.
CHEST, THROAT = 1.55, 1.3
#: Down to here, in the same measure, nothing of the head is cut.
BELOW_CHIN = 1.2
#: How far back a mask reaches, as a share of the way from the eyes' outer corners to the ears, and how far below the eyes, in
#: distances from eyes to chin. Further back the neck would come out below the jaw.
MASK_DEPTH, MASK_END = 0.6, 1.12
#: What a mask that stands needs on the bed, as a share of the square of its height: with less it tips over too easily, as its
#: weight is behind the chin. The cut for it is sought in steps of so many mm, life size.
FOOT, FOOT_STEP = 0.03, 1.0
#: More half depth in mm than any head has.
FREE = 300.0
#: Life-size outline of the bust from its lower end upwards: height above the end, half width, half depth, in mm. The
#: chest is carved out of it; it widens by about 45 degrees, so that it prints without supports. Above it nothing is cut.
BOWL = ((0, 56, 50), (16, 70, 62), (36, 88, 76), (56, 102, 88))
#: Life-size outline of the plinth: radius and height in mm.
PLINTH = ((0, 0), (64, 0), (66, 3), (66, 11), (63, 14), (55, 17), (47, 23), (43, 31), (43, 37), (47, 43), (0, 43))
#: How far the plinth reaches into the bust.
OVERLAP = 1.0
#: By so many mm, life size, the surface of hair or a beard may be put elsewhere for fewer triangles: most of it is smooth or
#: hidden.
MASS_TOLERANCE = 0.1
#: Gap in mm where two places of the surface would meet, and how often it is made: what is moved may meet another place.
GAP, PASSES = 0.001, 8
#: What a sculpture that does not stand on its foot loses to the bed, as a share of its height.
FLAT = 0.005
#: A part is a sculpture only above this volume, in mm^3 of the life-size head.
MIN_VOLUME = 50_000.0


@dataclass(frozen=True)
class Sculpture:
    """A closed mesh that stands on the bed.

    ``vertices`` (V, 3) float64 mm, z up, lowest at 0, face towards -y, centred in x and y; ``triangles`` (T, 3) int32;
    ``landmarks`` (478, 3) float64, the face's points in the same frame; ``checks``: ``watertight``, ``manifold``,
    ``volume_mm3``, ``bounds``, ``triangles``, ``base_area_mm2``.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    landmarks: np.ndarray
    settings: SculptureSettings
    checks: dict[str, Any] = field(default_factory=dict)


def sculpt(head: Head, settings: SculptureSettings | None = None, progress: Progress = silent) -> Sculpture:
    """Make a sculpture of a head.

    Raises
    ------
    SculptureError
        ``empty_head`` when there is no solid to cut, ``not_manifold`` when the result would not print.
    """
    settings = settings or SculptureSettings()
    progress(0.05, "Closing the head")
    solid = _whole(head, settings)
    reach = max(-float(head.landmarks[CHIN, 1]), 60.0)
    landmarks = head.landmarks.astype(np.float64) @ UPRIGHT.T
    if settings.tilt_deg:
        solid, landmarks = _leaning_back(solid, landmarks, reach, settings.tilt_deg)
    progress(0.3, "Cutting the bust")
    if settings.style == "mask":
        shaped = _mask(solid, landmarks, reach)
        if not settings.lean_deg:
            shaped = _on_its_chin(shaped, float(landmarks[LIP, 2]))
    else:
        shaped = _bust(solid, reach) if settings.style == "bust" else _head(solid, reach)
    progress(0.6, "Scaling")
    shaped = _largest(shaped)
    low_x, low_y, low_z, high_x, high_y, high_z = shaped.bounding_box()
    scale = settings.height_mm / (high_z - low_z)
    to_bed = np.array([-(low_x + high_x) / 2, -(low_y + high_y) / 2, -low_z])
    shaped = shaped.translate(tuple(to_bed)).scale((scale,) * 3)
    progress(0.7, "Thinning the mesh")
    shaped = thinned(shaped, settings.max_triangles)
    landmarks = (landmarks + to_bed) * scale
    if settings.lean_deg:
        # A mask's back is flat as it is.
        lost = 0.0 if settings.style == "mask" and settings.lean_deg == 90 else FLAT * settings.height_mm
        shaped, landmarks = _on_the_bed(shaped, landmarks, settings.lean_deg, lost)
    vertices, triangles = mesh_of(shaped)
    vertices[:, 2] -= vertices[:, 2].min()
    if not settings.lean_deg:
        # Thinning has taken a hair off the crown.
        factor = settings.height_mm / vertices[:, 2].max()
        vertices, landmarks = vertices * factor, landmarks * factor
    vertices = apart(vertices, triangles)
    progress(0.9, "Checking the solid")
    checks = check(vertices, triangles)
    progress(1.0, "Sculpture ready")
    return Sculpture(vertices, triangles, landmarks, settings, checks)


def _whole(head: Head, settings: SculptureSettings) -> Manifold:
    """The head as a solid in print frame, life size, with as much of the photo's detail, and with hair and beard, as is wanted;
    :class:`SculptureError` ``empty_head`` when there is none."""

    def solid(vertices: np.ndarray, triangles: np.ndarray) -> Manifold:
        return solid_of(vertices @ UPRIGHT.T, triangles)

    whole = solid(*carved(head, settings.detail))
    if whole.is_empty() or whole.volume() < MIN_VOLUME:
        raise SculptureError("empty_head", "There is no head to make a sculpture of.", "Try another photo.")
    shown = teeth(head)
    if settings.detail and len(shown[1]):
        whole += solid(*shown)
    for mass in (head.hair, head.beard):
        if settings.hair and mass is not None:
            whole += solid(*mass.mesh()).simplify(MASS_TOLERANCE)
    return whole


def standing(sculpture: Sculpture) -> np.ndarray:
    """The vertices (V, 3) of a sculpture as it will stand on a shelf, however it lies on the bed."""
    c, s = np.cos(np.radians(sculpture.settings.lean_deg)), np.sin(np.radians(sculpture.settings.lean_deg))
    return sculpture.vertices @ np.array([[1.0, 0.0, 0.0], [0.0, c, s], [0.0, -s, c]])


def scaled(sculpture: Sculpture, height_mm: float) -> Sculpture:
    """The same sculpture in another height; :class:`SculptureError` ``height_out_of_range``."""
    settings = replace(sculpture.settings, height_mm=height_mm)
    factor = height_mm / sculpture.settings.height_mm
    vertices = apart(sculpture.vertices * factor, sculpture.triangles)
    return replace(
        sculpture, vertices=vertices, landmarks=sculpture.landmarks * factor, settings=settings,
        checks=check(vertices, sculpture.triangles),
    )  # fmt: skip


def solid_of(vertices: np.ndarray, triangles: np.ndarray) -> Manifold:
    """A solid of a closed mesh ((V, 3), (T, 3)); :class:`SculptureError` ``not_manifold`` when it is none."""
    from manifold3d import Error, Manifold, Mesh

    if not len(triangles) or not np.isfinite(vertices).all():
        raise SculptureError("empty_head", "The mesh is empty or has impossible coordinates.", "Try another photo.")
    mesh = Mesh(np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(triangles, np.uint32))
    solid = Manifold(mesh)
    if solid.status() != Error.NoError:
        raise SculptureError("not_manifold", f"The mesh is not a closed solid ({solid.status().name}).", "Try another photo.")
    return solid


def mesh_of(solid: Manifold) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) float64 and triangles (T, 3) int32 of a solid."""
    mesh = solid.to_mesh()
    return np.asarray(mesh.vert_properties[:, :3], np.float64), np.asarray(mesh.tri_verts, np.int32)


def thinned(solid: Manifold, triangles: int) -> Manifold:
    """The solid with at most about ``triangles`` triangles, flat regions first; it stays a solid."""
    tolerance = 0.005
    while solid.num_tri() > triangles and tolerance < 5:
        solid = solid.simplify(tolerance)
        tolerance *= 1.5
    return solid


def apart(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The vertices (V, 3) of a solid, no two in the same place.

    Where a surface meets itself, in a point or in two sheets upon each other, a file that knows vertices only by their
    coordinates (STL) could not tell which triangles are neighbours; a hair's breadth into a triangle of its own each can be
    told apart. A head that overlaps itself gives such sheets: a cut through it leaves one for each of its layers.
    """
    for _ in range(PASSES):
        _, place = _places(vertices)
        count = np.bincount(place)
        if len(count) == len(vertices):
            break
        near = triangles[(count[place] > 1)[triangles].any(1)]
        moved = vertices.copy()
        for shared in np.flatnonzero(count > 1):
            # In sheets upon each other twins have the same triangles: only by different ways do they part.
            for number, vertex in enumerate(np.flatnonzero(place == shared), 1):
                towards = vertices[near[(near == vertex).any(1)][0]].mean(0) - vertices[vertex]
                moved[vertex] += GAP * number / count[shared] * towards / (np.linalg.norm(towards) + 1e-12)
        vertices = moved
    return vertices


def _places(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different places (P, 3) that vertices (V, 3) have in a file, float32, and which of them each vertex has (V,)."""
    places, place = np.unique(vertices.astype(np.float32), axis=0, return_inverse=True)
    return places, place.ravel()


def check(vertices: np.ndarray, triangles: np.ndarray) -> dict[str, Any]:
    """Measure a finished mesh; :class:`SculptureError` ``not_manifold`` unless it is a closed two-manifold on the bed, also
    in a file that knows vertices only by their coordinates."""
    import trimesh

    solid = solid_of(vertices, triangles)
    mesh = trimesh.Trimesh(vertices, triangles, process=False)
    places, place = _places(vertices)
    welded = trimesh.Trimesh(places, place[triangles], process=False)
    on_bed = (vertices[triangles][:, :, 2] < 0.05).all(1)
    checks = {
        "watertight": bool(welded.is_watertight),
        # Vertices in one place may join what touches in a point only, which no edge tells.
        "manifold": bool(welded.is_watertight and welded.is_winding_consistent and len(places) == len(vertices)),
        "volume_mm3": float(solid.volume()),
        "bounds": mesh.bounds.round(3).tolist(),
        "triangles": len(triangles),
        "base_area_mm2": float(mesh.area_faces[on_bed].sum()),
    }
    if not checks["manifold"] or checks["volume_mm3"] <= 0:
        raise SculptureError("not_manifold", "The sculpture is not a closed solid.", "Try another photo.")
    return checks


def _leaning_back(solid: Manifold, landmarks: np.ndarray, reach: float, tilt_deg: float) -> tuple[Manifold, np.ndarray]:
    """The head and its landmarks turned back about the base of the neck, before anything is cut level."""
    (_, depth), _ = _section(solid, -1.2 * reach)
    pivot = np.array([0.0, depth, -1.2 * reach])
    turned = solid.translate(tuple(-pivot)).rotate((-tilt_deg, 0.0, 0.0)).translate(tuple(pivot))
    c, s = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))
    rotation = np.array([[1.0, 0.0, 0.0], [0.0, c, s], [0.0, -s, c]])
    return turned, (landmarks - pivot) @ rotation.T + pivot


def lying_angle(vertices: np.ndarray) -> float:
    """By how many degrees an upright sculpture (V, 3) must be turned back to lie on its two hindmost places: usually the
    back of the head and the plinth."""
    from scipy.spatial import ConvexHull

    side = vertices[:, 1:]
    hull = ConvexHull(side)
    middle = (side.min(0) + side.max(0)) / 2
    # The edge of the outline, seen from the side, that the middle falls through when it is turned back.
    for simplex in hull.simplices:
        (y0, z0), (y1, z1) = sorted(side[simplex].tolist(), key=lambda point: point[1])
        if z1 > z0 and y0 + (y1 - y0) * (middle[1] - z0) / (z1 - z0) > middle[0] and z0 <= middle[1] <= z1:
            return float(np.clip(90 - np.degrees(np.arctan2(y1 - y0, z1 - z0)), 0, MAX_LEAN))
    return 90.0


def _on_the_bed(solid: Manifold, landmarks: np.ndarray, lean_deg: float, lost: float) -> tuple[Manifold, np.ndarray]:
    """The sculpture turned back on the bed, ``lost`` mm below which are cut off: what would touch it in a point only gets a
    small flat place to hold on."""
    solid = solid.rotate((-lean_deg, 0.0, 0.0))
    c, s = np.cos(np.radians(lean_deg)), np.sin(np.radians(lean_deg))
    landmarks = landmarks @ np.array([[1.0, 0.0, 0.0], [0.0, c, s], [0.0, -s, c]]).T
    low = solid.bounding_box()[2] + lost
    solid = solid.trim_by_plane((0.0, 0.0, 1.0), low)
    low_x, low_y, low_z, high_x, high_y, _ = solid.bounding_box()
    to_bed = (-(low_x + high_x) / 2, -(low_y + high_y) / 2, -low_z)
    return solid.translate(to_bed), landmarks + np.array(to_bed)


def _bust(solid: Manifold, reach: float) -> Manifold:
    """Head and chest within the bowl, on the plinth; ``reach`` is the distance from eyes to chin."""
    from manifold3d import CrossSection, Manifold

    end = _lower_end(solid, reach)
    middle, _ = _section(solid, -1.2 * reach)
    turn = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    # From below the chin on only shoulders and back are carved, so that a short bust keeps its chin.
    room = -BELOW_CHIN * reach - end
    heights, widths, depths = np.transpose(BOWL)
    rings = []
    for height in (*heights, room):
        width, back = np.interp(height, heights, widths), np.interp(height, heights, depths)
        depth = np.where(np.sin(turn) > 0, back, back if height < room else FREE)
        x, y = middle[0] + width * np.cos(turn), middle[1] + depth * np.sin(turn)
        rings.append(np.c_[x, y, np.full(len(turn), end + height)])
    above = Manifold.cube((1000, 1000, 1000)).translate((-500, -500, end + BOWL[-1][0] - 1))
    bowl = Manifold.hull_points(np.concatenate(rings)) + above
    bust = solid ^ bowl
    foot, half = _section(bust, end + OVERLAP)
    # The stem disappears inside the chest, however slender the neck is.
    stem = min(max(0.85 * half, 26.0), 47.0) / 47.0
    profile = np.array([(radius * (stem if height > 17 else 1.0), height) for radius, height in PLINTH], float)
    plinth = Manifold.revolve(CrossSection([profile]), 128)
    return bust + plinth.translate((*foot, end + OVERLAP - profile[:, 1].max()))


def _lower_end(solid: Manifold, reach: float) -> float:
    """The height at which the bust is cut: above the rim where the head's own underside, rough and slanted, begins."""
    vertices, triangles = mesh_of(solid)
    corners = vertices[triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    heights = corners[:, :, 2].mean(1)
    underside = heights[(normals[:, 2] < -0.7) & (heights < -1.2 * reach)]
    rim = np.quantile(underside, 0.97) + 2.0 if len(underside) else -np.inf
    return float(np.clip(rim, -CHEST * reach, -THROAT * reach))


def _head(solid: Manifold, reach: float) -> Manifold:
    """Head and neck, cut level below the throat, on a flat foot."""
    return solid.trim_by_plane((0.0, 0.0, 1.0), -THROAT * reach)


def _mask(solid: Manifold, landmarks: np.ndarray, reach: float) -> Manifold:
    """The face and what surrounds it: cut flat in front of the ears, and level below the chin."""
    back = float(MASK_DEPTH * landmarks[list(EARS), 1].mean())
    return solid.trim_by_plane((0.0, -1.0, 0.0), -back).trim_by_plane((0.0, 0.0, 1.0), -MASK_END * reach)


def _on_its_chin(mask: Manifold, lip: float) -> Manifold:
    """A mask cut level where it gets a foot to stand on, through the chin but below ``lip``; where no cut gives enough, there
    where it gives most."""
    mask = _largest(mask)
    low, top = mask.bounding_box()[2], mask.bounding_box()[5]
    best, share = low, 0.0
    for height in np.arange(low + FOOT_STEP, lip, FOOT_STEP).tolist():
        found = mask.slice(height).area() / (top - height) ** 2
        if found > share:
            best, share = height, found
        if share >= FOOT:
            break
    return mask.trim_by_plane((0.0, 0.0, 1.0), best)


def _section(solid: Manifold, height: float) -> tuple[tuple[float, float], float]:
    """The middle (x, y) and half the smaller extent of a solid's section at a height."""
    outline = solid.slice(height).to_polygons()
    if not outline:
        return (0.0, 0.0), 0.0
    points = max(outline, key=len)
    low, high = points.min(0), points.max(0)
    x, y = (low + high) / 2
    return (float(x), float(y)), float((high - low).min() / 2)


def _largest(solid: Manifold) -> Manifold:
    """The piece with the most volume: what the cuts have left loose falls off."""
    return max(solid.decompose(), key=lambda piece: piece.volume())
