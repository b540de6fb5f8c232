"""What keeping the journal costs: time per line in OctoPrint's hooks, lines per second through OctoPrint, wear of the disk.

    python extras/benchmark/journal.py [--runs 12] [--lines 20000] [--out RESULT.json]

*Hook*: processor time of what the hooks of sent and received lines do for the journal, against an empty hook of the same form.
*Line rate*: two real OctoPrints, with and without this plugin, print the same lines to simulated printers, in turn; the ratio
is of the medians of the processor time. *Wear*: bytes and syncs of a print of 26 hours, from the journal's own cadence on
virtual time.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from octoprint_facesculpt.desk.watch import PrintWatch
from octoprint_facesculpt.recovery.journal import BLOCK, Journal
from tests.e2e.server import OctoPrintServer, wait_for
from tests.printer.fixture import SimulatedPrinter
from tests.recovery.host import VirtualJournal

#: Layers and lines of a bust of 160 mm in layers of 0.16 mm, and how long it prints.
LAYERS, LINES, HOURS = 1000, 2_000_000, 26


def hook_cost(lines: int) -> dict[str, float]:
    """Microseconds of processor time a line, with a journal that is written meanwhile, less those of empty hooks."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Journal(Path(folder)).open()
        watch = PrintWatch(kept, lambda _origin, path: {"path": path})
        watch.on_event("PrintStarted", {"origin": "local", "path": "x.gcode"})
        assert watch.active

        def ours(cmd: str, tags: set[str]) -> None:
            watch.on_sending(cmd, "G1", tags)
            watch.on_received("ok")

        def empty(_cmd: str, _tags: set[str]) -> None:
            pass

        taken = [(_timed(ours, lines), _timed(empty, lines)) for _ in range(5)]
        kept.close()
    cost = statistics.median(a - b for a, b in taken) / lines * 1e6
    return {"microseconds_a_line": round(cost, 2), "limit": 20.0}


def _timed(hook: Callable[[str, set[str]], None], lines: int) -> float:
    offset, begun = 0, time.thread_time()
    for number in range(lines):
        offset += 33
        hook(f"G1 X{number % 200}.125 Y{number % 190}.375 E0.04213", {"source:file", f"filepos:{offset}", f"fileline:{number}"})
    return time.thread_time() - begun


def line_rate(runs: int, lines: int) -> dict[str, Any]:
    """Microseconds of processor time that OctoPrint takes for a line with and without the plugin, one print of each in turn."""
    taken: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        gcode = Path(folder, "lines.gcode")
        gcode.write_text("G28\nG90\nM83\n" + "".join(f"G1 X{50 + n % 3} Y{50 + n % 2} F30000\n" for n in range(lines)))
        rigs = {}
        for with_it in (True, False):
            base = Path(folder, "with" if with_it else "without")
            printer = running.enter_context(SimulatedPrinter(base.with_suffix(".printer"), speed=1e6))
            server = OctoPrintServer(base, str(printer.link), offline=True, lean=True, without_us=not with_it)
            rigs[with_it] = running.enter_context(server), printer
            _upload(server, gcode)
        for run in range(runs + 1):
            for with_it in (True, False) if run % 2 else (False, True):
                seconds = _print(*rigs[with_it], gcode.name, lines)
                if run:  # the first fills caches
                    taken[with_it].append(seconds / lines * 1e6)
    medians = {with_it: statistics.median(found) for with_it, found in taken.items()}
    return {
        "microseconds_with": [round(one, 1) for one in taken[True]], "without": [round(one, 1) for one in taken[False]],
        "lines_a_second_with": round(1e6 / medians[True]), "lines_a_second_without": round(1e6 / medians[False]),
        "ratio": round(medians[False] / medians[True], 4), "limit": 0.98,
    }  # fmt: skip


def _upload(server: OctoPrintServer, gcode: Path) -> None:
    wait_for(lambda: server.get("/api/printer").status_code == 200, 120, "the printer")
    with gcode.open("rb") as file:
        server.post("/api/files/local", files={"file": (gcode.name, file)}).raise_for_status()
    wait_for(lambda: server.get(f"/api/files/local/{gcode.name}").json().get("gcodeAnalysis"), 300, "the analysis", pause=1.0)


def _print(server: OctoPrintServer, printer: SimulatedPrinter, name: str, lines: int) -> float:
    """Seconds of the server's processor time: other work on this machine takes none of it."""
    wait_for(lambda: server.get("/api/printer").json()["state"]["flags"]["ready"], 120, "the end of the print before")
    before, sent = server.cpu_seconds(), printer.order(do="status")["lines"]
    server.post(f"/api/files/local/{name}", json={"command": "select", "print": True}).raise_for_status()
    wait_for(lambda: printer.order(do="status")["lines"] >= sent + lines, 600, "the print", pause=0.1)
    return server.cpu_seconds() - before


def wear() -> dict[str, Any]:
    """Bytes and syncs of a whole print: the journal's own cadence, driven on virtual time."""
    now = 0.0
    kept = VirtualJournal(lambda: now, random.Random(1))
    watch = PrintWatch(kept, lambda _origin, path: {"path": path}, lambda: now)
    watch.on_event("PrintStarted", {"origin": "local", "path": "x.gcode"})
    synced = written = 0
    due = kept.due

    def counted(urgent: bool) -> bool | None:
        nonlocal synced, written
        answer = due(urgent)
        synced += bool(answer)
        written += answer is not None
        return answer

    kept.due = counted  # type: ignore[method-assign]
    # A tenth of the print is enough: it is the same all along.
    seconds, share = HOURS * 3600 / 10, 10
    step = 0.1
    lines_a_step = LINES / (HOURS * 3600) * step
    layer_steps = round(HOURS * 3600 / LAYERS / step)
    sent = 0.0
    for number in range(round(seconds / step)):
        now += step
        sent += lines_a_step
        while sent >= 1:
            sent -= 1
            line = "G1 Z%.2f" % (0.16 * (number // layer_steps + 1)) if number % layer_steps == 0 else "G1 X5 Y5 E0.1"
            watch.on_sending(line, "G1", {"source:file", f"filepos:{33 * number}"})
            watch.on_received("ok")
        if number % 20 == 0:
            watch.on_temperatures({"T0": (205.0, 205.0), "B": (60.0, 60.0)})
        kept.look()
    return {
        "hours": HOURS, "syncs": synced * share, "megabytes_synced": round(synced * share * BLOCK / 1e6, 1),
        "megabytes_written_to_the_page_cache": round(written * share * BLOCK / 1e6, 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=12, help="runs with and without; 0 leaves the line rate out")
    parser.add_argument("--lines", type=int, default=20_000)
    parser.add_argument("--out", type=Path, help="write the result as JSON")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"hook": hook_cost(arguments.lines), "wear": wear()}
    if arguments.runs:
        result["line_rate"] = line_rate(arguments.runs, arguments.lines)
    print(json.dumps(result, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1))
    rate = result.get("line_rate", {"ratio": 1.0})
    sys.exit(0 if result["hook"]["microseconds_a_line"] <= 20 and rate["ratio"] >= 0.98 else 1)


if __name__ == "__main__":
    main()
