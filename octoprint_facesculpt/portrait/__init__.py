"""Photo -> portrait: decode, find the face, landmarks, quality notes. Imports OpenCV only when used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..progress import Progress, silent

if TYPE_CHECKING:
    from .portrait import Portrait


def read_portrait(path: Path, *, face: int | None = None, assets: Path | None = None, progress: Progress = silent) -> Portrait:
    """See :func:`octoprint_facesculpt.portrait.reader.read_portrait`."""
    from .reader import read_portrait as run

    return run(path, face=face, assets=assets, progress=progress)
