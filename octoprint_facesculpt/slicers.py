"""Which slicers are there, and the print profiles of each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import FaceSculptError
from .slicing import ENGINES
from .slicing.plugin import slicer_type
from .slicing.shelf import Shelf


class Slicers:
    """``program(engine)`` is the path of its program in the settings, or nothing; ``profiles(name)`` the folder in which
    OctoPrint keeps the profiles of a slicer."""

    def __init__(self, program: Callable[[str], str | None], profiles: Callable[[str], str]) -> None:
        self._program, self._profiles = program, profiles
        self._seen: dict[str, dict[str, Any]] = {}
        #: A program is run once for all who ask meanwhile, instead of once for each.
        self._looking = threading.Lock()

    def forget(self) -> None:
        """Look for all programs again: the settings may name others."""
        self._seen = {}

    def all(self) -> list[dict[str, Any]]:
        """All engines, those that can be used first. Who is told that one is missing installs it, so it is looked for again."""
        return sorted(map(self._look_for, ENGINES), key=lambda slicer: not slicer["found"])

    def shelves(self) -> dict[str, Shelf]:
        """The slicing profiles of every engine; the user's own lie where OctoPrint keeps them."""
        shelves = {}
        for slicer in self.all():
            name = slicer["key"]
            folder = Path(self._profiles(slicer_type(name)))
            shelves[name] = Shelf(ENGINES[name](self._program(name)), folder, slicer["version"])
        return shelves

    def _look_for(self, name: str) -> dict[str, Any]:
        with self._looking:
            return self._seen[name] if name in self._seen else self._run(name)

    def _run(self, name: str) -> dict[str, Any]:
        about = {"key": name, "name": ENGINES[name].title}
        try:
            found = ENGINES[name](self._program(name)).detect()
            self._seen[name] = {**about, "found": True, "version": found.version, "message": ""}
        except FaceSculptError as error:
            missing = {**about, "found": False, "version": None, "message": f"{error.message} {error.hint}"}
            if error.code != "engine_version":
                return missing
            # A program that is none of ours, or too old, is not run again for every look at the tab.
            self._seen[name] = missing
        return self._seen[name]
