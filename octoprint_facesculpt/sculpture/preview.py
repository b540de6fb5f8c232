"""Pictures of a sculpture in clay, so that it can be judged before a day of printing."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from ..rasterise import Raster, rasterise
from .export import write

#: Turn of the sculpture for each view in degrees; positive shows its left side.
VIEWS = {"front": 0.0, "three_quarter": -38.0, "profile": -90.0}
CLAY = np.array([0.80, 0.74, 0.68])
#: Colour of what is marked on the clay.
MARK = np.array([0.93, 0.22, 0.16])
BACKDROP = np.array([0.955, 0.95, 0.945])
#: Where light comes from, to the viewer's right, up and forward: the key light, a weak fill, and what shines.
LIGHTS = (-0.45, 0.62, 0.64), (0.8, 0.1, 0.6), (-0.2, 0.5, 0.84)
#: Steps of brightness up to 1; clay is not more than a fifth brighter.
FULL = 200
#: Rows of a picture that are searched for what is marked at once, and spots that are drawn at once.
_BAND, _SPOTS = 64, 4096


def save_previews(vertices: np.ndarray, triangles: np.ndarray, folder: Path, size: int = 640) -> list[Path]:
    """Write ``front.png``, ``three_quarter.png`` and ``profile.png`` of a mesh in print frame (z up, face towards -y)."""
    return [save_view(vertices, triangles, folder / f"{name}.png", turn, size) for name, turn in VIEWS.items()]


def save_view(vertices: np.ndarray, triangles: np.ndarray, path: Path, turn_deg: float = 0.0, size: int = 640) -> Path:
    """Write one clay picture (PNG); see :func:`clay`."""
    return write(path, png(clay(vertices, triangles, turn_deg, size)))


def clay(
    vertices: np.ndarray, triangles: np.ndarray, turn_deg: float = 0.0, size: int = 640, rise_deg: float = 0.0
) -> np.ndarray:
    """A clay picture (size, size, 3) uint8 of a mesh; see :func:`look`."""
    return coloured(look(vertices, triangles, turn_deg, size, rise_deg))


@dataclass(frozen=True)
class Seen:
    """A look at a mesh, twice as fine as its picture: ``triangle`` (S, S) int32 that is seen at each place, -1 for nothing, and
    how bright it is there, ``light`` (S, S) uint8, of which :data:`FULL` is 1."""

    triangle: np.ndarray
    light: np.ndarray


def look(vertices: np.ndarray, triangles: np.ndarray, turn_deg: float, size: int, rise_deg: float) -> Seen:
    """Look at a mesh in print frame, turned about the vertical axis, from ``rise_deg`` above the horizon (negative: from
    below), for a picture of ``size`` pixels.

    Key light from upper left, a weak fill, and darkened hollows (from the depth alone): they draw the eyes, the lips and
    the wings of the nose, which even light would wash out.
    """
    side = 2 * size
    angle = np.radians(turn_deg)
    c, s = np.cos(angle), np.sin(angle)
    # From print frame to the viewer's: right, up, towards the viewer.
    axes = np.array([[c, -s, 0.0], [0.0, 0.0, 1.0], [-s, -c, 0.0]])
    c, s = np.cos(np.radians(rise_deg)), np.sin(np.radians(rise_deg))
    axes = np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]]) @ axes
    seen = vertices @ axes.T
    low, high = seen.min(0), seen.max(0)
    zoom = 0.9 * side / max(high[0] - low[0], high[1] - low[1])
    middle = (low + high) / 2
    x, y = side / 2 + zoom * (seen[:, 0] - middle[0]), side / 2 - zoom * (seen[:, 1] - middle[1])
    points = np.stack([x, y, zoom * (seen[:, 2] - middle[2])], 1)
    raster = rasterise(points, triangles, side, side)
    light = np.rint(FULL * clay_light(raster, vertices, triangles, axes)).clip(0, 255)
    return Seen(raster.triangle, light.astype(np.uint8))


def look_from_below(vertices: np.ndarray, triangles: np.ndarray, size: int = 640) -> Seen:
    """Look at a mesh's front from below, where overhangs are."""
    return look(vertices, triangles, -15.0, size, -35.0)


def coloured(seen: Seen, marked: np.ndarray | None = None) -> np.ndarray:
    """A picture (S / 2, S / 2, 3) uint8 in clay; the triangles of the mask ``marked`` (T,) in the colour of a mark."""
    colour = CLAY if marked is None else np.where(marked[np.maximum(seen.triangle, 0)][..., None], MARK, CLAY)
    light = seen.light[..., None] * (1 / FULL)
    return _mixed(np.where((seen.triangle >= 0)[..., None], colour * light, BACKDROP))


