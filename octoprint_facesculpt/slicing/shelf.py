"""The profiles of one engine: read-only presets, and the user's own beside them in a folder.

What is a preset stays as it is: whoever wants it different changes a copy.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .engine import SlicingError
from .importing import Imported, check_config
from .presets import DEFAULT, offered
from .profile_files import ProfileFile, differences, read_profile, title_of, write_profile
from .program import CommandLineEngine

MAX_PROFILES = 200
_KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
#: The server answers in threads, each with a shelf of its own: what is written follows from what was read, and nobody else
#: may write in between.
_CHANGING = threading.Lock()


class Shelf:
    """The profiles of an engine, the user's own in ``folder``; ``version`` of the program, if it is known."""

    def __init__(self, engine: CommandLineEngine, folder: Path, version: str | None = None) -> None:
        self._engine, self._folder = engine, folder
        known = engine.profiles()
        self.presets = offered(known, version) if version else known

    def names(self) -> list[str]:
        """All keys, the presets first."""
        own = sorted(path.stem for path in self._folder.glob("*.profile") if _KEY.fullmatch(path.stem))
        return [*self.presets, *(key for key in own if key not in self._engine.profiles())]

    def rows(self) -> list[dict[str, Any]]:
        """What there is to choose from; what cannot be read is left out."""
        rows = []
        for key in self.names():
            preset = self.presets.get(key)
            if preset is not None:
                about = {"name": preset.name, "description": preset.description, "target_hours": preset.target_hours}
                rows.append({"engine": self._engine.name, "key": key, "preset": True, "base": "", **about})
                continue
            try:
                file = read_profile(self._path(key))
            except SlicingError:
                continue
            about = {"name": file.title, "description": "", "target_hours": None}
            rows.append({"engine": self._engine.name, "key": key, "preset": False, "base": file.base, **about})
        return rows

    def details(self, key: str) -> dict[str, Any]:
        """Everything about a profile: its row, its settings, and how they differ from the preset it comes from."""
        row = next((row for row in self.rows() if row["key"] == key), None)
        if row is None:
            raise _unknown(key)
        file = self.read(key)
        base = file.base if file.base in self._engine.profiles() else DEFAULT
        changed = [] if row["preset"] else differences(file.config, self._engine.configuration(base))
        return {**row, "settings": dict(file.config), "differences": changed, "notes": list(file.notes), "compared": base}

    def read(self, key: str) -> ProfileFile:
        """A profile; :class:`SlicingError` ``profile_unknown`` or ``profile_invalid``."""
        if key in self.presets:
            return ProfileFile(self.presets[key].name, key, self._engine.configuration(key))
        return read_profile(self._path(key))

    def file(self, key: str) -> Path | None:
        """The file to slice with, None for a preset; :class:`SlicingError` ``profile_unknown``."""
        return None if key in self._engine.profiles() else self._path(key)

    def copy(self, key: str, title: str, settings: Mapping[str, str] | None = None) -> str:
        """Copy a profile, with some settings replaced; the copy's key."""
        file = self.read(key)
        base = key if key in self.presets else file.base
        return self._add(ProfileFile(title_of(title), base, self._checked({**file.config, **(settings or {})}), file.notes))

    def change(self, key: str, title: str | None, settings: Mapping[str, str | None]) -> None:
        """Replace settings of an own profile; None takes one back to what it is in the preset.

        :class:`SlicingError` ``profile_protected`` for a preset, ``profile_invalid``.
        """
        with _CHANGING:
            self._require_own(key)
            file = self.read(key)
            config = dict(file.config)
            base = self._engine.configuration(file.base if file.base in self._engine.profiles() else DEFAULT)
            for name, value in settings.items():
                if value is not None:
                    config[name] = value
                elif name in base:
                    config[name] = base[name]
                else:
                    config.pop(name, None)
            title = title_of(title) if title is not None else file.title
            write_profile(replace(file, title=title, config=self._checked(config)), self._path(key))

    def add(self, imported: Imported, title: str) -> str:
        """Keep an imported profile; its key."""
        if imported.engine != self._engine.name:
            raise SlicingError("profile_invalid", f"This is not a profile of {self._engine.title}.", "Choose its slicer.")
        notes = tuple(note.message for note in imported.notes)
        return self._add(ProfileFile(title_of(title), imported.base, self._checked(imported.config), notes))

    def delete(self, key: str) -> None:
        """Delete an own profile; :class:`SlicingError` ``profile_protected`` or ``profile_unknown``."""
        with _CHANGING:
            self._require_own(key)
            self._path(key).unlink()

    def _add(self, profile: ProfileFile) -> str:
        self._folder.mkdir(parents=True, exist_ok=True)
        stem = re.sub(r"[^a-z0-9]+", "_", profile.title.lower()).strip("_")[:40] or "profile"
        names = (stem if number == 1 else f"{stem}_{number}" for number in range(1, MAX_PROFILES + 2))
        with _CHANGING:
            taken = {path.stem for path in self._folder.glob("*.profile")} | set(self._engine.profiles())
            if len(taken) >= MAX_PROFILES:
                raise SlicingError("profile_invalid", f"There are {len(taken)} profiles already.", "Delete some first.")
            key = next(name for name in names if name not in taken)
            write_profile(profile, self._folder / f"{key}.profile")
        return key

    def _checked(self, config: Mapping[str, str]) -> dict[str, str]:
        """A configuration that the engine understands, as far as can be seen without slicing."""
        harmless, _ = check_config(config)
        accepted = self._engine.accepted(harmless)
        if accepted.unknown:
            told = f"{self._engine.title} has no setting '{accepted.unknown[0]}'."
            raise SlicingError("profile_invalid", told, "Look the name up in the slicer.")
        if accepted.substituted:
            told = f"{self._engine.title} does not know this value of '{accepted.substituted[0]}'."
            raise SlicingError("profile_invalid", told, "Look its values up in the slicer.")
        return accepted.config

    def _require_own(self, key: str) -> None:
        if key in self._engine.profiles():
            raise SlicingError("profile_protected", f"'{key}' is a preset and stays as it is.", "Change a copy of it.")

    def _path(self, key: str) -> Path:
        path = self._folder / f"{key}.profile"
        if not _KEY.fullmatch(key) or not path.is_file():
            raise _unknown(key)
        return path


def _unknown(key: str) -> SlicingError:
    return SlicingError("profile_unknown", f"There is no profile '{key[:60]}'.", "Choose another profile.")
