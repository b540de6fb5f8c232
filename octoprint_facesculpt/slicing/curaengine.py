"""CuraEngine's command line (4.13 to 5.x) as a well-behaved engine.

The engine takes every setting as given: without Cura's formulas resolved (:mod:`.cura_stack`) it prints 0.1 mm layers and
leaves placeholders in the end code. It answers most mistakes with success, and writes a made-up header into the G-code;
the true one is only in its log.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..progress import Progress
from .blocking import shell, write_stl
from .cura_definitions import Library
from .cura_resolved import Choice, Resolved, resolve
from .engine import Accepted, Bed, Profile, SliceRequest, SlicingError
from .face import to_spare
from .presets import THICKEST, presets
from .program import LINE_LIMIT, MAX_WARNINGS, RUNNING, CommandLineEngine, Made, as_stl, plain
from .start_code import moved

if TYPE_CHECKING:
    from .gcode_facts import GcodeFacts

STAGES = {
    "slice": "Cutting the model",
    "layerparts": "Generating layers",
    "inset+skin": "Generating walls",
    "support": "Generating supports",
    "export": "Exporting G-code",
    "process": "Exporting G-code",
}
#: Where a stage ends, for engines that do not say how far they are (5.2 and newer).
STAGE_ENDS = {"slice": 0.03, "layerparts": 0.05, "inset+skin": 0.3, "support": 0.5, "export": 1.0}
HEADER_LINES = 30
#: What engines from 5.2 on put before each line: "[2026-01-31 14:50:28.851] [info] ".
_STAMP = re.compile(r"(?:\[\d{4}-\d\d-\d\d [\d:.]+\] )?\[(trace|debug|info|warning|error|critical)\] ")
_FRACTION = re.compile(r"Progress:\s*([\w+]+):\d+:\d+\s+(\d\.\d+)%")
_ACCOMPLISHED = re.compile(r"Progress:\s*([\w+]+) accomplished")
PRESET_NOZZLE = 0.4
#: Names in a configuration that choose what the settings lie on.
CHOICES = ("machine", "quality", "variant", "material")
CODES = ("machine_start_gcode", "machine_end_gcode")
#: What every bust needs, whatever the layers: the seam at the back of the head (Cura's own choice for the printer), supports
#: only where it overhangs by more than 55 degrees, a brim; and steps of extrusion, from any layer of which a print can resume.
BUST = {
    "infill_sparse_density": "10",
    "support_angle": "55",
    "adhesion_type": "brim",
    "brim_width": "3",
    "relative_extrusion": "True",
}
PROFILES = presets(
    layers={"0.12": "super", "0.16": "adaptive", "0.20": "standard", "0.28": "low"},
    bust=BUST,
    special={
        "bust_028": {"infill_sparse_density": "6"},
        "mask": {"wall_line_count": "4", "brim_width": "6", "infill_sparse_density": "20"},
    },
    tree={"support_structure": "tree"},
)


@dataclass
class _Log:
    """What the engine's log tells."""

    progress: Progress
    reached: float = 0.0
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    volume_mm3: float | None = None
    _in_header: bool = False
    _layers: int = 0

    def hear(self, line: str) -> None:
        if stamped := _STAMP.match(line):
            # Engine 5.2 and newer: a time and a level before what older ones say plainly.
            level, line = stamped[1].upper(), line[stamped.end() :]
            line = f"[{level}] {line}" if level in ("WARNING", "ERROR", "CRITICAL") else line
            self._in_header = False
        if line.startswith("Progress:"):
            return self._hear_progress(line)
        if line.startswith("Gcode header after slicing"):
            self._in_header, line = True, line.partition(":")[2].strip()
        if self._in_header and line.startswith(";") and len(self.header) < HEADER_LINES:
            self.header += (line,)
        elif line.startswith("End of gcode header"):
            self._in_header = False
        elif line.startswith(("[ERROR]", "[CRITICAL]")) and len(self.errors) < MAX_WARNINGS:
            self.errors += (line.partition("]")[2].strip(),)
        elif line.startswith("[WARNING]") and len(self.warnings) < MAX_WARNINGS:
            self._warn(line.removeprefix("[WARNING]").strip())
        elif line.startswith("Layer count:"):
            self._layers = int(line.partition(":")[2])
        elif match := re.match(r"Filament \(mm\^3\):\s*(\d+)", line):
            self.volume_mm3 = float(match[1])

    def _hear_progress(self, line: str) -> None:
        if match := _FRACTION.match(line):
            self._step(match[1], float(match[2]))
        elif match := _ACCOMPLISHED.match(line):
            self._step(match[1], STAGE_ENDS.get(match[1], 0.0))

    def _warn(self, warning: str) -> None:
        # All settings are logged as warnings; and at the top of a model whose height is no multiple of its layers, nothing is
        # missing.
        layer = re.match(r"Layer (\d+) is empty", warning)
        if not warning.startswith("-s ") and not (layer and int(layer[1]) >= self._layers - 1) and warning not in self.warnings:
            self.warnings += (warning,)

    def _step(self, stage: str, fraction: float) -> None:
        # A hundred steps are enough for any progress bar.
        share = round(min(fraction, 1.0), 2) * RUNNING
        if share > self.reached and stage in STAGES:
            self.reached = share
            self.progress(share, STAGES[stage])


