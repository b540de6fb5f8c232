"""The one reading of G-code: what each line does to the machine's state, by Marlin's rules.

Line by line and plain; :mod:`replay` does the same for whole files with numpy and is tested to agree with this one.
Sources of the rules: Marlin 2.1 ``gcode.cpp``, ``parser.h``, ``G0_G1.cpp``, ``G2_G3.cpp``, ``G92.cpp``; Marlin 1.1.9
``Marlin_main.cpp``; Klipper ``gcode_move.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import atan2, ceil, cos, hypot, inf, pi, sin, sqrt

from .state import Layer, MachineState, Move, Point

AXES = "XYZ"
#: Firmwares in which G90 and G91 also set the extruder's mode (Marlin 2 ``set_relative_mode``); in the others the extruder
#: is relative when either G91 or M83 says so.
E_FOLLOWS_AXES = frozenset({"marlin2"})
#: Marlin's MM_PER_ARC_SEGMENT.
ARC_SEGMENT = 1.0
#: More pieces than any arc on a bed has; a hostile radius must not fill the memory.
ARC_PIECES_MAX = 10_000
#: Shifts of Z that differ by less are the same, mm.
SAME = 1e-4
#: Settings that a file may make and a firmware forgets; and those of them that are lengths and feeds of G10 and G11.
LIMITS, RETRACTION = ("M92", "M201", "M203", "M204", "M205", "M207", "M208"), ("M207", "M208")
#: Filament, mm, and feeds, mm/min, of G10 and G11 where the file does not say.
RETRACT, RETRACT_FEED, RECOVER_FEED = 3.0, 2700.0, 480.0
#: Rise of the printed path that begins a layer in files that do not say where layers begin.
LAYER_RISE = 0.05
_COMMAND = re.compile(rb"(?:N\d+\s*)?([GMT])\s*(\d+)(?:\.(\d+))?")
_WORD = re.compile(rb"([A-Z])\s*([-+]?(?:\d+\.?\d*|\.\d+))?")
#: PrusaSlicer and its kin; Cura.
LAYER_COMMENT = re.compile(rb"^;(?:LAYER_CHANGE|LAYER:-?\d+)\s*$", re.MULTILINE)

Words = dict[str, float]


class Machine:
    """Reads lines and keeps ``state``; ``layers`` are those that began meanwhile."""

    def __init__(self, firmware: str = "marlin2", state: MachineState | None = None) -> None:
        self.state = state or MachineState()
        self.firmware = firmware
        self.layers: list[Layer] = []

    def execute(self, raw: bytes) -> Move | None:
        """Read one line with its line end; the motion it makes, if any."""
        state = self.state
        start = state.offset
        state.offset += len(raw)
        code, semicolon, _ = raw.partition(b";")
        code = code.partition(b"*")[0].strip()
        if not code:
            if semicolon and LAYER_COMMENT.match(raw):
                self.begin_layer(start)
            return None
        match = _COMMAND.match(code.upper())
        if match is None:
            return None
        name = (match[1] + str(int(match[2][:6])).encode()).decode()
        if match[3]:  # G92.1, G29.1 and their like
            name += "." + match[3].decode()
        words = {
            letter.decode(): _number(number) for letter, number in _WORD.findall(code.upper(), match.end()) if name != "M117"
        }
        return self._obey(name, words, start)

    @property
    def e_is_relative(self) -> bool:
        state = self.state
        return state.e_relative or (state.relative and self.firmware not in E_FOLLOWS_AXES)

    def begin_layer(self, offset: int) -> None:
        """A layer comment stands at ``offset``."""
        state = self.state
        if not state.layer_comments:
            # What was taken for layers before was the start code's priming line.
            state.layer_comments, state.layer = True, 0
            state.low = state.high = None
            state.z_shifted = False
            self.layers.clear()
        self._new_layer(offset, None)

    def _new_layer(self, offset: int, z: float | None) -> None:
        self.state.layer += 1
        self.state.layer_z = z
        self.layers.append(Layer(offset, self.state.printed, z))

    def note_printing(self, offset: int, z: float) -> None:
        """Plastic is about to be put down at ``z`` by the line at ``offset``."""
        state = self.state
        if state.layer_z is None and state.layer:
            state.layer_z = z
            if self.layers:
                self.layers[-1].z = z
        elif not state.layer_comments and (state.layer_z is None or abs(z - state.layer_z) >= LAYER_RISE):
            self._new_layer(offset, z)

    def _obey(self, name: str, words: Words, start: int) -> Move | None:
        if name in ("G0", "G1"):
            return self._line(words, start)
        if name in ("G2", "G3"):
            return self._arc(words, start, clockwise=name == "G2")
        if name[0] == "T":
            self.state.tool = int(name[1:].partition(".")[0])
        elif name in LIMITS:
            unit = self.state.unit if name in RETRACTION else 1.0
            if name == "M204" and "S" in words:
                # Of older slicers, for both; P and T beside it come after it.
                words = {"P": words["S"], "T": words["S"], **{letter: words[letter] for letter in words if letter != "S"}}
            self.state.limits.setdefault(name, {}).update({letter: value * unit for letter, value in words.items()})
        elif name in ("G10", "G11"):
            return self._retract(name == "G10", words, start)
        elif rule := _RULES.get(name):
            rule(self, words)
        return None

    def _line(self, words: Words, start: int) -> Move | None:
        state = self.state
        target = self._target(words)
        filament = self._extrusion(words)
        self._feed(words)
        if list(target) == state.position and not filament:
            return None
        move = Move(start, state.offset, self._place(state.position), (self._place(target),), filament, state.feed, state.layer)
        return self._make(move, target)

    def _place(self, position: Sequence[float]) -> Point:
        """Where the nozzle is when the G-code's coordinates are these."""
        x, y, z = position
        return x, y, z + self.state.hop

    def _target(self, words: Words) -> Point:
        state, unit = self.state, self.state.unit
        x, y, z = state.position
        if "X" in words:
            x = x + words["X"] * unit if state.relative else words["X"] * unit
        if "Y" in words:
            y = y + words["Y"] * unit if state.relative else words["Y"] * unit
        if "Z" in words:
            z = z + words["Z"] * unit if state.relative else words["Z"] * unit
        return x, y, z

    def _extrusion(self, words: Words) -> float:
        if "E" not in words:
            return 0.0
        state = self.state
        value = words["E"] * state.unit
        if self.e_is_relative:
            state.e += value
            return value
        step = value - state.e
        state.e = value
        return step

    def _feed(self, words: Words) -> None:
        if words.get("F", 0.0) > 0:
            self.state.feed = words["F"] * self.state.unit

    def _make(self, move: Move, position: Point) -> Move:
        state = self.state
        if move.prints:
            self.note_printing(move.offset, move.end[2])
            if move.layer != state.layer:
                # Without comments it is the line itself that begins a layer.
                move = replace(move, layer=state.layer)
            low, high = state.low or [inf] * 3, state.high or [-inf] * 3
            for axis, places in enumerate(zip(move.start, *move.points, strict=True)):
                low[axis], high[axis] = min(low[axis], *places), max(high[axis], *places)
            x, y, z = move.start
            for there in move.points:
                dx, dy, dz = there[0] - x, there[1] - y, there[2] - z
                state.printed += sqrt(dx * dx + dy * dy + dz * dz)
                x, y, z = there
            state.low, state.high = low, high
        state.filament += move.filament
        state.filament_top = max(state.filament_top, state.filament)
        state.position = list(position)
        return move

    def _arc(self, words: Words, start: int, clockwise: bool) -> Move | None:
        state, here = self.state, self.state.position
        target = self._target(words)
        i, j = words.get("I", 0.0) * state.unit, words.get("J", 0.0) * state.unit
        if "R" in words:
            i, j = _centre(here, target, words["R"] * state.unit, clockwise)
        self._feed(words)
        radius = hypot(i, j)
        if not radius:
            return None
        filament = self._extrusion(words)
        cx, cy = here[0] + i, here[1] + j
        first = atan2(-j, -i)
        sweep = (atan2(target[1] - cy, target[0] - cx) - first) % (2 * pi)
        if clockwise:
            sweep -= 2 * pi
        if abs(sweep) < 1e-9 or abs(abs(sweep) - 2 * pi) < 1e-9:
            sweep = -2 * pi if clockwise else 2 * pi
        count = min(max(1, ceil(abs(sweep) * radius / ARC_SEGMENT)), ARC_PIECES_MAX)
        points = []
        for step in range(1, count):
            angle = first + sweep * step / count
            z = here[2] + (target[2] - here[2]) * step / count
            points.append(self._place((cx + radius * cos(angle), cy + radius * sin(angle), z)))
        way = (*points, self._place(target))
        return self._make(Move(start, state.offset, self._place(here), way, filament, state.feed, state.layer), target)

    # -- lines that do not move

    def _mode(self, relative: bool) -> None:
        self.state.relative = relative
        if self.firmware in E_FOLLOWS_AXES:
            self.state.e_relative = relative

    def _home(self, words: Words) -> None:
        state = self.state
        for axis in [a for a, letter in enumerate(AXES) if letter in words] or (0, 1, 2):
            if axis == 2:
                self._shift_heights(0.0)
            state.position[axis] = state.shift[axis] = 0.0
            state.homed[axis] = True
        if self.firmware != "klipper":
            # RESTORE_LEVELING_AFTER_G28 is off by default.
            state.leveling = False if state.leveling is not None else None

    def _set_position(self, words: Words) -> None:
        state = self.state
        named = {letter: value * state.unit for letter, value in words.items() if letter in "XYZE"}
        if not named and self.firmware == "klipper":
            named = dict.fromkeys("XYZE", 0.0)
        for axis, letter in enumerate(AXES):
            if letter in named:
                shift = state.shift[axis] + named[letter] - state.position[axis]
                if axis == 2:
                    self._shift_heights(shift)
                state.shift[axis], state.position[axis] = shift, named[letter]
        state.e = named.get("E", state.e)

    def _shift_heights(self, shift: float) -> None:
        """Z is about to be shifted by so much in all: what is printed has other heights from then on."""
        state = self.state
        by = shift - state.shift[2]
        if abs(by) < SAME or state.low is None or state.high is None:
            return
        state.z_shifted = True
        state.low[2], state.high[2] = state.low[2] + by, state.high[2] + by
        state.layer_z = None if state.layer_z is None else state.layer_z + by

    def _reset_shift(self, _words: Words) -> None:
        state = self.state
        self._shift_heights(0.0)
        state.position = [p - s for p, s in zip(state.position, state.shift, strict=True)]
        state.shift = [0.0, 0.0, 0.0]

    def _motors_off(self, words: Words) -> None:
        if "S" in words:  # only a time until they go off by themselves
            return
        for axis, letter in enumerate(AXES):
            if letter in words or not words.keys() & set("XYZE"):
                self.state.homed[axis] = False
        self.state.motors_off = True

    def _nozzle(self, words: Words) -> None:
        target = words.get("S", words.get("R"))
        if target is not None:
            self.state.nozzle[str(int(words.get("T", self.state.tool)))] = target

    def _bed(self, words: Words) -> None:
        self.state.bed = words.get("S", words.get("R", self.state.bed))

    def _fan(self, words: Words) -> None:
        self.state.fans[str(int(words.get("P", 0)))] = min(max(words.get("S", 255.0), 0.0), 255.0)

    def _fan_off(self, words: Words) -> None:
        self.state.fans[str(int(words.get("P", 0)))] = 0.0

    def _feed_percent(self, words: Words) -> None:
        self.state.feed_percent = words.get("S", self.state.feed_percent)

    def _flow_percent(self, words: Words) -> None:
        if "S" in words:
            self.state.flow_percent[str(int(words.get("T", self.state.tool)))] = words["S"]

    def _babystep(self, words: Words) -> None:
        self.state.babystep += words.get("Z", words.get("S", 0.0))

    def _auto_retract(self, words: Words) -> None:
        if "S" in words:
            self.state.auto_retract = bool(words["S"])

    def _leveling(self, words: Words) -> None:
        if "S" in words:
            self.state.leveling = bool(words["S"])
        self.state.fade_height = words.get("Z", self.state.fade_height)

    def _probe_bed(self, _words: Words) -> None:
        self.state.leveling = True

    def _linear_advance(self, words: Words) -> None:
        self.state.linear_advance = words.get("K", self.state.linear_advance)

    def _retract(self, back: bool, words: Words, start: int) -> Move | None:
        """G10 and G11: a pull, then the lift of M207 Z, and the other way round (Marlin 2.1 ``fwretract.cpp``). Klipper has no
        such lift, and how far it pulls is in its configuration."""
        state = self.state
        if words.keys() & set("PL") or back == state.firmware_retracted:  # G10 P and L set offsets elsewhere
            return None
        state.firmware_retracted = back
        if self.firmware == "klipper":
            return None
        pull, push = (state.limits.get(name, {}) for name in RETRACTION)
        filament = pull.get("S", RETRACT)
        here, lift = self._place(state.position), state.hop
        if back:
            state.hop = lift = max(pull.get("Z", 0.0), 0.0)
            filament, feed = -filament, pull.get("F") or RETRACT_FEED
            points: tuple[Point, ...] = (here, self._place(state.position)) if lift else (here,)
        else:
            state.hop = 0.0
            filament, feed = filament + push.get("S", 0.0), push.get("F") or RECOVER_FEED
            points = (self._place(state.position),) * (2 if lift else 1)
        return Move(start, state.offset, here, points, filament, feed, state.layer, by_itself=True)


