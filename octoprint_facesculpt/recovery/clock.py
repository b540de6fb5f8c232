"""How long a print has been standing, on computers whose clock may be wrong.

A Raspberry Pi has no clock that runs without power: after a start its time is that of its last shutdown until it hears from
the internet. What is certain is the time since the last start (``CLOCK_BOOTTIME``), and, within one run of the operating
system, the difference of two monotonic clocks.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .journal import this_boot

#: Kernel's mark of a clock that no time server has set (``adjtimex(2)``).
_UNSYNCHRONISED = 0x40
_TIMEX_BYTES = 512
#: Seconds by which wall clocks of two runs may disagree without having been set.
SLACK = 2.0


@dataclass(frozen=True)
class Now:
    """This moment by all clocks: ``wall`` (seconds since 1970), whether that is ``synchronised`` with a time server,
    ``mono`` (``time.monotonic``), and seconds ``up`` since the operating system started, which ``boot`` names."""

    wall: float
    synchronised: bool
    mono: float
    up: float
    boot: str


@dataclass(frozen=True)
class Standstill:
    """``seconds`` since the last sign of the print; ``at_least`` when it may be longer. ``since`` is that sign's wall-clock
    time, None when that clock cannot be trusted."""

    seconds: float
    at_least: bool
    since: float | None


def now() -> Now:
    """This moment."""
    return Now(time.time(), synchronised(), time.monotonic(), _since_start(), this_boot())


def synchronised() -> bool:
    """Whether a time server has set this computer's clock; False where that cannot be known."""
    try:
        buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
        if ctypes.CDLL(None, use_errno=True).adjtimex(buffer) < 0:
            return False
        # struct timex: modes (int), then offset, freq, maxerror, esterror (long), status (int).
        place = 5 * ctypes.sizeof(ctypes.c_long)
        return not ctypes.c_int.from_buffer(buffer, place).value & _UNSYNCHRONISED
    except (OSError, AttributeError):
        return False


def standstill(record: Mapping[str, Any], trusted_then: bool, moment: Now) -> Standstill:
    """How long ago a journal's ``record`` (``wall``, ``mono``, ``boot``) was made; ``trusted_then`` says whether the wall
    clock was synchronised at that time."""
    wall = record.get("wall")
    trusted = trusted_then and moment.synchronised and wall is not None
    if record.get("boot") == moment.boot and record.get("mono") is not None:
        seconds = max(moment.mono - float(record["mono"]), 0.0)
        return Standstill(seconds, False, moment.wall - seconds if moment.synchronised else None)
    # Another run: it stood still at least since this one began.
    by_wall = moment.wall - float(wall) if trusted else -1.0  # type: ignore[arg-type]
    if by_wall < moment.up - SLACK:
        return Standstill(max(moment.up, 0.0), True, None)
    return Standstill(by_wall, False, float(wall))  # type: ignore[arg-type]


def _since_start() -> float:
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime(clock) if clock is not None else 0.0
