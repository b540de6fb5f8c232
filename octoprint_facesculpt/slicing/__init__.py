"""Sculpture -> G-code: slicing engines behind one interface, profiles, and an independent check of what they made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ..progress import Progress, silent
from .engine import Bed, Engine, EngineInfo, Profile, SliceRequest, SliceResult, SlicingError

if TYPE_CHECKING:
    from .program import CommandLineEngine

__all__ = [
    "ENGINES", "Bed", "Engine", "EngineInfo", "Profile", "SliceRequest", "SliceResult", "SlicingError", "engine", "slice_model",
]  # fmt: skip

_CLASSES = {"prusaslicer": "PrusaSlicer", "curaengine": "CuraEngine"}


class _Engines(Mapping[str, "type[CommandLineEngine]"]):
    """The engines by name. One is imported when it is asked for: a child that slices with one need not load the other."""

    def __getitem__(self, name: str) -> type[CommandLineEngine]:
        chosen = _CLASSES[name]
        return getattr(import_module(f".{name}", __name__), chosen)

    def __iter__(self) -> Iterator[str]:
        return iter(_CLASSES)

    def __len__(self) -> int:
        return len(_CLASSES)


ENGINES = _Engines()


def engine(name: str, path: str | None = None) -> Engine:
    """The engine called ``name``, its program at ``path`` if given; :class:`SlicingError` ``engine_unknown``."""
    if name not in ENGINES:
        raise SlicingError("engine_unknown", f"There is no slicer '{name}'.", f"Choose one of {', '.join(ENGINES)}.")
    return ENGINES[name](path)


def slice_model(
    model: Path, gcode: Path, request: SliceRequest, progress: Progress = silent, path: str | None = None
) -> SliceResult:
    """Slice a mesh file into checked G-code; see :class:`Engine` and :class:`SlicingError`."""
    return engine(request.engine, path).slice(model, gcode, request, progress)
