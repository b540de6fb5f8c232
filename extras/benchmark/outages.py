"""Outages of every class in every phase of a print, and what becomes of the print; beside it what the usual rules would do.

    python extras/benchmark/outages.py --outages 1040 --seed 1 [--jobs 2] [--gcode FILE] [--out RESULT.json]
    python extras/benchmark/outages.py --server 100 --seed 1 [--jobs 2] [--out RESULT.json]

The first lives them through on the simulated printer without a server, with the journal that the plugin keeps; the second
kills a real OctoPrint server (SIGKILL), takes the simulated printer's power, and lets the plugin resume. The simulated
hardware judges: what the nozzle touched, at which height it printed on, and how much path was left out or printed twice.

The rules beside it, on the same outages: *PowerFailure* goes on with the line that was sent last when it last looked, once a
second; *Marlin* restarts the layer.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.e2e.outages import live_on_server
from tests.recovery.cases import KINDS, PHASES, Case, make_cases
from tests.recovery.outages import FIRMWARES, Campaign, Outcome
from tests.recovery.programs import busy_file

#: Outages in a batch.
BATCH = len(KINDS) * len(PHASES)
MUST_BE_0 = ("collisions", "collisions_with_the_safe_answer", "lost", "wrong_layer", "doubled_layers")
RULES = {"ours": "error", "power_failure": "power_failure_error", "marlin": "layer_start_error"}


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 2)


def summary(found: list[Outcome], error: str) -> dict[str, float]:
    """Median, 99th percentile and maximum of what is left out and of what is printed twice, mm of path."""
    errors = [value for outcome in found if (value := getattr(outcome, error)) is not None]
    if not errors:
        return {}
    gaps, overlaps = [max(e, 0.0) for e in errors], [max(-e, 0.0) for e in errors]
    return {
        f"{name}_{which}": percentile(values, share)
        for name, values in (("gap", gaps), ("overlap", overlaps))
        for which, share in (("median", 0.5), ("p99", 0.99), ("max", 1.0))
    }


def judged(found: list[Outcome]) -> dict[str, Any]:
    """The figures that must be 0, and how far from the place the prints went on."""
    resumed = [outcome for outcome in found if outcome.action == "resume"]
    kinds = dict.fromkeys(outcome.case.kind for outcome in found)
    return {
        "outages": len(found) + sum(outcome.second is not None for outcome in found),
        "prints": len(found),
        "during_recovery": sum(outcome.second is not None for outcome in found),
        "actions": {a: sum(o.action == a for o in found) for a in dict.fromkeys(o.action for o in found)},
        "collisions": sum(bool(outcome.touches) for outcome in found),
        "collisions_with_the_safe_answer": sum(bool(outcome.safe_touches) for outcome in found),
        "lost": sum(outcome.lost is not None for outcome in found),
        "wrong_layer": sum(outcome.wrong_layer for outcome in found),
        "doubled_layers": sum(outcome.doubled_layer for outcome in found),
        "further_off_than_promised": sum(not outcome.promised for outcome in found),
        "asked": sum(outcome.asked for outcome in found),
        "path_mm": {
            kind: {
                "count": len(same := [o for o in resumed if o.case.kind == kind and o.second is None]),
                "asked": sum(o.asked for o in same),
                **{rule: summary(same, error) for rule, error in RULES.items()},
            }
            for kind in kinds
        },
    }  # fmt: skip


def campaign(gcode: Path | None, outages: int, seed: int, jobs: int, minutes: float) -> Iterator[list[dict[str, Any]]]:
    """Outages in batches of one for every class in every phase, with the firmwares in turn; the time ends it between two."""
    deadline = time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory() as name:
        file = gcode or Path(name, "busy.gcode")
        if gcode is None:
            file.write_bytes(busy_file())
        printed: dict[str, tuple[Campaign, dict[str, list[tuple[float, float]]]]] = {}
        done = 0
        while done < outages and time.monotonic() < deadline:
            number = done // BATCH
            version = list(FIRMWARES)[number % len(FIRMWARES)]
            if version not in printed:
                folder = Path(name, version)
                folder.mkdir()
                made = Campaign(file, folder, version)
                printed[version] = (made, made.spans())
            prints, spans = printed[version]
            cases = make_cases(spans, min(BATCH, outages - done), seed + number)
            done += len(cases)
            yield [{"firmware": version, **row(outcome)} for outcome in prints.run(cases, jobs)]


def row(outcome: Outcome) -> dict[str, Any]:
    """One outage as it is kept: what it was, where, what was true, and what was believed."""
    return {**vars(outcome), "case": vars(outcome.case)}


def outcome_of(data: dict[str, Any]) -> Outcome:
    """:func:`row` the other way."""
    fields = {key: value for key, value in data.items() if key != "firmware"}
    return Outcome(**{**fields, "case": Case(**data["case"])})


def table(result: dict[str, Any]) -> str:
    """The path left out and printed twice as a table."""
    lines = [
        "| Outage | number | | left out: median / p99 / max | printed twice: median / p99 / max |",
        "|---|---|---|---|---|",
    ]
    for kind, figures in result["path_mm"].items():
        for rule in RULES:
            if found := figures[rule]:
                gap, overlap = (
                    " / ".join(f"{found[f'{name}_{w}']:.1f}" for w in ("median", "p99", "max")) for name in ("gap", "overlap")
                )
                lines.append(f"| {kind} | {figures['count']} | {rule} | {gap} | {overlap} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outages", type=int, default=1040)
    parser.add_argument("--server", type=int, default=0, metavar="N", help="N outages of a real server instead")
    parser.add_argument("--minutes", type=float, default=1e6, help="end after so long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="so many at a time")
    parser.add_argument("--gcode", type=Path, help="a sliced file; otherwise a small print that does all a slicer may")
    parser.add_argument("--out", type=Path, help="write the result as JSON, with every outage")
    arguments = parser.parse_args()
    start = time.perf_counter()
    rows: list[dict[str, Any]] = []
    if arguments.server:
        lived = live_on_server(arguments.server, arguments.seed, arguments.jobs, arguments.minutes)
        batches: Iterator[list[dict[str, Any]]] = iter([[row(outcome) for outcome in lived]])
    else:
        batches = campaign(arguments.gcode, arguments.outages, arguments.seed, arguments.jobs, arguments.minutes)
    result: dict[str, Any] = {}
    for batch in batches:
        rows += batch
        result = {"seed": arguments.seed, **judged([outcome_of(each) for each in rows]), "each": rows}
        result["seconds"] = round(time.perf_counter() - start, 1)
        if arguments.out:
            arguments.out.write_text(json.dumps(result, indent=1))
        print(f"{len(rows)} prints", {name: result[name] for name in MUST_BE_0}, file=sys.stderr, flush=True)
    print(json.dumps({key: value for key, value in result.items() if key != "each"}, indent=1))
    print(table(result))
    sys.exit(1 if any(result[name] for name in MUST_BE_0) else 0)


if __name__ == "__main__":
    main()
