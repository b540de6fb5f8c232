"""Measures shared by the accuracy benchmarks, all in millimetres of the truth.

The protocol follows NoW (Sanyal et al., CVPR 2019): a surface is brought to a scan by seven landmarks with rotation,
translation and scale, closely fitted by the scan's own points, and judged by the distance of the scan's points to it. Three
things differ. The *inner* mask (0.7 of NoW's radius) is added: NoW's sphere reaches beyond what a face-only mesh covers. Places
no camera could see of the scan (the bag of the mouth) are left out. Points are spread over the scan's area, not taken at its
vertices, of which a modelled head has most around eyes and lips.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from nearest import nearest_places
from scipy.spatial.transform import Rotation

#: MediaPipe's numbers of NoW's landmarks: outer and inner corner of the right eye, inner and outer of the left, base of the
#: nose, corners of the mouth.
SEVEN = (33, 133, 362, 263, 2, 61, 291)
#: Share of NoW's radius that is the inner mask.
INNER = 0.7
#: Steps of the close fit, points it uses, and points that are judged.
FIT_STEPS, FIT_POINTS, JUDGED_POINTS = 25, 2000, 6000
#: Distance in mm at which a point's say in the fit is a quarter (NoW takes 10 mm), and the share of distance along the surface.
ROBUST_MM, SLIDING = 10.0, 0.02
#: Steps and points of a region's own fit.
REGION_STEPS, REGION_POINTS = 8, 600
#: Distance between the outer corners of the eyes given to scans whose unit is not known to be millimetres.
EYE_DISTANCE_MM = 92.0
#: Triangles tried for each point, by the distance of places on them, and the finest lattice of such places on one.
CANDIDATES, LARGEST_LATTICE = 16, 12
#: What :func:`_spread` says of distances.
SPREAD = ("median", "mean", "std")


@dataclass(frozen=True)
class Surface:
    """A triangle mesh (V, 3), (T, 3) with NoW's seven landmarks (7, 3) on it, any frame and unit."""

    vertices: np.ndarray
    triangles: np.ndarray
    landmarks: np.ndarray
    name: str = ""

    @cached_property
    def _search(self):
        """A tree of places on the triangles, and the triangle of each: the middle of most, a lattice on the few large ones."""
        from scipy.spatial import cKDTree

        corners = self.vertices[self.triangles]
        longest = np.linalg.norm(corners - np.roll(corners, 1, 1), axis=2).max(1)
        parts = np.clip(np.ceil(longest / (2 * np.median(longest))), 1, LARGEST_LATTICE).astype(int)
        places, owners = [], []
        for count in np.unique(parts):
            at = np.flatnonzero(parts == count)
            u, v = (grid.ravel() for grid in np.meshgrid(np.arange(count) + 1 / 3, np.arange(count) + 1 / 3))
            inside = u + v < count
            weights = np.stack([u, v, count - u - v], 1)[inside] / count
            places.append(np.einsum("sk,tkd->tsd", weights, corners[at]).reshape(-1, 3))
            owners.append(np.repeat(at, len(weights)))
        return cKDTree(np.concatenate(places)), np.concatenate(owners)

    @cached_property
    def triangle_normals(self) -> np.ndarray:
        """Unit normals (T, 3)."""
        a, b, c = self.vertices[self.triangles].transpose(1, 0, 2)
        normal = np.cross(b - a, c - a)
        return normal / (np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12)

    def closest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nearest places (N, 3) on the surface to ``points`` (N, 3), and the triangles (N,) they lie in."""
        tree, owners = self._search
        count = min(CANDIDATES, len(owners))
        near = owners[tree.query(points, k=count)[1].reshape(len(points), count)]
        return nearest_places(np.ascontiguousarray(points, float), self._float_vertices, self.triangles, near)

    def at_edge(self, places: np.ndarray, triangle: np.ndarray) -> np.ndarray:
        """Which of the ``places`` (N, 3) in ``triangle`` (N,) lie on an open edge of the surface, (N,) bool."""
        from trimesh.triangles import points_to_barycentric

        open_edges = self._open_edges[triangle]
        at = np.zeros(len(places), bool)
        near = np.flatnonzero(open_edges.any(1))
        if len(near):
            weights = points_to_barycentric(self._float_vertices[self.triangles[triangle[near]]], places[near], method="cross")
            at[near] = (open_edges[near] & (weights < 1e-6)).any(1)
        return at

    @cached_property
    def _open_edges(self) -> np.ndarray:
        """(T, 3) bool: whether the edge opposite to each corner belongs to one triangle only."""
        edges = np.sort(self.triangles[:, [[1, 2], [2, 0], [0, 1]]], axis=2).reshape(-1, 2)
        _, of, count = np.unique(edges, axis=0, return_inverse=True, return_counts=True)
        return (count == 1)[of.ravel()].reshape(-1, 3)

    @cached_property
    def _float_vertices(self) -> np.ndarray:
        return np.ascontiguousarray(self.vertices, float)

    def moved(self, matrix: np.ndarray) -> Surface:
        """This surface through a (4, 4) similarity."""
        return Surface(apply(matrix, self.vertices), self.triangles, apply(matrix, self.landmarks), self.name)


@dataclass(frozen=True)
class Scan:
    """The truth: a surface in millimetres, and which of its vertices a camera around the face can see, (V,) bool."""

    surface: Surface
    visible: np.ndarray

    @cached_property
    def centre(self) -> np.ndarray:
        """Middle of NoW's sphere."""
        base, bridge = self._nose()
        return base + 0.3 * (bridge - base)

    @cached_property
    def radius(self) -> float:
        """Radius of NoW's sphere."""
        base, bridge = self._nose()
        return 0.7 * (self.eye_distance + float(np.linalg.norm(bridge - base)))

    @cached_property
    def eye_distance(self) -> float:
        """Between the outer corners of the eyes."""
        return float(np.linalg.norm(self.surface.landmarks[0] - self.surface.landmarks[3]))

    def _nose(self) -> tuple[np.ndarray, np.ndarray]:
        seven = self.surface.landmarks
        return seven[4], (seven[1] + seven[2]) / 2

    @cached_property
    def points(self) -> np.ndarray:
        """Places (N, 3) all over what can be seen of NoW's sphere: as many on each square millimetre, however it is meshed."""
        return self._samples[0]

    @cached_property
    def normals(self) -> np.ndarray:
        """Unit normals (N, 3) at :attr:`points`."""
        return self._samples[1]

    @cached_property
    def inner(self) -> np.ndarray:
        """Which of :attr:`points` lie in the inner mask, (N,) bool."""
        return np.linalg.norm(self.points - self.centre, axis=1) < INNER * self.radius

    @cached_property
    def _samples(self) -> tuple[np.ndarray, np.ndarray]:
        from octoprint_facesculpt.reconstruction.volume import vertex_normals

        vertices, triangles = self.surface.vertices, self.surface.triangles
        within = self.visible & (np.linalg.norm(vertices - self.centre, axis=1) < self.radius)
        seen = triangles[within[triangles].all(1)]
        corners = vertices[seen]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        rng = np.random.default_rng(0)
        triangle = rng.choice(len(seen), JUDGED_POINTS, p=area / area.sum())
        u, v = np.sqrt(rng.random(JUDGED_POINTS)), rng.random(JUDGED_POINTS)
        weights = np.stack([1 - u, u * (1 - v), u * v], 1)
        normals = np.einsum("nk,nkd->nd", weights, vertex_normals(vertices, triangles)[seen[triangle]])
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
        return np.einsum("nk,nkd->nd", weights, corners[triangle]), normals


