"""Marlin on an Ender 3: what each G-code does, and what it answers. Versions 2.1, 2.0 and 1.1 differ in homing, modes and ends.

The firmware knows its own coordinates only: *native* ones, counted from where it woke up or homed, and *workspace* ones,
shifted by G92. Where the carriage truly is, the machine knows (:mod:`machine`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import atan2, ceil, cos, hypot, pi, sin, sqrt

from .machine import AXES, STEPS_PER_MM, TRAVEL, Machine
from .planner import Block, Limits, Planner

CAPABILITIES = ("EEPROM:1", "AUTOREPORT_TEMP:1", "PROGRESS:0", "PRINT_JOB:1", "EMERGENCY_PARSER:0", "SERIAL_XON_XOFF:0")
_WORD = re.compile(r"([A-Z])\s*([-+]?(?:\d+\.?\d*|\.\d+))?")
#: Speeds in mm/s.
HOMING_SPEED, RAISE_SPEED = 50.0, 5.0
ARC_SEGMENT_MM = 1.0
E_STEPS_PER_MM = 93.0
#: Marlin's MIN_STEPS_PER_SEGMENT: a shorter move waits for the next.
MIN_STEPS = 6 - 1e-6
#: Accepted without an answer or an effect that matters here.
SILENT = frozenset(("M73", "M85", "M108", "M110", "M117", "M118", "M205", "M220", "M221", "M300", "M413", "M420", "M900", "T0"))
VERSIONS = ("2.1", "2.0", "1.1")
#: M600: where the nozzle waits, how far it is lifted, mm, and how long somebody takes to change the filament, s.
PARK, PARK_RAISE, PARK_SECONDS = (10.0, 10.0), 20.0, 30.0
#: Seconds without motor supply after which Marlin's thermal protection halts the board.
RUNAWAY = 27.0
#: FWRETRACT: filament that G10 pulls back, mm, and the feeds of G10 and G11, mm/s.
RETRACT, RETRACT_FEED, RECOVER_FEED = 3.0, 45.0, 8.0


class Firmware:
    """One boot of the firmware. ``say(text)`` sends a line to the host, ``executed(block)`` is told of every finished move.

    A command that must wait (a full planner, a heater, M400) is a generator's business: :meth:`execute` yields the reason
    until it may go on.
    """

    def __init__(
        self,
        machine: Machine,
        say: Callable[[str], None],
        executed: Callable[[Block], None],
        raise_mm: float,
        version: str = "2.1",
    ):
        self.machine, self.say, self.version = machine, say, version
        self.soft_endstops = True
        self._unheated = 0.0
        self.planner = Planner(Limits.ender3(), self._moved, executed)
        self.native = [0.0, 0.0, 0.0]
        self.counted = [0.0, 0.0, 0.0]
        self.shift = [0.0, 0.0, 0.0]
        self.extruder = 0.0
        #: Motion in X, Y, Z, E that was too short for a block of its own and joins the next.
        self.carried = [0.0, 0.0, 0.0, 0.0]
        self.homed = [False, False, False]
        self.relative = self.relative_e = False
        self.unit = 1.0
        self.feed = 25.0
        self.feed_percent = self.flow_percent = 100.0
        self.homing_raise_mm = raise_mm
        self.auto_report_seconds = 0.0
        self.halted = False
        self.moves = 0
        #: M207, M208; whether G10 holds, and how far it has lifted the nozzle, of which no coordinate tells.
        self.retract, self.recover = {"S": RETRACT, "F": 60 * RETRACT_FEED, "Z": 0.0}, {"S": 0.0, "F": 60 * RECOVER_FEED}
        self.retracted, self.hop = False, 0.0

    def boot(self) -> None:
        full = {"2.1": "2.1.2", "2.0": "2.0.9.3", "1.1": "1.1.9"}[self.version]
        for line in ("start", f"echo:Marlin {full}", "echo: Last Updated: 2023-01-01 | Author: (simulated, Ender-3)"):
            self.say(line)
        self.say("echo:Hardcoded Default Settings Loaded")

    @property
    def e_is_relative(self) -> bool:
        # Marlin 2: an absolute or relative mode for all axes clears M82 and M83 (gcode.h, set_relative_mode); 1.1: either.
        return self.relative_e or (self.version == "1.1" and self.relative)

    def watch_heaters(self, seconds: float) -> None:
        """Thermal protection: halts a board whose heaters get no power."""
        wanted = self.machine.nozzle.target or self.machine.bed.target
        self._unheated = self._unheated + seconds if wanted and not self.machine.supply else 0.0
        if self._unheated > RUNAWAY and not self.halted:
            self.kill("Thermal Runaway, system stopped! Heater_ID: bed")

    def workspace(self, axis: int) -> float:
        return self.native[axis] + self.shift[axis]

    def execute(self, line: str):
        """Run one line; a generator that yields why it has to wait: ``planner``, ``drained``, ``nozzle``, ``bed``, or a
        number of virtual seconds. The caller sends ``ok`` at the end."""
        command, words = parse(line)
        if self.halted or not command:
            return
        if command in ("G0", "G1"):
            yield from self._line(words, line)
        elif command in ("G2", "G3"):
            yield from self._arc(words, line, clockwise=command == "G2")
        elif command == "G4":
            yield "drained"
            yield words.get("S", 0.0) or words.get("P", 0.0) / 1000
        elif command in ("G10", "G11"):
            yield from self._retract(command == "G10", line)
        elif command == "G20":
            self.unit = 25.4
        elif command == "G21":
            self.unit = 1.0
        elif command == "G28":
            yield from self._home(words, line)
        elif command == "G29":
            yield "drained"
        elif command in ("G90", "G91"):
            self.relative = command == "G91"
            if self.version != "1.1":
                self.relative_e = self.relative
        elif command == "G92":
            yield from self._set_position(words, line)
        elif command in ("M82", "M83"):
            self.relative_e = command == "M83"
        elif command in ("M104", "M109", "M140", "M190"):
            yield from self._heat(command, words)
        elif command == "M105":
            self.say("ok " + self.temperatures())
        elif command == "M106":
            self.machine.fan = int(words.get("S", 255.0))
        elif command == "M107":
            self.machine.fan = 0
        elif command == "M112":
            self.kill("M112 Shutdown")
        elif command == "M114":
            # Marlin 2.x does not wait here, and its counters are the end of the queue.
            if self.version == "1.1":
                yield "drained"
            self.say(self._position(self.native))
        elif command == "M115":
            full = {"2.1": "2.1.2", "2.0": "2.0.9.3", "1.1": "1.1.9"}[self.version]
            self.say(f"FIRMWARE_NAME:Marlin {full} (simulated) SOURCE_CODE_URL:github.com/MarlinFirmware/Marlin "
                     "PROTOCOL_VERSION:1.0 MACHINE_TYPE:Ender-3 EXTRUDER_COUNT:1")  # fmt: skip
            for capability in CAPABILITIES:
                self.say(f"Cap:{capability}")
        elif command == "M119":
            self.say("Reporting endstop status")
            for axis in range(3):
                self.say(f"{AXES[axis].lower()}_min: {'TRIGGERED' if self.machine.endstop(axis) else 'open'}")
        elif command == "M201":
            self._limits(self.planner.limits.acceleration, words)
        elif command == "M203":
            self._limits(self.planner.limits.speed, words)
        elif command == "M204":
            limits = self.planner.limits
            limits.printing = words.get("P", words.get("S", limits.printing))
            limits.travel = words.get("T", words.get("S", limits.travel))
        elif command in ("M207", "M208"):
            settings = self.retract if command == "M207" else self.recover
            settings.update({letter: value * self.unit for letter, value in words.items() if letter in settings})
        elif command in ("M84", "M18"):
            yield "drained"
            if "S" in words:  # only a time until they go off by themselves
                return
            released = words.keys() & set("XYZE") or set(AXES)
            self.machine.release(tuple(axis for axis, letter in enumerate(AXES) if letter in released))
            self.homed = [homed and axis not in released for axis, homed in zip(AXES, self.homed, strict=True)]
        elif command == "M211":
            self.soft_endstops = bool(words.get("S", self.soft_endstops))
        elif command == "M400":
            yield "drained"
        elif command == "M600":
            yield from self._change_filament(line)
        elif command in ("M500", "M501", "M502"):
            self.say("echo:Settings Stored" if command == "M500" else "echo:V87 stored settings retrieved")
        elif command == "M503":
            self.say("echo:; Steps per unit:")
            self.say("echo: M92 X80.00 Y80.00 Z400.00 E93.00")
        elif command == "M155":
            self.auto_report_seconds = words.get("S", 0.0)
        elif command == "M220" and "S" in words:
            self.feed_percent = words["S"]
        elif command == "M221" and "S" in words:
            self.flow_percent = words["S"]
        elif command not in SILENT:
            self.say(f'echo:Unknown command: "{line}"')

    def temperatures(self) -> str:
        nozzle, bed = self.machine.nozzle, self.machine.bed
        return f"T:{nozzle.actual:.2f} /{nozzle.target:.2f} B:{bed.actual:.2f} /{bed.target:.2f} @:0 B@:0"

    def kill(self, reason: str) -> None:
        """Stop everything until the next boot."""
        self.halted = True
        self.planner.blocks.clear()
        self.machine.nozzle.target = self.machine.bed.target = 0.0
        self.say(f"Error:{reason}")
        self.say("Error:Printer halted. kill() called!")

    def _line(self, words: dict[str, float], source: str):
        target = list(self.native)
        for axis, letter in enumerate(AXES):
            if letter in words:
                value = words[letter] * self.unit
                target[axis] = self.native[axis] + value if self.relative else value - self.shift[axis]
        yield from self._move(target, self._extrusion(words), words, source)

    def _extrusion(self, words: dict[str, float]) -> float:
        """Filament of a move, mm before flow."""
        if "E" not in words:
            return 0.0
        value = words["E"] * self.unit
        return value if self.e_is_relative else value - self.extruder

    def _move(self, target: list[float], filament: float, words: dict[str, float], source: str):
        if words.get("F", 0.0) > 0:
            self.feed = words["F"] * self.unit / 60
        for axis in range(3):
            if self.soft_endstops and (self.homed[axis] or self.version == "1.1"):
                # 2.x leaves axes alone whose place it does not know.
                target[axis] = min(max(target[axis], 0.0), TRAVEL[axis])
        x, y, z = (t - n for t, n in zip(target, self.native, strict=True))
        wanted = (x, y, z, filament * self.flow_percent / 100)
        delta = tuple(c + w for c, w in zip(self.carried, wanted, strict=True))
        start = tuple(n - c for n, c in zip(self.native, self.carried[:3], strict=True))
        self.extruder += filament
        self.native = target
        if max(abs(d) * steps for d, steps in zip(delta, (*STEPS_PER_MM, E_STEPS_PER_MM), strict=True)) < MIN_STEPS:
            self.carried = list(delta)
            return
        self.carried = [0.0, 0.0, 0.0, 0.0]
        if self.planner.full:
            yield "planner"
        self.moves += 1
        self.planner.add(delta, self.feed * self.feed_percent / 100, source, self.moves, start)

    def _retract(self, back: bool, source: str):
        """G10 and G11 (Marlin 2.1 fwretract.cpp): the lift comes after the pull, and goes before the push."""
        if back == self.retracted:
            return
        self.retracted = back
        feed, extruder = self.feed, self.extruder
        hop = self.retract["Z"] if back else -self.hop
        filament = -self.retract["S"] if back else self.retract["S"] + self.recover["S"]
        for lift in (False, True) if back else (True, False):
            if lift and hop:
                if self.planner.full:
                    yield "planner"
                self.moves += 1
                self.planner.add((0.0, 0.0, hop, 0.0), RAISE_SPEED, source, self.moves, tuple(self.native))
                self.hop += hop
            elif not lift:
                settings = self.retract if back else self.recover
                yield from self._move(list(self.native), filament, {"F": settings["F"] / self.unit}, source)
        self.feed, self.extruder = feed, extruder

    def _arc(self, words: dict[str, float], source: str, clockwise: bool):
        start = list(self.native)
        end = list(start)
        for axis, letter in enumerate(AXES):
            if letter in words:
                value = words[letter] * self.unit
                end[axis] = start[axis] + value if self.relative else value - self.shift[axis]
        i, j = words.get("I", 0.0) * self.unit, words.get("J", 0.0) * self.unit
        if "R" in words:
            i, j = _centre(start, end, words["R"] * self.unit, clockwise)
        radius = hypot(i, j)
        if not radius:
            return
        cx, cy = start[0] + i, start[1] + j
        first, last = atan2(-j, -i), atan2(end[1] - cy, end[0] - cx)
        sweep = (last - first) % (2 * pi)
        if clockwise:
            sweep -= 2 * pi
        if abs(sweep) < 1e-9:
            sweep = -2 * pi if clockwise else 2 * pi
        filament = self._extrusion(words)
        count = max(1, ceil(abs(sweep) * radius / ARC_SEGMENT_MM))
        for step in range(1, count + 1):
            share = step / count
            angle = first + sweep * share
            place = [cx + radius * cos(angle), cy + radius * sin(angle), start[2] + (end[2] - start[2]) * share]
            yield from self._move(end if step == count else place, filament / count, words, source)

    def _home(self, words: dict[str, float], source: str):
        yield "drained"
        axes = [axis for axis, letter in enumerate(AXES) if letter in words] or [0, 1, 2]
        height = self._raise(words)
        if height > 0:
            self.planner.add((0.0, 0.0, height, 0.0), RAISE_SPEED, source, 0, tuple(self.native))
            self.native[2] += height
            yield "drained"
        for axis in axes:
            distance = [0.0, 0.0, 0.0, 0.0]
            # A motor that wakes up jumps; the endstop ends the move all the same.
            distance[axis] = -self.machine.position[axis] - (0.0 if self.machine.energised[axis] else 1.0)
            self.planner.add(tuple(distance), HOMING_SPEED if axis < 2 else RAISE_SPEED, source, 0, tuple(self.native))
            yield "drained"
            self.native[axis] = self.counted[axis] = self.shift[axis] = self.carried[axis] = 0.0
            self.homed[axis] = True
            if axis == 2:
                self.machine.z_homed()
                self.hop = 0.0
        self.say(self._position(self.native))

    def _raise(self, words: dict[str, float]) -> float:
        """How far Z is lifted before homing: 2.1 lifts an unknown Z by so much, the others lift to that height, wherever zero
        is; 1.1 knows no R."""
        height = self.homing_raise_mm if self.version == "1.1" else words.get("R", self.homing_raise_mm)
        if self.version == "2.1":
            return height if not (self.homed[2] and self.native[2] >= height) else 0.0
        return height - self.native[2]

    def _change_filament(self, source: str):
        """M600: pull back, lift, park, wait for somebody, come back."""
        yield "drained"
        here, feed, percent = list(self.native), self.feed, self.feed_percent
        self.feed_percent = 100.0
        lifted = [*here[:2], here[2] + PARK_RAISE]
        parked = [*PARK, lifted[2]]
        for target, filament in ((here, -2.0), (lifted, 0.0), (parked, 0.0)):
            yield from self._move(list(target), filament, {"F": 6000.0 / self.unit}, source)
        yield "drained"
        self.say("//action:paused")
        yield PARK_SECONDS
        for target, filament in ((lifted, 0.0), (here, 0.0), (here, 2.0)):
            yield from self._move(list(target), filament, {"F": 6000.0 / self.unit}, source)
        yield "drained"
        self.say("//action:resumed")
        self.feed, self.feed_percent = feed, percent

    def _set_position(self, words: dict[str, float], source: str):
        for axis, letter in enumerate(AXES):
            if letter in words:
                self.shift[axis] = words[letter] * self.unit - self.native[axis]
        if "E" in words:
            changed = self.extruder != words["E"] * self.unit
            self.extruder = words["E"] * self.unit
            self.carried[3] = 0.0
            if changed and self.planner.blocks:
                if self.planner.full:
                    yield "planner"
                self.planner.add_sync(source, self.moves, tuple(self.native))
        # The one honest answer: these counters are the steppers', not the queue's.
        self.say(self._position(self.counted))

    def _heat(self, command: str, words: dict[str, float]):
        heater = self.machine.nozzle if command in ("M104", "M109") else self.machine.bed
        target = words.get("S", words.get("R"))
        if target is not None:
            heater.target = min(target, heater.maximum - 15)
        if command in ("M109", "M190"):
            yield "drained"
            # S waits for heating only, R for cooling, too.
            if "R" in words or heater.actual < heater.target:
                yield "nozzle" if command == "M109" else "bed"

    def _position(self, counts: list[float]) -> str:
        here = " ".join(f"{letter}:{self.workspace(axis):.2f}" for axis, letter in enumerate(AXES))
        steps = " ".join(f"{letter}:{round(counts[a] * STEPS_PER_MM[a])}" for a, letter in enumerate(AXES))
        return f"{here} E:{self.extruder:.2f} Count {steps}"

    def _moved(self, _block: Block, delta: tuple[float, float, float], filament: float) -> None:
        for axis in range(3):
            self.counted[axis] += delta[axis]
        self.machine.move(delta, filament)

    @staticmethod
    def _limits(values: list[float], words: dict[str, float]) -> None:
        for axis, letter in enumerate("XYZE"):
            if letter in words:
                values[axis] = words[letter]


def parse(line: str) -> tuple[str, dict[str, float]]:
    """A line's command (``G1``) and its words; a word without a number counts as 0."""
    text = line.split(";", 1)[0].strip().upper()
    match = re.match(r"([GMT])\s*(\d+)", text)
    if not match:
        return text[:20], {}
    rest = text[match.end() :]
    return f"{match[1]}{int(match[2])}", {letter: float(number or 0.0) for letter, number in _WORD.findall(rest)}


def _centre(start: list[float], end: list[float], radius: float, clockwise: bool) -> tuple[float, float]:
    """I and J of an arc given by its radius (Marlin G2_G3.cpp)."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = hypot(dx, dy)
    if not length:
        return 0.0, 0.0
    height = sqrt(max(0.0, radius**2 - (length / 2) ** 2))
    side = -1.0 if clockwise != (radius < 0) else 1.0
    return dx / 2 - side * height * dy / length, dy / 2 + side * height * dx / length