class CuraEngine(CommandLineEngine):
    """The engine."""

    name = "curaengine"
    title = "CuraEngine"
    program = "CuraEngine"
    package = "cura-engine"
    help_arguments = ("help",)
    version_pattern = r"Cura_SteamEngine version (\d+\.\d+(?:\.\d+)?)"
    versions = ((4, 13), (6, 0))

    def find(self) -> Path:
        found = super().find()
        Library().require()
        return found

    def profiles(self) -> dict[str, Profile]:
        return PROFILES

    def configuration(self, profile: str) -> dict[str, str]:
        preset = _preset(profile)
        return {"quality": preset.print_preset, "support_enable": "True", **preset.overrides}

    def accepted(self, config: Mapping[str, str]) -> Accepted:
        library, machine = Library(), config.get("machine", Choice().machine)
        library.require()
        printer = library.machine(machine)
        extruder = library.extruder((printer.metadata.get("machine_extruder_trains") or {}).get("0", ""))
        known = {*printer.settings, *extruder.settings, *CHOICES}
        kept = {key: value for key, value in config.items() if key in known}
        self.resolve(SliceRequest(engine=self.name, config=kept))
        return Accepted(kept, tuple(sorted(set(config) - known)))

    def resolve(self, request: SliceRequest) -> Resolved:
        choice, overrides = configure(request)
        resolved = _usable(resolve(choice, overrides))
        if thin := _thinner(resolved, request):
            resolved = _usable(resolve(choice, {**thin, **overrides}))
        return replace(resolved, machine={**resolved.machine, **_codes(resolved, choice, request)})

    def make(
        self,
        program: Path,
        model: Path,
        folder: Path,
        settings: Resolved,
        request: SliceRequest,
        progress: Progress,
        given_up: threading.Event,
    ) -> Made:
        sliced, log = folder / "out.gcode", _Log(progress)
        command = [str(program), "slice", "-v", "-p", "-j", str(write_definition(settings, folder))]
        command += ["-o", str(sliced), *_models(model, folder, settings, request)]
        code, said = self.run(command, folder, request.time_limit_seconds, log.hear, given_up)
        if any("no value given" in error for error in log.errors):
            raise SlicingError(
                "definitions_mismatch", "The printer definitions do not fit this CuraEngine.",
                "Install cura and cura-engine of the same version.",
            )  # fmt: skip
        if code or log.errors or not log.header or not sliced.exists():
            telling = list(log.errors) or [line for line in said if line and not line.startswith("Progress")]
            raise self.failure(telling, code)
        _require_layer_height(log.header, settings)
        head, size = _head(sliced, log.header)
        grams = log.volume_mm3 * settings.density / 1000 if log.volume_mm3 else None
        return Made(sliced, head, size, grams, log.warnings)

    def require_as_asked(self, settings: Resolved, facts: GcodeFacts) -> None:
        wanted = max(float(settings.extruder[key]) for key in settings.extruder if _PRINT_TEMPERATURE.fullmatch(key))
        bed = max(float(settings.machine[key]) for key in ("material_bed_temperature", "material_bed_temperature_layer_0"))
        for what, asked, found in (("nozzle", wanted, facts.nozzle_max), ("bed", bed, facts.bed_max)):
            if asked != found:
                told = f"CuraEngine heats the {what} to {found:g} instead of {asked:g} degrees."
                raise SlicingError("settings_changed", told)


_PRINT_TEMPERATURE = re.compile(r"material_(print|initial_print|final_print)_temperature(_layer_0)?")


def configure(request: SliceRequest) -> tuple[Choice, dict[str, str]]:
    """The printer and quality of a request, and the settings that lie on them.

    A configuration (``config``) names ``machine``, ``quality``, ``variant`` and ``material`` beside its settings.
    """
    supports = {"support_enable": "True"}
    if request.config is not None:
        chosen = {key: value for key, value in request.config.items() if key in CHOICES}
        choice = replace(Choice(), **chosen)
        overrides = supports | {key: value for key, value in request.config.items() if key not in CHOICES}
    else:
        preset = _preset(request.profile)
        choice, overrides = Choice(quality=preset.print_preset), {**preset.overrides, **supports}
        if request.nozzle_mm != PRESET_NOZZLE:
            # Cura's own formulas make the lines as wide as the nozzle.
            overrides["machine_nozzle_size"] = f"{request.nozzle_mm:g}"
    overrides |= _placement(request.bed, request.centre) | request.overrides
    if not request.supports:
        overrides["support_enable"] = "False"
    return choice, overrides


