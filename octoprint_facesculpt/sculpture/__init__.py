"""Head -> sculpture: upright, cut, plinth, scale, closed solid; files, pictures and a 3-D view of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..progress import Progress, silent
from .settings import SculptureError, SculptureSettings

if TYPE_CHECKING:
    from ..reconstruction.head import Head
    from .shaping import Sculpture

__all__ = ["SculptureError", "SculptureSettings", "save", "sculpt"]


def sculpt(head: Head, settings: SculptureSettings | None = None, progress: Progress = silent) -> Sculpture:
    """See :func:`octoprint_facesculpt.sculpture.shaping.sculpt`."""
    from .shaping import sculpt as run

    return run(head, settings, progress)


def save(sculpture: Sculpture, folder: Path, progress: Progress = silent) -> dict[str, Path]:
    """Write everything about a sculpture into ``folder``: the files by what they are."""
    from .export import export_mesh, face_reach, write_face
    from .preview import save_previews
    from .shaping import standing
    from .surface import save_surface
    from .viewer import save_viewer

    folder.mkdir(parents=True, exist_ok=True)
    mesh = (sculpture.vertices, sculpture.triangles)
    files = {kind: export_mesh(*mesh, folder / f"bust.{kind}") for kind in ("stl", "3mf", "glb")}
    files["face"] = write_face(sculpture.landmarks, folder / "face.json")
    points = sculpture.landmarks.round(3)
    files["surface"] = save_surface(
        *mesh, points, round(face_reach(points), 3), files["stl"], files["face"], folder / "surface.npz"
    )
    # Looked at as it will stand, not as it lies on the bed.
    seen = (standing(sculpture), sculpture.triangles)
    progress(0.4, "Drawing the previews")
    files.update((path.stem, path) for path in save_previews(*seen, folder))
    progress(0.9, "Writing the 3-D view")
    files["viewer"] = save_viewer(*seen, folder / "viewer.html")
    return files
