"""PrusaSlicer's command line (2.4 to 2.9) as a well-behaved engine.

Its exit code lies (a print that leaves the bed is a success in 2.5, a refused one in 2.9), its output is buffered in a
pipe, and an unknown locale kills it: so the environment is fixed, and success is what the G-code itself shows.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

from ..progress import Progress
from .engine import Bed, EngineInfo, Profile, SliceRequest, SliceResult, SlicingError
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
MIN_VERSION, NEXT_VERSION = (2, 4), (3, 0)
FREE_BYTES = 300 * 1024 * 1024
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
            run = subprocess.run(
                [found, "--help"], capture_output=True, text=True, errors="replace", timeout=60,
                stdin=subprocess.DEVNULL, env=_environment(), check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SlicingError("engine_missing", f"{found} does not run.", "Install prusa-slicer again.") from error
        match = re.search(r"PrusaSlicer-(\d+)\.(\d+)(\.\d+)?", run.stdout)
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
        from .model_check import check_fits, stl_size

        info = self.detect()
        extents = stl_size(model)
        check_fits(extents, request.bed)
        config = resolve(request)
        if shutil.disk_usage(gcode.parent).free < FREE_BYTES:
            raise SlicingError("disk_full", "There are less than 300 MB free for the G-code.", "Delete some files.")
        # On the same file system as the result, so that the finished file only has to be renamed.
        with tempfile.TemporaryDirectory(prefix=".slicing-", dir=gcode.parent) as folder:
            flat = Path(folder, "config.ini")
            flat.write_text(format_config(config), encoding="utf-8")
            sliced = Path(folder, "out.gcode")
            self._run(info, model, flat, sliced, request, progress)
            progress(0.9, "Checking the G-code")
            facts = check(sliced, request.bed, model_height=float(extents[2]), supports=request.supports)
            warnings = _differences(config, facts)
            _finish(sliced, request.thumbnail)
            os.replace(sliced, gcode)
        progress(1.0, "Sliced")
        return SliceResult(
            gcode=gcode,
            engine=self.name,
            version=info.version,
            estimated_seconds=facts.estimated_seconds or 0.0,
            filament_mm=round(facts.filament_mm, 1),
            filament_g=facts.filament_g or 0.0,
            layers=facts.layers,
            height_mm=round(facts.high[2], 3),
            bounds=(tuple(facts.low), tuple(facts.high)),  # type: ignore[arg-type]
            support_share=round(facts.support_share, 4),
            warnings=warnings,
        )

    def _run(self, info: EngineInfo, model: Path, flat: Path, sliced: Path, request: SliceRequest, progress: Progress):
        x, y = request.centre or request.bed.centre
        command = ["nice", "-n", "10", "stdbuf", "-oL", str(info.path), "--load", str(flat)]
        command += ["--center", f"{x:g},{y:g}", "--export-gcode", "--output", str(sliced), str(model)]
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                errors="replace", env=_environment(), start_new_session=True, cwd=sliced.parent,
            )  # fmt: skip
        except OSError as error:
            raise SlicingError("slicer_failed", f"PrusaSlicer could not be started: {error}.") from error
        timed_out = threading.Event()

        def give_up() -> None:
            timed_out.set()
            _stop(process)

        timer = threading.Timer(request.time_limit_seconds, give_up)
        timer.start()
        said: deque[str] = deque(maxlen=30)
        reached = 0.0
        try:
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line.strip()[:500])
                stage = next((share for text, share in STAGES.items() if text in line), 0.0)
                if stage > reached:
                    reached = stage
                    progress(reached, line.partition("=>")[2].split(" to ")[0].strip() or "Slicing")
            process.wait()
        finally:
            timer.cancel()
            _stop(process)
        if timed_out.is_set():
            raise SlicingError(
                "timed_out", f"PrusaSlicer took longer than {request.time_limit_seconds:.0f} s.", "Use a coarser profile."
            )
        if process.returncode or not any("Slicing result exported" in line for line in said) or not sliced.exists():
            raise SlicingError("slicer_failed", f"PrusaSlicer failed: {_reason(said)}", "Try another size or profile.")


def _stop(process: subprocess.Popen, patience: float = 1.0) -> None:
    """End the slicer and whatever it started, gently first."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + patience
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if process.poll() is None:
            _signal(process, signal.SIGKILL)
            process.wait()


def _signal(process: subprocess.Popen, number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


def _environment() -> dict[str, str]:
    keep = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
    return {**keep, "LC_ALL": "C.UTF-8"}


def _reason(said: deque[str]) -> str:
    """The line of the slicer's output that tells most."""
    telling = [line for line in said if line and "=>" not in line and "[trace]" not in line]
    return telling[-1] if telling else "it ended without a word"


def _differences(asked: dict[str, str], facts: GcodeFacts) -> tuple[str, ...]:
    """What the slicer used instead of what it was asked for; an essential setting that differs is an error."""
    differing = []
    for key in ESSENTIAL:
        if key in asked and key in facts.config and _plain(asked[key]) != _plain(facts.config[key]):
            differing.append(f"{key} = {facts.config[key]} instead of {asked[key]}")
    if differing:
        raise SlicingError("gcode_invalid", f"PrusaSlicer changed settings: {'; '.join(differing)}.")
    return ()


def _plain(value: str) -> str:
    first = value.split(",")[0].strip().strip('"')
    try:
        return f"{float(first.rstrip('%')):g}"
    except ValueError:
        return first


def _finish(gcode: Path, thumbnail: Path | None) -> None:
    """Put the thumbnail behind the first line, and make sure that the file is on the disk."""
    part = gcode.with_suffix(".part")
    with gcode.open("rb") as source, part.open("wb") as target:
        target.write(source.readline())
        if thumbnail is not None:
            target.write(thumbnail_block(thumbnail).encode("ascii"))
        shutil.copyfileobj(source, target, 1024 * 1024)
        target.flush()
        os.fsync(target.fileno())
    os.replace(part, gcode)


def thumbnail_block(png: Path, side: int = 220) -> str:
    """A picture as the comment block that OctoPrint, Klipper and others read thumbnails from."""
    from io import BytesIO

    from PIL import Image

    with Image.open(png) as image:
        image.thumbnail((side, side))
        buffer = BytesIO()
        image.save(buffer, "PNG", optimize=True)
        size = f"{image.width}x{image.height}"
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    lines = "".join(f"; {text[i : i + 78]}\n" for i in range(0, len(text), 78))
    return f";\n; thumbnail begin {size} {len(text)}\n{lines}; thumbnail end\n;\n"


#: The printable space of the vendor's Ender 3.
ENDER3 = Bed()
