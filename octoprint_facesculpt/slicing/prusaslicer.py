"""PrusaSlicer's command line (2.4 to 2.9) as a well-behaved engine.

Its exit code lies (a print that leaves the bed is a success in 2.5, a refused one in 2.9), and its output is buffered in a
pipe.
"""

from __future__ import annotations

import re
import tempfile
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..progress import Progress
from .blocking import write_painted
from .engine import Accepted, Profile, SliceRequest, SlicingError
from .face import LINE_WIDTH, to_spare
from .profiles import DEFAULT, PROFILES, resolve
from .program import DETECT_SECONDS, LINE_LIMIT, MAX_WARNINGS, RUNNING, CommandLineEngine, Made, as_stl, plain
from .vendor_bundle import format_config, read_config

if TYPE_CHECKING:
    from .gcode_facts import GcodeFacts

#: The slicer's own percentages are not monotonic (70 comes before 30); these shares are, by what it says it does.
STAGES = {
    "Processing triangulated mesh": 0.05,
    "Generating perimeters": 0.12,
    "Preparing infill": 0.35,
    "Infilling layers": 0.4,
    "Generating support material": 0.5,
    "Generating skirt and brim": 0.75,
    "Exporting G-code": 0.78,
    "Slicing result exported": RUNNING,
}
#: Settings whose value must come back from the slicer as it was asked for.
ESSENTIAL = ("layer_height", "support_material", "nozzle_diameter", "temperature", "perimeters", "fill_density")


_SUBSTITUTED = re.compile(r'key = "(\w+)"\s+loaded = ')


class PrusaSlicer(CommandLineEngine):
    """The engine."""

    name = "prusaslicer"
    title = "PrusaSlicer"
    program = package = "prusa-slicer"
    help_arguments = ("--help",)
    # It goes through its own file once more, to put in how long is left.
    writes = "out.gcode.tmp.postprocess"
    tells_progress = True
    version_pattern = r"PrusaSlicer-(\d+\.\d+(?:\.\d+)?)"
    versions = ((2, 4), (3, 0))

    def profiles(self) -> dict[str, Profile]:
        return PROFILES

    def configuration(self, profile: str) -> dict[str, str]:
        return resolve(SliceRequest(profile=profile))

    def resolve(self, request: SliceRequest) -> dict[str, str]:
        return resolve(request)

    def accepted(self, config: Mapping[str, str]) -> Accepted:
        info = self.detect()
        with tempfile.TemporaryDirectory(prefix="facesculpt-") as folder:
            given, taken = Path(folder, "given.ini"), Path(folder, "taken.ini")
            given.write_text(format_config(config), encoding="utf-8")
            code, said = self.run(
                [str(info.path), "--load", str(given), "--save", str(taken)], Path(folder), DETECT_SECONDS, lambda _: None
            )
            if code or not taken.is_file():
                reason = next((line.rpartition(": Invalid")[2] for line in said if ": Invalid" in line), "")
                told = f"PrusaSlicer refuses it: invalid{reason}." if reason else "PrusaSlicer refuses it."
                raise SlicingError("profile_invalid", told, "Choose another value or file.")
            # The vendor's presets name some settings as older versions did; the slicer still understands those.
            seen = read_config(taken)
            known = {*seen, *self.configuration(DEFAULT)}
        replaced = {match[1] for line in said if (match := _SUBSTITUTED.search(line)) and match[1] in seen}
        kept = {key: seen[key] if key in replaced else value for key, value in config.items() if key in known}
        return Accepted(kept, tuple(sorted(set(config) - known)), tuple(sorted(replaced)))

    def make(
        self,
        program: Path,
        model: Path,
        folder: Path,
        settings: dict[str, str],
        request: SliceRequest,
        progress: Progress,
        given_up: threading.Event,
    ) -> Made:
        flat, sliced = folder / "config.ini", folder / "out.gcode"
        flat.write_text(format_config(settings), encoding="utf-8")
        x, y = request.centre or request.bed.centre
        # Without the noise of a round bed's corners, of which the middle is 0.
        x, y = round(x, 3) + 0.0, round(y, 3) + 0.0
        command = ["stdbuf", "-oL", str(program), "--load", str(flat), "--center", f"{x:g},{y:g}"]
        if min(x, y) < 0:
            # It puts the model there, and then finds no room for it when it looks for a place once more.
            command.append("--dont-arrange")
        command += ["--export-gcode", "--output", str(sliced), str(_as_asked(model, folder, settings, request))]
        warnings: list[str] = []
        reached, exported = 0.0, False

        def hear(line: str) -> None:
            nonlocal reached, exported
            exported = exported or "Slicing result exported" in line
            if line.startswith("print warning: ") and len(warnings) < MAX_WARNINGS:
                warnings.append(line.removeprefix("print warning: "))
            stage, share = next(((text, share) for text, share in STAGES.items() if text in line), ("", 0.0))
            if share > reached:
                reached = share
                progress(reached, stage)

        code, said = self.run(command, folder, request.time_limit_seconds, hear, given_up)
        if code or not exported or not sliced.exists():
            raise self.failure(_telling(said), code)
        with sliced.open("rb") as file:
            first = file.readline(LINE_LIMIT)
        return Made(sliced, first.decode("utf-8", errors="replace"), len(first), warnings=tuple(warnings))

    def require_as_asked(self, settings: dict[str, str], facts: GcodeFacts) -> None:
        differing = [
            f"{key} = {facts.config.get(key)} instead of {settings[key]}"
            for key in ESSENTIAL
            if key in settings and plain(settings[key]) != plain(facts.config.get(key, ""))
        ]
        if differing:
            raise SlicingError("settings_changed", f"PrusaSlicer changed settings: {'; '.join(differing)}.")


def _as_asked(model: Path, folder: Path, settings: dict[str, str], request: SliceRequest) -> Path:
    """The model, or a copy with its face painted so that supports keep off it."""
    spared = None
    if settings.get("support_material") == "1":
        line = _number(settings, "external_perimeter_extrusion_width") or LINE_WIDTH
        spared = to_spare(model, request, _number(settings, "layer_height") or 0.2, line)
    if spared is not None:
        return write_painted(*spared, folder / "model.3mf")
    # Under its own name, by which the G-code calls it.
    return model if model.suffix.lower() == ".stl" else as_stl(model, folder)


def _number(settings: dict[str, str], key: str) -> float:
    """A setting in mm; 0 where it is missing, automatic, or a share of another."""
    try:
        return float(settings.get(key, "0"))
    except ValueError:
        return 0.0


def _telling(said: deque[str]) -> list[str]:
    return [line for line in said if line and "=>" not in line and "[trace]" not in line]
