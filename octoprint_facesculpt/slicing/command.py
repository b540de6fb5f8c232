"""What the commands have to do with slicing: the options of a plan, and the command ``profile``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .engine import Bed, SliceRequest, SlicingError
from .face import CARES

if TYPE_CHECKING:
    from ..command import Reporter
    from .targets import Wishes

_File = click.Path(path_type=Path, dir_okay=False)


def plan_options(function: Any) -> Any:
    """Options of the commands that plan a print."""
    for option in reversed(
        (
            click.option("--target-hours", type=float, help="Choose the size (or, with --height-mm, the layers) by time."),
            click.option("--target-grams", type=float, help="The same by filament."),
            click.option("--filament-left", type=float, help="Grams on the spool, to be warned when they do not suffice."),
            click.option("--correction", default=1.0, show_default=True, help="How much longer than estimated prints take."),
            click.option("--prints", default=0, hidden=True, help="How many earlier prints that is known by."),
            click.option("--face-care", type=click.Choice(CARES), default="spare", show_default=True,
                         help="Supports on the face: spare it where it prints without, keep all of it free, or ignore it."),
            click.option("--slicer-path", default=None, help="The slicer's program."),
            click.option("--profile-file", type=_File, help="Settings as KEY = VALUE lines instead of a profile."),
            click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Replace a setting of the profile."),
            click.option("--bed", default=None, metavar="WxDxH[@X,Y]", help="Printable space and its front left corner, mm."),
            click.option("--index", type=_File, help="Write the index of the layers as JSON."),
            click.option("--nozzle", default=0.4, show_default=True, help="Diameter of the nozzle, mm."),
        )
    ):  # fmt: skip
        function = option(function)
    return function


def request_of(
    engine: str, profile: str, profile_file: Path | None, settings: tuple[str, ...], bed: str | None, nozzle: float, **more: Any
) -> SliceRequest:
    """A slicing job from the options; :class:`SlicingError`."""
    from .arguments import parse_bed, parse_settings
    from .profile_files import read_profile

    if profile_file is not None and not profile_file.is_file():
        raise SlicingError("profile_unknown", f"There is no profile file {profile_file.name}.")
    return SliceRequest(
        engine=engine,
        profile=profile,
        config=dict(read_profile(profile_file).config) if profile_file is not None else None,
        overrides=parse_settings(settings),
        bed=parse_bed(bed) if bed else Bed(),
        nozzle_mm=nozzle,
        **more,
    )


def wishes_of(
    target_hours: float | None,
    target_grams: float | None,
    filament_left: float | None,
    correction: float,
    prints: int,
    fixed_height: bool,
) -> Wishes:
    """A plan's wishes from the options; :class:`SlicingError` ``target_impossible``."""
    from .targets import GRAMS, HOURS, Target, Wishes

    if target_hours is not None and target_grams is not None:
        raise SlicingError("target_impossible", "A print has one target.", "Give hours or grams.")
    if not 0.5 <= correction <= 2 or (filament_left is not None and not 0 < filament_left <= 100_000):
        raise SlicingError("target_impossible", "Correction or filament are not possible.", "Use 0.5 to 2, and grams.")
    target = None
    if target_hours is not None:
        target = Target(HOURS, target_hours)
    elif target_grams is not None:
        target = Target(GRAMS, target_grams)
    return Wishes(target, fixed_height, correction, prints, filament_left)


def layers_options(function: Any) -> Any:
    """Options of the command ``layers``."""
    for option in reversed(
        (
            click.argument("gcode", type=_File),
            click.option("--index", type=_File, required=True, help="The index that 'slice' wrote."),
            click.option("--first", type=click.IntRange(0), default=0, show_default=True, help="The first layer, from 0."),
            click.option("--count", type=click.IntRange(1, 1000), default=1, show_default=True),
            click.option("--size", type=click.IntRange(64, 2048), default=640, show_default=True, help="Pixels."),
            click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder."),
        )
    ):
        function = option(function)
    return function


def run_layers(reporter: Reporter, gcode: Path, index: Path, first: int, count: int, size: int, output: Path) -> None:
    """Draw layers of sliced G-code as NUMBER.png."""
    from .gcode_index import read_index
    from .layer_picture import save_layer

    if not gcode.is_file():
        raise SlicingError("layer_unknown", f"There is no G-code {gcode.name}.", "Slice the model again.")
    read = read_index(index, gcode)
    if first >= len(read.layers):
        raise SlicingError("layer_unknown", f"There is no layer {first}.", f"There are {len(read.layers)}.")
    numbers = range(first, min(first + count, len(read.layers)))
    output.mkdir(exist_ok=True)
    for number in numbers:
        save_layer(gcode, read, number, output / f"{number}.png", size)
        reporter((number - first + 1) / len(numbers), f"Layer {number}")
    reporter.result(
        {"layers": len(read.layers), "drawn": len(numbers)}, f"{len(numbers)} of {len(read.layers)} layers in {output}"
    )


def profile_options(function: Any) -> Any:
    """The command's options."""
    for option in reversed(
        (
            click.argument("file", type=_File),
            click.option("-o", "--output", type=_File, help="Write it for --profile-file and OctoPrint."),
            click.option("--name", default=None, help="Its name; otherwise the file's."),
            click.option("--slicer-path", default=None, help="The slicer's program."),
            click.option("--report", "report_file", type=_File, help="Write profile, notes and differences as JSON."),
        )
    ):
        function = option(function)
    return function


def run_profile(
    reporter: Reporter, file: Path, output: Path | None, name: str | None, slicer_path: str | None, report_file: Path | None
) -> None:
    """Read a profile of PrusaSlicer or Cura (.ini, .curaprofile, G-code, 3MF); prints what it changes."""
    from . import ENGINES
    from .importing import fitted, import_profile
    from .profile_files import ProfileFile, differences, title_of, write_profile

    read = import_profile(file)
    engine = ENGINES[read.engine](slicer_path)
    imported = fitted(read, engine)
    title = title_of(name or file.stem)
    changed = differences(imported.config, engine.configuration(imported.base))
    if output is not None:
        notes = tuple(note.message for note in imported.notes)
        write_profile(ProfileFile(title, imported.base, imported.config, notes), output)
    data = {**imported.to_json(), "title": title, "differences": changed}
    if report_file is not None:
        from ..command import write_json

        write_json(report_file, data)
    lines = [f"{title} ({engine.title}), compared with {imported.base}:"]
    lines += [f"  {row['key']}: {row['base']} -> {row['own']}" for row in changed]
    reporter.result(data, "\n".join([*lines, *(f"note: {note.message}" for note in imported.notes)]))
