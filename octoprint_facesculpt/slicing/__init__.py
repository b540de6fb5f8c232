"""Sculpture -> G-code: slicing engines behind one interface, profiles, and an independent check of what they made.

- What is asked and answered: :mod:`engine`; as options of the commands :mod:`arguments` and :mod:`command`.
- The engines: :mod:`program` is what both have in common (with work that goes on :mod:`beside` them, and their
  :mod:`memory`), :mod:`prusaslicer` and :mod:`curaengine` what is their own. A model is looked at first (:mod:`model_file`,
  :mod:`model_check`).
- Their settings: :mod:`presets` are the same for all, :mod:`profiles` has PrusaSlicer's on top of its :mod:`vendor_bundle`;
  Cura's come out of its :mod:`cura_definitions` by way of :mod:`cura_stack` and :mod:`cura_expressions`, and are kept
  (:mod:`cura_resolved`), with another bed's :mod:`start_code`. The user's own are on a :mod:`shelf`, as
  :mod:`profile_files`, or come from elsewhere (:mod:`importing`).
- Supports and the face: :mod:`face` says what to spare, :mod:`blocking` how, :mod:`contact` what they touch in the end.
- The print that was asked for: :mod:`targets` of time or plastic, and the :mod:`plan`.
- Reading G-code: from text (:mod:`gcode_command`, :mod:`gcode_blocks`) to moves (:mod:`gcode_moves`, :mod:`gcode_arcs`),
  their time (:mod:`motion`), layers (:mod:`gcode_layers`) and all that is to be known (:mod:`gcode_facts`), while it is
  written (:mod:`gcode_ahead`). :mod:`gcode_check` judges it, :mod:`gcode_finish` completes it, :mod:`gcode_index` says
  where its layers lie, and :mod:`layer_picture` draws them.
- OctoPrint's own slicing dialog: :mod:`plugin`, and a second one for CuraEngine (:mod:`cura_plugin`).
"""

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
