"""Power cuts at random moments on the simulated Ender 3: where our plan goes on, and where the usual rule would.

    python extras/benchmark/outages.py --outages 1000 --seed 1 [--gcode FILE] [--out RESULT.json]

The usual rule, of Marlin's own power-loss recovery and of OctoPrint-PowerFailure, restarts at the layer's beginning (or where
the last line was sent). Each outage is judged by the simulated printer's own account: how much path between where the
nozzle stopped and where printing goes on is left out or printed twice, in which layer, and whether anything touched the print.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from octoprint_facesculpt.recovery.errors import RecoveryError
from tests.recovery.outages import AFTERWARDS, Outcome, Print, interrupt
from tests.recovery.programs import print_file

#: Classes of outage; the last one with X and Y measured at the endstops before they are homed.
KINDS = (*AFTERWARDS, "both, measured")


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 2)


def summary(found: list[Outcome], error: str) -> dict[str, float]:
    """Median, 99th percentile and maximum of what is left out and of what is printed twice, mm of path."""
    errors = [getattr(outcome, error) for outcome in found]
    gaps, overlaps = [max(e, 0.0) for e in errors], [max(-e, 0.0) for e in errors]
    return {
        f"{name}_{which}": percentile(values, share)
        for name, values in (("gap", gaps), ("overlap", overlaps))
        for which, share in (("median", 0.5), ("p99", 0.99), ("max", 1.0))
    }


def campaign(gcode: Path, outages: int, seed: int, index: Path) -> dict[str, Any]:
    """Print the file once with so many cuts, and recover from each."""
    rng = random.Random(seed)
    text = gcode.read_bytes()
    whole = Print(text).run()
    first = next(seconds for offset, seconds in whole.notes if b"LAYER" in text[:offset])
    moments = [rng.uniform(first + 5, whole.seconds) for _ in range(outages)]
    printed = Print(text, moments).run()
    cuts = list(enumerate(printed.cuts))
    by_kind: dict[str, list[Outcome]] = {kind: [] for kind in KINDS}
    refused: dict[str, int] = {}
    for number, cut in cuts:
        kind = KINDS[number % len(KINDS)]
        name, measure = kind.partition(",")[0], "," in kind
        try:
            by_kind[kind].append(interrupt(printed, cut, name, gcode, rng, measure, index))
        except RecoveryError as error:
            refused[error.code] = refused.get(error.code, 0) + 1
    found = [outcome for outcomes in by_kind.values() for outcome in outcomes]
    return {
        "seed": seed, "outages": len(cuts), "recovered": len(found), "refused": refused,
        "collisions": sum(bool(outcome.collisions) for outcome in found),
        "collision_examples": [outcome.collisions[0] for outcome in found if outcome.collisions][:5],
        "wrong_layer": sum(outcome.recovery.layer != outcome.true_layer for outcome in found),
        "doubled_layers": sum(outcome.true_layer - outcome.recovery.layer > 1 for outcome in found),
        "kinds": {
            kind: {
                "count": len(outcomes), "ours": summary(outcomes, "error"),
                "layer_start": summary(outcomes, "layer_start_error"),
            }
            for kind, outcomes in by_kind.items() if outcomes
        },
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outages", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gcode", type=Path, help="a sliced file; otherwise a small vase with infill")
    parser.add_argument("--out", type=Path, help="write the result as JSON")
    arguments = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        gcode = arguments.gcode
        if gcode is None:
            gcode = Path(folder, "vase.gcode")
            gcode.write_bytes(print_file(layers=12, sides=90, radius=15.0))
        result = campaign(gcode, arguments.outages, arguments.seed, Path(folder, "index.json"))
    result["seconds"] = round(time.perf_counter() - start, 1)
    print(json.dumps(result, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1))
    sys.exit(1 if result["collisions"] or result["doubled_layers"] else 0)


if __name__ == "__main__":
    main()
