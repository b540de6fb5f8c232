"""Profiles as files: a flat configuration below a few lines that say what it is called and where it comes from.

They lie where OctoPrint keeps slicing profiles, so that its own dialog and other plugins print with them too.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .engine import SlicingError
from .program import plain
from .vendor_bundle import format_config, read_config

#: What a profile is called at most.
TITLE_LIMIT, HEAD_LINES, HEAD_LINE_LIMIT = 80, 20, 2000
#: Settings that only name things, or that the printer decides about.
_NOT_COMPARED = re.compile(r"(print|filament|printer)_settings_id|bed_shape|max_print_height")
_ABOUT = re.compile(r"# (\w+): (.*)")
#: Requests that come together find the same preset missing, and each writes it.
_WRITING = threading.Lock()


@dataclass(frozen=True)
class ProfileFile:
    """A profile: ``title`` for people, ``base`` the key of the preset it comes from (or empty), its settings, and what
    should be known about it."""

    title: str
    base: str
    config: Mapping[str, str]
    notes: tuple[str, ...] = field(default_factory=tuple)

    def text(self) -> str:
        """As it is written into its file."""
        about = [f"# {title_of(self.title)}", f"# base: {self.base}" if self.base else ""]
        about += [f"# note: {' '.join(note.split())[:HEAD_LINE_LIMIT]}" for note in self.notes]
        return "".join(f"{line}\n" for line in about if line) + format_config(self.config)


def read_profile(path: Path) -> ProfileFile:
    """Read a profile; :class:`SlicingError` ``profile_invalid``."""
    config = read_config(path)
    title, about, notes = path.stem, {}, []
    with path.open(encoding="utf-8", errors="replace") as file:
        for number in range(HEAD_LINES):
            line = file.readline(HEAD_LINE_LIMIT).rstrip("\n")
            if not line.startswith("# "):
                break
            match = _ABOUT.fullmatch(line)
            if match and match[1] == "note":
                notes.append(match[2])
            elif match and match[1] == "base":
                about["base"] = match[2]
            elif number == 0:
                title = line[2:].strip()
    return ProfileFile(title, about.get("base", ""), config, tuple(notes))


def write_profile(profile: ProfileFile, path: Path) -> None:
    """Write a profile so that it is there whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    with _WRITING:
        with part.open("w", encoding="utf-8") as file:
            file.write(profile.text())
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)


def title_of(text: str) -> str:
    """A title in one line; :class:`SlicingError` ``profile_invalid`` when nothing is left."""
    title = " ".join("".join(c if c.isprintable() else " " for c in text).split())[:TITLE_LIMIT]
    if not title:
        raise SlicingError("profile_invalid", "The profile has no name.", "Give it one.")
    return title


def differences(own: Mapping[str, str], base: Mapping[str, str]) -> list[dict[str, Any]]:
    """What two configurations do not have in common: ``key``, the value in the ``base`` and the ``own`` one, None where
    there is none. Two spellings of one number are the same."""
    found = []
    for key in sorted({*own, *base}):
        before, after = base.get(key), own.get(key)
        same = before == after or (before is not None and after is not None and _spelt(before) == _spelt(after))
        if not same and not _NOT_COMPARED.fullmatch(key):
            found.append({"key": key, "base": before, "own": after})
    return found


def _spelt(value: str) -> tuple[str, ...]:
    return tuple(plain(part) + ("%" if part.strip().endswith("%") else "") for part in value.split(","))
