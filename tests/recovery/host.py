"""A host that prints a file on the simulated printer without a server, on virtual time, with the plugin's own journal."""

from __future__ import annotations

import random
from collections.abc import Callable
from copy import copy, deepcopy
from pathlib import Path
from typing import Any

from octoprint_facesculpt.desk.hooks import LineHooks
from octoprint_facesculpt.desk.watch import OWN_TAG, PrintWatch
from octoprint_facesculpt.recovery.journal import Journal

from ..printer.bench import Bench
from ..printer.firmware import Firmware
from ..printer.machine import Machine
from ..printer.planner import Planner

#: Seconds that a line takes on the wire, and an ``ok`` back through the host.
LINE, OK = 0.004, 0.001
#: Seconds between reports of temperatures, and between looks at the journal.
REPORT, LOOK = 2.0, 0.1
#: What a user's pause script does, and what brings the nozzle back; none of it is in the file.
PAUSE = ["G91", "G1 E-2 F1800", "G1 Z10 F600", "G90", "G1 X5 Y5 F6000"]
PAUSE_SECONDS = 40.0


class PowerCut(Exception):
    """The printer has no power any more."""


class VirtualJournal(Journal):
    """The journal on virtual time: ``synced`` are the records that survive an outage of the computer, with the moment from
    which they do, ``written`` the newest that survives the server's end."""

    def __init__(self, clock: Callable[[], float], chance: random.Random) -> None:
        super().__init__(Path("nowhere"), boot_id="before", clock=clock)
        self._chance = chance
        self.synced: list[tuple[float, dict[str, Any]]] = []
        self.written: dict[str, Any] | None = None

    def begin(self, job: dict[str, Any], **fields: Any) -> str:
        self._job, self._fields = "1", {"phase": "starting", **fields}
        self.flush()
        return self._job

    def event(self, **fields: Any) -> None:
        super().event(**fields)
        self.look()

    def flush(self, timeout: float = 5.0, **fields: Any) -> bool:
        self.event(**fields)
        self.synced[-1] = (self._clock(), self.synced[-1][1])
        return True

    def look(self) -> None:
        """What the journal's own thread does ten times a second."""
        sync = self.due(self._asked != self._answered)
        self._answered = self._asked
        if sync is None or self._job is None:
            return
        self.written = self.record()
        if sync:
            # Cards are quick as a rule, and slow at times.
            slow = self._chance.random() < 0.02
            self.synced = [
                *self.synced[-20:],
                (self._clock() + self._chance.uniform(0.002, 0.28 if slow else 0.05), self.written),
            ]

    def after(self, kind: str) -> dict[str, Any]:
        """The record that is found after an outage of that kind."""
        if kind in ("host", "both"):
            return next(record for moment, record in reversed(self.synced) if moment <= self._clock())
        assert self.written is not None
        return self.written


