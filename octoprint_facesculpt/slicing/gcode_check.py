"""An independent reading of sliced G-code: nothing is called done, let alone printed, that did not pass it.

One streaming pass in bounded memory. Slicers return success for prints that leave the bed, stop half way up or extrude
nothing; the file itself is the only witness.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from .engine import Bed, SlicingError

LINE_LIMIT = 100_000
#: How far outside the bed plastic may be put (half a line at the edge), and a move of the start or end code may go, mm.
MARGIN = 0.5
TRAVEL_MARGIN = 10.0
#: Nozzle temperatures between which a printer extrudes (Marlin's EXTRUDE_MINTEMP and more than any hot end stands), and the
#: most a bed is heated to, degrees Celsius.
NOZZLE_RANGE = (170.0, 320.0)
BED_MAX = 130.0
#: Share by which the filament of the moves may differ from the slicer's own sum.
FILAMENT_TOLERANCE = 0.02
#: Features that are not part of the model: priming, start and end code.
_NOT_MODEL = ("", "Custom")
_WORD = re.compile(rb"([A-Z])([-+]?(?:\d+\.?\d*|\.\d+))")
_NOT_A_NUMBER = re.compile(rb"\b[XYZEFIJRS](?:[-+]?(?:nan|inf)|[-+.\d]*\de[-+\d])", re.IGNORECASE)
_TIME = re.compile(r"estimated printing time \(normal mode\) = (?:(\d+)d )?(?:(\d+)h )?(?:(\d+)m )?(?:(\d+)s)?")
_CURA_TIME = re.compile(r"TIME:(\d+(?:\.\d+)?)$")
_CURA_FILAMENT = re.compile(r"Filament used: (\d+(?:\.\d+)?)m")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def _nowhere(sign: float) -> list[float]:
    return [sign * math.inf] * 3


@dataclass
class GcodeFacts:
    """What a G-code file does. Lengths in mm; ``low`` and ``high`` bound the model's extrusions, ``reach_low`` and
    ``reach_high`` all moves; ``filament`` by feature as the slicer names it; ``stated_*`` is the slicer's own word."""

    layers: int = 0
    low: list[float] = field(default_factory=lambda: _nowhere(1))
    high: list[float] = field(default_factory=lambda: _nowhere(-1))
    reach_low: list[float] = field(default_factory=lambda: _nowhere(1))
    reach_high: list[float] = field(default_factory=lambda: _nowhere(-1))
    filament: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    nozzle_max: float = 0.0
    bed_max: float = 0.0
    commands: int = 0
    extruding_moves: int = 0
    ends_cold: bool = False
    complete: bool = False
    stated_seconds: float | None = None
    stated_filament_mm: float | None = None
    stated_filament_g: float | None = None
    config: dict[str, str] = field(default_factory=dict)

    @property
    def filament_mm(self) -> float:
        return sum(self.filament.values())

    @property
    def model_filament_mm(self) -> float:
        return sum(length for name, length in self.filament.items() if name not in _NOT_MODEL)

    @property
    def support_share(self) -> float:
        """Share of the filament that goes into supports, 0..1."""
        support = sum(length for name, length in self.filament.items() if name.lower().startswith("support"))
        return support / max(self.filament_mm, 1e-9)


def read(path: Path) -> GcodeFacts:
    """Read a G-code file; :class:`SlicingError` ``gcode_not_text``, ``gcode_placeholder``, ``gcode_bad_number``,
    ``gcode_below_bed`` or ``gcode_cold`` for lines that no printer should be given."""
    reader = _Reader()
    with path.open("rb") as file:
        for line in iter(lambda: file.readline(LINE_LIMIT), b""):
            code, _, comment = line.partition(b";")
            # Comments may hold the model's name, which the printer never sees.
            if not code.isascii() or b"\0" in line:
                raise refusal("not_text", "It contains other than ASCII characters")
            if code := code.strip():
                reader.command(code)
            elif comment:
                reader.comment(comment.decode("utf-8", errors="replace").strip())
    reader.facts.ends_cold = reader.nozzle == 0 and reader.bed == 0
    return reader.facts


