"""An independent reading of sliced G-code: nothing is called done, let alone printed, that did not pass it.

One streaming pass in bounded memory. Both engines return success for prints that leave the bed, stop half way up or
extrude nothing; the file itself is the only witness.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from .engine import Bed, SlicingError

LINE_LIMIT = 100_000
#: How far outside the bed a travel may end (priming lines at the edge), mm.
MARGIN = 0.5
_WORD = re.compile(rb"([A-Z])([-+]?(?:\d+\.?\d*|\.\d+))")
_NOT_A_NUMBER = re.compile(rb"\b[XYZEFIJRS][-+]?(?:nan|inf)", re.IGNORECASE)
_TIME = re.compile(r"estimated printing time \(normal mode\) = (?:(\d+)d )?(?:(\d+)h )?(?:(\d+)m )?(?:(\d+)s)?")


@dataclass
class GcodeFacts:
    """What a G-code file does. Lengths in mm; ``filament`` by feature as the slicer names it."""

    layers: int = 0
    low: list[float] = field(default_factory=lambda: [float("inf")] * 3)
    high: list[float] = field(default_factory=lambda: [float("-inf")] * 3)
    filament: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    nozzle_max: float = 0.0
    bed_max: float = 0.0
    ends_cold: bool = False
    extruding_moves: int = 0
    estimated_seconds: float | None = None
    filament_g: float | None = None
    config: dict[str, str] = field(default_factory=dict)

    @property
    def filament_mm(self) -> float:
        return sum(self.filament.values())

    @property
    def support_share(self) -> float:
        """Share of the filament that goes into supports, 0..1."""
        support = sum(length for name, length in self.filament.items() if name.startswith("Support"))
        return support / max(self.filament_mm, 1e-9)


def read(path: Path) -> GcodeFacts:
    """Read a G-code file; :class:`SlicingError` ``gcode_invalid`` for what no printer should be given."""
    facts = GcodeFacts()
    position, extruder = [0.0, 0.0, 0.0], 0.0
    relative, relative_e, nozzle = False, False, 0.0
    feature, layer_z, in_config = "", None, False
    with path.open("rb") as file:
        for line in iter(lambda: file.readline(LINE_LIMIT), b""):
            if not line.isascii():
                raise _invalid("It contains other than ASCII characters")
            if line.startswith(b";"):
                text = line[1:].decode("ascii").strip()
                if text.startswith("TYPE:"):
                    feature = text[5:]
                elif text == "prusaslicer_config = begin":
                    in_config = True
                elif in_config and " = " in text:
                    key, _, value = text.partition(" = ")
                    facts.config[key] = value
                else:
                    _comment(facts, text)
                continue
            code = line.split(b";", 1)[0].strip()
            if not code:
                continue
            if b"{" in code or _NOT_A_NUMBER.search(code):
                raise _invalid(f"It contains the line '{code.decode()[:80]}'")
            command = code.split(None, 1)[0]
            words = dict(_WORD.findall(code.upper()))
            if command in (b"G0", b"G1", b"G2", b"G3"):
                target = list(position)
                for axis, letter in enumerate((b"X", b"Y", b"Z")):
                    if letter in words:
                        value = float(words[letter])
                        target[axis] = position[axis] + value if relative else value
                step = 0.0
                if b"E" in words:
                    value = float(words[b"E"])
                    step = value if relative_e else value - extruder
                    extruder = extruder + value if relative_e else value
                if step > 0 and (target[0] != position[0] or target[1] != position[1]):
                    if nozzle < 150:
                        raise _invalid("It extrudes with a cold nozzle")
                    facts.extruding_moves += 1
                    facts.filament[feature] += step
                    if feature not in ("", "Custom"):
                        for axis in range(3):
                            facts.low[axis] = min(facts.low[axis], position[axis], target[axis])
                            facts.high[axis] = max(facts.high[axis], position[axis], target[axis])
                        if layer_z is None or abs(target[2] - layer_z) > 1e-4:
                            layer_z = target[2]
                            facts.layers += 1
                if target[2] < -1e-6:
                    raise _invalid("It moves below the bed")
                position = target
            elif command == b"G92":
                if b"E" in words:
                    extruder = float(words[b"E"])
            elif command in (b"G90", b"G91"):
                relative = relative_e = command == b"G91"
            elif command in (b"M82", b"M83"):
                relative_e = command == b"M83"
            elif command in (b"M104", b"M109"):
                nozzle = float(words.get(b"S", words.get(b"R", b"0")))
                facts.nozzle_max = max(facts.nozzle_max, nozzle)
                facts.ends_cold = nozzle == 0
            elif command in (b"M140", b"M190"):
                facts.bed_max = max(facts.bed_max, float(words.get(b"S", words.get(b"R", b"0"))))
    return facts


def check(path: Path, bed: Bed, *, model_height: float | None = None, supports: bool = False) -> GcodeFacts:
    """Read a G-code file and refuse what would not print; :class:`SlicingError` ``gcode_invalid`` says why.

    ``model_height`` is the mesh's height in mm: a print that ends lower was cut off.
    """
    facts = read(path)
    if not facts.extruding_moves or not facts.layers:
        raise _invalid("It extrudes nothing")
    if facts.nozzle_max < 150 or facts.nozzle_max > 320:
        raise _invalid(f"The nozzle would be at {facts.nozzle_max:g} degrees")
    if facts.bed_max > 130:
        raise _invalid(f"The bed would be at {facts.bed_max:g} degrees")
    if not facts.ends_cold:
        raise _invalid("It does not switch the heater off at its end")
    limits = ((bed.left, bed.left + bed.width), (bed.front, bed.front + bed.depth), (0.0, bed.height))
    for axis, name in enumerate("XYZ"):
        low, high = limits[axis]
        if facts.low[axis] < low - MARGIN or facts.high[axis] > high + MARGIN:
            raise SlicingError(
                "too_large",
                f"The print would reach from {facts.low[axis]:.1f} to {facts.high[axis]:.1f} mm in {name}, "
                f"the printer from {low:g} to {high:g} mm.",
                "Make the sculpture smaller.",
            )
    if model_height is not None and facts.high[2] < model_height - 1.0:
        raise _invalid(f"It ends at {facts.high[2]:.1f} mm, but the model is {model_height:.1f} mm high")
    if facts.estimated_seconds is None:
        raise _invalid("It has no time estimate")
    return facts


def _comment(facts: GcodeFacts, text: str) -> None:
    if text.startswith("estimated printing time (normal mode)"):
        match = _TIME.match(text)
        if match:
            days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
            facts.estimated_seconds = ((days * 24 + hours) * 60 + minutes) * 60.0 + seconds
    elif text.startswith("total filament used [g] = "):
        facts.filament_g = float(text.rpartition("= ")[2].split(",")[0])


def _invalid(reason: str) -> SlicingError:
    return SlicingError("gcode_invalid", f"The sliced G-code is not safe to print: {reason}.", "Try another profile.")
