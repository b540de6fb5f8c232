"""Lines that must not reach a printer with an unfinished print on its bed."""

from __future__ import annotations

import re

_COMMAND = re.compile(r"\s*(?:N\d+\s*)?G\s*0*(\d+)(?:\.\d+)?(?!\d)(.*)", re.IGNORECASE | re.DOTALL)
_RELEASE = re.compile(r"\s*(?:N\d+\s*)?M\s*0*(?:18|84)(?!\d)", re.IGNORECASE)
#: The same of Klipper (``G-Codes.md``): probing, levelling by probe or by hand, and moves without knowing where.
_KLIPPER = re.compile(
    r"\s*(?:BED_MESH_CALIBRATE|BED_TILT_CALIBRATE|BED_SCREWS_ADJUST|SCREWS_TILT_CALCULATE|Z_TILT_ADJUST|QUAD_GANTRY_LEVEL"
    r"|DELTA_CALIBRATE|AXIS_TWIST_COMPENSATION_CALIBRATE|Z_ENDSTOP_CALIBRATE|MANUAL_PROBE|PROBE(?:_ACCURACY|_CALIBRATE)?"
    r"|FORCE_MOVE|SET_STEPPER_ENABLE)(?![A-Z_])",
    re.IGNORECASE,
)
#: Mesh validation, bed probing, single probe, delta calibration, gantry alignment, tramming, probing towards a target,
#: calibration of the probe by its temperature, of the nozzle: each drives Z into whatever is there.
PROBING = frozenset({26, 29, 30, 33, 34, 35, 38, 76, 425})
#: The probe's repeatability; and a print from the printer's own SD card, whose first lines home Z: M24, M32, Klipper's; and the
#: firmware's own recovery of one, M1000.
_OTHER = re.compile(r"\s*(?:N\d+\s*)?(?:M\s*0*(?:24|32|48|1000)(?!\d)|SDCARD_PRINT_FILE(?![A-Z_]))", re.IGNORECASE)
#: What changes the meaning of the coordinates: G92 (but for the extruder alone), workspaces, offsets, steps of Z that the
#: firmware does not count (M290), Klipper's.
_SHIFTS = re.compile(
    r"\s*(?:N\d+\s*)?(?:G\s*0*(?:92(?!\d)(?!\s*E[^XYZ]*$)|5[3-9](?!\d)|10(?!\d).*L)|M\s*0*(?:206|290|428)(?!\d)"
    r"|(?:SET_KINEMATIC_POSITION|SET_GCODE_OFFSET|RESTORE_GCODE_STATE)(?![A-Z_]))",
    re.IGNORECASE,
)
#: What a plan sets, and what it relies on: the extruder's mode, filament in volumes (M200), steps, soft endstops, levelling,
#: settings from the board's memory.
_UNSETTLES = re.compile(r"\s*(?:N\d+\s*)?M\s*0*(?:82|83|92|20[0-9]|211|420|50[123])(?!\d)", re.IGNORECASE)
#: Moves in X and Y: lines, arcs, wiping the nozzle.
_LINES, _ARCS, _HOME = frozenset({0, 1}), frozenset({2, 3, 5, 12}), 28


def endangers(line: str) -> bool:
    """Whether a line would move Z down without knowing where it is: G28 unless it names X or Y only, and all that probes; or
    would begin a print from the SD card, which homes it; or would let go of the motors, after which Z may sink: M18, M84, also
    with a time, which Klipper does not know. What macros of a printer's own configuration do cannot be known."""
    code = line.partition(";")[0]
    if _RELEASE.match(code) or _KLIPPER.match(code) or _OTHER.match(code):
        return True
    match = _COMMAND.match(code)
    if match is None:
        return False
    number, words = int(match[1]), match[2].upper()
    if number in PROBING:
        return True
    return number == 28 and ("Z" in words or not ("X" in words or "Y" in words))


def drags(line: str) -> bool:
    """Whether a line moves the nozzle in X or Y: with plastic that has gone hard around it, it takes the print along. What G28
    does to Z, :func:`endangers` knows."""
    match = _COMMAND.match(line.partition(";")[0])
    if match is None:
        return False
    number, words = int(match[1]), match[2].upper()
    return number in _ARCS or (number in (*_LINES, _HOME) and ("X" in words or "Y" in words))


def shifts(line: str) -> bool:
    """Whether a line changes what heights and places mean to the printer."""
    return bool(_SHIFTS.match(line.partition(";")[0]))


def unsettles(line: str) -> bool:
    """Whether a line undoes what a plan that is being carried out has set, or relies on."""
    return shifts(line) or bool(_UNSETTLES.match(line.partition(";")[0]))
