"""A look at a mesh file before a slicer is started on it. Binary STL, the usual case, is streamed in bounded memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .engine import Bed, SlicingError

MAX_TRIANGLES = 2_000_000
MAX_OTHER_BYTES = 200 * 1024 * 1024
#: What a skirt or brim needs around the model, mm.
RIM = 4.0
#: A model must be longer than this in its longest direction and thicker than this in its thinnest, mm.
MIN_LENGTH, MIN_THICKNESS = 2.0, 0.4
_BLOCK = 20_000


def model_size(path: Path) -> np.ndarray:
    """(3,) extents of a closed mesh in mm; :class:`SlicingError` ``model_invalid``, ``model_empty`` or ``model_open``."""
    if not path.is_file():
        raise SlicingError("model_invalid", f"There is no model {path.name}.")
    size = path.stat().st_size
    if size == 0:
        raise SlicingError("model_empty", "The model file is empty.", "Make the sculpture again.")
    with path.open("rb") as file:
        header = file.read(84)
        count = int.from_bytes(header[80:84], "little")
        if path.suffix.lower() == ".stl" and len(header) == 84 and size == 84 + 50 * count:
            record = np.dtype([("normal", "<3f4"), ("corners", "<(3,3)f4"), ("attribute", "<u2")])
            return _examine(count, (np.fromfile(file, record, _BLOCK)["corners"] for _ in range(0, count, _BLOCK)))
    triangles = _load(path, size)
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
    if count == 0:
        raise SlicingError("model_empty", "The model has no triangles.", "Make the sculpture again.")
    if count > MAX_TRIANGLES:
        raise SlicingError("model_invalid", f"The model has {count} triangles.", "Simplify it first.")
    low, high, open_edges = np.full(3, np.inf), np.full(3, -np.inf), np.uint64(0)
    for corners in blocks:
        if not np.isfinite(corners).all():
            raise SlicingError("model_invalid", "The model has impossible coordinates.")
        low, high = np.minimum(low, corners.min((0, 1))), np.maximum(high, corners.max((0, 1)))
        open_edges ^= _edge_sum(corners)
    if open_edges:
        raise SlicingError("model_open", "The model has holes: its surface is not closed.", "Repair it, or make it again.")
    return high - low


def _edge_sum(corners: np.ndarray) -> np.uint64:
    """A 64-bit sum over the edges of triangles (N, 3, 3) that is 0 when each edge occurs an even number of times.

    Every edge of a closed surface belongs to two triangles, so hashes of its edges, combined by exclusive or, vanish
    whatever the order and orientation of the triangles; an open one survives in all but one of 2**64 cases.
    """
    # Adding 0 makes -0 and 0 the same point.
    bits = (np.ascontiguousarray(corners, np.float32) + 0.0).view(np.uint32).astype(np.uint64)
    points = np.zeros(bits.shape[:2], np.uint64)
    for axis in range(3):
        points = _mix(points ^ bits[:, :, axis])
    ends = np.roll(points, -1, axis=1)
    edges = _mix(points + ends) ^ _mix(points ^ ends)
    return np.bitwise_xor.reduce(np.where(points == ends, np.uint64(0), edges), axis=None)


def _mix(value: np.ndarray) -> np.ndarray:
    """SplitMix64, a good hash of 64-bit words (Steele, Lea and Flood 2014)."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _load(path: Path, size: int) -> np.ndarray:
    """Triangles (N, 3, 3) of a 3MF, OBJ, PLY or text STL file."""
    import trimesh

    if size > MAX_OTHER_BYTES:
        raise SlicingError("model_invalid", "The model file is too large.", "Simplify it, or use a binary STL.")
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
