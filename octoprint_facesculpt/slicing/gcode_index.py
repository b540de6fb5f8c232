"""Where each layer of a G-code file lies and what it takes: built by the independent check, kept beside the file.

A print that is looked at or planned with need not be read again. Neither numpy nor the G-code is needed to read an index.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from .engine import SlicingError

SCHEMA = 1
MAX_BYTES, MAX_LAYERS = 32 * 1024 * 1024, 100_000
#: Less filament than this in a layer, mm, is the rest of a wipe.
LEAST_MM = 0.05


class Layer(NamedTuple):
    """One layer, as the printer makes it: everything from the last plastic of the layer below on. A tuple, as there are
    thousands.

    ``offset``: byte of the file where its first line begins (it ends where the next layer begins); ``z``: mm, where its
    plastic is put; ``seconds``: when it begins, counted from the first move, without heating up; ``filament_mm`` and
    ``support_mm``: filament in it, and of that in supports; ``left``, ``front``, ``right``, ``back``: mm, around its plastic.
    What a reader that starts here must know of before: ``x``, ``y``, ``below`` (mm, where the nozzle is), ``e`` (mm, what
    the extruder counts), ``relative_e`` (whether E words are steps), ``feed_mm_min`` and ``feature`` (as the slicer names it).
    """

    offset: int
    z: float
    seconds: float
    filament_mm: float
    support_mm: float
    left: float
    front: float
    right: float
    back: float
    x: float
    y: float
    below: float
    e: float
    relative_e: bool
    feed_mm_min: float
    feature: str


@dataclass(frozen=True, slots=True)
class GcodeIndex:
    """All layers of a file from the bed up.

    ``size`` is the file's in bytes; ``end`` the byte behind the last plastic, where the end code begins; ``end_seconds`` the
    time there, and ``seconds`` that of the whole file.
    """

    size: int
    end: int
    end_seconds: float
    seconds: float
    layers: tuple[Layer, ...]

    @property
    def model_layers(self) -> int:
        """How many layers have plastic of the model itself."""
        return sum(layer.filament_mm - layer.support_mm > LEAST_MM for layer in self.layers)

    @property
    def supports_alone(self) -> list[int]:
        """Layers of nothing but supports, by number: PrusaSlicer's supports have layers of their own between the model's."""
        layers = enumerate(self.layers)
        return [number for number, one in layers if 0 < one.support_mm >= one.filament_mm - LEAST_MM]

    def span(self, number: int) -> tuple[int, int]:
        """First byte of layer ``number`` (from 0) and the byte behind it; :class:`IndexError`."""
        layer = self.layers[number]
        return layer.offset, self.layers[number + 1].offset if number + 1 < len(self.layers) else self.end

    def at(self, offset: int) -> int:
        """The layer that holds a byte of the file; -1 for the start code."""
        return bisect_right(self.layers, offset, key=lambda layer: layer.offset) - 1

    def to_json(self) -> dict[str, Any]:
        """As JSON values, the layers by columns."""
        by_column = zip(*self.layers, strict=True) if self.layers else ((),) * len(Layer._fields)
        columns = {name: _shorter(values) for name, values in zip(Layer._fields, by_column, strict=True)}
        names = [field.name for field in fields(self) if field.name != "layers"]
        whole = dict(zip(names, _shorter([getattr(self, name) for name in names]), strict=True))
        return {"schema": SCHEMA, **whole, "layers": columns}


def write_index(index: GcodeIndex, path: Path) -> None:
    """Write an index; the file is there as a whole or not at all. Raises :class:`OSError`."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(json.dumps(index.to_json(), separators=(",", ":")), encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_index(path: Path, gcode: Path | None = None) -> GcodeIndex:
    """Read an index, of ``gcode`` if that is given; :class:`SlicingError` ``index_invalid`` when it is none of it."""
    invalid = SlicingError("index_invalid", f"{path.name} is not an index of the G-code.", "Slice the model again.")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise invalid
        data = json.loads(path.read_bytes())
        columns = [_column(data["layers"][name], kind) for name, kind in get_type_hints(Layer).items()]
        layers = tuple(map(Layer._make, zip(*columns, strict=True)))
        size, end = int(data["size"]), int(data["end"])
        end_seconds, seconds = float(data["end_seconds"]), float(data["seconds"])
        offsets = [layer.offset for layer in layers]
        sound = 0 <= end <= size and math.isfinite(end_seconds) and math.isfinite(seconds)
        sound = sound and len(layers) <= MAX_LAYERS and offsets == sorted(offsets)
        sound = sound and all(0 <= offset <= end for offset in offsets)
        if data["schema"] != SCHEMA or not sound or (gcode is not None and gcode.stat().st_size != size):
            raise invalid
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise invalid from error
    return GcodeIndex(size, end, end_seconds, seconds, layers)


def _column(values: Any, kind: type) -> list[Any]:
    """A column's values, all of one kind; :class:`ValueError`."""
    wanted = (int, float) if kind is float else kind
    if not isinstance(values, list) or not all(isinstance(value, wanted) for value in values):
        raise ValueError(kind)
    if kind is float and not all(math.isfinite(value) for value in values):
        raise ValueError(kind)
    return values


def _shorter(values: Iterable[Any]) -> list[Any]:
    """A column whose numbers have no more digits than mean something."""
    return [round(value, 4) if type(value) is float else value for value in values]