def check(path: Path, bed: Bed, *, model_height: float | None = None) -> GcodeFacts:
    """Read a G-code file and refuse what would not print well.

    ``model_height`` is the mesh's height in mm: a print that ends lower was cut off. :class:`SlicingError` with the codes
    of :func:`read`, or ``gcode_empty``, ``gcode_incomplete``, ``gcode_no_extrusion``, ``gcode_cold``, ``gcode_too_hot``,
    ``gcode_stays_hot``, ``gcode_out_of_bounds``, or ``too_large`` when the print itself leaves the bed.
    """
    facts = read(path)
    if not facts.commands:
        raise refusal("empty", "It holds no commands")
    if not facts.complete or facts.stated_seconds is None or facts.stated_filament_mm is None:
        raise refusal("incomplete", "Its end is missing")
    if not facts.extruding_moves or not facts.layers:
        raise refusal("no_extrusion", "It extrudes nothing")
    if facts.nozzle_max > NOZZLE_RANGE[1]:
        raise refusal("too_hot", f"The nozzle would be at {facts.nozzle_max:g} degrees")
    if facts.bed_max > BED_MAX:
        raise refusal("too_hot", f"The bed would be at {facts.bed_max:g} degrees")
    if not facts.ends_cold:
        raise refusal("stays_hot", "It does not switch the heaters off at its end")
    _check_bounds(facts, bed)
    if model_height is not None and facts.high[2] < model_height - 1.0:
        raise refusal("incomplete", f"It ends at {facts.high[2]:.1f} mm, but the model is {model_height:.1f} mm high")
    stated, found = facts.stated_filament_mm, facts.model_filament_mm
    if abs(found - stated) > FILAMENT_TOLERANCE * stated + 1:
        raise refusal("incomplete", f"Its moves use {found:.0f} mm of filament, its summary says {stated:.0f} mm")
    return facts


def refusal(kind: str, reason: str) -> SlicingError:
    """The error for unsafe G-code; its code is ``gcode_`` and ``kind``."""
    return SlicingError(f"gcode_{kind}", f"The sliced G-code is not safe to print: {reason}.", "Try another profile.")


def _check_bounds(facts: GcodeFacts, bed: Bed) -> None:
    limits = ((bed.left, bed.left + bed.width), (bed.front, bed.front + bed.depth), (0.0, bed.height))
    for axis, (name, (low, high)) in enumerate(zip("XYZ", limits, strict=True)):
        if facts.low[axis] < low - MARGIN or facts.high[axis] > high + MARGIN:
            raise SlicingError(
                "too_large",
                f"The print would reach from {facts.low[axis]:.1f} to {facts.high[axis]:.1f} mm in {name}, "
                f"the printer from {low:g} to {high:g} mm.",
                "Make the sculpture smaller.",
            )
        if facts.reach_low[axis] < low - TRAVEL_MARGIN or facts.reach_high[axis] > high + TRAVEL_MARGIN:
            reach = f"from {facts.reach_low[axis]:.1f} to {facts.reach_high[axis]:.1f} mm in {name}"
            raise refusal("out_of_bounds", f"It moves {reach}, the printer reaches from {low:g} to {high:g} mm")