def _setting(name: str, value: bool) -> Callable[[Machine, Words], None]:
    return lambda machine, _words: setattr(machine.state, name, value)


_RULES: dict[str, Callable[[Machine, Words], None]] = {
    "G20": _setting("inches", True),
    "G21": _setting("inches", False),
    "G28": Machine._home,
    "G29": Machine._probe_bed,
    "G90": lambda machine, _words: machine._mode(False),
    "G91": lambda machine, _words: machine._mode(True),
    "G92": Machine._set_position,
    "G92.1": Machine._reset_shift,
    "M17": _setting("motors_off", False),
    "M18": Machine._motors_off,
    "M82": _setting("e_relative", False),
    "M83": _setting("e_relative", True),
    "M84": Machine._motors_off,
    "M104": Machine._nozzle,
    "M106": Machine._fan,
    "M107": Machine._fan_off,
    "M109": Machine._nozzle,
    "M140": Machine._bed,
    "M190": Machine._bed,
    "M209": Machine._auto_retract,
    "M220": Machine._feed_percent,
    "M221": Machine._flow_percent,
    "M290": Machine._babystep,
    "M420": Machine._leveling,
    "M900": Machine._linear_advance,
}


def _number(text: bytes) -> float:
    # A word without a number counts as 0. float() would turn 400 digits into infinity.
    value = float(text[:40]) if text else 0.0
    return value if abs(value) < 1e12 else 0.0


def _centre(start: list[float], end: Point, radius: float, clockwise: bool) -> tuple[float, float]:
    """I and J of an arc given by its radius (Marlin G2_G3.cpp)."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = hypot(dx, dy)
    if not length:
        return 0.0, 0.0
    height = sqrt(max(0.0, radius * radius - length * length / 4))
    side = -1.0 if clockwise != (radius < 0) else 1.0
    return dx / 2 - side * height * dy / length, dy / 2 + side * height * dx / length
