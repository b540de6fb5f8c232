"""A layer of a print as a picture: what the nozzle draws, in a colour for each kind of line.

Only the bytes of the one layer are read; the index says where they are, and what the printer's state is when they begin.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .engine import SlicingError
from .gcode_arcs import centre_of
from .gcode_command import command_of

if TYPE_CHECKING:
    from PIL.Image import Image

    from .gcode_index import GcodeIndex, Layer

#: Bytes of a layer that are read, lines of one that are drawn, and characters of a line that are looked at, at most.
MAX_BYTES, MAX_LINES, LINE_LIMIT = 16 << 20, 400_000, 1000
#: Kinds of lines and their colours; the first are what will be seen of the print.
COLOURS = {
    "outer": (214, 93, 14), "inner": (250, 189, 47), "skin": (177, 98, 134), "bridge": (69, 133, 136),
    "infill": (152, 151, 26), "support": (146, 131, 116), "interface": (80, 73, 69), "rim": (131, 165, 152),
    "other": (204, 36, 29),
}  # fmt: skip
#: How the slicers name them: a part of the name in small letters, the most special first.
_KINDS = (
    ("support material interface", "interface"), ("support-interface", "interface"), ("support", "support"),
    ("skirt", "rim"), ("brim", "rim"), ("wall-outer", "outer"), ("external perimeter", "outer"), ("overhang", "bridge"),
    ("bridge", "bridge"), ("wall-inner", "inner"), ("perimeter", "inner"), ("solid infill", "skin"), ("skin", "skin"),
    ("ironing", "skin"), ("top", "skin"), ("gap", "infill"), ("infill", "infill"), ("fill", "infill"), ("wipe", "rim"),
)  # fmt: skip
_ARCS = (b"G2", b"G3")
#: Lines that begin with one of these are as slicers write them, as nearly all are.
_COMMANDS = frozenset((b"", b"G0", b"G1", *_ARCS, b"G90", b"G91", b"G92", b"M82", b"M83"))
_BACKGROUND, _BED = (251, 249, 244), (235, 229, 215)
_WORD = re.compile(rb"([XYZEIJR]) *([-+]?(?:\d+\.?\d*|\.\d+))")
#: Width of a line, mm, and the room around the print as a share of the picture.
_LINE_MM, _ROOM, _SHARP = 0.42, 0.04, 2
_ARC_STEP = math.radians(8)


@dataclass(frozen=True)
class Stroke:
    """A line that leaves plastic: from, to (x, y in mm), and its kind (a key of :data:`COLOURS`)."""

    start: tuple[float, float]
    end: tuple[float, float]
    kind: str


def kind_of(feature: str) -> str:
    """The kind of line that a slicer's name for a feature means."""
    name = feature.strip().lower()
    return next((kind for part, kind in _KINDS if part in name), "other")


def strokes(gcode: Path, index: GcodeIndex, number: int) -> list[Stroke]:
    """All that layer ``number`` (from 0) draws; :class:`SlicingError` ``layer_unknown``."""
    if not 0 <= number < len(index.layers):
        raise SlicingError("layer_unknown", f"There is no layer {number}.", f"There are {len(index.layers)}.")
    first, behind = index.span(number)
    with gcode.open("rb") as file:
        file.seek(first)
        data = file.read(min(behind - first, MAX_BYTES))
    return _strokes(data, index.layers[number])


