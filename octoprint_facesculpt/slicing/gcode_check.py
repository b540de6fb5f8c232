"""An independent reading of sliced G-code: nothing is called done, let alone printed, that did not pass it.

Slicers return success for prints that leave the bed, stop half way up or extrude nothing; the file itself is the only
witness. It is read once, in bounded memory, for the check, the index of its layers and the time it takes.
"""

from __future__ import annotations

from pathlib import Path

from .engine import Bed, SlicingError
from .gcode_blocks import refusal
from .gcode_facts import NOZZLE_RANGE, GcodeFacts, read

#: How far outside the bed plastic may be put (half a line at the edge), and a move of the start or end code may go, mm.
MARGIN = 0.5
TRAVEL_MARGIN = 10.0
#: The most a bed is heated to, degrees Celsius.
BED_MAX = 130.0
#: Share by which the filament of the moves may differ from the slicer's own sum, and that of all moves from one of all.
FILAMENT_TOLERANCE, WITH_CODES_TOLERANCE = 0.02, 0.002


def check(path: Path, bed: Bed, *, model_height: float | None = None, facts: GcodeFacts | None = None) -> GcodeFacts:
    """Read a G-code file and refuse what would not print well.

    ``model_height`` is the mesh's height in mm: a print that ends lower was cut off. ``facts`` are what the file does, if it
    has just been read. :class:`SlicingError` with the codes
    of :func:`.gcode_facts.read`, or ``gcode_empty``, ``gcode_incomplete``, ``gcode_no_extrusion``, ``gcode_too_hot``,
    ``gcode_stays_hot``, ``gcode_out_of_bounds``, or ``too_large`` when the print itself leaves the bed.
    """
    facts = facts or read(path)
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
    # PrusaSlicer 2.9 counts what start and end code extrude, too, and exactly; older versions and CuraEngine do not.
    with_codes = abs(facts.filament_mm - stated) <= WITH_CODES_TOLERANCE * stated + 1
    if abs(found - stated) > FILAMENT_TOLERANCE * stated + 1 and not with_codes:
        raise refusal("incomplete", f"Its moves use {found:.0f} mm of filament, its summary says {stated:.0f} mm")
    return facts


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
