"""PrusaSlicer's command line (2.4 to 2.9) as a well-behaved engine.

Its exit code lies (a print that leaves the bed is a success in 2.5, a refused one in 2.9), its output is buffered in a
pipe, and an unknown locale kills it: so the environment is fixed, and success is what the G-code itself shows.
"""

from __future__ import annotations

import base64
import errno
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections import deque
from pathlib import Path

from ..children import Guard, with_parent
from ..progress import Progress
from .engine import EngineInfo, Profile, SliceRequest, SliceResult, SlicingError
from .gcode_check import GcodeFacts, check
from .profiles import PROFILES, resolve
from .vendor_bundle import format_config

#: The slicer's own percentages are not monotonic (70 comes before 30); these shares are, by what it says it does.
STAGES = {
    "Processing triangulated mesh": 0.05,
    "Generating perimeters": 0.12,
    "Preparing infill": 0.35,
    "Infilling layers": 0.4,
    "Generating support material": 0.5,
    "Generating skirt and brim": 0.75,
    "Exporting G-code": 0.78,
    "Slicing result exported": 0.88,
}
DETECT_SECONDS, HELP_LIMIT = 60, 4096
MIN_VERSION, NEXT_VERSION = (2, 4), (3, 0)
FREE_BYTES = 300 * 1024 * 1024
#: What is kept of the slicer's output: characters of a line, lines to find the reason of a failure in, and warnings.
LINE_LIMIT, LAST_LINES, WARNINGS = 2000, 30, 10
#: Settings whose value must come back from the slicer as it was asked for.
ESSENTIAL = ("layer_height", "support_material", "nozzle_diameter", "temperature", "perimeters", "fill_density")


class PrusaSlicer:
    """The engine. ``path`` names the program; without it the system's ``prusa-slicer`` is used."""

    name = "prusaslicer"

    def __init__(self, path: str | None = None) -> None:
        self._path = path or None

    def detect(self) -> EngineInfo:
        found = shutil.which(self._path or "prusa-slicer")
        if found is None:
            raise SlicingError(
                "engine_missing", "PrusaSlicer is not installed.", "Install it with: sudo apt install prusa-slicer"
            )
        try:
            process = _start([found, "--help"])
        except OSError as error:
            raise SlicingError("engine_missing", f"{found} does not run.", "Install prusa-slicer again.") from error
        with process.stdout, Guard(process, DETECT_SECONDS):
            match = re.search(r"PrusaSlicer-(\d+)\.(\d+)(\.\d+)?", process.stdout.read(HELP_LIMIT))
        if match is None:
            raise SlicingError("engine_version", f"{found} is not PrusaSlicer.", "Set the path of PrusaSlicer.")
        version = (int(match[1]), int(match[2]))
        if not MIN_VERSION <= version < NEXT_VERSION:
            raise SlicingError(
                "engine_version", f"PrusaSlicer {version[0]}.{version[1]} is not supported.", "Install 2.4 to 2.9."
            )
        return EngineInfo(Path(found), match[0].removeprefix("PrusaSlicer-"))

    def profiles(self) -> dict[str, Profile]:
        return PROFILES

    def slice(self, model: Path, gcode: Path, request: SliceRequest, progress: Progress) -> SliceResult:
        # Late: numpy has no place in the server, which imports this module for its profiles.
        from .model_check import check_fits, model_size

        # The slicer runs in a folder of its own, where relative paths would mean something else.
        model, gcode = model.absolute(), gcode.absolute()
        info = self.detect()
        extents = model_size(model)
        check_fits(extents, request.bed)
        config = resolve(request)
        picture = thumbnail_block(request.thumbnail) if request.thumbnail is not None else ""
        try:
            # On the same file system as the result, so that the finished file only has to be renamed.
            with tempfile.TemporaryDirectory(prefix=".slicing-", dir=gcode.parent) as folder:
                if shutil.disk_usage(folder).free < FREE_BYTES:
                    raise SlicingError("disk_full", "There are less than 300 MB free for the G-code.", "Delete some files.")
                flat = Path(folder, "config.ini")
                flat.write_text(format_config(config), encoding="utf-8")
                sliced = Path(folder, "out.gcode")
                warnings = self._run(info, model, flat, sliced, request, progress)
                progress(0.9, "Checking the G-code")
                facts = check(sliced, request.bed, model_height=float(extents[2]))
                _require_as_asked(config, facts)
                _finish(sliced, picture)
                os.replace(sliced, gcode)
        except OSError as error:
            raise _storage_error(error, gcode.parent) from error
        progress(1.0, "Sliced")
        return SliceResult(
            gcode=gcode,
            engine=self.name,
            version=info.version,
            estimated_seconds=facts.stated_seconds or 0.0,
            filament_mm=round(facts.filament_mm, 1),
            filament_g=facts.stated_filament_g or 0.0,
            layers=facts.layers,
            height_mm=round(facts.high[2], 3),
            bounds=(tuple(facts.low), tuple(facts.high)),  # type: ignore[arg-type]
            support_share=round(facts.support_share, 4),
            warnings=warnings,
        )

    def _run(
        self, info: EngineInfo, model: Path, flat: Path, sliced: Path, request: SliceRequest, progress: Progress
    ) -> tuple[str, ...]:
        """Run the slicer to its end; its warnings."""
        x, y = request.centre or request.bed.centre
        command = ["nice", "-n", "10", *with_parent(), "stdbuf", "-oL", str(info.path), "--load", str(flat)]
        command += ["--center", f"{x:g},{y:g}", "--export-gcode", "--output", str(sliced), str(model)]
        process = _start(command, sliced.parent)
        said: deque[str] = deque(maxlen=LAST_LINES)
        warnings: list[str] = []
        reached, exported = 0.0, False
        with process.stdout, Guard(process, request.time_limit_seconds) as guard:
            for raw in iter(lambda: process.stdout.readline(LINE_LIMIT), ""):
                line = raw.strip()
                said.append(line)
                exported = exported or "Slicing result exported" in line
                if line.startswith("print warning: ") and len(warnings) < WARNINGS:
                    warnings.append(line.removeprefix("print warning: "))
                stage, share = next(((text, share) for text, share in STAGES.items() if text in line), ("", 0.0))
                if share > reached:
                    reached = share
                    progress(reached, stage)
            process.wait()
        if guard.reason == "timed_out":
            limit = request.time_limit_seconds
            raise SlicingError("timed_out", f"PrusaSlicer took longer than {limit:g} s.", "Use a coarser profile.")
        if process.returncode == -signal.SIGXFSZ or any("No space left" in line for line in said):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if process.returncode or not exported or not sliced.exists():
            reason = _reason(said, process.returncode)
            raise SlicingError("slicer_failed", f"PrusaSlicer failed: {reason}", "Try another size or profile.")
        return tuple(warnings)


