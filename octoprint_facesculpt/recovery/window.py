"""The stretch of a print around an outage: every piece of path with its length, its time and its place in the planner.

Coordinates along it are seconds of undisturbed printing from the window's start, because what is known of an outage is
mostly times. They are turned into places at the end.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from math import dist
from pathlib import Path
from typing import TYPE_CHECKING

from .machine import Machine
from .state import MachineState, Move, Point
from .timing import PRINTING, TRAVEL, Motion, durations

if TYPE_CHECKING:
    from .replay import GcodeIndex

#: Bytes of G-code read around the place: many times what a planner holds, and some seconds of short moves.
BEFORE, AFTER = 12_000, 24_000
#: Lines that are acknowledged only when all moves before them are made (Marlin's ``planner.synchronize``).
WAITING = re.compile(rb"\s*(?:G0*(?:4|28|29|30)|M0*(?:0|1|18|25|84|109|190|226|400|600|125|701|702))(?!\d)", re.IGNORECASE)
#: The same of Klipper, which puts a pause into its queue, too, and heats while it moves.
WAITING_KLIPPER = re.compile(rb"\s*(?:G0*28|M0*400)(?!\d)", re.IGNORECASE)
#: Those during which the firmware itself lifts the nozzle off the print and parks it.
PARKING = re.compile(rb"\s*M0*(?:600|125|701|702)(?!\d)", re.IGNORECASE)
#: Marlin's MIN_STEPS_PER_SEGMENT: a shorter move joins the next. Steps per mm of the Ender 3.
MIN_STEPS = 6
STEPS_PER_MM = (80.0, 80.0, 400.0, 93.0)


#: Target below which a nozzle does not print, degrees Celsius.
OFF = 100.0


@dataclass(frozen=True, slots=True)
class Piece:
    """A straight piece of a move: the ``number``-th move of the window, of whose filament ``filament`` falls on it. It
    begins ``at`` seconds, after ``blocks`` planner blocks, and ``printed`` mm of path with plastic."""

    move: Move
    number: int
    start: Point
    end: Point
    filament: float
    prints: bool
    seconds: float
    at: float
    blocks: int
    is_block: bool
    printed: float
    #: Seconds that it takes at its full feed, which no machine can do in less.
    quickest: float
    #: How much higher than the G-code means the firmware's retraction holds the nozzle at its end, mm.
    hop: float = 0.0
    #: Whether it may be higher than that, because the file does not say by how much the firmware lifts (M207 Z).
    unstated: bool = False

    @property
    def length(self) -> float:
        return dist(self.start, self.end)

    @property
    def until(self) -> float:
        return self.at + self.seconds


@dataclass
class Window:
    """Pieces in their order, and the ends of lines that go to the planner without a motion (G92 E: ``syncs``), of lines that
    wait for the moves before them (``waits``), of those among them that park the nozzle (``parks``), and of those that switch
    the nozzle's heater off (``colds``)."""

    pieces: list[Piece] = field(default_factory=list)
    syncs: list[int] = field(default_factory=list)
    waits: set[int] = field(default_factory=set)
    parks: set[int] = field(default_factory=set)
    colds: list[int] = field(default_factory=list)
    start: MachineState = field(default_factory=MachineState)
    #: Klipper: its queue is measured in seconds, not in blocks, and its accelerations are not known.
    by_time: bool = False

    @property
    def seconds(self) -> float:
        return self.pieces[-1].until if self.pieces else 0.0

    @property
    def retracts(self) -> bool:
        """Whether the firmware itself pulls filament back (G10) anywhere in it."""
        return any(piece.move.by_itself for piece in self.pieces)

    @cached_property
    def _ends(self) -> list[int]:
        return [piece.move.end_offset for piece in self.pieces]

    def piece_at(self, at: float) -> Piece:
        """The piece under way after ``at`` seconds; the first or last beyond the ends."""
        place = bisect_right(self.pieces, at, key=lambda piece: piece.at) - 1
        return self.pieces[min(max(place, 0), len(self.pieces) - 1)]

    def point_at(self, at: float) -> Point:
        piece = self.piece_at(at)
        share = share_of(piece, at)
        x, y, z = (a + (b - a) * share for a, b in zip(piece.start, piece.end, strict=True))
        return x, y, z

    def printed_at(self, at: float) -> float:
        piece = self.piece_at(at)
        return piece.printed + (piece.length * share_of(piece, at) if piece.prints else 0.0)

    def cruised(self, at: float, seconds: float) -> float:
        """Where a machine that makes every move at its full feed comes to in so many seconds from ``at``, or, below 0, where it
        came from: no machine does more."""
        left, back = abs(seconds), seconds < 0
        number = max(bisect_right(self.pieces, at, key=lambda piece: piece.at) - 1, 0)
        for piece in reversed(self.pieces[: number + 1]) if back else self.pieces[number:]:
            share = share_of(piece, at)
            ahead = piece.quickest * (share if back else 1.0 - share)
            if ahead > left:
                part = left / piece.quickest * piece.seconds
                return max(at, piece.at) + part if not back else min(at, piece.until) - part
            left -= ahead
        return 0.0 if back else self.seconds

    def after_line(self, offset: int) -> float:
        """When all moves of the lines up to byte ``offset`` are made."""
        place = bisect_right(self._ends, offset)
        return self.pieces[place - 1].until if place else 0.0

    def blocks_before(self, offset: int) -> int:
        """Planner blocks that the lines up to byte ``offset`` make."""
        place = bisect_right(self._ends, offset)
        last = self.pieces[place - 1] if place else None
        blocks = last.blocks + last.is_block if last else 0
        # The pieces' numbers count only the syncs before them.
        return blocks + bisect_right(self.syncs, offset) - bisect_right(self.syncs, last.move.end_offset if last else 0)

    def block_start(self, number: int) -> float:
        """When block ``number``, counted from 0, begins to run."""
        place = bisect_left(self.pieces, number, key=lambda piece: piece.blocks)
        return self.pieces[place].at if place < len(self.pieces) else self.seconds

    def moment_of(self, offset: int, share: float) -> float:
        """When the move that begins at byte ``offset`` is made to a ``share`` of its time; the window's start if it is not in
        the window."""
        same = [piece for piece in self.pieces if piece.move.offset == offset]
        return same[0].at + (same[-1].until - same[0].at) * share if same else 0.0

    def share_at(self, at: float) -> tuple[int, float]:
        """The inverse of :meth:`moment_of`: the move under way and how much of its time has passed."""
        piece = self.piece_at(at)
        same = [p for p in self.pieces if p.move.offset == piece.move.offset]
        whole = same[-1].until - same[0].at
        return piece.move.offset, min(max((at - same[0].at) / whole, 0.0), 1.0) if whole > 0 else 1.0


