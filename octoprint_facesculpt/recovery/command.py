"""The command ``recover``: plans from a journal, prints nothing."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import FIRMWARES
from .errors import RecoveryError

if TYPE_CHECKING:
    from ..command import Reporter

_File = click.Path(path_type=Path, dir_okay=False)
#: Corners of a bed given as left, front, right, back.
_CORNERS = 4


def recover_options(function: Any) -> Any:
    """The command's options."""
    for option in reversed(
        (
            click.option("--journal", "folder", type=click.Path(path_type=Path), required=True, help="Folder of the journal."),
            click.option("--gcode", type=_File, help="The file that was being printed; otherwise the journal names it."),
            click.option("-o", "--output", type=_File, help="Write the plan and the rest of the print as G-code."),
            click.option("--report", "report_file", type=_File, help="Write what happened and the plan as JSON."),
            click.option("--firmware", type=click.Choice(FIRMWARES), help="Otherwise what the journal knows, or marlin2."),
            click.option("--bed", "bed", default=None, metavar="L,F,R,B", help="Left, front, right and back of the bed, mm."),
            click.option("--nozzle-is", type=float, help="The nozzle's temperature after the outage, before it was heated."),
            click.option("--position", default=None, metavar="X,Y,Z", help="The printer's own position, if it kept power."),
            click.option("--moved", default=None, metavar="DOWN,UP", help="How far it may have been moved since, mm."),
            click.option("--choice", type=int, help="Which of the report's choices is the true one, counted from 0."),
            click.option("--height", type=float, help="The nozzle's height after the outage as measured, mm above the bed."),
            click.option("--line", type=int, help="Go on with the line of the file that begins at this byte."),
            click.option("--layers", type=click.IntRange(-9, 9), default=0, help="Go on so many layers higher or lower."),
            click.option("--moves", type=click.IntRange(-999, 999), default=0, help="... and so many moves later or earlier."),
            click.option("--layer-picture", type=_File, help="Draw the layer as SVG; NAME.close.svg is a close look."),
            click.option("--index", "index_file", type=_File, help="Keep the file's index here."),
        )
    ):
        function = option(function)
    return function


def run_recover(
    reporter: Reporter,
    folder: Path,
    gcode: Path | None,
    output: Path | None,
    report_file: Path | None,
    firmware: str | None,
    bed: str | None,
    nozzle_is: float | None,
    position: str | None,
    moved: str | None,
    choice: int | None,
    height: float | None,
    line: int | None,
    layers: int,
    moves: int,
    layer_picture: Path | None,
    index_file: Path | None,
) -> None:
    """Say what happened to an interrupted print and how to go on with it; moves nothing."""
    from .journal import read, this_boot
    from .outage import Seen
    from .picture import save_layer, view_layer
    from .printer import PrinterFacts
    from .recover import Chosen, recover, resume_gcode

    reading = read(folder)
    if reading is None:
        raise RecoveryError("journal_empty", f"There is no journal of a print in {folder}.", "Is it the right folder?")
    file = gcode or Path(str(reading.job.get("file") or ""))
    if not file.is_file():
        raise RecoveryError("file_missing", f"The file that was being printed, {file.name}, is not there.", "Use --gcode.")
    facts = PrinterFacts.from_json(reading.job.get("printer") or {})
    if firmware:
        facts = replace(facts, firmware=firmware)
    if bed:
        facts = replace(facts, bed=_numbers(bed, _CORNERS, "bed"))
    seen = Seen(
        boot=this_boot(),
        session="command",
        mono=time.monotonic(),
        nozzle=nozzle_is,
        position=_numbers(position, 3, "position") if position else None,
        moved=_numbers(moved, 2, "moved") if moved else None,
    )
    recovery = recover(reading, seen, file, facts, index_file, Chosen(choice, height, line, layers, moves))
    reporter(0.8, "Planned")
    data = {**recovery.to_json(), "gcode": str(file), "sequence": reading.sequence}
    if output is not None:
        if recovery.kind == "restart":
            raise RecoveryError("nothing_to_recover", "Nothing of the model was printed yet.", "Start the print again.")
        if output.exists() and output.samefile(file):
            raise RecoveryError("output_is_gcode", "The plan would overwrite the print's own file.", "Choose another name.")
        resume_gcode(recovery, file, output)
    if layer_picture is not None and (seen_from := recovery.view) is not None:
        bounds, taken = (seen_from.stop.earliest, seen_from.stop.latest), seen_from.taken
        picture = view_layer(file, seen_from.index, recovery.layer, seen_from.window, bounds, taken.stop.at, taken.window)
        save_layer(picture, layer_picture, layer_picture.with_suffix(".close.svg"))
    if report_file is not None:
        from ..command import write_json

        write_json(report_file, data)
    reporter(1.0, "Done")
    reporter.result(data, describe(data))


