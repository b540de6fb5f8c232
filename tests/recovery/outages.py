"""Power cuts on the simulated Ender 3 without a server: what was printed, what the journal held, what the plan then does."""

from __future__ import annotations

import random
from bisect import bisect_right
from copy import deepcopy
from dataclasses import dataclass
from math import dist
from pathlib import Path
from typing import Any

from octoprint_facesculpt.recovery.identity import identity_of
from octoprint_facesculpt.recovery.journal import TAIL, Reading
from octoprint_facesculpt.recovery.outage import Seen
from octoprint_facesculpt.recovery.plan import Step
from octoprint_facesculpt.recovery.printer import PrinterFacts
from octoprint_facesculpt.recovery.recover import Recovery, recover
from octoprint_facesculpt.recovery.window import Window, read_window

from ..printer.bench import Bench
from ..printer.machine import Machine

#: What the drivers jump by when they wake up, at most, mm (measured on real drivers' model).
WAKE = (0.4, 0.4, 0.08)
FACTS = PrinterFacts()


@dataclass
class Cut:
    """The print at one moment. ``offset`` and ``place`` are of the line under way (None: none) and of the nozzle."""

    seconds: float
    machine: Machine
    offset: int | None
    place: tuple[float, float, float]
    blocks: int


class Print(Bench):
    """Prints a file as OctoPrint would; ``notes`` are the ends of lines sent, with their moments; ``cuts`` what it was like at
    the moments asked for."""

    def __init__(self, gcode: bytes, at: list[float] | None = None, host_pause: float = 0.0) -> None:
        super().__init__()
        self.notes: list[tuple[int, float]] = []
        self.cuts: list[Cut] = []
        self._at, self._gcode, self._pause = sorted(at or []), gcode, host_pause

    def run(self) -> Print:
        offset = 0
        for line in self._gcode.splitlines(keepends=True):
            start, offset = offset, offset + len(line)
            code = line.partition(b";")[0].strip().decode()
            if code:
                self.notes.append((offset, self.seconds))
                # The simulated firmware keeps the line with its moves; the comment tells which it was.
                self.send(f"{code} ;@{start}")
                if self._pause:
                    self._pass(self._pause)
        self.finish()
        return self

    def _pass(self, seconds: float) -> None:
        while self._at and self._at[0] <= self.seconds + seconds:
            first = max(self._at.pop(0) - self.seconds, 0.0)
            super()._pass(first)
            seconds -= first
            self._look()
        super()._pass(seconds)

    def _look(self) -> None:
        running = next((b for b in self.firmware.planner.blocks if b.length), None)
        offset = int(running.source.rpartition("@")[2]) if running else None
        place = tuple(self.firmware.counted[a] + self.firmware.shift[a] for a in range(3))
        blocks = len(self.firmware.planner.blocks)
        self.cuts.append(Cut(self.seconds, deepcopy(self.machine), offset, place, blocks))  # type: ignore[arg-type]

    def sent_at(self, seconds: float) -> int:
        """End of the last line that was sent by then."""
        return self.notes[max(bisect_right(self.notes, seconds, key=lambda note: note[1]) - 1, 0)][0]

    def record_at(self, seconds: float, **more: Any) -> dict[str, Any]:
        """The journal's record of that moment."""
        known = self.notes[: bisect_right(self.notes, seconds, key=lambda note: note[1])][-TAIL:]
        return {
            "phase": "printing", "sent": known[-1][0], "mono": seconds, "boot": "before", "session": "before",
            "nozzle_target": 205.0, "bed_target": 60.0, "tail": [[o, seconds - t] for o, t in known], **more,
        }  # fmt: skip


#: What can be seen after each kind of outage.
AFTERWARDS = {
    "both": Seen("after", "after", nozzle=40.0),
    "printer": Seen("before", "before"),
    "server": Seen("before", "after", nozzle=204.0),
    "host": Seen("after", "after", nozzle=205.0),
    "restart": Seen("before", "after", nozzle=205.0),
}


@dataclass
class Outcome:
    """One outage and our answer. ``error`` is the path from where the nozzle stopped to where printing went on: above 0 is left
    out, below 0 is printed twice; ``true_layer``, ``collisions`` and the simulated printer after the plan."""

    kind: str
    recovery: Recovery
    error: float
    layer_start_error: float
    true_layer: int
    true_point: tuple[float, float, float]
    collisions: list[str]
    bench: Bench