def draw_layer(gcode: Path, index: GcodeIndex, number: int, size: int = 640) -> Image:
    """A picture (``size`` x ``size``) of layer ``number``, seen from above, all layers in one frame.

    :class:`SlicingError` ``layer_unknown``.
    """
    from PIL import Image, ImageDraw

    lines = strokes(gcode, index, number)
    left, front = min(one.left for one in index.layers), min(one.front for one in index.layers)
    right, back = max(one.right for one in index.layers), max(one.back for one in index.layers)
    side = size * _SHARP
    zoom = side * (1 - 2 * _ROOM) / max(right - left, back - front, 1e-3)
    x0, y0 = side / 2 - zoom * (left + right) / 2, side / 2 + zoom * (front + back) / 2
    picture = Image.new("RGB", (side, side), _BACKGROUND)
    draw = ImageDraw.Draw(picture)
    for ten in range(math.ceil((left - 20) / 10), math.floor((right + 20) / 10) + 1):
        draw.line([(x0 + zoom * 10 * ten, 0), (x0 + zoom * 10 * ten, side)], _BED, 1)
    for ten in range(math.ceil((front - 20) / 10), math.floor((back + 20) / 10) + 1):
        draw.line([(0, y0 - zoom * 10 * ten), (side, y0 - zoom * 10 * ten)], _BED, 1)
    width = max(1, round(_LINE_MM * zoom))
    # What is seen of the print comes last, and so on top.
    order = list(COLOURS)
    for line in sorted(lines, key=lambda line: -order.index(line.kind)):
        a, b = ((x0 + zoom * x, y0 - zoom * y) for x, y in (line.start, line.end))
        draw.line([a, b], COLOURS[line.kind], width)
    return picture.resize((size, size), Image.Resampling.LANCZOS)


def save_layer(gcode: Path, index: GcodeIndex, number: int, path: Path, size: int = 640) -> None:
    """Write the picture of a layer (PNG of few colours); it is there whole or not at all."""
    from io import BytesIO

    from ..sculpture.export import write

    buffer = BytesIO()
    draw_layer(gcode, index, number, size).quantize(64).save(buffer, "PNG", optimize=True)
    write(path, buffer.getvalue())


def _strokes(data: bytes, layer: Layer) -> list[Stroke]:
    found: list[Stroke] = []
    x, y, e, relative, kind = layer.x, layer.y, layer.e, layer.relative_e, kind_of(layer.feature)
    absolute = True
    for raw in data.split(b"\n"):
        line = raw[:LINE_LIMIT]
        if line.startswith(b";TYPE:"):
            kind = kind_of(line[6:].decode("utf-8", errors="replace"))
            continue
        code, _, rest = line.partition(b";")[0].strip().partition(b" ")
        if code not in _COMMANDS:
            code, _, rest = command_of(line).upper().partition(b" ")
        if code in (b"G0", b"G1", *_ARCS):
            words = {letter: float(value) for letter, value in _WORD.findall(rest)}
            to_x = words.get(b"X", 0.0 if not absolute else x) + (0.0 if absolute else x)
            to_y = words.get(b"Y", 0.0 if not absolute else y) + (0.0 if absolute else y)
            pushed = 0.0
            if b"E" in words:
                pushed = words[b"E"] if relative else words[b"E"] - e
                e += pushed
            clockwise = code == b"G2"
            centre = centre_of(to_x - x, to_y - y, words, clockwise) if code in _ARCS else None
            # A whole circle ends where it began.
            if pushed > 0 and (centre or (to_x, to_y) != (x, y)):
                points = _arc((x, y), (to_x, to_y), (x + centre[0], y + centre[1]), clockwise) if centre else [(to_x, to_y)]
                for point in points:
                    found.append(Stroke((x, y), point, kind))
                    x, y = point
                if len(found) >= MAX_LINES:
                    break
            x, y = to_x, to_y
        elif code == b"G92":
            words = {letter: float(value) for letter, value in _WORD.findall(rest)}
            x, y, e = words.get(b"X", x), words.get(b"Y", y), words.get(b"E", e)
        elif code in (b"M82", b"M83"):
            relative = code == b"M83"
        elif code in (b"G90", b"G91"):
            absolute = code == b"G90"
            relative = not absolute
    return found


def _arc(
    start: tuple[float, float], end: tuple[float, float], middle: tuple[float, float], clockwise: bool
) -> list[tuple[float, float]]:
    """Points on an arc behind its start, in steps that look round."""
    radius = math.dist(start, middle)
    first = math.atan2(start[1] - middle[1], start[0] - middle[0])
    last = math.atan2(end[1] - middle[1], end[0] - middle[0])
    turn = (first - last) % (2 * math.pi) if clockwise else (last - first) % (2 * math.pi)
    count = max(1, math.ceil((turn or 2 * math.pi) / _ARC_STEP))
    step = (turn or 2 * math.pi) / count * (-1 if clockwise else 1)
    inner = [
        (middle[0] + radius * math.cos(first + step * n), middle[1] + radius * math.sin(first + step * n))
        for n in range(1, count)
    ]
    return [*inner, end]
