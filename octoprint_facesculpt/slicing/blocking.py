"""Keeping supports off chosen triangles, in the ways the engines understand.

PrusaSlicer reads supports that were painted onto a mesh from a 3MF file, and CuraEngine takes a second mesh within which
nothing counts as overhang. Both work from the command line.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

#: How far a shell for CuraEngine reaches out of and into the surface, mm: the strip of a layer that overhangs the one below
#: lies inside, and is at most as wide as a few lines.
OUTSIDE, INSIDE = 0.6, 1.6
#: PrusaSlicer's code of a triangle that is wholly painted as "no supports".
_BLOCKED = "8"
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


def write_painted(vertices: np.ndarray, triangles: np.ndarray, blocked: np.ndarray, path: Path) -> Path:
    """Write a mesh ((V, 3) mm, (T, 3)) as PrusaSlicer's 3MF, the triangles of the mask ``blocked`` (T,) painted so that no
    support touches them."""
    paint = f' slic3rpe:custom_supports="{_BLOCKED}"'
    points = "".join(f'<vertex x="{x:.6g}" y="{y:.6g}" z="{z:.6g}"/>\n' for x, y, z in vertices.tolist())
    faces = "".join(
        f'<triangle v1="{a}" v2="{b}" v3="{c}"{paint if painted else ""}/>\n'
        for (a, b, c), painted in zip(triangles.tolist(), blocked.tolist(), strict=True)
    )
    model = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<model unit="millimeter" xml:lang="en-US" xmlns="{_CORE}" '
        'xmlns:slic3rpe="http://schemas.slic3r.org/3mf/2017/06">\n'
        '<metadata name="slic3rpe:Version3mf">1</metadata>\n'
        '<metadata name="slic3rpe:FdmSupportsPaintingVersion">1</metadata>\n'
        f'<resources><object id="1" type="model"><mesh><vertices>\n{points}</vertices><triangles>\n{faces}</triangles>'
        '</mesh></object></resources><build><item objectid="1" printable="1"/></build></model>\n'
    )
    import zipfile

    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as package:
        package.writestr("[Content_Types].xml", _TYPES)
        package.writestr("_rels/.rels", _RELATIONS)
        package.writestr("3D/3dmodel.model", model)
    return path


def shell(vertices: np.ndarray, triangles: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A closed mesh, vertices and triangles, around the triangles of the mask ``chosen`` (T,): their surface moved out and
    in along its normals, and walls along its rim."""
    import numpy as np

    corners = vertices[triangles]
    normals = np.zeros_like(vertices)
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], area)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    used, patch = np.unique(triangles[chosen], return_inverse=True)
    patch = patch.reshape(-1, 3)
    count = len(used)
    points = np.concatenate([vertices[used] + OUTSIDE * normals[used], vertices[used] - INSIDE * normals[used]])
    edges = np.concatenate([patch[:, [0, 1]], patch[:, [1, 2]], patch[:, [2, 0]]])
    # An edge of the rim has no twin in the other direction.
    key, twin = edges[:, 0] * count + edges[:, 1], edges[:, 1] * count + edges[:, 0]
    rim = edges[~np.isin(key, twin)]
    a, b = rim[:, 0], rim[:, 1]
    walls = np.concatenate([np.stack([b, a, a + count], 1), np.stack([b, a + count, b + count], 1)])
    return points, np.concatenate([patch, patch[:, ::-1] + count, walls])