def interrupt(
    printed: Print, cut: Cut, kind: str, gcode: Path, rng: random.Random, measure: bool = False, index: Path | None = None
) -> Outcome:
    """Take the power away at ``cut`` and resume; ``measure`` finds X and Y at the endstops first."""
    late = {"both": 1.0, "host": 1.0, "server": 0.1}.get(kind, 0.0)
    more: dict[str, Any] = {"phase": "interrupted", "reason": "shutdown"} if kind == "restart" else {}
    record = printed.record_at(max(cut.seconds - rng.uniform(0, late), 0.0), **more)
    place, machine = cut.place, deepcopy(cut.machine)
    sent = printed.sent_at(cut.seconds)
    window = read_window(gcode, sent)
    if kind in ("host", "server", "restart"):
        # The board makes all it was given.
        true = window.after_line(sent)
        place = window.point_at(true)
        machine.position = list(place)
    else:
        true = _true_moment(window, cut)
    seen = AFTERWARDS[kind]
    if measure:
        off = tuple(rng.uniform(-WAKE[axis], WAKE[axis]) for axis in range(2))
        seen = Seen(**{**vars(seen), "measured": (place[0] + off[0], place[1] + off[1])})
    reading = Reading({"job": "1", "identity": identity_of(gcode)}, record, 1)
    recovery = recover(reading, seen, gcode, FACTS, index)
    own = read_window(gcode, recovery.window_offset)
    resumed = own.printed_at(recovery.stop.at) + _printed_before(own, window)
    layer_start = _layer_start(window, true)
    bench, collisions = carry_out(recovery.plan.steps, machine, rng, top=place[2])
    return Outcome(
        kind, recovery, resumed - window.printed_at(true), layer_start - window.printed_at(true),
        window.piece_at(true).move.layer, place, collisions, bench,
    )  # fmt: skip


def _printed_before(own: Window, other: Window) -> float:
    """Printed path between the starts of two windows."""
    return own.start.printed - other.start.printed


def _true_moment(window: Window, cut: Cut) -> float:
    if cut.offset is None:
        return window.after_line(10**12)
    pieces = [p for p in window.pieces if p.move.offset == cut.offset]
    best, off = 0.0, 1e9
    for piece in pieces:
        for step in range(101):
            point = [a + (b - a) * step / 100 for a, b in zip(piece.start, piece.end, strict=True)]
            if dist(point, cut.place) < off - 1e-9:
                best, off = piece.at + piece.seconds * step / 100, dist(point, cut.place)
    return best


def _layer_start(window: Window, true: float) -> float:
    """Printed path at which the layer began: where a printer's own power-loss recovery goes on."""
    layer = window.piece_at(true).move.layer
    same = [p.printed for p in window.pieces if p.move.layer == layer]
    return same[0] if window.pieces[0].move.layer != layer else -1.0


def carry_out(
    steps: list[Step], machine: Machine, rng: random.Random, top: float, until: int | None = None
) -> tuple[Bench, list[str]]:
    """Send a plan to a printer that woke up with ``machine`` as it was left; what touched the print, which reaches ``top``."""
    bench = Bench()
    bench.machine = bench.firmware.machine = machine
    machine.nozzle.target = machine.bed.target = 0.0
    machine.fan = 0
    for axis in range(3):
        machine.position[axis] += rng.uniform(-WAKE[axis], WAKE[axis])
    collisions: list[str] = []
    move = machine.move

    def watched(delta: tuple[float, float, float], filament: float) -> None:
        before = list(machine.position)
        move(delta, filament)
        if machine.nozzle.actual < 150 and any(delta):
            collisions.append("moved with a nozzle stuck to the print")
        over = all(80 < before[axis] < 150 for axis in range(2))
        sideways = abs(delta[0]) + abs(delta[1]) > 1e-9
        if over and step.phase != "go" and sideways and machine.position[2] < top + 1.0:
            collisions.append(f"sideways at {machine.position[2]:.2f} over a print of {top:.2f}: {step.line}")
        if over and machine.position[2] < top - WAKE[2] - 0.26:
            collisions.append(f"down to {machine.position[2]:.2f} in a print of {top:.2f}: {step.line}")

    machine.move = watched  # type: ignore[method-assign]
    for step in steps[:until]:
        bench.send(step.line)
    bench.finish()
    machine.move = move  # type: ignore[method-assign]
    return bench, collisions
