"""A look at an STL before a slicer is started on it, in bounded memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .engine import Bed, SlicingError

MAX_TRIANGLES = 2_000_000
#: What a skirt or brim needs around the model, mm.
RIM = 4.0


def stl_size(path: Path) -> np.ndarray:
    """(3,) extents of a mesh file in mm; :class:`SlicingError` ``model_invalid`` or ``model_empty``.

    Binary STL is judged by its header and streamed; other kinds (3MF, OBJ, text STL) are loaded with trimesh when their
    file is small enough.
    """
    if not path.is_file():
        raise SlicingError("model_invalid", f"There is no model {path.name}.")
    size = path.stat().st_size
    if size == 0:
        raise SlicingError("model_empty", "The model file is empty.", "Make the sculpture again.")
    with path.open("rb") as file:
        header = file.read(84)
        count = int.from_bytes(header[80:84], "little")
        if path.suffix.lower() == ".stl" and len(header) == 84 and size == 84 + 50 * count:
            if count == 0:
                raise SlicingError("model_empty", "The model has no triangles.", "Make the sculpture again.")
            if count > MAX_TRIANGLES:
                raise SlicingError("model_invalid", f"The model has {count} triangles.", "Simplify it first.")
            low, high = np.full(3, np.inf), np.full(3, -np.inf)
            record = np.dtype([("normal", "<3f4"), ("corners", "<(3,3)f4"), ("attribute", "<u2")])
            while len(block := np.fromfile(file, record, 100_000)):
                corners = block["corners"].reshape(-1, 3)
                if not np.isfinite(corners).all():
                    raise SlicingError("model_invalid", "The model has impossible coordinates.")
                low, high = np.minimum(low, corners.min(0)), np.maximum(high, corners.max(0))
            return high - low
    return _loaded_size(path, size)


def check_fits(extents: np.ndarray, bed: Bed) -> None:
    """:class:`SlicingError` ``too_large`` unless a model of ``extents`` (3,) fits into ``bed`` upright."""
    room = np.array([bed.width - 2 * RIM, bed.depth - 2 * RIM, bed.height])
    if (extents > room).any():
        wanted, have = (" x ".join(f"{v:.0f}" for v in values) for values in (extents, room))
        raise SlicingError(
            "too_large", f"The model is {wanted} mm, the printer has room for {have} mm.", "Make the sculpture smaller."
        )
    if extents.max() < 2:
        raise SlicingError("model_invalid", "The model is under 2 mm; its unit may be wrong.", "Export it in mm.")


def _loaded_size(path: Path, size: int) -> np.ndarray:
    import trimesh

    if size > 200 * 1024 * 1024:
        raise SlicingError("model_invalid", "The model file is too large.", "Simplify it, or use a binary STL.")
    try:
        mesh = trimesh.load(path, force="mesh")
        if mesh.is_empty or not len(mesh.faces):
            raise SlicingError("model_empty", "The model has no triangles.", "Make the sculpture again.")
        return np.asarray(mesh.extents)
    except SlicingError:
        raise
    except Exception as error:
        # A reader of foreign formats can fail in any way; the user needs one answer.
        raise SlicingError("model_invalid", f"{path.name} is not a mesh file.", "Use STL, 3MF or OBJ.") from error
