"""Pictures for the dashboard: the layer that a plan goes on in, its surroundings, and the sculpture cut at its height."""

from __future__ import annotations

import logging
from pathlib import Path

from ..errors import FaceSculptError
from .helpers import CLOSE, LAYER, Helpers

_logger = logging.getLogger(__name__)


class Pictures:
    """Those of one plan; the first two are drawn when it is made."""

    def __init__(self, folder: Path, helpers: Helpers) -> None:
        self._folder, self._helpers = folder, helpers
        self._cut: Path | None = None

    def draw_cut(self, model: Path, height: float) -> None:
        """Cut the mesh of a sculpture at a height, mm; without success there is no such picture."""
        try:
            self._cut = self._helpers.cut(model, height)
        except (FaceSculptError, OSError) as error:
            _logger.info("the sculpture's cut could not be drawn: %s", error)

    def file(self, name: str) -> Path | None:
        return {"layer": self._folder / LAYER, "close": self._folder / CLOSE, "cut": self._cut}.get(name)

    def versions(self) -> dict[str, str]:
        """The pictures that there are, each with a mark that changes with it."""
        files = {name: self.file(name) for name in ("layer", "close", "cut")}
        return {name: f"{file.stat().st_mtime_ns:x}" for name, file in files.items() if file is not None and file.is_file()}
