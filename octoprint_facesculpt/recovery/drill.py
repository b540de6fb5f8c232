"""A rehearsal of an outage: a journal as it would have been left, and what the plan would do to a printer.

Nothing here talks to a printer. The plan and the rest of the layer are carried out by the machine model, on a map of the
plastic that was printed before: wherever the nozzle would be lower than that, it would have met the print.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from math import ceil, dist
from pathlib import Path
from typing import Any

import numpy as np

from ..progress import Progress, silent
from .errors import RecoveryError
from .estimate import PLANNER_BLOCKS
from .identity import identity_of
from .journal import Journal
from .lines import TAIL
from .machine import Machine
from .printer import PrinterFacts
from .replay import GcodeIndex, build_index, moves_from, state_at
from .state import MachineState, Move, Point
from .window import read_window

#: Side of a cell of the map, reach of the nozzle's tip, and how much lower than plastic counts as touching it, mm.
CELL, TIP, TOUCH = 0.5, 0.5, 0.06
#: Lines of the file that are carried out after the plan, and those of them that are told.
LINES, TOLD = 4000, 12
#: Seconds by which the journal may be older than the outage.
OLD = 1.0
TRUTH = "truth.json"


def stage(gcode: Path, folder: Path, facts: PrinterFacts, seed: int | None = None) -> dict[str, Any]:
    """Leave the journal of a print of ``gcode`` that lost its power at a random moment; the truth about that moment.

    :class:`RecoveryError` ``not_recoverable`` for a file without layers.
    """
    rng = random.Random(seed)
    index = build_index(gcode, facts.firmware)
    folder.mkdir(parents=True, exist_ok=True)
    index.save(folder / "index.json")
    if len(index.layers) < 3:
        raise RecoveryError("not_recoverable", "This file has no layers to rehearse with.", "Choose another file.")
    layer = rng.randrange(len(index.layers) // 4, max(len(index.layers) * 4 // 5, 2))
    ends = [one.offset for one in index.layers] + [index.end.offset]
    window = read_window(gcode, rng.randrange(ends[layer], ends[layer + 1]), index, facts.firmware)
    if not window.pieces:
        raise RecoveryError("not_recoverable", "This file makes no moves there.", "Choose another file.")
    middle = window.pieces[len(window.pieces) // 3]
    acknowledged = middle.move.end_offset
    at = window.block_start(window.blocks_before(acknowledged) - PLANNER_BLOCKS) + rng.uniform(0, OLD)
    piece, point = window.piece_at(at), window.point_at(at)
    truth = {
        "point": point, "offset": piece.move.offset, "layer": piece.move.layer,
        "printed": window.start.printed + window.printed_at(at),
    }  # fmt: skip
    state = state_at(gcode, acknowledged, index, facts.firmware)
    kept = Journal(folder, boot_id="rehearsal").open()
    kept.begin(
        {"path": gcode.name, "file": str(gcode), "identity": identity_of(gcode), "printer": asdict(facts)},
        phase="printing", nozzle_target=state.nozzle.get(str(state.tool), 0.0), bed_target=state.bed,
    )  # fmt: skip
    for end in [p.move.end_offset for p in window.pieces if p.move.end_offset <= acknowledged][-TAIL:]:
        kept.note(end)
    kept.close()
    (folder / TRUTH).write_text(json.dumps(truth))
    return truth


def rehearse(
    gcode: Path, folder: Path, plan: dict[str, Any], firmware: str = "marlin2", progress: Progress = silent
) -> dict[str, Any]:
    """Carry a recovery's ``plan`` (its JSON) out on the machine model: ``log`` of what was done, ``collisions``, ``layer``
    and ``height`` at which printing goes on, ``layer_right``, and ``gap_mm`` and ``overlap_mm`` of path by the truth."""
    truth = json.loads((folder / TRUTH).read_text())
    index = GcodeIndex.load(folder / "index.json", gcode, firmware) or build_index(gcode, firmware)
    progress(0.1, "Looking at what had been printed")
    plastic = Plastic()
    plastic.add(moves_from(gcode, MachineState(), truth["offset"], firmware))
    progress(0.8, "Carrying out the plan")
    printer = _Printer(firmware, truth["point"], plastic)
    steps = plan["plan"]["steps"]
    for step in steps:
        printer.send(step["line"])
    with gcode.open("rb") as file:
        file.seek(plan["plan"]["offset"])
        for number in range(LINES):
            line = file.readline(1 << 16)
            if not line or (number > TOLD and line.startswith((b";LAYER_CHANGE", b";LAYER:"))):
                break
            printer.send(line.decode("ascii", "replace").rstrip(), told=number < TOLD)
    window = read_window(gcode, int(plan["window_offset"]), index, firmware)
    off = window.start.printed + window.printed_at(float(plan["stop"]["at"])) - truth["printed"]
    begins = printer.first_printed or truth["point"]
    return {
        "log": printer.log, "collisions": printer.collisions, "clearance": round(printer.clearance, 2), "layer": plan["layer"],
        "height": round(begins[2], 3), "layer_right": abs(begins[2] - truth["point"][2]) < CELL / 5,
        "gap_mm": round(max(off, 0.0), 2), "overlap_mm": round(max(-off, 0.0), 2), "true_layer": truth["layer"],
    }  # fmt: skip


class Plastic:
    """How high plastic stands in each cell of the bed, mm."""

    SIDE = 1200

    def __init__(self) -> None:
        self.tops = np.zeros((self.SIDE, self.SIDE), np.float32)

    def add(self, moves: Any) -> None:
        """Put down what moves print."""
        rows: list[tuple[float, ...]] = []
        for move in moves:
            if move.prints:
                for a, b in zip((move.start, *move.points), move.points, strict=False):
                    rows.append((*a[:2], *b[:2], max(a[2], b[2])))
            if len(rows) >= 50_000:
                self._draw(np.array(rows))
                rows.clear()
        if rows:
            self._draw(np.array(rows))

    def under(self, path: np.ndarray) -> np.ndarray:
        """The highest plastic under the nozzle's tip at each place (N, 2)."""
        reach = ceil(TIP / CELL)
        around = [(x, y) for x in range(-reach, reach + 1) for y in range(-reach, reach + 1)]
        cells = self._cells(path)
        found = [self.tops[tuple(np.clip(cells + step, 0, self.SIDE - 1).T)] for step in around]
        return np.max(found, axis=0)

    def _cells(self, path: np.ndarray) -> np.ndarray:
        # The bed's corner may be its middle: half of the map is for negative coordinates.
        return np.clip((path / CELL).astype(np.int64) + self.SIDE // 4, 0, self.SIDE - 1)

    def _draw(self, rows: np.ndarray) -> None:
        start, end, z = rows[:, :2], rows[:, 2:4], rows[:, 4]
        count = np.ceil(np.linalg.norm(end - start, axis=1) / CELL).astype(np.int64).clip(1, 5000)
        owner = np.repeat(np.arange(len(rows)), count)
        step = np.arange(len(owner)) - np.repeat(count.cumsum() - count, count)
        share = ((step + 0.5) / count[owner])[:, None]
        cells = self._cells(start[owner] + (end - start)[owner] * share)
        np.maximum.at(self.tops, tuple(cells.T), z[owner].astype(np.float32))


class _Printer:
    """The machine model with the truth about where its nozzle is."""

    def __init__(self, firmware: str, point: Point, plastic: Plastic) -> None:
        self.machine = Machine(firmware)
        self.plastic = plastic
        #: Where the nozzle really is when the firmware counts from 0.
        self.offset = list(point)
        self.log: list[str] = []
        self.collisions = 0
        self.clearance = float("inf")
        self.first_printed: Point | None = None

    def send(self, line: str, told: bool = True) -> None:
        state = self.machine.state
        move = self.machine.execute(line.encode("ascii", "replace") + b"\n")
        name = line.partition(";")[0].split()
        if name and name[0] == "G28":
            for axis, letter in enumerate("XYZ"):
                if letter in line.upper():
                    self.offset[axis] = 0.0
        if name and name[0] == "SET_KINEMATIC_POSITION":
            values = {word[0]: float(word[2:]) for word in name[1:]}
            state.position = [values[letter] for letter in "XYZ"]
            self.offset = [real - told_ for real, told_ in zip(self.offset, state.position, strict=True)]
        touched = move is not None and self._move(move)
        if told or touched:
            x, y, z = self._real((state.position[0], state.position[1], state.position[2]))
            mark = "  TOUCHES THE PRINT" if touched else ""
            self.log.append(f"{line:<44.44} nozzle at X{x:.2f} Y{y:.2f} Z{z:.2f}{mark}" if move else line)

    def _real(self, place: Point) -> Point:
        shift = self.machine.state.shift
        x, y, z = (offset + value - by for offset, value, by in zip(self.offset, place, shift, strict=True))
        return x, y, z

    def _move(self, move: Move) -> bool:
        touched = False
        before = self._real(move.start)
        for target in move.points:
            after = self._real(target)
            count = max(ceil(dist(before, after) / (CELL / 2)), 1)
            path = np.linspace(before, after, count + 1)
            above = path[:, 2] - self.plastic.under(path[:, :2])
            if move.prints:
                self.first_printed = self.first_printed or before
            else:
                self.clearance = min(self.clearance, float(above.min()))
            # It stood on the plastic to begin with.
            touched = touched or bool((above[1:] < -TOUCH).any())
            before = after
        self.collisions += touched
        return touched
