"""How to go on: the lines that bring a printer from cold and lost to the very place, each with its reason.

The order satisfies what Marlin's own power-loss recovery, Prusa's, and the complaints about both ask for: bed first, nozzle
softened before anything moves, lift, X and Y homed without touching Z, Z set by G92 and never homed (its endstop is under
the bust), nozzle primed away from the print, approach high and from the edge, every mode of the file, the extruder last.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .errors import RecoveryError
from .estimate import Estimate
from .machine import RETRACTION
from .printer import PrinterFacts
from .state import MachineState, Point
from .window import Piece, Window, share_of

#: Nozzle temperature that softens plastic without much oozing, degrees Celsius.
SOFT = 170.0
LIFT = 5.0
#: Filament pushed out to fill the nozzle, pulled back for the way to the print, mm; feeds in mm/min.
PRIME, RETRACT = 25.0, 3.0
PRIME_FEED, RETRACT_FEED, TRAVEL_FEED, Z_FEED = 180.0, 1800.0, 6000.0, 300.0
#: Clearance from the print at which the nozzle is primed, mm.
CLEARANCE = 15.0
#: How far a firmware may lift Z by itself before it homes X and Y (Z_HOMING_HEIGHT, Z_CLEARANCE_FOR_HOMING), mm.
OWN_RAISE = 10.0
#: Time to take away by hand what hangs from the primed nozzle, ms.
CLEAN_MS = 10_000


@dataclass(frozen=True)
class Step:
    """A line of the plan. ``z`` and ``z_after`` are the true heights between which the nozzle is while it is made: moves before
    it may not be finished yet."""

    line: str
    reason: str
    phase: str
    z: float
    z_after: float


@dataclass
class Plan:
    """``steps`` to send, then the file from byte ``offset`` on. ``point`` is where printing starts, ``layer`` which layer that
    is, ``gap`` and ``overlap`` what may be left out or printed twice, mm."""

    steps: list[Step]
    offset: int
    point: Point
    layer: int
    gap: float
    overlap: float
    risks: list[dict[str, str]] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        return [step.line for step in self.steps]

    def to_json(self) -> dict[str, Any]:
        return {
            "offset": self.offset, "point": [round(v, 3) for v in self.point], "layer": self.layer, "gap_mm": self.gap,
            "overlap_mm": self.overlap, "risks": self.risks,
            "steps": [vars(step) for step in self.steps],
        }  # fmt: skip


def make_plan(
    window: Window,
    stop: Estimate,
    after: MachineState,
    facts: PrinterFacts,
    live: dict[str, Any] | None = None,
    finishing: bool = False,
) -> Plan:
    """The plan for resuming at ``stop.at``.

    ``after`` is the machine's state at the end of the interrupted line. ``live`` is what was changed by hand and is not in the
    file: ``nozzle_target``, ``bed_target``, ``feed_percent``, ``flow_percent``, ``fan`` (0..255). ``finishing``: all plastic
    was put down, only the file's end is left.
    :class:`RecoveryError` ``not_recoverable`` when the print cannot be gone on with.
    """
    live = live or {}
    piece = window.piece_at(stop.at)
    point = window.point_at(stop.at)
    nozzle = float(live.get("nozzle_target") or after.nozzle.get(str(after.tool), 0.0))
    bed = float(live.get("bed_target") or after.bed)
    if finishing:
        nozzle, bed = SOFT, after.bed
    # Parts that are printed one after the other can be higher than where the nozzle stopped; it may stand above the path.
    top = max(point[2], after.high[2] if after.high else 0.0)
    lift = max(LIFT, top - stop.z + LIFT / 2)
    _require(after, nozzle, stop.z + lift - after.shift[2], facts)
    writer = _Writer(stop.z, stop.z + max(stop.z_spread, stop.held or 0.0))
    _wake(writer, facts, nozzle, bed, point, lift, after, stop.held is not None)
    _set_place(writer, after)
    if finishing:
        _finish(writer, after)
    else:
        corner = _corner(after, facts)
        _prime(writer, nozzle, corner)
        _modes(writer, after, facts, live)
        _approach(writer, point, corner, facts, after, stop.z + lift)
        _go_on(writer, window, piece, stop, after, live)
    _hand_over(writer, after, not finishing and (piece.move.by_itself or after.hop > 0))
    return Plan(writer.steps, after.offset, point, after.layer, stop.gap, stop.overlap, _risks(stop, after, facts))


class _Writer:
    """Collects steps; ``low`` and ``high`` bound the nozzle's height, ``high`` counts from ``low`` as the firmware does."""

    def __init__(self, low: float, high: float) -> None:
        self.steps: list[Step] = []
        self.low, self.high = low, high

    def add(self, phase: str, line: str, reason: str, z_after: float | None = None) -> None:
        """A line that may bring the nozzle to ``z_after``; until :meth:`settle` it is anywhere between."""
        if z_after is not None:
            self.low, self.high = min(self.low, z_after), max(self.high, z_after)
        self.steps.append(Step(line, reason, phase, round(self.low, 4), round(self.high, 4)))

    def settle(self, phase: str, z: float) -> None:
        """Wait until the moves are made; from then on the height is known."""
        self.add(phase, "M400", "Wait until it is done.")
        self.low = self.high = z


