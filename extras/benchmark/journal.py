"""What keeping the journal costs: time per line in OctoPrint's hooks, and wear of the disk. ``line_rate.py`` has the whole.

    python extras/benchmark/journal.py [--lines 20000] [--out RESULT.json]

*Hook*: processor time of what the hooks of sent and received lines do for the journal, against an empty hook of the same form.
*Wear*: bytes and syncs of a print of 26 hours, from the journal's own cadence on virtual time.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from octoprint_facesculpt.desk.hooks import LineHooks
from octoprint_facesculpt.desk.watch import PrintWatch
from octoprint_facesculpt.recovery.journal import BLOCK, Journal
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
        ours, empty = LineHooks(), LineHooks()
        ours.connect(SimpleNamespace(watch=watch, on_sending=watch.on_sending, on_received=watch.on_received))
        taken = [(_timed(ours, lines), _timed(empty, lines)) for _ in range(5)]
        kept.close()
    cost = statistics.median(a - b for a, b in taken) / lines * 1e6
    return {"microseconds_a_line": round(cost, 2), "limit": 20.0}


def _timed(hooks: LineHooks, lines: int) -> float:
    offset, begun = 0, time.thread_time()
    for number in range(lines):
        offset += 33
        tags = {"source:file", f"filepos:{offset}", f"fileline:{number}"}
        hooks.sending(None, "sending", f"G1 X{number % 200}.125 Y{number % 190}.375 E0.04213", None, "G1", tags=tags)
        hooks.logged("Recv: ok")
    return time.thread_time() - begun


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
    parser.add_argument("--lines", type=int, default=20_000)
    parser.add_argument("--out", type=Path, help="write the result as JSON")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"hook": hook_cost(arguments.lines), "wear": wear()}
    print(json.dumps(result, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1))
    sys.exit(0 if result["hook"]["microseconds_a_line"] <= result["hook"]["limit"] else 1)


if __name__ == "__main__":
    main()