class _Reader:
    """The little of a printer's state that matters, line by line."""

    def __init__(self) -> None:
        self.facts = GcodeFacts()
        self.nozzle = self.bed = 0.0
        self._position, self._extruder = [0.0, 0.0, 0.0], 0.0
        self._relative, self._relative_e = False, False
        self._feature, self._layer_z = "", math.nan
        self._in_config = False

    def comment(self, text: str) -> None:
        """PrusaSlicer tells time, filament and settings at the end, CuraEngine time and filament at the start."""
        facts = self.facts
        if text.startswith("TYPE:"):
            self._feature = text[5:]
        elif text == "prusaslicer_config = begin":
            self._in_config = True
        elif text == "prusaslicer_config = end":
            self._in_config, facts.complete = False, True
        elif self._in_config:
            key, equals, value = text.partition(" =")
            if equals:
                facts.config[key] = value.strip()
        elif match := _TIME.match(text):
            days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
            facts.stated_seconds = ((days * 24 + hours) * 60 + minutes) * 60.0 + seconds
        elif text.startswith("filament used [mm] = "):
            facts.stated_filament_mm = _sum(text)
        elif text.startswith("total filament used [g] = "):
            facts.stated_filament_g = _sum(text)
        elif match := _CURA_TIME.match(text):
            facts.stated_seconds = float(match[1])
        elif match := _CURA_FILAMENT.match(text):
            facts.stated_filament_mm = float(match[1]) * 1000
        elif text == "End of Gcode":
            facts.complete = True

    def command(self, code: bytes) -> None:
        if b"{" in code:
            raise refusal("placeholder", f"It contains the line '{code.decode()[:80]}'")
        if _NOT_A_NUMBER.search(code):
            raise refusal("bad_number", f"It contains the line '{code.decode()[:80]}'")
        self.facts.commands += 1
        name = code.split(None, 1)[0]
        words = {letter: float(value) for letter, value in _WORD.findall(code.upper())}
        if name in (b"G0", b"G1", b"G2", b"G3"):
            self._move(words)
        elif name == b"G92":
            self._extruder = words.get(b"E", self._extruder)
            self._position = [words.get(letter, old) for letter, old in zip((b"X", b"Y", b"Z"), self._position, strict=True)]
        elif name in (b"G90", b"G91"):
            self._relative = self._relative_e = name == b"G91"
        elif name in (b"M82", b"M83"):
            self._relative_e = name == b"M83"
        elif name in (b"M104", b"M109"):
            self.nozzle = words.get(b"S", words.get(b"R", 0.0))
            self.facts.nozzle_max = max(self.facts.nozzle_max, self.nozzle)
        elif name in (b"M140", b"M190"):
            self.bed = words.get(b"S", words.get(b"R", 0.0))
            self.facts.bed_max = max(self.facts.bed_max, self.bed)

    def _move(self, words: dict[bytes, float]) -> None:
        facts, start = self.facts, self._position
        target = list(start)
        for axis, letter in enumerate((b"X", b"Y", b"Z")):
            if letter in words:
                value = words[letter] + (start[axis] if self._relative else 0.0)
                target[axis] = value
                facts.reach_low[axis] = min(facts.reach_low[axis], value)
                facts.reach_high[axis] = max(facts.reach_high[axis], value)
        if target[2] < -1e-6:
            raise refusal("below_bed", f"It moves to {target[2]:g} mm, below the bed")
        step = 0.0
        if b"E" in words:
            step = words[b"E"] if self._relative_e else words[b"E"] - self._extruder
            self._extruder += step
        if step > 0 and (target[0] != start[0] or target[1] != start[1]):
            self._extrude(start, target, step)
        self._position = target

    def _extrude(self, start: list[float], target: list[float], step: float) -> None:
        facts = self.facts
        if self.nozzle < NOZZLE_RANGE[0]:
            raise refusal("cold", "It extrudes with a cold nozzle")
        facts.filament[self._feature] += step
        if self._feature in _NOT_MODEL:
            return
        facts.extruding_moves += 1
        for axis in range(3):
            facts.low[axis] = min(facts.low[axis], start[axis], target[axis])
            facts.high[axis] = max(facts.high[axis], start[axis], target[axis])
        if not abs(target[2] - self._layer_z) <= 1e-4:
            self._layer_z = target[2]
            facts.layers += 1


def _sum(text: str) -> float:
    """The sum of the numbers behind ``=``: one for each extruder."""
    return sum(float(number) for number in _NUMBER.findall(text.rpartition("=")[2]))
