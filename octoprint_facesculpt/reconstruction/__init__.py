"""Portrait -> head: dense guides, guided volumetric network, signed-distance volume, iso-surface.

Nothing here is imported before it is used: torch alone takes seconds on a small host.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..progress import Progress, silent

if TYPE_CHECKING:
    from ..portrait.portrait import Portrait
    from .head import Head


def reconstruct(portrait: Portrait, *, weights: Path | None = None, progress: Progress = silent) -> Head:
    """See :func:`octoprint_facesculpt.reconstruction.predictor.reconstruct`."""
    from .predictor import reconstruct as run

    return run(portrait, weights=weights, progress=progress)


def report(portrait: Portrait, head: Head, seconds: dict[str, float]) -> dict[str, Any]:
    """See :func:`octoprint_facesculpt.reconstruction.reporting.report`."""
    from .reporting import report as make

    return make(portrait, head, seconds)
