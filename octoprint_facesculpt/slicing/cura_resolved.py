"""What Cura's settings of a printer are, kept from one slice to the next.

To find them takes a look at thousands of files, and a thousand formulas. They stay the same until a file changes that was
read, or a folder in which they lie, as it does whenever a file comes, goes or is replaced.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..folders import default_folder

#: So many printers are kept; what is larger than this many bytes is none.
MAX_KEPT, MAX_BYTES = 20, 4 * 1024 * 1024
#: What finds the settings; when it changes, what it found before counts no more.
_FINDERS = ("cura_definitions", "cura_expressions", "cura_resolved", "cura_stack")


@dataclass(frozen=True)
class Choice:
    """A printer and how it prints, in Cura's names."""

    machine: str = "creality_ender3"
    quality: str = "standard"
    #: Empty: what the printer prefers.
    variant: str = ""
    material: str = ""


@dataclass(frozen=True)
class Resolved:
    """Every setting as text, for the engine: those of the machine and those of its extruder; ``unresolved`` says why a
    setting has no value, ``invalid`` why its value is not allowed; ``dated``: start or end code tells the time."""

    machine: dict[str, str]
    extruder: dict[str, str]
    density: float
    unresolved: dict[str, str] = field(default_factory=dict)
    invalid: dict[str, str] = field(default_factory=dict)
    dated: bool = False


def resolve(choice: Choice, overrides: Mapping[str, str]) -> Resolved:
    """As :func:`.cura_stack.resolve`, from what was found before if nothing has changed since."""
    from .cura_definitions import Library

    library = Library()
    key = [asdict(choice), dict(overrides), [str(folder) for folder in library.roots], _states(_finders())]
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    path = default_folder() / "resolved" / f"{name}.json"
    if (kept := _kept(path)) is not None:
        return kept
    from .cura_stack import resolve as find

    folders = _states(library.folders())
    found = find(choice, overrides, library)
    if not (found.unresolved or found.invalid or found.dated):
        _keep(path, {"folders": folders, "files": _states(library.used), "resolved": asdict(found)})
    return found


def _kept(path: Path) -> Resolved | None:
    """What was kept, if it is sound and holds still."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        if path.stat().st_size > MAX_BYTES:
            return None
        data = json.loads(path.read_bytes())
        if any(_states(kind) != kind for kind in (data["folders"], data["files"])):
            return None
        found = data["resolved"]
        machine, extruder = found["machine"], found["extruder"]
        if all(isinstance(value, str) for values in (machine, extruder) for value in values.values()):
            return Resolved(machine, extruder, float(found["density"]))
    return None


def _keep(path: Path, data: dict[str, Any]) -> None:
    """Keep it for the next time; a disk without room for it only makes that slower."""
    part = path.with_suffix(f".{os.getpid()}.part")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        for oldest in sorted(path.parent.iterdir(), key=lambda file: file.stat().st_mtime)[: 1 - MAX_KEPT]:
            oldest.unlink()
        part.write_text(json.dumps(data), encoding="utf-8")
        part.replace(path)


def _states(paths: Iterable[Path | str]) -> dict[str, list[int] | None]:
    """Of each file or folder its time and size, None when it is not there."""
    states: dict[str, list[int] | None] = {}
    for path in map(str, paths):
        try:
            state = os.stat(path)
            states[path] = [state.st_mtime_ns, state.st_size]
        except OSError:
            states[path] = None
    return states


def _finders() -> list[Path]:
    return [Path(__file__).with_name(f"{name}.py") for name in _FINDERS]
