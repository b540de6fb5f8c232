"""What every slicing engine is asked, and what it answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ..errors import FaceSculptError
from ..progress import Progress

if TYPE_CHECKING:
    from .gcode_moves import Lines


class SlicingError(FaceSculptError):
    """Codes of bad input: those of :data:`BAD_INPUT`. Codes of the machine: ``engine_missing``, ``engine_version``,
    ``slicer_failed``, ``settings_changed``, ``timed_out``, ``disk_full``, ``definitions_missing``,
    ``definitions_mismatch``, ``index_invalid``, and ``gcode_...`` of :mod:`.gcode_check`."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(code, message, hint)
        self.bad_input = code in BAD_INPUT


BAD_INPUT = frozenset({
    "model_invalid", "model_empty", "model_open", "too_large", "profile_unknown", "profile_invalid", "engine_unknown",
    "thumbnail_invalid", "output_unwritable", "face_invalid", "profile_protected", "target_impossible",
    "layer_unknown",
})  # fmt: skip


@dataclass(frozen=True)
class Bed:
    """The printable space in mm: sizes, and the coordinates of its front left corner. Default: Ender 3 as PrusaSlicer's
    vendor profile knows it."""

    width: float = 235.0
    depth: float = 235.0
    height: float = 250.0
    left: float = 0.0
    front: float = 0.0

    @property
    def centre(self) -> tuple[float, float]:
        return self.left + self.width / 2, self.front + self.depth / 2


@dataclass(frozen=True)
class SliceRequest:
    """One slicing job.

    ``profile`` names a preset; ``config`` is a flat configuration instead of it; ``overrides`` replace single settings
    of either. ``supports`` False switches supports off, whatever those say. ``thumbnail`` is a PNG to put into the G-code;
    ``index`` is where the index of its layers (:mod:`.gcode_index`) is to be written.
    A nozzle other than 0.4 mm changes the widths of lines in presets, not in a ``config``.
    ``face`` is a file that says where the model's face is (:mod:`.face`), ``surface`` one of what was found of both when they
    were made (:mod:`..sculpture.surface`), which saves finding it again, and ``face_care`` how supports may meet it:
    ``spare`` keeps them off where it prints without, ``free`` off all of it, ``ignore`` leaves them to the slicer.
    With ``keep_supports`` the result says where all supports are.
    """

    engine: str = "prusaslicer"
    profile: str = "bust_016"
    config: dict[str, str] | None = None
    overrides: dict[str, str] = field(default_factory=dict)
    supports: bool = True
    bed: Bed = field(default_factory=Bed)
    centre: tuple[float, float] | None = None
    thumbnail: Path | None = None
    index: Path | None = None
    nozzle_mm: float = 0.4
    face: Path | None = None
    surface: Path | None = None
    face_care: str = "spare"
    keep_supports: bool = False
    time_limit_seconds: float = 3600.0

    def __post_init__(self) -> None:
        if not 0.1 <= self.nozzle_mm <= 2:
            raise SlicingError("profile_invalid", f"A nozzle of {self.nozzle_mm:g} mm is not possible.", "Use 0.1 to 2 mm.")


@dataclass(frozen=True)
class EngineInfo:
    """A slicing program that was found and can be used."""

    path: Path
    version: str


@dataclass(frozen=True)
class Profile:
    """A ready-made way to print: stable ``key``, name for people, description, and the settings it changes in what the
    slicer itself ships as ``print_preset`` (PrusaSlicer's preset, Cura's quality).

    ``target_hours`` is the print time that its sculptures are sized for; ``since`` the first version of the engine that
    can print it.
    """

    key: str
    name: str
    description: str
    print_preset: str
    overrides: dict[str, str] = field(default_factory=dict)
    target_hours: float | None = None
    since: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Accepted:
    """A configuration as an engine takes it: the settings it knows; ``unknown`` names the others, ``substituted`` those whose
    value it does not know and replaced."""

    config: dict[str, str]
    unknown: tuple[str, ...] = ()
    substituted: tuple[str, ...] = ()


@dataclass(frozen=True)
class SliceResult:
    """Checked G-code and what the plan says.

    ``estimated_seconds`` is how long the printer's planner takes for the moves, without heating; ``slicer_seconds`` what the
    slicer says of it. ``layers`` are all, ``model_layers`` those that hold something of the model, if that is known.
    ``bounds`` is ((x, y, z), (x, y, z)) of the extruding moves; ``warnings`` are sentences for people;
    ``support_lines`` (N, 6) are where each line of supports begins and where it ends, mm, if they were to be kept.
    """

    gcode: Path
    engine: str
    version: str
    estimated_seconds: float
    slicer_seconds: float
    filament_mm: float
    filament_g: float
    layers: int
    height_mm: float
    bounds: tuple[tuple[float, float, float], tuple[float, float, float]]
    support_share: float
    warnings: tuple[str, ...] = ()
    support_lines: Lines | None = field(default=None, repr=False, compare=False)
    model_layers: int = field(default=0, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """All figures as JSON values, but for what only a plan of the print needs."""
        figures = asdict(replace(self, support_lines=None))
        del figures["support_lines"], figures["model_layers"]
        return {**figures, "gcode": str(self.gcode)}


class Engine(Protocol):
    """A slicing program behind one interface."""

    name: ClassVar[str]

    def detect(self) -> EngineInfo:
        """Find the program; :class:`SlicingError` ``engine_missing`` or ``engine_version``."""
        ...

    def profiles(self) -> dict[str, Profile]:
        """The presets by key."""
        ...

    def configuration(self, profile: str) -> dict[str, str]:
        """A preset written out, as ``SliceRequest.config`` and a profile file take it; :class:`SlicingError`."""
        ...

    def slice(self, model: Path, gcode: Path, request: SliceRequest, progress: Progress) -> SliceResult:
        """Slice a mesh file and check the result; on any error ``gcode`` is as it was before."""
        ...
