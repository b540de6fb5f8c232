"""What our wrapper costs beside the engine it runs: time that somebody waits, processor time, and memory.

    python extras/benchmark/slicing_overhead.py MODEL.stl [--face FACE.json] [--profile bust_016] [--repeats 3] [--engine NAME]

For each engine the same model is sliced in turn by the engine alone, with the settings that the wrapper resolved, and through
the whole command ``slice``, which also finds the engine, examines the model, puts head, picture and lines of progress into the
G-code, and checks, times and indexes it. Waited is the time by the clock from the start of the command to its end during which
the engine does not run; own is the processor time of the command's process, without the engine's; whole is how much longer
command and engine take than the engine alone, by the clock. All as shares of the engine alone; medians.

With ``--face`` (the ``face.json`` beside a sculpture's STL) there is a second line: all that a job of the plugin does, where
the face is painted so that supports keep off it, and a picture shows what they touch. The ``surface.npz`` beside it, which is
made with every sculpture, is used as jobs do; without one, one is made first, as it would be with the sculpture.

The package is compiled first, as pip does when it installs it.
"""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from slicing_job import arguments, parser

import octoprint_facesculpt
from octoprint_facesculpt.sculpture.surface import save_surface
from octoprint_facesculpt.slicing import ENGINES, SliceRequest, engine
from octoprint_facesculpt.slicing.curaengine import write_definition
from octoprint_facesculpt.slicing.face import read_face, read_mesh
from octoprint_facesculpt.slicing.gcode_index import read_index
from octoprint_facesculpt.slicing.model_check import model_size
from octoprint_facesculpt.slicing.vendor_bundle import format_config

#: Runs the command; tells what it has used, and how long it was running the engine.
_WRAPPER = """
import json, resource, sys, time
from octoprint_facesculpt.cli import commands
from octoprint_facesculpt.slicing.program import CommandLineEngine
run, running = CommandLineEngine.run, []
def timed(*arguments):
    start = time.perf_counter()
    try:
        return run(*arguments)
    finally:
        running.append(time.perf_counter() - start)
CommandLineEngine.run = timed
try:
    commands(sys.argv[1:], standalone_mode=False)
finally:
    own = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps([own.ru_utime + own.ru_stime, sum(running), own.ru_maxrss / 1024]))
"""


def main() -> None:
    wanted = parser(__doc__, repeats=3)
    wanted.add_argument("--face", type=Path, help="The model's face.json: spare the face, and mark what supports touch.")
    wanted.add_argument("--engine", choices=[*ENGINES], action="append", help="Only this one.")
    options = wanted.parse_args()
    compileall.compile_dir(Path(octoprint_facesculpt.__file__).parent, quiet=1)
    if options.face and not (surface := options.face.with_name("surface.npz")).is_file():
        face = read_face(options.face)
        save_surface(*read_mesh(options.model), face.points, face.reach_mm, options.model, options.face, surface)
    height = float(model_size(options.model)[2])
    print(f"{options.profile}, {height:.0f} mm high, medians of {options.repeats}")
    print(
        f"{'':<24}{'engine alone, s':>18}{'own, s':>14}{'waited, s':>14}{'whole':>8}{'MB':>5}{'print h':>7}{'G-c. MB':>7}",
        flush=True,
    )
    for name in options.engine or ENGINES:
        for face in (None, options.face) if options.face else (None,):
            rows = [measure(name, options.model.absolute(), options.profile, face) for _ in range(options.repeats)]
            alone, clock_alone, own, clock, memory = (median(getattr(row, key) for row in rows) for key in Costs._fields[:5])
            hours, size = rows[-1].hours, rows[-1].size
            waited = median(row.clock - row.running for row in rows)
            print(
                f"{name + (', face' if face else ''):<24}{alone:>11.1f} {clock_alone:>6.1f}{own:>7.2f} {own / alone:>6.1%}"
                f"{waited:>7.2f} {waited / clock_alone:>6.1%}{clock / clock_alone - 1:>8.1%}{memory:>5.0f}"
                f"{hours:>7.1f}{size / 1e6:>7.1f}",
                flush=True,
            )


class Costs(NamedTuple):
    """Engine alone and the wrapper, one after the other: seconds of processor and by the clock of the engine alone; seconds of
    processor of the wrapper's own, and by the clock of the whole; its MB; seconds by the clock while its engine ran;
    hours of the print, and bytes of its G-code."""

    alone: float
    clock_alone: float
    own: float
    clock: float
    memory: float
    running: float
    hours: float
    size: int


def measure(name: str, model: Path, profile: str, face: Path | None = None) -> Costs:
    """Slice once each way; with a ``face`` as a job of the plugin does."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        command = alone(name, model, profile, folder)
        used, clock_alone = spent(lambda: subprocess.run(command, check=True, capture_output=True, cwd=folder))
        slicing = [*arguments(name, model, profile, folder), "--threads", str(os.cpu_count())]
        if face is not None:
            surface = face.absolute().with_name("surface.npz")
            slicing += ["--face", str(face.absolute()), "--surface", str(surface), "--contact", str(folder / "contact.png")]
        said: list[str] = []

        def wrapped() -> None:
            run = subprocess.run([sys.executable, "-c", _WRAPPER, *slicing], check=True, capture_output=True, text=True)
            said.extend(run.stdout.splitlines())

        _, clock = spent(wrapped)
        own, running, memory = json.loads(said[-1])
        index = read_index(folder / "index.json")
        return Costs(used, clock_alone, own, clock, memory, running, index.seconds / 3600, index.size)


def alone(name: str, model: Path, profile: str, folder: Path) -> list[str]:
    """The engine's own command for a model, its settings written into ``folder``."""
    program, request = engine(name), SliceRequest(engine=name, profile=profile)
    path, settings = str(program.detect().path), ENGINES[name]().resolve(request)
    if name == "curaengine":
        return [path, "slice", "-v", "-p", "-j", str(write_definition(settings, folder)), "-o", "alone.gcode", "-l", str(model)]
    flat = folder / "alone.ini"
    flat.write_text(format_config(settings), encoding="utf-8")
    x, y = request.bed.centre
    return [path, "--load", str(flat), "--center", f"{x:g},{y:g}", "--export-gcode", "--output", "alone.gcode", str(model)]


def spent(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of processor that children used, and seconds by the clock."""
    before, start = os.times(), time.perf_counter()
    work()
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return used, time.perf_counter() - start


if __name__ == "__main__":
    main()