@dataclass(frozen=True)
class Judgement:
    """How far a surface is from a scan: mm, degrees, and shares of the eye distance.

    ``full`` and ``inner``: median, mean and standard deviation of the distances in the full and the inner mask; ``normals``:
    mean angle in the inner mask; ``profile``: mean and largest distance of the lines seen from the side; ``nme``: VRN's mean
    nearest-vertex error after the fit; ``regions``: means after a rigid fit of each region alone, as in REALY.
    """

    full: tuple[float, float, float]
    inner: tuple[float, float, float]
    normals: float
    profile: tuple[float, float]
    nme: float
    regions: dict[str, float] = field(default_factory=dict)

    def flat(self) -> dict[str, float]:
        """Every number by its column's name."""
        spreads = {"inner": self.inner, "full": self.full}
        numbers = {f"{mask} {name}": v for mask, s in spreads.items() for name, v in zip(SPREAD, s, strict=True)}
        profile = {"profile": self.profile[0], "profile worst": self.profile[1]}
        return {**numbers, "normals": self.normals, **profile, "NME after fit": self.nme, **self.regions}


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """``points`` (N, 3) through a (4, 4) matrix."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def similarity(points: np.ndarray, target: np.ndarray, scale: bool = True) -> np.ndarray:
    """The (4, 4) similarity (rigid without ``scale``) that brings ``points`` (N, 3) closest to ``target`` (N, 3)."""
    from trimesh.registration import procrustes

    return procrustes(points, target, reflection=False, scale=scale, return_cost=False)


def vertex_error(points: np.ndarray, target: np.ndarray) -> float:
    """Mean distance of corresponding points after similarity alignment."""
    return float(np.linalg.norm(apply(similarity(points, target), points) - target, axis=1).mean())


def fitted(surface: Surface, scan: Scan) -> Surface:
    """The surface brought to the scan: seven landmarks, then the scan's cropped points, rotation, translation and scale."""
    start = similarity(surface.landmarks, scan.surface.landmarks)
    return _fit(surface, scan.points[:FIT_POINTS], start, scale=True)


