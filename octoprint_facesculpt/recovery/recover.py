"""From a journal to a plan: what the command, the dashboard and the tests ask for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import RecoveryError
from .identity import identity_of
from .journal import Reading
from .outage import Estimate, Outage, Seen, classify, estimate
from .plan import Plan, make_plan
from .printer import PrinterFacts
from .replay import GcodeIndex, build_index, state_at
from .window import read_window


@dataclass(frozen=True)
class Recovery:
    """Everything about an interrupted print. ``layer`` counts from 1, ``layers`` are all of the file."""

    outage: Outage
    stop: Estimate
    plan: Plan
    layer: int
    layers: int
    percent: float
    window_offset: int

    def record(self, step: int) -> dict[str, Any]:
        """What the journal must know while step ``step`` of the plan is made, so that an outage in it is recoverable."""
        now = self.plan.steps[step]
        return {
            "phase": "recovering", "step": step, "z_low": min(now.z, now.z_after), "z_high": max(now.z, now.z_after),
            "resume": {"window": self.window_offset, "stop": asdict(self.stop)},
        }  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": 1, "outage": asdict(self.outage), "stop": asdict(self.stop), "plan": self.plan.to_json(),
            "window_offset": self.window_offset,
            "layer": self.layer, "layers": self.layers, "percent": round(self.percent, 2),
        }  # fmt: skip


def recover(reading: Reading | None, seen: Seen, gcode: Path, facts: PrinterFacts, index_file: Path | None = None) -> Recovery:
    """What happened to the print of ``gcode``, where it stands, and how it goes on.

    :class:`RecoveryError`: ``journal_empty``, ``nothing_to_recover``, ``file_missing``, ``file_changed``,
    ``not_recoverable``.
    """
    if reading is None:
        raise RecoveryError(
            "journal_empty", "The journal holds no print.", "Nothing was being printed, or it is of another folder."
        )
    outage = classify(reading, seen)
    if outage.kind in ("none", "cancelled"):
        raise RecoveryError("nothing_to_recover", outage.reasons[0], "Start a print as usual.")
    if reading.job.get("identity") != identity_of(gcode):
        raise RecoveryError("file_changed", f"{gcode.name} is not the file that was being printed.", "Give the same file.")
    index = GcodeIndex.load(index_file, gcode, facts.firmware) if index_file else None
    if index is None:
        index = build_index(gcode, facts.firmware)
        if index_file:
            index.save(index_file)
    record = reading.record
    again = record.get("resume") if record.get("phase") == "recovering" else None
    place = int(again["window"] if again else record["sent"])
    window = read_window(gcode, place, index, facts.firmware, record.get("feed_percent"))
    if again:
        # A resume was interrupted before it reached the file: the same place, at the height that it had come to.
        low, high = float(record["z_low"]), float(record["z_high"])
        stop = Estimate(**again["stop"] | {"z": low, "z_spread": round(high - low, 4)})
    else:
        stop = estimate(window, record, outage, seen)
    piece = window.piece_at(stop.at)
    after = state_at(gcode, piece.move.end_offset, index, facts.firmware)
    if index.end.layer_comments and (not index.layers or after.offset <= index.layers[0].offset):
        raise RecoveryError("not_recoverable", "Nothing of the model had been printed yet.", "Clear the bed and start again.")
    plan = make_plan(window, stop, after, facts, record)
    percent = 100.0 * after.printed / index.end.printed if index.end.printed else 0.0
    return Recovery(outage, stop, plan, after.layer, len(index.layers), percent, place)


def resume_gcode(recovery: Recovery, gcode: Path, output: Path) -> None:
    """Write a file that holds the plan, its reasons as comments, and the rest of the print."""
    half = output.with_name(output.name + ".part")
    with gcode.open("rb") as rest, half.open("wb") as file:
        file.write(f"; Resumes {gcode.name.encode('ascii', 'replace').decode()} in layer {recovery.layer}\n".encode())
        for step in recovery.plan.steps:
            file.write(f"{step.line} ; {step.reason}\n".encode())
        rest.seek(recovery.plan.offset)
        while data := rest.read(1 << 20):
            file.write(data)
    half.replace(output)
