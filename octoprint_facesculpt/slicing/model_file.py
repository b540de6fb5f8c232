"""What a mesh file says it is, seen at a glance: enough to know whether a slicer may be started on it while it is examined."""

from __future__ import annotations

from pathlib import Path

from .engine import SlicingError

MAX_TRIANGLES = 2_000_000
MAX_OTHER_BYTES = 200 * 1024 * 1024
#: What a skirt or brim needs around a model, mm.
RIM = 4.0
#: Bytes of a binary STL file before its triangles, and of each of them.
STL_HEAD, STL_TRIANGLE = 84, 50
#: Each of them, as numpy names types.
STL_RECORD = [("normal", "<3f4"), ("corners", "<(3,3)f4"), ("attribute", "<u2")]


def stl_triangles(path: Path) -> int | None:
    """How many triangles a binary STL file of the right size has, None for another kind of file; :class:`SlicingError`
    ``model_invalid`` or ``model_empty``."""
    if not path.is_file():
        raise SlicingError("model_invalid", f"There is no model {path.name}.")
    size = path.stat().st_size
    if size == 0:
        raise SlicingError("model_empty", "The model file is empty.", "Make the sculpture again.")
    if path.suffix.lower() == ".stl":
        with path.open("rb") as file:
            head = file.read(STL_HEAD)
        count = int.from_bytes(head[-4:], "little")
        if len(head) == STL_HEAD and size == STL_HEAD + STL_TRIANGLE * count:
            require_count(count)
            return count
    if size > MAX_OTHER_BYTES:
        raise SlicingError("model_invalid", "The model file is too large.", "Simplify it, or use a binary STL.")
    return None


def require_count(triangles: int) -> None:
    """:class:`SlicingError` ``model_empty`` or ``model_invalid`` for too few or too many triangles."""
    if triangles == 0:
        raise SlicingError("model_empty", "The model has no triangles.", "Make the sculpture again.")
    if triangles > MAX_TRIANGLES:
        raise SlicingError("model_invalid", f"The model has {triangles} triangles.", "Simplify it first.")