class Host(Bench):
    """OctoPrint and its printer. ``at`` seconds ``on_cut`` is called, wherever things stand then."""

    def __init__(
        self, machine: Machine, chance: random.Random, raise_mm: float = 5.0, version: str = "2.1", seconds: float = 0.0
    ) -> None:
        super().__init__(raise_mm, version, machine)
        self.seconds, self.version = seconds, version
        self.journal = VirtualJournal(lambda: self.seconds, chance)
        self.watch = PrintWatch(self.journal, lambda _origin, path: {"path": path}, lambda: self.seconds)
        self.hooks = LineHooks()
        self.hooks.connect(self)
        self.cuts: list[float] = []
        self.on_cut: Callable[[], None] = lambda: None
        #: Whether the host sends nothing any more, and whether a line was torn on its way.
        self.dead = self.torn = False
        #: Whether the board outlived an outage, and was not started anew.
        self.kept = False
        #: Path with plastic since the file's beginning, mm, as the machine has truly made it; what is being sent now.
        self.printed = 0.0
        self.sending = ""
        self.on_wire = False
        self._looked = self._reported = seconds
        move = machine.move

        def counted(delta: tuple[float, float, float], filament: float) -> None:
            if filament > 0 and (delta[0] or delta[1]) and machine.supply:
                self.printed += sum(d * d for d in delta) ** 0.5
            move(delta, filament)

        machine.move = counted  # type: ignore[method-assign]

    def take_over(self, firmware: Firmware) -> None:
        """The board is one that has been running all along, and has made all its moves."""
        fresh, self.firmware = self.firmware, copy(firmware)
        for name, value in vars(self.firmware).items():
            if isinstance(value, (list, dict)):
                setattr(self.firmware, name, copy(value))
        self.firmware.machine, self.firmware.say = self.machine, fresh.say
        planner = Planner(deepcopy(firmware.planner.limits), self.firmware._moved, self._executed)
        planner.ahead = firmware.planner.ahead
        self.firmware.planner = planner

    def begin(self, path: str) -> None:
        self.watch.on_event("PrintStarted", {"origin": "local", "path": path})

    def send_file(self, gcode: bytes, offset: int = 0, lines: int = 10**9) -> None:
        """Send the file's lines from a byte on, as OctoPrint does: one, and its ``ok``, and the next."""
        for raw in gcode[offset:].splitlines(keepends=True):
            offset += len(raw)
            code = raw.partition(b";")[0].strip().decode()
            if raw.startswith(b";PAUSE"):
                self.pause()
            if self.dead or lines <= 0:
                return
            if code:
                lines -= 1
                for first in self.watch.before(code, code.split()[0]):
                    self._exchange(first, {OWN_TAG})
                # The simulated firmware keeps the line with its moves; the comment tells which it was.
                self._exchange(f"{code} ;@{offset - len(raw)}", {"source:file", f"filepos:{offset}"})

    def send_script(self, lines: list[str], *tags: str) -> None:
        for line in lines:
            if self.dead:
                return
            self._exchange(line, {"source:script", *tags})

    def send_plan(self, recovery: dict[str, Any], gcode: bytes, lines: int = 10**9) -> None:
        """Carry out a recovery's plan and print on."""
        self.watch.go_on(recovery)
        for step in recovery["plan"]["steps"]:
            if self.dead:
                return
            self.sending = step["phase"]
            self._exchange(step["line"], {OWN_TAG, "source:script", "script:beforePrintStarted"})
        self.sending = "resumed"
        self.send_file(gcode, recovery["plan"]["offset"], lines)

    def pause(self) -> None:
        """The user pauses; a script parks the nozzle; after a while the print goes on."""
        self.sending = "pause"
        self.send("M400", "M114")
        if self.dead:
            return
        place = tuple(self.firmware.workspace(axis) for axis in range(3))
        self.watch.moves_away(place)  # type: ignore[arg-type]
        self.watch.on_event("PrintPaused", {"position": dict(zip("xyz", place, strict=True))})
        self.send_script(PAUSE, "script:afterPrintPaused")
        self._pass(PAUSE_SECONDS)
        if self.dead:
            return
        self.watch.moves_away(place)  # type: ignore[arg-type]
        x, y, z = place
        back = [f"G1 X{x:.3f} Y{y:.3f} F6000", f"G1 Z{z:.3f} F600", "M83", "G1 E2 F1800", "G1 F2400"]
        self.send_script(back, "script:beforePrintResumed")
        self.send("M400")
        self.watch.on_event("PrintResumed", {})
        self.sending = ""

    def on_sending(self, cmd: str, gcode: str | None, tags: set[str] | None) -> None:
        """What the hooks leave to the desk."""
        self.watch.on_sending(cmd, gcode, tags)

    def on_received(self, line: str) -> None:
        """The same for what the printer says."""
        self.watch.on_received(line)

    def _exchange(self, line: str, tags: set[str]) -> None:
        code = line.partition(";")[0].strip()
        self.hooks.sending(None, "sending", code, None, code.split()[0] if code else None, tags=tags)
        self.on_wire = True
        self._pass(LINE)
        self.on_wire = False
        if self.torn:
            return
        self.send(line)
        if self.firmware.halted and not self.dead:
            # A board that has halted answers no more.
            self.watch.on_event("Error", {"reason": "firmware"})
            self.dead = True
        if not self.dead:
            self._pass(OK)
            self.hooks.logged("Recv: ok")

    def _pass(self, seconds: float) -> None:
        until = self.seconds + seconds
        while self.seconds < until - 1e-12:
            moment = min(until, self.seconds + LOOK)
            if self.cuts and self.cuts[0] <= moment:
                super()._pass(max(self.cuts.pop(0) - self.seconds, 0.0))
                self.on_cut()
                continue
            super()._pass(moment - self.seconds)
            if not self.dead and self.seconds - self._looked >= LOOK:
                self._looked = self.seconds
                self._live()

    def _live(self) -> None:
        self.journal.look()
        if self.seconds - self._reported >= REPORT and not self.firmware.halted:
            self._reported = self.seconds
            nozzle, bed = self.machine.nozzle, self.machine.bed
            self.watch.on_temperatures({"T0": (nozzle.actual, nozzle.target), "B": (bed.actual, bed.target)})
