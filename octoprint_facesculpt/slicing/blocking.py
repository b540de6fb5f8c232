"""Keeping supports off chosen triangles, in the ways the engines understand.

PrusaSlicer reads supports that were painted onto a mesh from a 3MF file, and CuraEngine takes a second mesh within which
nothing counts as overhang. Both work from the command line.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from .model_file import STL_HEAD, STL_RECORD

if TYPE_CHECKING:
    import numpy as np

#: How far a shell for CuraEngine reaches out of and into the surface, mm: the strip of a layer that overhangs the one below
#: lies inside, and is at most as wide as a few lines.
OUTSIDE, INSIDE = 0.6, 1.6
#: PrusaSlicer's code of a triangle that is wholly painted as "no supports".
_BLOCKED = "8"
_PAINT = f' slic3rpe:custom_supports="{_BLOCKED}"'
#: How numbers stand in the file: of one width, so that thousands are written at once.
_NUMBER, _INDEX = "00000.00000", "0000000"
#: Lines that are written at once.
_BLOCK = 8192
_CORE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
_TYPES = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/></Types>\n'
)
_RELATIONS = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Target="/3D/3dmodel.model" Id="rel-1" '
    'Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/></Relationships>\n'
)


_BEGIN = (
    f'<?xml version="1.0" encoding="UTF-8"?>\n<model unit="millimeter" xml:lang="en-US" xmlns="{_CORE}" '
    'xmlns:slic3rpe="http://schemas.slic3r.org/3mf/2017/06">\n'
    '<metadata name="slic3rpe:Version3mf">1</metadata>\n'
    '<metadata name="slic3rpe:FdmSupportsPaintingVersion">1</metadata>\n'
    '<resources><object id="1" type="model"><mesh><vertices>\n'
)
_END = '</triangles></mesh></object></resources><build><item objectid="1" printable="1"/></build></model>\n'


def write_painted(vertices: np.ndarray, triangles: np.ndarray, blocked: np.ndarray, path: Path) -> Path:
    """Write a mesh ((V, 3) mm, (T, 3)) as PrusaSlicer's 3MF, wherever it lies (the slicer puts it on the bed), the triangles of
    the mask ``blocked`` (T,) painted so that no support touches them."""
    import zipfile

    # Not packed: it is read once, a moment later.
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("[Content_Types].xml", _TYPES)
        package.writestr("_rels/.rels", _RELATIONS)
        with package.open("3D/3dmodel.model", "w") as model:
            model.write(_BEGIN.encode())
            low = vertices.min(0)
            for begin in range(0, len(vertices), _BLOCK):
                model.write(_points(vertices[begin : begin + _BLOCK] - low))
            model.write(b"</vertices><triangles>\n")
            for begin in range(0, len(triangles), _BLOCK):
                model.write(_faces(triangles[begin : begin + _BLOCK], blocked[begin : begin + _BLOCK]))
            model.write(_END.encode())
    return path


def _points(vertices: np.ndarray) -> memoryview:
    """The lines of vertices (N, 3), none of them negative, with five decimals."""
    import numpy as np

    line = f'<vertex x="{_NUMBER}" y="{_NUMBER}" z="{_NUMBER}"/>\n'
    text = _lines(line, len(vertices))
    written = np.rint(vertices * 100_000.0).astype(np.int64)
    for axis, begin in enumerate(_places(line, _NUMBER)):
        whole = written[:, axis] // 100_000
        _write_digits(whole, text[:, begin : begin + 5])
        _write_digits(written[:, axis] - 100_000 * whole, text[:, begin + 6 : begin + 11])
    return text.data


def _faces(triangles: np.ndarray, blocked: np.ndarray) -> memoryview:
    """The lines of triangles (N, 3), those of the mask ``blocked`` (N,) painted."""
    import numpy as np

    line = f'<triangle v1="{_INDEX}" v2="{_INDEX}" v3="{_INDEX}"{_PAINT}/>\n'
    text = _lines(line, len(triangles))
    for corner, begin in enumerate(_places(line, _INDEX)):
        _write_digits(triangles[:, corner], text[:, begin : begin + len(_INDEX)])
    (paint,) = _places(line, _PAINT)
    text[np.flatnonzero(~blocked), paint : paint + len(_PAINT)] = ord(" ")
    return text.data


def _lines(line: str, count: int) -> np.ndarray:
    """(count, length) characters of lines that are still all the same."""
    import numpy as np

    return np.tile(np.frombuffer(line.encode("ascii"), np.uint8), (count, 1))


def _places(line: str, what: str) -> list[int]:
    """Where ``what`` stands in a line."""
    return [match.start() for match in re.finditer(re.escape(what), line)]


def _write_digits(numbers: np.ndarray, place: np.ndarray) -> None:
    """Write whole numbers (N,) into characters (N, digits), with leading zeros."""
    import numpy as np

    # Small numbers are divided fastest, and a rest costs another division.
    numbers = numbers.astype(np.uint32)
    for column in range(place.shape[1] - 1, -1, -1):
        tens = numbers // 10
        place[:, column] = numbers - 10 * tens + ord("0")
        numbers = tens


def shell(vertices: np.ndarray, triangles: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A closed mesh, vertices and triangles, around the triangles of the mask ``chosen`` (T,): their surface moved out and
    in along its normals, and walls along its rim."""
    import numpy as np

    from ..sculpture.surface import point_normals

    used = np.zeros(len(vertices), bool)
    used[triangles[chosen]] = True
    normals = point_normals(vertices, triangles[used[triangles].any(1)])[used]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    points = np.concatenate([vertices[used] + OUTSIDE * normals, vertices[used] - INSIDE * normals])
    patch = (used.cumsum(dtype=np.int32) - 1)[triangles[chosen]]
    del normals
    count = len(points) // 2
    # An edge of the rim has no twin in the other direction.
    begin, end = patch.ravel().astype(np.int64), np.roll(patch, -1, axis=1).ravel()
    twin = end * np.int64(count) + begin
    twin.sort()
    begin *= count
    begin += end
    rim = begin[twin[np.minimum(np.searchsorted(twin, begin), len(twin) - 1)] != begin]
    a, b = (part.astype(np.int32) for part in np.divmod(rim, count))
    walls = np.concatenate([np.stack([b, a, a + count], 1), np.stack([b, a + count, b + count], 1)])
    return points, np.concatenate([patch, patch[:, ::-1] + count, walls])


def write_stl(vertices: np.ndarray, triangles: np.ndarray, path: Path) -> Path:
    """Write a mesh as a binary STL, without normals, which slicers find themselves."""
    import numpy as np

    vertices = vertices.astype(np.float32)
    with path.open("wb") as file:
        file.write(bytes(STL_HEAD - 4) + len(triangles).to_bytes(4, "little"))
        for begin in range(0, len(triangles), _BLOCK):
            part = triangles[begin : begin + _BLOCK]
            records = np.zeros(len(part), STL_RECORD)
            records["corners"] = vertices[part]
            file.write(records.data)
    return path