def _require(after: MachineState, nozzle: float, highest: float, facts: PrinterFacts) -> None:
    if after.tool or any(target for tool, target in after.nozzle.items() if tool != "0"):
        text = "The file prints with other tools than T0, which a resume would leave cold."
        raise RecoveryError("not_recoverable", text, "Finish this print by hand.")
    if after.auto_retract:
        text = "The file lets the firmware retract by itself (M209), which may have lifted the nozzle unseen."
        raise RecoveryError("not_recoverable", text, "Finish this print by hand.")
    if nozzle < SOFT:
        raise RecoveryError("not_recoverable", "The file had not heated the nozzle yet.", "Start the print again.")
    if not after.layer or after.low is None:
        raise RecoveryError("not_recoverable", "Nothing had been printed yet.", "Clear the bed and start the print again.")
    if not facts.z_homes_down:
        raise RecoveryError("not_recoverable", "This printer's Z axis is not supported.", "Measure its height by hand.")
    if highest > facts.height:
        raise RecoveryError("not_recoverable", "There is no room left to lift the nozzle.", "Finish this print by hand.")


def _wake(
    writer: _Writer,
    facts: PrinterFacts,
    nozzle: float,
    bed: float,
    point: Point,
    lift: float,
    after: MachineState,
    release: bool,
) -> None:
    soft = min(SOFT, nozzle)
    if facts.firmware != "klipper":  # where M84 S0 would let go of the motors
        writer.add("heat", "M84 S0", "The motors must not go off while things heat up.")
    if bed:
        writer.add("heat", f"M140 S{bed:g}", "The bed first: the print lets go of a cold one.")
    writer.add("heat", f"M104 S{soft:g}", "Warm enough to come off the print, too cold to ooze.")
    if bed:
        writer.add("heat", f"M190 S{bed:g}", "Wait for the bed.")
    writer.add("heat", f"M109 S{soft:g}", "Nothing moves before the nozzle's plastic is soft.")
    z = writer.low
    if facts.firmware == "klipper":
        x, y = point[0], point[1]
        writer.add(
            "lift", f"SET_KINEMATIC_POSITION X={x:.3f} Y={y:.3f} Z={z:.3f}", "Where the nozzle is; Klipper moves no lost axes."
        )
    elif words := after.limits.get("M92"):
        writer.add("lift", _said("M92", words), "Steps that the file had set: before anything moves.")
    if release:
        writer.add("lift", "G11", "What the firmware holds up itself it would lower into the print.")
        writer.settle("lift", z)
    writer.add("lift", "G21", "Millimetres.")
    writer.add("lift", "G91", "Relative: the firmware does not know where it is.")
    writer.add("lift", f"G1 Z{lift:.3f} F{Z_FEED:g}", "Off the print.", z + lift)
    writer.add("lift", "G90", "Absolute again.")
    writer.settle("lift", z + lift)
    if facts.firmware != "klipper":
        writer.add("lift", f"G92 Z{z + lift:.3f}", "The height comes from the journal; Z is never homed.")
    # Marlin 1.1 knows no R: it may lift by itself first, which the line after takes back.
    line = "G28 R0 X Y" if facts.firmware == "marlin2" else "G28 X Y"
    writer.add("home", line, "Motors that wake up jump by up to 0.4 mm; homing takes that away.", z + lift + OWN_RAISE)
    writer.add("home", f"G1 Z{z + lift:.3f} F{Z_FEED:g}", "The known height, whatever homing did.")
    writer.settle("home", z + lift)


