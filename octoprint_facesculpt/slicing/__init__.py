"""Sculpture -> G-code: slicing engines behind one interface, profiles, and an independent check of what they made."""

from __future__ import annotations

from pathlib import Path

from ..progress import Progress, silent
from .curaengine import CuraEngine
from .engine import Bed, Engine, EngineInfo, Profile, SliceRequest, SliceResult, SlicingError
from .program import CommandLineEngine
from .prusaslicer import PrusaSlicer

__all__ = [
    "ENGINES", "Bed", "Engine", "EngineInfo", "Profile", "SliceRequest", "SliceResult", "SlicingError", "engine", "slice_model",
]  # fmt: skip

ENGINES: dict[str, type[CommandLineEngine]] = {"prusaslicer": PrusaSlicer, "curaengine": CuraEngine}


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
