"""A look at a mesh file that a slicer is given. Binary STL, the usual case, is streamed in bounded memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .engine import Bed, SlicingError
from .model_file import RIM, STL_HEAD, STL_RECORD, require_count, stl_triangles

#: A model must be longer than this in its longest direction and thicker than this in its thinnest, mm.
MIN_LENGTH, MIN_THICKNESS = 2.0, 0.4
_BLOCK = 10_000
#: Odd numbers without a pattern, by which a point's coordinates are told apart.
_FACTORS = np.array([0x9E3779B97F4A7C15, 0xD1B54A32D192ED03, 0x8CB92BA72F3D8DD7], np.uint64)


def model_size(path: Path) -> np.ndarray:
    """(3,) extents of a closed mesh in mm; :class:`SlicingError` ``model_invalid``, ``model_empty`` or ``model_open``."""
    count = stl_triangles(path)
    if count is not None:
        record = np.dtype(STL_RECORD)
        with path.open("rb") as file:
            file.seek(STL_HEAD)
            return _examine(count, (np.fromfile(file, record, _BLOCK)["corners"] for _ in range(0, count, _BLOCK)))
    triangles = _load(path)
    return _examine(len(triangles), (triangles[i : i + _BLOCK] for i in range(0, len(triangles), _BLOCK)))


def check_fits(extents: np.ndarray, bed: Bed) -> None:
    """:class:`SlicingError` ``too_large`` or ``model_invalid`` unless a model of ``extents`` (3,) prints on ``bed``."""
    room = np.array([bed.width - 2 * RIM, bed.depth - 2 * RIM, bed.height])
    if (extents > room).any():
        wanted, have = (" x ".join(f"{v:.0f}" for v in values) for values in (extents, room))
        raise SlicingError(
            "too_large", f"The model is {wanted} mm, the printer has room for {have} mm.", "Make the sculpture smaller."
        )
    if extents.max() < MIN_LENGTH:
        raise SlicingError("model_invalid", "The model is under 2 mm; its unit may be wrong.", "Export it in mm.")
    if extents.min() < MIN_THICKNESS:
        raise SlicingError("model_invalid", f"The model is only {extents.min():.2g} mm thick.", "Give it some thickness.")


def _examine(count: int, blocks) -> np.ndarray:
    """Extents of ``count`` triangles that come in blocks (N, 3, 3)."""
    require_count(count)
    low, high, open_edges = np.full(3, np.inf), np.full(3, -np.inf), np.uint64(0)
    for corners in blocks:
        # By axes, and -0 made 0: they are the same point.
        places = np.ascontiguousarray(corners.reshape(-1, 3).T, np.float32) + np.float32(0)
        low, high = np.minimum(low, places.min(1)), np.maximum(high, places.max(1))
        if not np.isfinite(high - low).all():
            raise SlicingError("model_invalid", "The model has impossible coordinates.")
        open_edges ^= _edge_sum(places)
    if open_edges:
        raise SlicingError("model_open", "The model has holes: its surface is not closed.", "Repair it, or make it again.")
    return high - low


def _edge_sum(places: np.ndarray) -> np.uint64:
    """A 64-bit sum over the edges of triangles that is 0 when each edge occurs an even number of times; ``places`` (3, 3 N)
    float32 are the corners of N triangles, one triangle after the other.

    Every edge of a closed surface belongs to two triangles, so hashes of its edges, combined by exclusive or, vanish
    whatever the order and orientation of the triangles; an open one survives in all but about one of 2**60 cases. An edge's
    hash is the product of those of its ends, which are odd, so that nothing of either is lost.
    """
    points = places[0].view(np.uint32) * _FACTORS[0]
    points += places[1].view(np.uint32) * _FACTORS[1]
    points += places[2].view(np.uint32) * _FACTORS[2]
    # The end of SplitMix64, a good hash of 64-bit words (Steele, Lea and Flood 2014).
    points ^= points >> np.uint64(30)
    points *= np.uint64(0xBF58476D1CE4E5B9)
    points ^= points >> np.uint64(27)
    points *= np.uint64(0x94D049BB133111EB)
    points ^= points >> np.uint64(31)
    points |= np.uint64(1)
    begins = points.reshape(-1, 3)
    ends = begins[:, (1, 2, 0)]
    edges = begins * ends
    edges[begins == ends] = 0
    return np.bitwise_xor.reduce(edges, axis=None)


def _load(path: Path) -> np.ndarray:
    """Triangles (N, 3, 3) of a 3MF, OBJ, PLY or text STL file."""
    import trimesh

    invalid = SlicingError("model_invalid", f"{path.name} is not a mesh file.", "Use STL, 3MF or OBJ.")
    try:
        triangles = np.asarray(trimesh.load_mesh(path).triangles)
    except Exception as error:
        # A reader of foreign formats can fail in any way; the user needs one answer.
        raise invalid from error
    if not len(triangles) and path.suffix.lower() == ".stl":
        # Any text passes for an STL without triangles, and so does one that was cut off.
        raise invalid
    return triangles
