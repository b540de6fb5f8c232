"""Lines per second through OctoPrint with and without this plugin, in pairs.

    python extras/benchmark/line_rate.py [--baud 115200] [--pairs 200] [--block 2000] [--out RESULT.json]

Two real OctoPrints with all that it comes with, one with this plugin and one without, print the same lines to simulated
printers that take no more lines after each block. The blocks are printed in turn, a fraction of a second each, so that
whatever else this machine does meets both alike. Compared are processor time (of the server alone, all its threads) and time
by the clock of each block with those of the block beside it; told are the medians of the pairs' ratios and the interval that
holds the true median in 95 of 100 cases. Each line waits for the answer to the one before. With ``--baud`` line and answer take
as long as on a serial line (an Ender 3's has 115,200), which is how fast a print can be sent; without, they take no time and
the printer answers at once: by the clock a line takes as long as both programs need for it.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.e2e.server import OctoPrintServer, wait_for
from tests.printer.fixture import SimulatedPrinter

#: The least ratio of lines per second that is aimed at.
LIMIT = 0.98
#: Blocks at the beginning that fill caches.
WARM_UP = 4
#: Seconds after a block's last line until the server's threads have come to rest.
REST = 0.03


@dataclass
class Rig:
    """A server that prints to its printer, block by block."""

    server: OctoPrintServer
    printer: SimulatedPrinter
    lines: int = 0

    def upload(self, gcode: Path) -> None:
        wait_for(lambda: self.server.get("/api/printer").status_code == 200, 120, "the printer")
        with gcode.open("rb") as file:
            self.server.post("/api/files/local", files={"file": (gcode.name, file)}).raise_for_status()

    def begin(self, name: str) -> None:
        """Begin the print, whose first lines only are taken."""
        self.lines = self.printer.order(do="status")["lines"] + 20
        self.printer.order(do="take", until=self.lines)
        self.server.post(f"/api/files/local/{name}", json={"command": "select", "print": True}).raise_for_status()
        self._await_lines()

    def block(self, lines: int) -> tuple[float, float]:
        """Print so many lines; microseconds a line, of processor time and by the clock."""
        self.lines += lines
        used, begun = self.server.cpu_nanoseconds(), time.monotonic()
        self.printer.order(do="take", until=self.lines)
        ended = self._await_lines()
        time.sleep(REST)
        return (self.server.cpu_nanoseconds() - used) / lines / 1e3, (ended - begun) / lines * 1e6

    def _await_lines(self) -> float:
        status = wait_for(
            lambda: (now := self.printer.order(do="status"))["lines"] >= self.lines and now, 120, "lines", pause=0.02
        )
        return float(status["last_line"])


def measure(pairs: int, block: int, minutes: float, baud: int | None) -> dict[str, Any]:
    """The blocks' times with and without the plugin, and the medians of their ratios; the time ends it between two pairs."""
    options = ("--baud", str(baud)) if baud else ()
    found: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        gcode = Path(folder, "lines.gcode")
        gcode.write_text(bust_lines((pairs + WARM_UP + 1) * block))
        rigs = {}
        for with_it in (True, False):
            base = Path(folder, "with" if with_it else "without")
            printer = running.enter_context(SimulatedPrinter(base.with_suffix(".printer"), 1e6, options))
            server = OctoPrintServer(base, str(printer.link), offline=True, without_us=not with_it)
            config = yaml.safe_load((base / "config.yaml").read_text())
            (base / "config.yaml").write_text(yaml.safe_dump(config | {"gcodeAnalysis": {"runAt": "never"}}))
            rigs[with_it] = Rig(running.enter_context(server), printer)
            rigs[with_it].upload(gcode)
        for rig in rigs.values():
            rig.begin(gcode.name)
        deadline = time.monotonic() + 60 * minutes
        for number in range(pairs + WARM_UP):
            if time.monotonic() > deadline and number > WARM_UP + 4:
                break
            for with_it in (True, False) if number % 2 else (False, True):
                times = rigs[with_it].block(block)
                if number >= WARM_UP:
                    found[with_it].append(times)
    return {
        name: compared([times[row] for times in found[True]], [times[row] for times in found[False]])
        for row, name in enumerate(("processor", "clock"))
    }


def bust_lines(lines: int) -> str:
    """G-code like a bust's: short lines of a wall, and a new layer every 2000 of them."""
    layers = (f"G1 Z{0.2 + 0.16 * (n // 2000):.2f} F600\n" if n % 2000 == 0 else "" for n in range(lines))
    moves = (f"G1 X{50 + n % 3}.{n % 7}25 Y{50 + n % 2}.{n % 9}75 E0.0{n % 8 + 1}\n" for n in range(lines))
    return "G28\nG90\nM83\nG1 F3000\n" + "".join(layer + move for layer, move in zip(layers, moves, strict=True))


def compared(with_it: list[float], without: list[float]) -> dict[str, Any]:
    """Medians of both, and of the pairs' ratios without / with, with its interval by bootstrap."""
    ratios = [b / a for a, b in zip(with_it, without, strict=True)]
    chance = random.Random(1)
    medians = sorted(statistics.median(chance.choices(ratios, k=len(ratios))) for _ in range(2000))
    quarters = statistics.quantiles(ratios, n=4)
    return {
        "microseconds_a_line_with": round(statistics.median(with_it), 1),
        "without": round(statistics.median(without), 1),
        "ratio": round(statistics.median(ratios), 4),
        "interval_95": [round(medians[50], 4), round(medians[1949], 4)],
        "quartiles_of_pairs": [round(quarters[0], 3), round(quarters[2], 3)],
        "pairs": len(ratios),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baud", type=int, help="of the serial line; else it takes no time")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--block", type=int, default=2000, help="lines of a block")
    parser.add_argument("--minutes", type=float, default=1e6, help="end after so long")
    parser.add_argument("--out", type=Path, help="write the result as JSON")
    arguments = parser.parse_args()
    result = {**measure(arguments.pairs, arguments.block, arguments.minutes, arguments.baud), "limit": LIMIT}
    print(json.dumps(result, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1))
    sys.exit(0 if result["clock"]["ratio"] >= LIMIT else 1)


if __name__ == "__main__":
    main()