def _fit(surface: Surface, points: np.ndarray, start: np.ndarray, scale: bool, steps: int = FIT_STEPS) -> Surface:
    """Gauss-Newton steps on the distances to the tangent planes (Chen and Medioni 1992), robust as NoW's are.

    A small share of the distance along the surface keeps a featureless region from sliding. Points whose nearest place is on an
    open edge have nothing to say.
    """
    matrix = start
    centre = points.mean(0)
    for _ in range(steps):
        inverse = np.linalg.inv(matrix)
        places, triangle = surface.closest(apply(inverse, points))
        inside = ~surface.at_edge(places, triangle)
        normals = surface.triangle_normals[triangle] @ matrix[:3, :3].T
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
        arm = apply(matrix, places) - centre
        away = points - centre - arm
        weight = inside / (1 + (away**2).sum(1) / ROBUST_MM**2) ** 2
        # How a place moves with turn (3), shift (3) and logarithm of the scale.
        moves = np.concatenate(
            [np.stack([np.cross(axis, arm) for axis in np.eye(3)], 2), np.tile(np.eye(3), (len(arm), 1, 1))], 2
        )
        moves = np.concatenate([moves, arm[:, :, None] * scale], 2)
        across, wanted = np.einsum("nd,ndp->np", normals, moves), np.einsum("nd,nd->n", normals, away)
        normal = np.einsum("n,np,nq->pq", weight, across, across, optimize=True)
        normal += SLIDING * np.einsum("n,ndp,ndq->pq", weight, moves, moves, optimize=True)
        gradient = across.T @ (weight * wanted) + SLIDING * np.einsum("n,ndp,nd->p", weight, moves, away, optimize=True)
        step = np.linalg.solve(normal + 1e-9 * np.trace(normal) * np.eye(7), gradient)
        change = np.eye(4)
        change[:3, :3] = Rotation.from_rotvec(step[:3]).as_matrix() * np.exp(np.clip(step[6], -0.2, 0.2))
        change[:3, 3] = centre + step[3:6] - change[:3, :3] @ centre
        matrix = change @ matrix
        if np.abs(step[:3]).max() < 1e-5 and np.abs(step[3:6]).max() < 1e-3:
            break
    return surface.moved(matrix)