def share_of(piece: Piece, at: float) -> float:
    """How much of a piece is made after ``at`` seconds of the window, 0..1."""
    if piece.seconds <= 0:
        return 1.0 if at >= piece.at else 0.0
    return min(max((at - piece.at) / piece.seconds, 0.0), 1.0)


def read_window(
    gcode: Path,
    offset: int,
    index: GcodeIndex | None = None,
    firmware: str = "marlin2",
    feed_percent: float | None = None,
    steps_per_mm: tuple[float, ...] = STEPS_PER_MM,
    before: int = BEFORE,
) -> Window:
    """The window around byte ``offset``, from ``before`` bytes before it on."""
    # Reads with numpy, which OctoPrint's process, where estimates are looked at, does without.
    from .replay import state_at

    state = state_at(gcode, max(offset - before, 0), index, firmware)
    waiting = WAITING_KLIPPER if firmware == "klipper" else WAITING
    window = Window(start=state.copy(), by_time=firmware == "klipper")
    machine = Machine(firmware, state)
    drafts: list[tuple[Move, int, Point, Point, float, int, bool, float, bool]] = []
    motions: list[Motion] = []
    number, blocks, carried = 0, 0, [0.0, 0.0, 0.0, 0.0]
    with gcode.open("rb") as file:
        file.seek(state.offset)
        while state.offset < offset + AFTER:
            line = file.readline(1 << 18)
            if not line:
                break
            e_before = state.e
            move = machine.execute(line)
            if move is None:
                if line.startswith(b"G92") and state.e != e_before:
                    blocks += 1
                    window.syncs.append(state.offset)
                elif line.startswith((b"M104", b"M109")):
                    if state.nozzle.get(str(state.tool), 0.0) < OFF:
                        window.colds.append(state.offset)
                    if line.startswith(b"M109") and waiting.match(line):
                        window.waits.add(state.offset)
                elif waiting.match(line):
                    window.waits.add(state.offset)
                    if PARKING.match(line):
                        window.parks.add(state.offset)
                continue
            number += 1
            here = move.start
            unstated = (state.firmware_retracted or move.by_itself) and firmware != "klipper"
            unstated = unstated and "Z" not in state.limits.get("M207", {})
            filament = move.filament / len(move.points)
            for point in move.points:
                x, y, z = (b - a for a, b in zip(here, point, strict=True))
                if move.by_itself and len(move.points) > 1:
                    # First the pull and then the lift, or the other way round.
                    filament = 0.0 if z else move.filament
                hop = point[2] - state.position[2] if move.by_itself else state.hop
                delta = (x, y, z, filament)
                carried = [c + d for c, d in zip(carried, delta, strict=True)]
                is_block = max(abs(c) * s for c, s in zip(carried, steps_per_mm, strict=True)) >= MIN_STEPS
                drafts.append((move, number, here, point, filament, blocks, is_block, hop, unstated))
                percent = feed_percent if feed_percent is not None else state.feed_percent
                motions.append(Motion(delta, move.feed / 60 * percent / 100, _acceleration(state, filament)))
                if is_block:
                    carried = [0.0, 0.0, 0.0, 0.0]
                blocks, here = blocks + is_block, point
    at = printed = 0.0
    rows = zip(drafts, motions, durations(motions), strict=True)
    for (move, number, start, end, filament, blocks, is_block, hop, unstated), motion, seconds in rows:
        quickest = min(seconds, motion.length / motion.feed if motion.feed > 0 else seconds)
        piece = Piece(
            move, number, start, end, filament, move.prints, seconds, at, blocks, is_block, printed, quickest, hop, unstated
        )
        window.pieces.append(piece)
        at += seconds
        printed += piece.length if piece.prints else 0.0
    return window


def _acceleration(state: MachineState, filament: float) -> float:
    limits = state.limits.get("M204", {})
    if filament > 0:
        return limits.get("P", limits.get("S", PRINTING))
    return limits.get("T", limits.get("S", TRAVEL))
