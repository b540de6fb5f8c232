"""When a print may go on without anybody looking: only if the owner wants that, and only after a short stop of the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..recovery.clock import Standstill
from ..recovery.printer import COOLED

#: Outages in which the printer kept its power, so that nothing cooled and no motor let go.
KINDS = ("host", "restart")
#: A bed this much below its target may let go of the print, degrees.
BED_COOLED = 5.0
#: Seconds during which the dashboard shows that it is about to go on, and can be stopped.
COUNTDOWN = 30.0


@dataclass(frozen=True)
class Wish:
    """The settings: whether to, and the longest outage in seconds."""

    wanted: bool = False
    seconds: float = 300.0


def obstacle(
    wish: Wish, plan: dict[str, Any], record: dict[str, Any], stood: Standstill, nozzle: float | None, bed: float | None
) -> str | None:
    """Why a print must wait for its user, as a code; None when it may go on by itself."""
    targets = plan["targets"]
    checks = (
        ("not_wanted", not wish.wanted),
        ("printer_lost_power", plan["outage"]["kind"] not in KINDS),
        ("resume_interrupted", plan["again"] is not None),
        ("paused", record.get("phase") == "paused" or bool(record.get("paused"))),
        ("too_long", stood.at_least or stood.seconds > wish.seconds),
        ("height_uncertain", plan["asks"] or plan["stop"]["z_spread"] > 0.001),
        ("not_begun", plan["kind"] != "resume"),
        ("nozzle_cold", nozzle is None or nozzle < targets["nozzle"] - COOLED),
        ("bed_cold", bool(targets["bed"]) and (bed is None or bed < targets["bed"] - BED_COOLED)),
    )
    return next((code for code, holds in checks if holds), None)
