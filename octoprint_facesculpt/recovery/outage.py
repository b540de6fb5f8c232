"""What happened.

What is known comes from the journal's last record, which is a little older than the outage, and from what can be seen
afterwards: the run of the operating system (boot id), whether the printer's board started anew, its position if it did not,
and its temperatures. Where the nozzle stopped says :mod:`estimate`.
"""

from __future__ import annotations

from dataclasses import dataclass

from .journal import Reading
from .printer import COOLED

KINDS = ("host", "printer", "both", "supply", "cable", "restart", "cancelled", "none")


@dataclass(frozen=True)
class Seen:
    """What can be seen after the outage. ``position`` is the printer's own report, if it neither lost power nor was reset;
    ``measured`` is where X and Y were found by driving to the endstops; ``moved`` how far down (below 0) and up, mm, the nozzle
    may have been moved since. None for what is not known."""

    boot: str
    session: str
    mono: float | None = None
    nozzle: float | None = None
    bed: float | None = None
    position: tuple[float, float, float] | None = None
    measured: tuple[float, float] | None = None
    moved: tuple[float, float] | None = None


@dataclass(frozen=True)
class Outage:
    """``kind``: ``host`` only, ``printer`` only, ``both``, motor ``supply`` only (the board ran on from USB), ``restart`` in
    good order, ``cable`` pulled, ``cancelled`` by the user, ``none``. ``seconds`` it lasted, when a clock knows that;
    ``reasons`` explain."""

    kind: str
    seconds: float | None
    reasons: tuple[str, ...]


def classify(reading: Reading | None, seen: Seen) -> Outage:
    """What happened since the journal's last record."""
    if reading is None or not reading.unfinished:
        phase = reading.record.get("phase") if reading else None
        reason = "The print was cancelled." if phase == "cancelled" else "No print was under way."
        return Outage("cancelled" if phase == "cancelled" else "none", None, (reason,))
    record = reading.record
    same_boot = record.get("boot") == seen.boot
    seconds = seen.mono - record["mono"] if same_boot and seen.mono is not None else None
    cause = record.get("reason")
    if cause == "supply":
        return Outage("supply", seconds, ("The heaters went cold while the board still answered.",))
    if record.get("phase") == "interrupted" or cause is not None or record.get("session") == seen.session:
        if cause == "shutdown":
            return Outage("restart", seconds, ("OctoPrint was shut down in good order.",))
        hot = seen.nozzle is not None and seen.nozzle >= float(record.get("nozzle_target") or 1e9) - COOLED
        if cause == "stopped":
            # Whether the printer was switched off right afterwards, only its heat tells.
            return Outage("cable" if hot else "printer", seconds, ("The resume was stopped before the print had gone on.",))
        if hot and cause != "printer_reset":
            return Outage("cable", seconds, ("The connection was lost; the nozzle is still hot, so the printer had power.",))
        return Outage("printer", seconds, (f"OctoPrint went on running; the printer did not ({cause or 'connection lost'}).",))
    reasons = ["OctoPrint ended without warning." if same_boot else "The computer of OctoPrint was restarted."]
    target = float(record.get("nozzle_target") or 0.0)
    if seen.position is not None:
        reasons.append("The printer still knows its position.")
        return Outage("host", seconds, tuple(reasons))
    if seen.nozzle is not None and target > 0:
        if seen.nozzle >= target - COOLED:
            reasons.append(f"The nozzle is still at {seen.nozzle:.0f} of {target:.0f} degrees: the printer had power.")
            return Outage("host", seconds, tuple(reasons))
        cooled = f"The nozzle has cooled to {seen.nozzle:.0f} of {target:.0f} degrees"
        reasons.append(f"{cooled}: the printer had no power, or began anew.")
        return Outage("both", seconds, tuple(reasons))
    reasons.append("The temperatures are not known.")
    return Outage("host" if same_boot else "both", seconds, tuple(reasons))
