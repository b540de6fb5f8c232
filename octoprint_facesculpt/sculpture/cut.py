"""A sculpture cut at a height, as an interrupted print stands on the bed: what is printed in clay, the rest as a ghost."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..rasterise import rasterise
from .export import write
from .preview import BACKDROP, CLAY, clay_light

#: Turn and tilt of the view, degrees: a little from above, so that the cut is seen.
TURN, TILT = -32.0, 22.0
CUT, GHOST = np.array([0.87, 0.45, 0.16]), 0.16
#: Size of a picture file in bytes is bounded by this many pixels a side.
SIZE = 480


def cut_view(vertices: np.ndarray, triangles: np.ndarray, height: float, size: int = SIZE) -> np.ndarray:
    """A picture (size, size, 3) uint8 of a closed mesh in print frame (mm, z up, face towards -y) cut at ``height``."""
    axes = _axes(TURN, TILT)
    seen = vertices @ axes.T
    low, high = seen.min(0), seen.max(0)
    side = 2 * size
    zoom = 0.9 * side / max(high[0] - low[0], high[1] - low[1])
    middle = (low + high) / 2

    def draw(points: np.ndarray, faces: np.ndarray):
        turned = (points @ axes.T - middle) * zoom
        placed = np.stack([side / 2 + turned[:, 0], side / 2 - turned[:, 1], turned[:, 2]], 1)
        raster = rasterise(placed, faces, side, side)
        return raster, clay_light(raster, points, faces, axes)

    picture = np.broadcast_to(BACKDROP, (side, side, 3)).copy()
    raster, light = draw(vertices, triangles)
    ghost = (raster.triangle >= 0)[..., None]
    picture = np.where(ghost, picture * (1 - GHOST) + GHOST * CLAY * light[..., None], picture)
    below, faces = _below(vertices, triangles, height)
    if len(faces):
        raster, light = draw(below, faces)
        flat = _is_cut(below, faces, height)
        covered = raster.triangle >= 0
        colour = np.where((covered & flat[np.maximum(raster.triangle, 0)])[..., None], CUT, CLAY * light[..., None])
        picture = np.where(covered[..., None], colour, picture)
    picture = picture.reshape(size, 2, size, 2, 3).mean((1, 3))
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def save_cut(model: Path, height: float, path: Path) -> Path:
    """Write the picture (PNG) of a mesh file cut at a height."""
    import trimesh

    from .preview import png

    mesh = trimesh.load_mesh(model)
    return write(path, png(cut_view(np.asarray(mesh.vertices), np.asarray(mesh.faces), height)))


def _axes(turn_deg: float, tilt_deg: float) -> np.ndarray:
    """From print frame to the viewer's: right, up, towards the viewer."""
    c, s = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    ct, st = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))
    level = np.array([[c, -s, 0.0], [0.0, 0.0, 1.0], [-s, -c, 0.0]])
    return np.array([[1.0, 0.0, 0.0], [0.0, ct, -st], [0.0, st, ct]]) @ level


def _below(vertices: np.ndarray, triangles: np.ndarray, height: float) -> tuple[np.ndarray, np.ndarray]:
    """What of the solid is below ``height``, closed at the top."""
    from .shaping import solid_of

    part = solid_of(vertices, triangles).trim_by_plane((0.0, 0.0, -1.0), -height).to_mesh()
    return np.asarray(part.vert_properties[:, :3], np.float64), np.asarray(part.tri_verts, np.int64)


def _is_cut(vertices: np.ndarray, triangles: np.ndarray, height: float) -> np.ndarray:
    """Which triangles lie in the cut."""
    return (np.abs(vertices[:, 2] - height) < 1e-3)[triangles].all(1)