def _set_place(writer: _Writer, after: MachineState) -> None:
    words = "".join(f" {letter}{after.shift[axis]:.3f}" for axis, letter in enumerate("XY") if after.shift[axis])
    if words:
        writer.add("home", f"G92{words}", "The file had shifted its coordinates.")


def _corner(after: MachineState, facts: PrinterFacts) -> tuple[float, float]:
    """A place to prime: the bed's corner that is farthest from the print and clear of it, as the file counts."""
    assert after.low is not None and after.high is not None
    (left, right), (front, back) = (
        (low + shift, high + shift) for low, high, shift in zip(facts.bed[:2], facts.bed[2:], after.shift[:2], strict=True)
    )
    corners = [(x, y) for x in (left + 2, right - 2) for y in (front + 2, back - 2)]

    def clearance(corner: tuple[float, float]) -> float:
        dx = max(after.low[0] - corner[0], corner[0] - after.high[0], 0.0)  # type: ignore[index]
        dy = max(after.low[1] - corner[1], corner[1] - after.high[1], 0.0)  # type: ignore[index]
        return float(max(dx, dy))

    best = max(corners, key=clearance)
    if clearance(best) < CLEARANCE:
        raise RecoveryError("not_recoverable", "The print leaves no free corner to prime the nozzle.", "Prime it by hand.")
    return best


def _prime(writer: _Writer, nozzle: float, corner: tuple[float, float]) -> None:
    writer.add("prime", f"G1 X{corner[0]:.3f} Y{corner[1]:.3f} F{TRAVEL_FEED:g}", "Away from the print, above its top.")
    writer.add("prime", f"M109 S{nozzle:g}", "Printing temperature.")
    writer.add("prime", "M83", "Relative extrusion for priming.")
    writer.add("prime", f"G1 E{PRIME:g} F{PRIME_FEED:g}", "Fill the nozzle again.")
    writer.add("prime", f"G1 E-{RETRACT:g} F{RETRACT_FEED:g}", "Pull back for the way.")
    writer.add("prime", f"G4 P{CLEAN_MS}", "Time to take away what hangs from the nozzle.")


def _modes(writer: _Writer, after: MachineState, facts: PrinterFacts, live: dict[str, Any]) -> None:
    def say(line: str, reason: str) -> None:
        writer.add("modes", line, reason)

    for name in ("M201", "M203", "M204", "M205", *RETRACTION):
        if words := after.limits.get(name):
            say(_said(name, words), "Limits that the file had set.")
    if after.linear_advance is not None:
        say(f"M900 K{after.linear_advance:g}", "Pressure advance that the file had set.")
    feed = float(live.get("feed_percent") or after.feed_percent)
    say(f"M220 S{feed:g}", "Speed as it was.")
    fans = {"0": 0.0} | after.fans
    if live.get("fan") is not None:
        fans["0"] = float(live["fan"])
    for fan, speed in fans.items():
        say(f"M106 S{speed:g}" + (f" P{fan}" if fan != "0" else ""), "Fan as it was.")


def _said(name: str, words: dict[str, float]) -> str:
    return name + "".join(f" {letter}{value:g}" for letter, value in words.items())


def _approach(
    writer: _Writer, point: Point, corner: tuple[float, float], facts: PrinterFacts, after: MachineState, height: float
) -> None:
    x, y, z = point
    # First along the edge, then in: the longer part of the way leads past the print, all of it above its top.
    writer.add("approach", f"G1 X{corner[0]:.3f} Y{y:.3f} F{TRAVEL_FEED:g}", "Beside the place, still outside.")
    writer.add("approach", f"G1 X{x:.3f} Y{y:.3f} F{TRAVEL_FEED:g}", "Over the place.")
    if after.leveling and facts.firmware != "klipper":
        # Here, because the mesh's height at this very place is in the height that the journal knows.
        fade = f" Z{after.fade_height:g}" if after.fade_height is not None else ""
        writer.settle("approach", height)
        writer.add("approach", f"M420 S1{fade}", "Bed levelling as it was.")
        writer.add("approach", f"G92 Z{height:.3f}", "Levelling changed what the height is called.")
    if facts.firmware != "klipper":
        # Not only for this way down: a nozzle that stopped in a hop wakes up above what is still to be printed.
        writer.add("approach", "M211 S0", "The firmware believes that its zero is where it woke up, perhaps above the layer.")
    writer.add("approach", f"G1 Z{z:.3f} F{Z_FEED:g}", "Down to the layer.", z)
    writer.settle("approach", z)


