"""Ten meshes through both engines with three presets each: sliced, checked, and printed to the end on the simulated Ender 3.

    python extras/benchmark/slicing.py PHOTO_OR_HEAD... [--profiles bust_016 bust_020 bust_028] [--report FILE]

Without arguments the portrait that scikit-image carries is used. The meshes are busts, heads and masks of the people given,
in turn, at different sizes. A run counts when the independent check has passed the file and the printer has printed it
without a complaint, with the filament and to the height of the plan, and has ended cold. Each run's time on the printer,
without heating and homing, stands beside our estimate of it and the slicer's own. What a report already holds is not done
again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from octoprint_facesculpt.portrait import read_portrait
from octoprint_facesculpt.reconstruction import reconstruct
from octoprint_facesculpt.reconstruction.head import Head
from octoprint_facesculpt.sculpture import SculptureSettings, sculpt
from octoprint_facesculpt.sculpture.export import export_mesh
from octoprint_facesculpt.sculpture.orientation import parse_orientation, posed
from octoprint_facesculpt.sculpture.settings import orientations
from octoprint_facesculpt.slicing import ENGINES, SliceRequest, SlicingError, slice_model
from octoprint_facesculpt.slicing.gcode_index import LEAST_MM, read_index

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.printer.bench import print_whole

#: Kind and height in mm of each mesh.
MESHES = (
    ("bust", 30), ("mask", 40), ("head", 40), ("bust", 45), ("mask", 60), ("bust", 60), ("head", 60), ("mask", 80),
    ("bust", 80), ("bust", 100),
)  # fmt: skip
TRIANGLES = 40_000


@dataclass(frozen=True)
class Run:
    """One mesh, engine and preset: ``error`` if it failed, and seconds on the printer, of our plan and of the slicer's."""

    mesh: str
    engine: str
    profile: str
    error: str = ""
    printed: float = 0.0
    planned: float = 0.0
    stated: float = 0.0
    layers: int = 0
    megabytes: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*", type=Path)
    parser.add_argument("--profiles", nargs="+", default=["bust_016", "bust_020", "bust_028"])
    parser.add_argument("--meshes", type=int, default=len(MESHES))
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    runs: list[Run] = []
    if options.report is not None and options.report.exists():
        runs = [Run(**one) for one in json.loads(options.report.read_text())]
    done = {(one.mesh, one.engine, one.profile) for one in runs}
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        for name, model in meshes(options.sources or [portrait(folder)], options.meshes, folder):
            for engine in ENGINES:
                for profile in options.profiles:
                    if (name, engine, profile) in done:
                        continue
                    runs.append(run(name, model, engine, profile, folder))
                    print(told(runs[-1]), flush=True)
                    if options.report is not None:
                        options.report.write_text(json.dumps([asdict(one) for one in runs], indent=1))
    summary(runs)


def portrait(folder: Path) -> Path:
    """The portrait of an astronaut that scikit-image carries."""
    import skimage.data
    from PIL import Image

    path = folder / "astronaut.jpg"
    Image.fromarray(skimage.data.astronaut()).save(path, quality=92)
    return path


def meshes(sources: list[Path], count: int, folder: Path) -> Iterator[tuple[str, Path]]:
    """Names and STL files of the meshes."""
    heads = [Head.load(path) if path.suffix == ".npz" else reconstruct(read_portrait(path, face=0)) for path in sources]
    for number, (kind, height) in enumerate(MESHES[:count]):
        source, head = sources[number % len(heads)], heads[number % len(heads)]
        settings = SculptureSettings(height_mm=height, style=kind, max_triangles=TRIANGLES)
        pose = parse_orientation(orientations(kind)[0], kind)
        assert pose is not None
        settings = posed(head, settings, pose)
        sculpture = sculpt(head, settings)
        name = f"{kind} {height} mm, {source.stem if source.stem != 'head' else source.parent.name}"
        yield name, export_mesh(sculpture.vertices, sculpture.triangles, folder / f"{number}.stl")


def run(name: str, model: Path, engine: str, profile: str, folder: Path) -> Run:
    """Slice, check and print one mesh."""
    gcode = folder / "out.gcode"
    try:
        sliced = slice_model(model, gcode, SliceRequest(engine=engine, profile=profile, index=folder / "out.json"))
    except SlicingError as error:
        return Run(name, engine, profile, str(error))
    with gcode.open() as lines:
        printed = print_whole(lines)
    wrong = [*printed.complaints]
    if not printed.cold:
        wrong.append("it ended hot")
    # A tip whose lines are shorter than six steps is not moved to.
    tops = [layer.z for layer in read_index(folder / "out.json").layers if layer.filament_mm > LEAST_MM]
    if min(abs(printed.height - height) for height in (sliced.height_mm, *tops[-1:])) > 0.01:
        wrong.append(f"it printed to {printed.height:.2f} instead of {sliced.height_mm:.2f} mm")
    # What is retracted at the end, and what was too short for a move before a G92, is not printed.
    if abs(printed.filament - sliced.filament_mm) > 10 + 0.005 * sliced.filament_mm:
        wrong.append(f"it used {printed.filament:.0f} instead of {sliced.filament_mm:.0f} mm of filament")
    return Run(
        name, engine, profile, "; ".join(wrong), printed.seconds, sliced.estimated_seconds, sliced.slicer_seconds,
        sliced.layers, gcode.stat().st_size / 1e6,
    )  # fmt: skip


def told(one: Run) -> str:
    where = f"{one.mesh:<32} {one.engine:<12} {one.profile:<10}"
    if one.error:
        return f"{where} FAILED {one.error}"
    return (
        f"{where} {one.printed / 60:6.1f} min printed, planned {one.planned / one.printed - 1:+7.2%}, "
        f"slicer {one.stated / one.printed - 1:+7.2%}, {one.layers} layers"
    )


def summary(runs: list[Run]) -> None:
    """Both estimates' errors, by engine."""
    for engine in ENGINES:
        good = [one for one in runs if one.engine == engine and not one.error]
        print(f"{engine}: {len(good)} of {sum(one.engine == engine for one in runs)} printed to the end")
        for what, seconds in (("our plan", [one.planned for one in good]), ("slicer", [one.stated for one in good])):
            errors = np.abs(np.array(seconds) / [one.printed for one in good] - 1)
            if len(errors):
                print(f"  {what}: off by {np.median(errors):.2%} in the middle, {errors.max():.2%} at most")


if __name__ == "__main__":
    main()