@dataclass(frozen=True)
class Spots:
    """The pixels of a picture that show something marked: their ``rows`` and ``columns`` (P,), and the ``triangle`` (P, 2, 2)
    that is seen at each of their four places."""

    rows: np.ndarray
    columns: np.ndarray
    triangle: np.ndarray


def spots(triangle: np.ndarray, marked: np.ndarray) -> Spots:
    """Where the triangles of the mask ``marked`` (T,) are seen, of all that are seen (``Seen.triangle``)."""
    marked, fine = np.append(marked, False), _by_pixel(triangle)
    shown = np.empty((len(fine), fine.shape[2]), bool)
    # Some rows at once: to look their triangles up takes four times the memory of these.
    for top in range(0, len(fine), _BAND):
        band = slice(top, top + _BAND)
        seen = marked.take(fine[band])
        rows = seen[:, 0] | seen[:, 1]
        np.logical_or(rows[..., 0], rows[..., 1], out=shown[band])
    rows, columns = shown.nonzero()
    return Spots(rows, columns, fine[rows, :, columns])


def save_marked(found: Spots, light: np.ndarray, plain: np.ndarray, marked: np.ndarray, path: Path) -> Path:
    """Write a picture (PNG) of what is seen (``Seen.light``), whose plain picture (:func:`coloured`) is known and drawn upon:
    the triangles of the mask ``marked`` (T,) stand out, at the spots that were ``found``."""
    marked, fine = np.append(marked, False), _by_pixel(light)
    for begin in range(0, len(found.rows), _SPOTS):
        some = slice(begin, begin + _SPOTS)
        rows, columns = found.rows[some], found.columns[some]
        few = (part.swapaxes(0, 1).reshape(2, -1) for part in (found.triangle[some], fine[rows, :, columns]))
        plain[rows, columns] = coloured(Seen(*few), marked)[0]
    return write(path, png(plain))


def _by_pixel(fine: np.ndarray) -> np.ndarray:
    """What is known of each place (S, S) by pixels: (S / 2, 2, S / 2, 2)."""
    side = len(fine) // 2
    return fine.reshape(side, 2, side, 2)


def _mixed(fine: np.ndarray) -> np.ndarray:
    """A picture (H / 2, W / 2, 3) uint8 of colours (H, W, 3)."""
    height, width, _ = fine.shape
    picture = fine.reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3))
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def clay_light(raster: Raster, vertices: np.ndarray, triangles: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """How bright each pixel of a picture of clay is (H, W), 0 where there is none; ``axes`` (3, 3) are the viewer's right, up
    and forward."""
    from scipy.ndimage import gaussian_filter

    covered = raster.triangle >= 0
    side = len(covered)
    seen = np.flatnonzero(covered)
    facing = (_normals(vertices, triangles) @ axes.T).astype(np.float32)
    normal = raster.values_at(seen, triangles, facing)
    normal /= np.sqrt(np.einsum("nc,nc->n", normal, normal))[:, None] + np.float32(1e-6)
    key, fill, gloss = (normal @ np.array(light, np.float32) for light in LIGHTS)
    shine = gloss.clip(0, 1) ** 8
    bright = 0.2 + 0.72 * key.clip(0, 1) + 0.22 * fill.clip(0, 1) + 0.1 * shine**3
    depth = np.where(covered, raster.depth, np.float32(0))
    hollow = np.zeros(len(seen), np.float32)
    # So wide a blur has no detail: half the pixels each way show it as well.
    small = [_halved(part) for part in (depth, covered.astype(np.float32))]
    for radius in (side / 160, side / 50):
        deep, share = (gaussian_filter(part, radius / 2) for part in small)
        around = (deep / (share + 1e-6)).repeat(2, 0).repeat(2, 1)
        hollow += ((around.ravel()[seen] - depth.ravel()[seen]) / np.float32(radius)).clip(0, 1.2)
    light = np.zeros(covered.shape, np.float32)
    light.ravel()[seen] = bright * np.exp(-0.9 * hollow)
    return light


def _halved(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W) of half the size, both even."""
    rows = picture[::2] + picture[1::2]
    return (rows[:, ::2] + rows[:, 1::2]) / 4


def _normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    from ..reconstruction.volume import vertex_normals

    return vertex_normals(vertices, triangles)


def png(picture: np.ndarray) -> bytes:
    """A picture (H, W, 3) uint8 as a PNG file."""
    from PIL import Image

    buffer = BytesIO()
    # Half the time of the usual level, for a twentieth more bytes.
    Image.fromarray(picture).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()