def _go_on(writer: _Writer, window: Window, piece: Piece, stop: Estimate, after: MachineState, live: dict[str, Any]) -> None:
    share = share_of(piece, stop.at)
    rest = [p for p in window.pieces if p.number == piece.number and p.at >= piece.at]
    if piece.move.by_itself:
        # Nothing of it is the file's extruder's: G10 is said anew, and what G11 pushes is there already.
        rest = []
    left = sum(p.filament for p in rest) - piece.filament * share if rest else 0.0
    # What was pulled back when the nozzle stopped stays so; the file pushes it forward itself.
    pulled = max(0.0, after.retracted + (0.0 if piece.prints else left))
    if abs(RETRACT - pulled) > 1e-6:
        writer.add("go", f"G1 E{RETRACT - pulled:.5f} F{RETRACT_FEED:g}", "Forward again, as far as the file had it.")
    flow = float(live.get("flow_percent") or after.flow_percent.get("0", 100.0))
    writer.add("go", f"M221 S{flow:g}", "Flow as it was.")
    for part in rest:
        pushed = part.filament * (1 - share if part is piece else 1.0)
        words = [f"X{part.end[0]:.3f} Y{part.end[1]:.3f} Z{part.end[2]:.3f}"] if part.start != part.end else []
        words += [f"E{pushed:.5f}"] if abs(pushed) > 1e-6 else []
        if words and (part is not piece or share < 1):
            line = f"G1 {' '.join(words)} F{part.move.feed:g}"
            writer.add("go", line, "The rest of the interrupted line.", part.end[2])


def _finish(writer: _Writer, after: MachineState) -> None:
    """Nothing is left to be printed: heaters as the file has them; its last lines follow, made above the print."""
    for target in after.nozzle.values():
        writer.add("modes", f"M104 S{target:g}", "The print is complete.")
    for fan, speed in after.fans.items():
        writer.add("modes", f"M106 S{speed:g}" + (f" P{fan}" if fan != "0" else ""), "Fan as it was.")


def _hand_over(writer: _Writer, after: MachineState, down: bool) -> None:
    """The modes that the file's next line relies on, the extruder last. ``down``: a retraction of the firmware's had lifted the
    nozzle, or was about to."""
    if down:
        z = after.position[2]
        writer.add("go", f"G1 Z{z:.3f} F{Z_FEED:g}", "The height that the file means; what G10 lifts comes on top.", z)
    if after.inches:
        writer.add("go", "G20", "The file is in inches.")
    unit = after.unit
    writer.add("go", f"G1 F{after.feed / unit:g}", "The file's feed.")
    writer.add("go", "G91" if after.relative else "G90", "The file's mode.")
    writer.add("go", "M83" if after.e_relative else "M82", "The file's extruder mode: after G90 and G91, which change it.")
    if after.firmware_retracted:
        writer.add("go", "G10", "The firmware had pulled back the filament.", writer.low + after.hop)
        writer.settle("go", writer.low + after.hop)
    writer.add("go", f"G92 E{after.e / unit:.5f}", "The extruder as the file counts it.")


def _risks(stop: Estimate, after: MachineState, facts: PrinterFacts) -> list[dict[str, str]]:
    found = []
    if stop.parked:
        text = "The nozzle had been moved away, for a pause or a change of filament: look which filament is in."
        found.append({"code": "filament_change", "message": text})
    if stop.moved:
        text = "The nozzle has been moved since the print was interrupted: measure its height."
        found.append({"code": "moved", "message": text})
    elif stop.z_spread > 0.001:
        text = f"The nozzle may be up to {stop.z_spread:.2f} mm higher than assumed: measure its height."
        found.append({"code": "z_uncertain", "message": text})
    if after.leveling:
        found.append({"code": "levelling", "message": "Bed levelling is switched on again: watch the first lines."})
    if facts.firmware == "klipper":
        text = "Klipper must allow SET_KINEMATIC_POSITION: [force_move] with enable_force_move in its configuration."
        found.append({"code": "force_move", "message": text})
    found.append({"code": "adhesion", "message": "A bed that has cooled may have let go of the print: look, and touch."})
    return found
