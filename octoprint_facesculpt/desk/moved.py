"""What moves the nozzle between an interruption and the resume, other than the resume itself.

Somebody raises it to get at the print, or homes X and Y. The plan lifts the nozzle from where it stopped, and takes the height
it comes to for true: what was moved meanwhile is an error of every layer that follows, in the air or into the print. How far a
firmware really went cannot be known, because one that has not homed may hold to limits which it counts from where it woke up.
So what is kept is how far it may have come, and the height must be measured.
"""

from __future__ import annotations

import re

from ..recovery.interlock import drags
from ..recovery.plan import OWN_RAISE
from .answers import ANYWHERE
from .watch import MOVING

#: Commands that move the nozzle to where only the firmware knows: splines, steps, clean, park, a point of the mesh, back to a
#: place it has kept, out of the way of a probe, change the filament.
PARKING = frozenset(("G5", "G6", "G12", "G27", "G42", "G61", "M125", "M401", "M402", "M600", "M701", "M702"))
#: The firmware's own retraction, which may lift and lower by what only its settings say, and steps of Z beside the coordinates.
RETRACTION, STEPS = frozenset(("G10", "G11")), "M290"
#: All that must be followed.
FOLLOWED = MOVING | PARKING | RETRACTION | {STEPS}
_Z = re.compile(r"Z\s*([-+]?(?:\d+\.?\d*|\.\d+))?")
_STEPS = re.compile(r"[ZS]\s*([-+]?(?:\d+\.?\d*|\.\d+))", re.IGNORECASE)
_NUMBER = re.compile(r"\s*(?:N\d+\s*)?G\s*0*(\d+)", re.IGNORECASE)
#: Commands of Klipper that move nothing; others, and macros, may.
_STILL = re.compile(
    r"\s*(?:(?:FIRMWARE_)?RESTART|STATUS|HELP|ECHO|RESPOND|GET_POSITION|QUERY_[A-Z_]+|TURN_OFF_HEATERS|TEMPERATURE_WAIT"
    r"|PID_CALIBRATE|SAVE_CONFIG|SAVE_GCODE_STATE|BED_MESH_(?:PROFILE|CLEAR|OUTPUT)|CLEAR_PAUSE"
    r"|SET_(?:LED|PIN|FAN_SPEED|HEATER_TEMPERATURE|VELOCITY_LIMIT|PRESSURE_ADVANCE|DISPLAY_TEXT|IDLE_TIMEOUT|RETRACTION"
    r"|GCODE_VARIABLE|KINEMATIC_POSITION|GCODE_OFFSET))(?![A-Z_])",
    re.IGNORECASE,
)
#: An offset of Klipper's that is moved by at once.
_AT_ONCE = re.compile(r"\bMOVE\s*=\s*[^0\s]", re.IGNORECASE)
_WORD = re.compile(r"\s*[A-Z_]{3}", re.IGNORECASE)
_INCH = 25.4
#: A nozzle that was raised by so much stands clear of what it stood on, mm.
CLEAR = 1.0
#: Heights nearer than this are the same, mm.
SAME = 0.1

Reach = tuple[float, float]
ANYWHERE_REACH: Reach = (-ANYWHERE, ANYWHERE)


def moved_unseen(height: float, stop: float, knows: bool) -> Reach | None:
    """How far a nozzle may have been moved at the printer's display, if its board says to be at ``height``, mm, but the print
    stopped at ``stop``; None if it was not. A board that ``knows`` has had its power and was not reset; another one counts from
    where it woke up."""
    if abs(height - stop) <= SAME or (abs(height) <= SAME and not knows):
        return None
    ways = (0.0, height, height - stop)
    return min(ways), max(ways)


def insisted(line: str, relative: bool = False) -> Reach | None:
    """How far down and up a line that was held back may move the nozzle, mm, once somebody insists on it; None if it does not,
    as where it only lets go of motors that do not hold its height."""
    if drags(line) and (number := _NUMBER.match(line)) and not (number[1] == "28" and "Z" in line.upper()):
        moves = Moves()
        moves.relative = relative
        return moves.follow(line, f"G{number[1]}")
    command, *words = line.partition(";")[0].upper().split() or [""]
    let_go = {word[0] for word in words}
    return None if command in ("M18", "M84") and let_go and let_go <= {"X", "Y", "E"} else ANYWHERE_REACH


class Moves:
    """Reads lines in their order, for their modes."""

    def __init__(self) -> None:
        self.relative = self._inches = False
        #: How much higher it is for certain than it was, mm.
        self.lift = 0.0

    def follow(self, cmd: str, gcode: str | None) -> Reach | None:
        """How far down and up, mm, a line of :data:`FOLLOWED`, or one that is no G-code, may move the nozzle from where it is;
        None if it does not."""
        if gcode is None:
            still = _STILL.match(cmd) and not _AT_ONCE.search(cmd)
            return ANYWHERE_REACH if _WORD.match(cmd) and not still else None
        if gcode in ("G90", "G91"):
            self.relative = gcode == "G91"
        elif gcode in ("G20", "G21"):
            self._inches = gcode == "G20"
        elif gcode == "G28":
            # With Z it has been held back. Firmwares may lift the nozzle before they home X and Y, and leave it up there.
            return (0.0, OWN_RAISE)
        elif gcode in PARKING or gcode in RETRACTION:
            return ANYWHERE_REACH
        elif gcode == STEPS:
            # Z, or S for it, in millimetres; without either it only tells.
            found = [float(number) for number in _STEPS.findall(cmd.partition(";")[0])]
            return (min(0.0, *found), max(0.0, *found)) if any(found) else None
        elif gcode in ("G0", "G1", "G2", "G3") and (word := _Z.search(cmd.partition(";")[0].upper())):
            if not self.relative:
                return ANYWHERE_REACH
            way = float(word[1] or 0.0) * (_INCH if self._inches else 1.0)
            self.lift += way
            return (min(way, 0.0), max(way, 0.0)) if way else None
        return None
