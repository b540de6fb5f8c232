"""What the recovery desk needs of the world around it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .alone import Wish


class Files(Protocol):
    """OctoPrint's files, and the bed that they are printed on."""

    def gcode_on_disk(self, path: str) -> Path: ...
    def bed_corners(self) -> tuple[float, float, float, float]: ...
    def height(self) -> float: ...


class PrinterPort(Files, Protocol):
    """A printer: OctoPrint's, or the one of a drill."""

    def ready(self) -> bool: ...
    def send(self, lines: list[str], tags: set[str]) -> None: ...
    def resume(self, path: str, offset: int, user: str | None) -> None: ...
    def start(self, path: str, user: str | None) -> None: ...
    def cancel(self) -> None: ...
    def hold(self) -> bool: ...
    def release(self) -> None: ...
    def ask_position(self) -> None: ...
    def log(self, text: str) -> None: ...
    def camera(self) -> bool: ...
    def printer_profile(self) -> dict[str, Any] | None: ...
    def last_safe_mode(self) -> int | None: ...
    def printed_since(self, moment: float, but: str) -> bool: ...


@dataclass(frozen=True)
class Surroundings:
    """The plugin: ``publish(type, data)`` to the dashboards; ``wish()`` about going on alone; ``model_of(path)`` is the mesh
    file of the sculpture that a print is of; ``job_of(path)`` what else the journal keeps of a print; ``resumed(job)`` that
    a print goes on."""

    publish: Callable[[str, Any], None]
    wish: Callable[[], Wish] = Wish
    model_of: Callable[[str], Path | None] = lambda _path: None
    job_of: Callable[[str], dict[str, Any]] = lambda _path: {}
    resumed: Callable[[dict[str, Any]], None] = lambda _job: None


class Numbered:
    """Numbers what is told to dashboards, as ``told``: messages and answers may overtake each other on their way, and an
    older one must not replace a newer one. Numbers of another teller, the server before, do not compare."""

    def __init__(self) -> None:
        self._lock, self._teller, self._count = threading.Lock(), uuid.uuid4().hex[:8], 0

    def __call__(self, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What ``make`` gives, made after everything with a lower number."""
        with self._lock:
            self._count += 1
            return {**make(), "told": [self._teller, self._count]}
