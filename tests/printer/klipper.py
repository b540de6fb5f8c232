"""Klipper on an Ender 3, as its documentation and its host software describe it: a program on a computer that plans some
seconds ahead, moves nothing that it has not homed, and answers a fault with a shutdown.

What matters to a print that is taken up again: a line is acknowledged when it is queued, and as much as :data:`AHEAD` seconds
may be (``toolhead.py``: buffer_time_high, and what look-ahead keeps back), however many moves that is; G28 raises nothing; the
height is set by SET_KINEMATIC_POSITION (``force_move``); M84 lets go of the motors, whatever follows it; G92 and M114 tell no
counters; M201, M203, M205, M420, M600 and M900 are unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .firmware import HOMING_SPEED, RAISE_SPEED, RUNAWAY, Firmware, parse
from .machine import AXES, TRAVEL, Machine
from .planner import Block

VERSION = "v0.12.0"
#: Seconds of moves that are queued at most when a line is acknowledged.
AHEAD = 2.25
#: min_extrude_temp, degrees Celsius.
COLD = 170.0
#: Commands that mean what they mean to Marlin; G2 and G3 with ``gcode_arcs``.
AS_MARLIN = frozenset(
    ("G0", "G1", "G2", "G3", "G28", "G90", "G91", "G92", "M82", "M83", "M106", "M107", "M220", "M221", "M400")
)
#: Accepted without an effect that matters here.
SILENT = frozenset(("M73", "M110", "M117", "M118", "M204", "T0", "G21", "SET_VELOCITY_LIMIT"))
_PARAMETER = re.compile(r"([A-Z_]+)=(\S+)")


class Klipper(Firmware):
    """One start of Klipper. ``allow_set_position``: whether its configuration has ``force_move`` with ``enable_force_move``."""

    allow_set_position = True

    def __init__(
        self, machine: Machine, say: Callable[[str], None], executed: Callable[[Block], None], raise_mm: float, version: str
    ) -> None:
        super().__init__(machine, say, executed, raise_mm, version)
        self.planner.ahead = AHEAD
        self.reason = ""
        self._saved: dict[str, tuple[bool, bool, list[float], float, float, float]] = {}

    def boot(self) -> None:
        """Klipper greets nobody; its port opens and closes without it."""

    @property
    def e_is_relative(self) -> bool:
        return self.relative_e or self.relative

    def execute(self, line: str):
        command, words = parse(line)
        if self.halted:
            if command == "M105":
                self.say("ok T:0")
            elif command == "M115":
                self._tell()
            elif command:
                self.say(f"!! {self.reason}")
            return
        if command in AS_MARLIN:
            yield from super().execute(line)
        elif command == "G4":
            # It knows no S.
            yield "drained"
            yield words.get("P", 0.0) / 1000
        elif command in ("M104", "M109", "M140", "M190"):
            yield from self._settle(command, words)
        elif command == "M105":
            self.say("ok " + self.temperatures())
        elif command == "M112":
            self.kill("Shutdown due to M112 command")
        elif command == "M114":
            here = " ".join(f"{letter}:{self.workspace(axis):.3f}" for axis, letter in enumerate(AXES))
            self.say(f"{here} E:{self.extruder:.3f}")
        elif command == "M115":
            self._tell()
        elif command in ("M84", "M18"):
            yield "drained"
            self.machine.release()
            self.homed = [False, False, False]
        elif command == "G20":
            self.say("!! Machine does not support G20 (inches) command")
        elif line.upper().startswith("SET_KINEMATIC_POSITION") and self.allow_set_position:
            yield from self._believe(dict(_PARAMETER.findall(line.upper())))
        elif line.upper().startswith(("SAVE_GCODE_STATE", "RESTORE_GCODE_STATE")):
            yield from self._state(line.upper())
        elif command and command not in SILENT and line.split()[0].upper() not in SILENT:
            self.say(f'// Unknown command:"{line.split()[0].upper()}"')

    def kill(self, reason: str) -> None:
        """A shutdown, until FIRMWARE_RESTART."""
        self.halted, self.reason = True, reason
        self.planner.blocks.clear()
        self.machine.nozzle.target = self.machine.bed.target = 0.0
        self.say(f"!! {reason}")

    def watch_heaters(self, seconds: float) -> None:
        wanted = self.machine.nozzle.target or self.machine.bed.target
        self._unheated = self._unheated + seconds if wanted and not self.machine.supply else 0.0
        if self._unheated > RUNAWAY and not self.halted:
            self.kill("Heater extruder not heating at expected rate")

    def _tell(self) -> None:
        self.say(f"FIRMWARE_VERSION:{VERSION} FIRMWARE_NAME:Klipper")

    def _settle(self, command: str, words: dict[str, float]):
        heater = self.machine.nozzle if command in ("M104", "M109") else self.machine.bed
        heater.target = min(words.get("S", 0.0), heater.maximum - 15)
        if command in ("M109", "M190") and heater.target:
            # It waits for cooling, too, but not for the moves before it.
            yield "nozzle" if command == "M109" else "bed"

    def _move(self, target: list[float], filament: float, words: dict[str, float], source: str):
        if words.get("F", 0.0) > 0:
            self.feed = words["F"] / 60
        lost = [axis for axis in range(3) if abs(target[axis] - self.native[axis]) > 1e-9 and not self.homed[axis]]
        if lost:
            self.say(f"!! Must home axis first: {' '.join(f'{value:.3f}' for value in target)}")
            return
        if any(not -1e-6 <= value <= limit + 1e-6 for value, limit in zip(target, TRAVEL, strict=True)):
            self.say(f"!! Move out of range: {' '.join(f'{value:.3f}' for value in target)}")
            return
        if filament > 0 and self.machine.nozzle.actual < COLD - 1.0:
            self.say("!! Extrude below minimum temp")
            return
        delta = tuple(t - n for t, n in zip(target, self.native, strict=True))
        start = tuple(self.native)
        self.native, self.extruder = list(target), self.extruder + filament
        if not any(delta) and not filament:
            return
        self.moves += 1
        wanted = (*delta, filament * self.flow_percent / 100)
        self.planner.add(wanted, self.feed * self.feed_percent / 100, source, self.moves, start)
        # The line is acknowledged when no more than the buffer's time is queued.
        if self.planner.full:
            yield "planner"

    def _home(self, words: dict[str, float], source: str):
        yield "drained"
        for axis in [axis for axis, letter in enumerate(AXES) if letter in words] or [0, 1, 2]:
            distance = [0.0, 0.0, 0.0, 0.0]
            distance[axis] = -self.machine.position[axis] - (0.0 if self.machine.energised[axis] else 1.0)
            speed = HOMING_SPEED if axis < 2 else RAISE_SPEED
            self.planner.add(tuple(distance), speed, source, 0, tuple(self.native))
            yield "drained"
            self.native[axis] = self.counted[axis] = self.shift[axis] = 0.0
            self.homed[axis] = True
            if axis == 2:
                self.machine.z_homed()

    def _set_position(self, words: dict[str, float], source: str):
        for axis, letter in enumerate(AXES):
            if letter in words:
                self.shift[axis] = words[letter] - self.native[axis]
        if "E" in words:
            self.extruder = words["E"]
        return
        yield

    def _believe(self, values: dict[str, str]):
        """SET_KINEMATIC_POSITION: the axes are where somebody says, and count as homed."""
        yield "drained"
        for axis, letter in enumerate(AXES):
            if letter in values:
                self.native[axis] = self.counted[axis] = float(values[letter])
        self.homed = [True, True, True]

    def _state(self, line: str):
        values = dict(_PARAMETER.findall(line))
        name = values.get("NAME", "default")
        if line.startswith("SAVE"):
            here = [self.workspace(axis) for axis in range(3)]
            self._saved[name] = (self.relative, self.relative_e, here, self.extruder, self.feed, self.feed_percent)
            return
        if name not in self._saved:
            self.say(f"!! Unknown g-code state: {name}")
            return
        self.relative, self.relative_e, here, self.extruder, self.feed, self.feed_percent = self._saved[name]
        if values.get("MOVE") == "1":
            target = [value - shift for value, shift in zip(here, self.shift, strict=True)]
            yield from self._move(target, 0.0, {}, line)
