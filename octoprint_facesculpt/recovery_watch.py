"""Watches a print for the journal: OctoPrint's hooks and events become records.

Everything called from OctoPrint's comm threads only remembers; the journal's thread writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .recovery.journal import Journal
from .recovery.printer import COOLED

#: The board's first words after a reset.
BANNER = "start"
#: Seconds a heater must have been at its target before its cooling means something, and that it must cool.
SETTLED, COLD = 20.0, 5.0


class PrintWatch:
    """Feeds a journal. ``job(path)`` describes the file of the uploads that is printed, ``None`` for one on the SD card."""

    def __init__(self, journal: Journal, job: Callable[[str, str], dict[str, Any] | None]) -> None:
        self._journal, self._job = journal, job
        self._active = self._reset = False
        self._hot_since: float | None = None
        self._last_hot = 0.0
        self._target = self._top = 0.0

    @property
    def active(self) -> bool:
        """Whether a print is under way that the journal knows."""
        return self._active

    @property
    def interrupted(self) -> bool:
        """Whether the printer was reset during the last print, of which OctoPrint makes a cancelled one."""
        return self._reset

    def settled(self) -> None:
        """The interruption has been seen to."""
        self._reset = False

    def go_on(self) -> None:
        """The job of an earlier session is being resumed."""
        self._active, self._reset = True, False

    # -- comm threads

    def on_sending(self, cmd: str, gcode: str | None, tags: set[str] | None) -> None:
        """A line leaves for the printer, which has acknowledged the one before."""
        if not self._active or not tags:
            return
        if "source:file" in tags:
            for tag in tags:
                if tag.startswith("filepos:"):
                    self._journal.note(int(tag[8:]))
            if gcode in ("G0", "G1") and "Z" in cmd and _word(cmd, "Z", 0.0) > self._top:
                # A new height is a new layer, or its first hop: once a layer, this goes to disk at once.
                self._top = _word(cmd, "Z", 0.0)
                self._journal.event()
        elif gcode in ("M106", "M107"):
            self._journal.event(fan=_word(cmd, "S", 255.0) if gcode == "M106" else 0.0)
        elif gcode == "M220":
            self._journal.event(feed_percent=_word(cmd, "S", 100.0))
        elif gcode == "M221":
            self._journal.event(flow_percent=_word(cmd, "S", 100.0))

    def on_received(self, line: str) -> None:
        """A line from the printer."""
        if self._active and line.strip() == BANNER:
            self._reset = True
            self._interrupted("printer_reset")

    def on_temperatures(self, parsed: dict[str, Any]) -> None:
        """Temperatures as OctoPrint read them: ``{"T0": (actual, target), "B": ...}``."""
        if not self._active or self._reset:
            return
        fields: dict[str, float] = {}
        for name, (actual_key, target_key) in {"T0": ("nozzle", "nozzle_target"), "B": ("bed", "bed_target")}.items():
            actual, target = parsed.get(name) or parsed.get(name[:1]) or (None, None)
            if actual is not None:
                fields[actual_key] = actual
            if target:
                fields[target_key] = target
        changed = fields.get("nozzle_target", self._target) != self._target
        self._target = fields.get("nozzle_target", self._target)
        self._journal.set(**fields)
        if changed:
            self._hot_since = None
            self._journal.event()
        elif "nozzle" in fields and self._target:
            self._look_for_dead_supply(fields["nozzle"])

    def _look_for_dead_supply(self, nozzle: float) -> None:
        now = time.monotonic()
        if nozzle >= self._target - COOLED / 2:
            self._hot_since, self._last_hot = self._hot_since or now, now
            return
        settled = self._hot_since is not None and self._last_hot - self._hot_since >= SETTLED
        if settled and nozzle < self._target - COOLED and now - self._last_hot >= COLD:
            # A powered board would heat; USB keeps its processor alive without.
            self._journal.event(reason="supply", cold_seconds=round(now - self._last_hot, 1))

    # -- event thread

    def on_event(self, event: str, payload: dict[str, Any]) -> None:
        if event == "PrintStarted":
            self._begin(payload)
        elif not self._active:
            return
        elif event == "PrintPaused":
            self._journal.event(phase="paused", pause_position=payload.get("position"))
        elif event == "PrintResumed":
            self._journal.event(phase="printing")
        elif event == "PrintDone":
            self._end("done")
        elif event == "PrintCancelled" and not self._reset:
            self._end("cancelled")
        elif event in ("Error", "Disconnected") or (event == "PrintFailed" and payload.get("reason") != "cancelled"):
            self._interrupted(str(payload.get("reason") or payload.get("error") or event.lower()))

    def shutdown(self) -> None:
        """The server ends in good order."""
        if self._active:
            self._active = False
            self._journal.flush(phase="interrupted", reason="shutdown")

    def _begin(self, payload: dict[str, Any]) -> None:
        if self._active:  # resumed; known already
            return
        job = self._job(str(payload.get("origin")), str(payload.get("path")))
        if job is None:
            return
        self._reset, self._hot_since, self._target, self._top = False, None, 0.0, 0.0
        self._journal.begin(job, phase="printing")
        self._active = True

    def _interrupted(self, reason: str) -> None:
        if self._active:
            self._active = False
            self._journal.event(phase="interrupted", reason=reason)

    def _end(self, phase: str) -> None:
        self._active = False
        self._journal.event(phase=phase)


def _word(line: str, letter: str, otherwise: float) -> float:
    for word in line.upper().split():
        if word.startswith(letter):
            try:
                return float(word[1:])
            except ValueError:
                return otherwise
    return otherwise
