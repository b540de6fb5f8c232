"""Telling from the nozzle's temperature that motors and heaters have lost their supply while USB keeps the board awake.

Such a board acknowledges half a minute of print that is never made. A nozzle that cools though it should be hot shows it, and
the last moment at which it was hot tells where the print truly stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .printer import COOLED

#: Seconds a heater must have been at its target before its cooling means something, and that it must cool.
SETTLED, COLD = 20.0, 5.0
#: Degrees below its target at which a nozzle begins to count as cooling.
DROP = 3.0
#: Seconds in which a nozzle without power loses so little that it still counts as hot.
COOLS = 6.0
#: Seconds between two reports.
LOOKS = 2.5
#: Seconds between two of the reports that are kept at least.
APART = 2.0
#: Degrees from one report to the next that a nozzle at rest changes less than.
STEADY = 1.0


class SupplyWatch:
    """Fed with every report of the temperatures; ``clock`` tells seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Nothing is heated, or another print begins."""
        #: What the nozzle has to hold: the target, but the old one while it heats up to a new one.
        self._held = self._target = 0.0
        self._nozzle: float | None = None
        self._hot_since: float | None = None
        self._last_hot = 0.0
        self._first_cold: float | None = None
        self._falling = False
        #: How far the print was when the nozzle was last hot.
        self._anchor: dict[str, Any] | None = None
        #: The places of the reports before, and their moments: the motors may have been dead by then.
        self._recent: list[tuple[float, dict[str, Any]]] = []

    def look(self, nozzle: float, target: float, place: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A report of the temperatures; ``place`` gives how far the print is. Fields for the journal when the supply is dead
        for certain; none otherwise."""
        now = self._clock()
        changed = target != self._target
        if changed:
            # What it cools down by to a lower target looks like a dead supply, until it comes to rest.
            self._falling = 0 < target < self._target
            self._held = min(self._held, target)
            self._target = target
        steady = not changed and self._nozzle is not None and abs(nozzle - self._nozzle) < STEADY
        self._nozzle = nozzle
        if nozzle >= target - DROP and (not self._falling or steady):
            self._hot_since, self._last_hot, self._first_cold = self._hot_since or now, now, None
            self._recent = [row for row in self._recent if now - row[0] <= COOLS + LOOKS]
            here = place()
            self._anchor = {**here, "before": [before for _, before in self._recent]}
            away = here["parked"] or here["moving"] or (here["tail"] and here["tail"][-1][2] is None)
            if away and (not self._recent or now - self._recent[-1][0] >= APART):
                # Only those at which the nozzle may have been away from the path, and few: a record has to fit its block.
                self._recent.append((now, {**here, "tail": here["tail"][-1:]}))
            self._held, self._falling = target, False
            return {}
        if not self._held or nozzle >= self._held - DROP:
            return {}
        self._first_cold = self._first_cold or now
        settled = self._hot_since is not None and self._last_hot - self._hot_since >= SETTLED
        return self.suspicion() if settled and nozzle < self._held - COOLED else {}

    def suspicion(self) -> dict[str, Any]:
        """The same fields as soon as the nozzle cools, for when the print ends with an error: where it was last hot, and how
        long ago that is."""
        if self._first_cold is None or not (self._anchor and self._anchor["tail"]) or self._clock() - self._last_hot < COLD:
            return {}
        return {
            "reason": "supply", "cold_seconds": round(self._clock() - self._last_hot, 1), "cold_anchor": self._anchor,
            "cold_report": round(self._first_cold - self._last_hot, 1),
        }  # fmt: skip