def run_rehearse(
    reporter: Reporter, gcode: Path, folder: Path, begin: bool, seed: int | None, plan_file: Path | None, bed: str | None
) -> None:
    """Make up an outage, or carry a plan out on the machine model."""
    from .drill import rehearse, stage
    from .printer import PrinterFacts

    if not gcode.is_file():
        raise RecoveryError("file_missing", f"There is no file {gcode.name}.", "Choose another one.")
    if begin:
        facts = PrinterFacts(bed=_numbers(bed, _CORNERS, "bed")) if bed else PrinterFacts()
        truth = stage(gcode, folder, facts, seed)
        return reporter.result(truth, f"Interrupted in layer {truth['layer']} at a height of {truth['point'][2]:g} mm.")
    try:
        plan = json.loads((plan_file or folder / "plan.json").read_text())
        found = rehearse(gcode, folder, plan, progress=reporter)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecoveryError("journal_empty", "There is no plan of a rehearsal.", "Begin one, and plan it.") from error
    text = f"{found['collisions']} collisions; left out {found['gap_mm']} mm, printed twice {found['overlap_mm']} mm"
    reporter.result(found, "\n".join([*found["log"], text]))


def describe(data: dict[str, Any]) -> str:
    """A recovery's JSON in a few lines for people."""
    outage, plan = data["outage"], data["plan"]
    if data["kind"] == "restart":
        return f"Outage: {outage['kind']}. {' '.join(outage['reasons'])}\nNothing of the model was printed: start it again."
    risks = [f"  note: {risk['message']}" for risk in plan["risks"]]
    return "\n".join(
        [
            f"Outage: {outage['kind']}. {' '.join(outage['reasons'])}",
            f"Layer {data['layer']} of {data['layers']}, {data['percent']:.1f} % printed, height {plan['point'][2]:g} mm.",
            f"Goes on at byte {plan['offset']} after {len(plan['steps'])} lines; at most {plan['gap_mm']:.1f} mm of path left "
            f"out and {plan['overlap_mm']:.1f} mm printed twice.",
            *_question(data),
            *risks,
        ]
    )


def _question(data: dict[str, Any]) -> list[str]:
    """What somebody must look at before the print may go on."""
    if not data["asks"]:
        return []
    stop = data["stop"]
    rows = [f"  {number}: layer {c['layer']}, nozzle at {c['z']:.2f} mm" for number, c in enumerate(stop["choices"])]
    if len(rows) > 1:
        return ["It may have stopped at different heights: look, and say which with --choice, or measure it (--height).", *rows]
    text = f"The nozzle is between {stop['z']:.2f} and {stop['z'] + stop['z_spread']:.2f} mm: measure it (--height)."
    return [text]


def _numbers(text: str, count: int, name: str) -> Any:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != count or not all(abs(value) < 10_000 for value in values):
        raise RecoveryError(f"{name}_invalid", f"'{text}' is not {count} numbers.", "Separate them by commas.")
    return values