def judge(surface: Surface, scan: Scan, regions: dict[str, np.ndarray] | None = None) -> Judgement:
    """Compare a surface with a scan; ``regions`` (see :mod:`regions`) names some of the scan's points."""
    near = fitted(surface, scan)
    places, triangle = near.closest(scan.points)
    distance = np.linalg.norm(places - scan.points, axis=1)
    cosine = np.einsum("nd,nd->n", near.triangle_normals[triangle], scan.normals)
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return Judgement(
        full=_spread(distance),
        inner=_spread(distance[scan.inner]),
        normals=float(angle[scan.inner].mean()),
        profile=profile_distance(near, scan),
        nme=nearest_vertex_error(near.vertices, scan.points) / scan.eye_distance,
        regions={name: _regional(near, scan.points[at][:REGION_POINTS]) for name, at in (regions or {}).items()},
    )


def nearest_vertex_error(vertices: np.ndarray, points: np.ndarray) -> float:
    """Mean distance of ``points`` to the nearest of ``vertices`` (what VRN's NME divides by the eye distance)."""
    from scipy.spatial import cKDTree

    return float(cKDTree(vertices).query(points)[0].mean())


def profile_distance(surface: Surface, scan: Scan) -> tuple[float, float]:
    """Mean and largest distance of the scan's profile line to the surface's, both in the scan's own upright frame."""
    from scipy.spatial import cKDTree

    frame = upright(scan.surface.landmarks)
    wanted = _profile(scan.surface, frame, scan)
    found = _profile(surface, frame, scan)
    if len(found) < 2 or len(wanted) < 2:
        return float("nan"), float("nan")
    distance, _ = cKDTree(_dense(found)).query(wanted)
    return float(distance.mean()), float(distance.max())


def upright(landmarks: np.ndarray) -> np.ndarray:
    """Axes (3, 3) of a face by its seven landmarks, rows: to its left, up, forward."""
    left = landmarks[3] - landmarks[0]
    left /= np.linalg.norm(left)
    up = landmarks[:4].mean(0) - landmarks[5:].mean(0)
    up -= left * (up @ left)
    up /= np.linalg.norm(up)
    return np.stack([left, up, np.cross(left, up)])


def _profile(surface: Surface, frame: np.ndarray, scan: Scan) -> np.ndarray:
    """The outermost points (N, 2) (up, forward) of a face seen from its side, a millimetre apart, from brow to chin."""
    places = (surface.vertices - scan.centre) @ frame.T
    reach = INNER * scan.radius
    within = (np.abs(places[:, 1]) < reach + 10) & (np.abs(places[:, 0]) < 30) & (places[:, 2] > -10)
    near = surface.triangles[within[surface.triangles].any(1)]
    ends = places[np.concatenate([near[:, [0, 1]], near[:, [1, 2]], near[:, [2, 0]]])]
    share = np.linspace(0, 1, 9)[:, None, None]
    line = (ends[:, 0] * (1 - share) + ends[:, 1] * share).reshape(-1, 3)
    line = line[np.abs(line[:, 1]) < reach]
    level = np.floor(line[:, 1] + reach).astype(int)
    order = np.lexsort((line[:, 2], level))
    last = np.flatnonzero(np.diff(level[order], append=-1))
    return line[order][last][:, 1:]


def _dense(line: np.ndarray) -> np.ndarray:
    share = np.linspace(0, 1, 8, endpoint=False)[:, None, None]
    return (line[:-1] * (1 - share) + line[1:] * share).reshape(-1, 2)


def _regional(near: Surface, points: np.ndarray) -> float:
    if len(points) < 10:
        return float("nan")
    fit = _fit(near, points, np.eye(4), scale=False, steps=REGION_STEPS)
    places, _ = fit.closest(points)
    return float(np.linalg.norm(places - points, axis=1).mean())


def _spread(values: np.ndarray) -> tuple[float, float, float]:
    return float(np.median(values)), float(values.mean()), float(values.std())