def _start(command: list[str], folder: Path | None = None) -> subprocess.Popen:
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", env=_environment(), start_new_session=True, cwd=folder,
    )  # fmt: skip


def _storage_error(error: OSError, folder: Path) -> SlicingError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return SlicingError("disk_full", f"There is no room for the G-code in {folder}.", "Delete some files.")
    reason = error.strerror or str(error)
    return SlicingError("output_unwritable", f"Nothing can be written in {folder}: {reason}.", "Choose another folder.")


def _environment() -> dict[str, str]:
    keep = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
    return {**keep, "LC_ALL": "C.UTF-8"}


def _reason(said: deque[str], code: int) -> str:
    """The line of the slicer's output that tells most."""
    telling = [line for line in said if line and "=>" not in line and "[trace]" not in line]
    return telling[-1] if telling else f"it ended without a word ({f'signal {-code}' if code < 0 else f'exit code {code}'})."


def _require_as_asked(asked: dict[str, str], facts: GcodeFacts) -> None:
    """Refuse G-code for which the slicer silently used other essential settings than it was given."""
    differing = [
        f"{key} = {facts.config.get(key)} instead of {asked[key]}"
        for key in ESSENTIAL
        if key in asked and _plain(asked[key]) != _plain(facts.config.get(key, ""))
    ]
    if differing:
        raise SlicingError("settings_changed", f"PrusaSlicer changed settings: {'; '.join(differing)}.")


def _plain(value: str) -> str:
    first = value.split(",")[0].strip().strip('"')
    try:
        return f"{float(first.rstrip('%')):g}"
    except ValueError:
        return first


def _finish(gcode: Path, picture: str) -> None:
    """Put the picture behind the first line, and make sure that the file is on the disk."""
    part = gcode.with_suffix(".part")
    with gcode.open("rb") as source, part.open("wb") as target:
        target.write(source.readline())
        target.write(picture.encode("ascii"))
        shutil.copyfileobj(source, target, 1024 * 1024)
        target.flush()
        os.fsync(target.fileno())
    os.replace(part, gcode)


def thumbnail_block(png: Path, side: int = 220) -> str:
    """A picture as the comment block that OctoPrint, Klipper and others read thumbnails from; :class:`SlicingError`
    ``thumbnail_invalid`` when it is none."""
    from io import BytesIO

    from PIL import Image

    try:
        with Image.open(png) as image:
            image.thumbnail((side, side))
            buffer = BytesIO()
            image.save(buffer, "PNG", optimize=True)
            size = f"{image.width}x{image.height}"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SlicingError("thumbnail_invalid", f"{png.name} is not a picture.", "Use a PNG file.") from error
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    lines = "".join(f"; {text[i : i + 78]}\n" for i in range(0, len(text), 78))
    return f";\n; thumbnail begin {size} {len(text)}\n{lines}; thumbnail end\n;\n"
