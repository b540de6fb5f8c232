"""Fetching the model files in the background, while the dashboards are told how far it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import assets
from .errors import FaceSculptError


class AssetFetch:
    """Into ``folder``; ``tell(progress)`` is called with ``{"fraction", "done", "error"}``, ``fetched()`` after one that
    succeeded. One fetch at a time."""

    def __init__(self, folder: Path, tell: Callable[[dict[str, Any]], None], fetched: Callable[[], None]) -> None:
        self.folder, self._tell, self._fetched = folder, tell, fetched
        self._running = threading.Lock()

    @property
    def running(self) -> bool:
        return self._running.locked()

    def begin(self) -> None:
        """Fetch what is missing; nothing when a fetch is running, which tells the dashboards."""
        if self._running.acquire(blocking=False):
            threading.Thread(target=self._work, name="facesculpt-assets", daemon=True).start()

    def _work(self) -> None:
        told: dict[str, Any] = {"error": None, "fraction": 0.0, "done": False}
        ended = {**told, "fraction": 1.0, "done": True}
        try:
            assets.fetch(folder=self.folder, progress=lambda fraction, _="": self._tell({**told, "fraction": fraction}))
        except FaceSculptError as error:
            answer = {"code": error.code, "message": error.message, "hint": error.hint}
            ended = {**told, "error": answer, "done": True}
        finally:
            # First: who hears of the end may ask for the next fetch at once.
            self._running.release()
        self._tell(ended)
        if ended["error"] is None:
            self._fetched()
