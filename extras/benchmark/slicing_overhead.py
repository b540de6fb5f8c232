"""What our wrapper costs beside the engine it runs: processor time, time by the clock, and memory.

    python extras/benchmark/slicing_overhead.py MODEL.stl [--profile bust_016] [--repeats 3]

For each engine the same model is sliced in turn by the engine alone, with the settings that the wrapper resolved, and through
the whole command ``slice``, which also finds the engine, examines the model, puts head and picture into the G-code, and
checks, times and indexes it. Own time is that of the wrapper's process from its start to its end, without the engine's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from octoprint_facesculpt.slicing import ENGINES, SliceRequest, engine
from octoprint_facesculpt.slicing.curaengine import write_definition
from octoprint_facesculpt.slicing.vendor_bundle import format_config

#: Runs the command and tells what it and its children have used.
_WRAPPER = """
import json, resource, sys
from octoprint_facesculpt.cli import commands
try:
    commands(sys.argv[1:], standalone_mode=False)
finally:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps([own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime, own.ru_maxrss / 1024]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--profile", default="bust_016")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    for name in ENGINES:
        rows = [measure(name, options.model.absolute(), options.profile) for _ in range(options.repeats)]
        alone, clock_alone, own, through, clock, memory, size = (median(column) for column in zip(*rows, strict=True))
        print(
            f"{name}: engine alone {alone:.1f} s of processor ({clock_alone:.1f} s by the clock), own {own:.2f} s: "
            f"{own / alone:.1%}; whole {through:.1f} s: {through / alone - 1:+.1%} processor, "
            f"{clock / clock_alone - 1:+.1%} clock; {memory:.0f} MB beside it; {size:.0f} MB of G-code"
        )


def measure(name: str, model: Path, profile: str) -> tuple[float, ...]:
    """Engine alone and the wrapper, one after the other: seconds of processor and clock, own seconds, MB, MB of G-code."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        command = alone(name, model, profile, folder)
        used, clock_alone = spent(lambda: subprocess.run(command, check=True, capture_output=True, cwd=folder))
        arguments = ["slice", str(model), "-o", str(folder / "checked.gcode"), "--engine", name, "--profile", profile]
        arguments += ["--index", str(folder / "index.json"), "--threads", str(os.cpu_count())]
        said: list[str] = []

        def wrapped() -> None:
            run = subprocess.run([sys.executable, "-c", _WRAPPER, *arguments], check=True, capture_output=True, text=True)
            said.extend(run.stdout.splitlines())

        through, clock = spent(wrapped)
        own, _children, memory = json.loads(said[-1])
        return used, clock_alone, own, through, clock, memory, (folder / "checked.gcode").stat().st_size / 1e6


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
