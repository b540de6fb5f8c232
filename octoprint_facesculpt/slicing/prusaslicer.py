"""PrusaSlicer's command line (2.4 to 2.9) as a well-behaved engine.

Its exit code lies (a print that leaves the bed is a success in 2.5, a refused one in 2.9), and its output is buffered in a
pipe.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from ..progress import Progress
from .engine import EngineInfo, Profile, SliceRequest, SlicingError
from .profiles import PROFILES, resolve
from .program import LINE_LIMIT, MAX_WARNINGS, RUNNING, CommandLineEngine, Made, plain
from .vendor_bundle import format_config

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


class PrusaSlicer(CommandLineEngine):
    """The engine."""

    name = "prusaslicer"
    title = "PrusaSlicer"
    program = package = "prusa-slicer"
    help_arguments = ("--help",)
    version_pattern = r"PrusaSlicer-(\d+\.\d+(?:\.\d+)?)"
    versions = ((2, 4), (3, 0))

    def profiles(self) -> dict[str, Profile]:
        return PROFILES

    def configuration(self, profile: str) -> dict[str, str]:
        return resolve(SliceRequest(profile=profile))

    def resolve(self, request: SliceRequest) -> dict[str, str]:
        return resolve(request)

    def make(
        self,
        info: EngineInfo,
        model: Path,
        folder: Path,
        settings: dict[str, str],
        request: SliceRequest,
        progress: Progress,
    ) -> Made:
        flat, sliced = folder / "config.ini", folder / "out.gcode"
        flat.write_text(format_config(settings), encoding="utf-8")
        x, y = request.centre or request.bed.centre
        command = ["stdbuf", "-oL", str(info.path), "--load", str(flat), "--center", f"{x:g},{y:g}"]
        command += ["--export-gcode", "--output", str(sliced), str(model)]
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

        code, said = self.run(command, folder, request.time_limit_seconds, hear)
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


def _telling(said: deque[str]) -> list[str]:
    return [line for line in said if line and "=>" not in line and "[trace]" not in line]
