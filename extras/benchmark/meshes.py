"""Scans and meshes of any kind: reading them, finding NoW's seven landmarks on them, and what a camera can see of them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from protocol import EYE_DISTANCE_MM, SEVEN, Scan, Surface, upright
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))
import render
from coloured import SIZE, Coloured, all_landmarks, draw, facing, sample_texture

from octoprint_facesculpt.portrait.reader import find_faces

#: Eye distances in millimetres that a human head can have; a scan with another is in another unit.
PLAUSIBLE_MM = (75.0, 115.0)
#: A vertex this far behind what a camera sees is hidden from it.
HIDDEN_MM = 2.0
#: Yaw and pitch in degrees of the cameras that decide what of a scan can be seen.
CAMERAS = ((0, 0), (-45, 0), (45, 0), (0, -35), (0, 35), (-75, 0), (75, 0))
#: A textured mesh is cut finer until it has this many vertices.
FINE_VERTICES = 60_000
CLAY = np.array([0.72, 0.66, 0.6], np.float32)


def read_mesh(path: Path) -> Coloured:
    """Read a scan (ply, obj, stl, off, glb, or polygons of a legacy VTK file) with its colours or texture, if it has any."""
    import trimesh

    if path.suffix.lower() == ".vtk":
        return _outward(_read_vtk(path))
    mesh = trimesh.load(path, force="mesh", process=False)
    vertices, triangles = np.asarray(mesh.vertices, float), np.asarray(mesh.faces, np.int32)
    colours = np.tile(CLAY, (len(vertices), 1))
    if mesh.visual.kind == "texture" and getattr(mesh.visual.material, "image", None) is not None:
        image = np.asarray(mesh.visual.material.image.convert("RGB"), np.float32) / 255
        return _outward(textured(vertices, triangles, np.asarray(mesh.visual.uv), image))
    if mesh.visual.kind == "vertex":
        colours = np.asarray(mesh.visual.vertex_colors)[:, :3].astype(np.float32) / 255
    return _outward(Coloured(vertices, triangles, colours))


def textured(vertices: np.ndarray, triangles: np.ndarray, uv: np.ndarray, texture: np.ndarray) -> Coloured:
    """A mesh with ``texture`` (H, W, 3) on its vertices at ``uv`` (V, 2), cut finer until it has vertices enough to show it."""
    from trimesh.remesh import subdivide

    while len(vertices) < FINE_VERTICES:
        both, triangles = subdivide(np.c_[vertices, uv], triangles)
        vertices, uv = both[:, :3], both[:, 3:]
    return Coloured(np.ascontiguousarray(vertices), triangles.astype(np.int32), sample_texture(texture, uv))


def _outward(mesh: Coloured) -> Coloured:
    """The mesh with its triangles counter-clockwise from outside: a mask is convex as a whole, and its middle lies within."""
    a, b, c = (mesh.vertices - mesh.vertices.mean(0))[mesh.triangles].transpose(1, 0, 2)
    outward = np.einsum("td,td->t", np.cross(b - a, c - a), a + b + c).sum() > 0
    return mesh if outward else replace(mesh, triangles=np.ascontiguousarray(mesh.triangles[:, ::-1]))


def _read_vtk(path: Path) -> Coloured:
    """Points, polygons and texture coordinates of a legacy ASCII VTK file; its texture is the PNG of the same name."""
    words = path.read_text().split()

    def block(name: str, skip: int, count: int, kind) -> np.ndarray:
        start = words.index(name) + skip
        return np.array(words[start : start + count], kind)

    count = int(words[words.index("POINTS") + 1])
    vertices = block("POINTS", 3, 3 * count, float).reshape(-1, 3)
    numbers = block("POLYGONS", 3, int(words[words.index("POLYGONS") + 2]), int)
    triangles, at = [], 0
    while at < len(numbers):
        polygon = numbers[at + 1 : at + 1 + numbers[at]]
        triangles += [(polygon[0], polygon[k], polygon[k + 1]) for k in range(1, len(polygon) - 1)]
        at += 1 + numbers[at]
    texture = path.with_suffix(".png")
    if "TEXTURE_COORDINATES" in words and texture.is_file():
        uv = block("TEXTURE_COORDINATES", 4, 2 * count, float).reshape(-1, 2)
        return textured(vertices, np.array(triangles), uv, cv2.imread(str(texture))[:, :, ::-1].astype(np.float32) / 255)
    return Coloured(vertices, np.array(triangles, np.int32), np.tile(CLAY, (count, 1)))


def seven_landmarks(mesh: Coloured, centre: np.ndarray) -> np.ndarray | None:
    """NoW's landmarks (7, 3): MediaPipe's on a frontal picture, cast back onto the mesh; None where no face is found."""
    points = all_landmarks(mesh, centre)
    return None if points is None or not np.isfinite(points[list(SEVEN)]).all() else points[list(SEVEN)]


def visible(mesh: Coloured, centre: np.ndarray) -> np.ndarray:
    """Vertices (V,) that one of the cameras around the face can see."""
    seen = np.zeros(len(mesh.vertices), bool)
    for turn in CAMERAS:
        camera = facing(turn, centre)
        projected = camera.project(mesh.vertices)
        _, _, depth = render.rasterise(projected, mesh.triangles, SIZE, SIZE)
        x, y = np.floor(projected[:, :2]).astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < SIZE) & (y < SIZE)
        seen[inside] |= projected[inside, 2] > depth[y[inside], x[inside]] - HIDDEN_MM
    return seen


def as_scan(mesh: Coloured, name: str) -> tuple[Scan, Coloured] | None:
    """A scan and the mesh in its frame: upright, millimetres; None where its face cannot be found.

    A scan may look along any axis and be in any unit: the turn in which MediaPipe is surest of a face is taken, and one whose
    eyes are not as far apart as a human's is scaled to ``EYE_DISTANCE_MM``.
    """
    middle = (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
    size = np.ptp(mesh.vertices, axis=0).max()
    best: tuple[float, Coloured] | None = None
    for turn in _turns():
        turned = replace(mesh, vertices=(mesh.vertices - middle) @ turn.T * (230.0 / size))
        image, _, _ = draw(turned, facing(size=256), 256)
        found = find_faces(image)
        if found and (best is None or found[0].result.presence * found[0].box.score > best[0]):
            best = found[0].result.presence * found[0].box.score, turned
    if best is None:
        return None
    turned = best[1]
    seven = seven_landmarks(turned, np.zeros(3))
    if seven is None:
        return None
    distance = float(np.linalg.norm(seven[0] - seven[3]))
    own = distance * size / 230.0
    wanted = own if PLAUSIBLE_MM[0] < own < PLAUSIBLE_MM[1] else EYE_DISTANCE_MM
    scale = wanted / distance
    # Upright by what was found, and found again: a scan may look aside.
    for _ in range(2):
        frame = upright(seven)
        turned = replace(turned, vertices=turned.vertices @ frame.T * scale)
        scale, centre = 1.0, (seven @ frame.T * scale).mean(0)
        seven = seven_landmarks(turned, centre)
        if seven is None:
            return None
    return Scan(Surface(turned.vertices, turned.triangles, seven, name), visible(turned, centre)), turned


def scan_of(mesh: Coloured, name: str, centre: np.ndarray) -> Scan | None:
    """The scan of a mesh that is upright, faces forward and is in millimetres, its face near ``centre``."""
    seven = seven_landmarks(mesh, centre)
    return None if seven is None else Scan(Surface(mesh.vertices, mesh.triangles, seven, name), visible(mesh, centre))


def _turns() -> list[np.ndarray]:
    """The 24 turns that bring one axis of a file to front and another up."""
    return list(Rotation.create_group("O").as_matrix())
