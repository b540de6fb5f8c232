"""The interactive 3-D view: trimesh's own page, which carries its renderer and works without a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .export import write
from .shaping import mesh_of, solid_of, thinned

#: Enough to turn it in the hand on a tablet.
TRIANGLES = 50_000


def save_viewer(vertices: np.ndarray, triangles: np.ndarray, path: Path) -> Path:
    """Write ``path`` (.html): one page with the sculpture (print frame, mm) that can be turned and zoomed."""
    import trimesh
    from trimesh.viewer.notebook import scene_to_html

    light = mesh_of(thinned(solid_of(vertices, triangles), TRIANGLES))
    mesh = trimesh.Trimesh(*light, process=False)
    # The viewer's y axis points up and it looks along -z.
    mesh.apply_transform([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    mesh.visual = trimesh.visual.TextureVisuals(
        material=trimesh.visual.material.PBRMaterial(
            # Darker than clay: the page's one lamp is far brighter than daylight.
            baseColorFactor=[125, 115, 105, 255],
            metallicFactor=0.0,
            roughnessFactor=0.75,
        )
    )
    scene = trimesh.Scene(mesh)
    scene.set_camera(angles=(0, 0, 0), distance=1.6 * float(mesh.extents[1]), center=mesh.bounds.mean(0))
    return write(path, scene_to_html(scene).encode())
