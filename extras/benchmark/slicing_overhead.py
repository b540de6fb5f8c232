"""What our wrapper costs beside the engine it runs: time that somebody waits, processor time, and memory.

    python extras/benchmark/slicing_overhead.py MODEL.stl [--profile bust_016] [--repeats 3] [--face FACE.json]

For each engine the same model is sliced in turn by the engine alone, with the settings that the wrapper resolved, and through
the whole command ``slice``, which also finds the engine, examines the model, puts head and picture into the G-code, and
checks, times and indexes it. Waited is the time by the clock from the start of the command to its end during which the engine
does not run; own processor time is that of the command's process, without the engine's. With ``--face`` it is all that a job of
the plugin does: the face is painted so that supports keep off it, and a picture shows what they touch.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from slicing_job import arguments, parser

from octoprint_facesculpt.slicing import ENGINES, SliceRequest, engine
from octoprint_facesculpt.slicing.curaengine import write_definition
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
    options = wanted.parse_args()
    for name in ENGINES:
        rows = [measure(name, options.model.absolute(), options.profile, options.face) for _ in range(options.repeats)]
        alone, clock_alone, own, through, clock, running, memory, size = (median(one) for one in zip(*rows, strict=True))
        waited = median(row[4] - row[5] for row in rows)
        print(
            f"{name}: engine alone {alone:.1f} s of processor, {clock_alone:.1f} s by the clock; "
            f"waited {waited:.2f} s beside its {running:.1f} s: {waited / running:.1%}; "
            f"own {own:.2f} s of processor: {own / alone:.1%}; whole {clock:.1f} s: {clock / clock_alone - 1:+.1%} by the "
            f"clock, {through / alone - 1:+.1%} processor; {memory:.0f} MB beside it; {size:.0f} MB of G-code"
        )


def measure(name: str, model: Path, profile: str, face: Path | None = None) -> tuple[float, ...]:
    """Engine alone and the wrapper, one after the other: seconds of processor and clock alone, own seconds of processor; of the
    whole: seconds of processor, of the clock, and of it while the engine runs; MB, and MB of G-code."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        command = alone(name, model, profile, folder)
        used, clock_alone = spent(lambda: subprocess.run(command, check=True, capture_output=True, cwd=folder))
        slicing = [*arguments(name, model, profile, folder), "--threads", str(os.cpu_count())]
        if face is not None:
            slicing += ["--face", str(face.absolute()), "--contact", str(folder / "contact.png")]
        said: list[str] = []

        def wrapped() -> None:
            run = subprocess.run([sys.executable, "-c", _WRAPPER, *slicing], check=True, capture_output=True, text=True)
            said.extend(run.stdout.splitlines())

        through, clock = spent(wrapped)
        own, running, memory = json.loads(said[-1])
        return used, clock_alone, own, through, clock, running, memory, (folder / "bust.gcode").stat().st_size / 1e6


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