def _usable(resolved: Resolved) -> Resolved:
    """The settings, if all of them have a value that is allowed; :class:`SlicingError` ``profile_invalid``."""
    for wrong in (resolved.unresolved, resolved.invalid):
        if wrong:
            key, reason = next(iter(wrong.items()))
            what = f"Cura's setting {key} cannot be used: {reason}."
            raise SlicingError("profile_invalid", what, "Choose another value.")
    return resolved


def _thinner(resolved: Resolved, request: SliceRequest) -> dict[str, str]:
    """Layers of a preset that are too thick for its nozzle, and how thick they may be."""
    if request.config is not None:
        return {}
    thickest = THICKEST * request.nozzle_mm
    layers = {key: float(resolved.machine[key]) for key in ("layer_height", "layer_height_0")}
    return {key: f"{thickest:.3g}" for key, layer in layers.items() if layer > thickest}


def _codes(resolved: Resolved, choice: Choice, request: SliceRequest) -> dict[str, str]:
    """Start and end code of the printer that is usual, on the bed it has; another printer's or somebody's own stay."""
    own = {**(request.config or {}), **request.overrides}
    if choice.machine != Choice().machine:
        return {}
    return {key: moved(resolved.machine[key], request.bed) for key in CODES if key not in own}


def _preset(key: str) -> Profile:
    if key not in PROFILES:
        raise SlicingError("profile_unknown", f"There is no profile '{key}'.", f"Choose one of {', '.join(PROFILES)}.")
    return PROFILES[key]


def write_definition(settings: Resolved, folder: Path) -> Path:
    """Write the settings as one flat printer definition, which needs no parents and no search path; its file."""
    machine, extruder = folder / "printer.def.json", folder / "printer_extruder.def.json"
    machine.write_text(_definition(settings.machine, {"machine_extruder_trains": {"0": "printer_extruder"}}), "utf-8")
    extruder.write_text(_definition(settings.extruder, {"type": "extruder", "position": "0"}), "utf-8")
    return machine


def _definition(values: Mapping[str, str], metadata: dict) -> str:
    # As text: the engine reads JSON numbers with six digits.
    children = {key: {"type": "str", "default_value": value, "label": key, "description": ""} for key, value in values.items()}
    everything = {"all": {"type": "category", "label": "", "description": "", "children": children}}
    return json.dumps({"version": 2, "name": "printer", "metadata": metadata, "settings": everything, "overrides": {}})


def _placement(bed: Bed, centre: tuple[float, float] | None) -> dict[str, str]:
    """The bed, and the model in the middle of it or at ``centre``. The engine counts from the bed's middle."""
    x, y = centre or bed.centre
    return {
        "machine_width": f"{bed.width:g}",
        "machine_depth": f"{bed.depth:g}",
        "machine_height": f"{bed.height:g}",
        "machine_center_is_zero": "False",
        "center_object": "True",
        "mesh_position_x": f"{x - bed.width / 2:g}",
        "mesh_position_y": f"{y - bed.depth / 2:g}",
    }


def _models(model: Path, folder: Path, settings: Resolved, request: SliceRequest) -> list[str]:
    """The engine's arguments for the model, and for a second one within which the face's overhangs do not count."""
    stl = as_stl(model, folder)
    layer, line = float(settings.machine["layer_height"]), float(settings.extruder["wall_line_width_0"])
    spared = to_spare(model, request, layer, line) if settings.machine.get("support_enable") == "True" else None
    if spared is None:
        return ["-l", str(stl)]
    vertices, triangles, mask = spared
    write_stl(*shell(vertices, triangles, mask), folder / "keep_off.stl")
    # Both are moved alike: each would be centred on its own.
    low, high = vertices.min(0), vertices.max(0)
    x, y = ((request.centre or request.bed.centre)[axis] - (low[axis] + high[axis]) / 2 for axis in (0, 1))
    place = {"mesh_position_x": x - request.bed.width / 2, "mesh_position_y": y - request.bed.depth / 2}
    moved = [f"{key}={value:.6g}" for key, value in {**place, "mesh_position_z": -low[2]}.items()]
    arguments = []
    for file, own in ((stl, ()), (folder / "keep_off.stl", ("anti_overhang_mesh=True",))):
        arguments += ["-l", str(file)]
        for setting in ("center_object=False", *moved, *own):
            arguments += ["-s", setting]
    return arguments


def _require_layer_height(header: tuple[str, ...], settings: Resolved) -> None:
    said = next((line.partition(":")[2] for line in header if line.startswith(";Layer height:")), "")
    asked = settings.machine["layer_height"]
    if plain(said) != plain(asked):
        raise SlicingError("settings_changed", f"CuraEngine slices layers of {said or 'unknown'} mm instead of {asked} mm.")


def _head(gcode: Path, header: tuple[str, ...]) -> tuple[str, int]:
    """The true head of the G-code, and how many bytes the made-up one has."""
    size = 0
    with gcode.open("rb") as file:
        for _ in range(HEADER_LINES):
            line = file.readline(LINE_LIMIT)
            if not line.startswith(b";") or line.startswith(b";Generated"):
                break
            size += len(line)
    return "\n".join((*(line for line in header if line.startswith(";")), "")), size
