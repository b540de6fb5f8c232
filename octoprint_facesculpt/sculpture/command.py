"""The command ``sculpt``: from a photo, or a finished head, to a sculpture and perhaps its G-code.

All that can be wrong with its options is said before the seconds that a head takes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from math import hypot
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from ..command import Reporter, UsageError, check_folder, write_json
from ..reconstruction.command import Photos, head_of
from .orientation import Candidate, Pose, candidates, parse_orientation, posed
from .settings import SculptureError, SculptureSettings, orientations
from .shaping import Sculpture, sculpt

if TYPE_CHECKING:
    from ..portrait.portrait import Portrait
    from ..reconstruction.head import Head
    from ..slicing import SliceRequest
    from ..slicing.targets import Wishes


@dataclass(frozen=True)
class Source:
    """What a sculpture is made of: ``photos``, or the file of a finished ``head`` instead."""

    photos: Photos
    head: Path | None = None

    def check(self) -> None:
        """:class:`FaceSculptError` for what no head can come from."""
        if bool(self.photos.paths) == (self.head is not None):
            raise SculptureError(
                "photo_or_head", "A sculpture is made from photos of one person, or from a head.", "Give either of them."
            )
        if self.head is None:
            self.photos.check()
        elif self.photos.expression is not None:
            raise UsageError("usage", "The expression of a finished head stays.", "Give --expression to reconstruct instead.")


@dataclass(frozen=True)
class Shape:
    """What it becomes: its settings, and its pose, None for the one that prints best."""

    settings: SculptureSettings
    pose: Pose | None

    @classmethod
    def of(cls, height_mm: float, style: str, orientation: str | None, detail: float = 1.0, hair: bool = True) -> Shape:
        """From options; :class:`SculptureError` when they are impossible."""
        settings = SculptureSettings(height_mm=height_mm, style=style, detail=detail, hair=hair)
        pose = parse_orientation(orientation or orientations(style)[0], style)
        if pose is not None:
            settings = replace(settings, tilt_deg=pose.tilt_deg, lean_deg=pose.lean_deg or 0.0)
        return cls(settings, pose)

    @property
    def stands(self) -> bool:
        """Whether it is known to stand upright on the bed."""
        return self.pose is not None and self.pose.lean_deg == 0


@dataclass(frozen=True)
class Print:
    """How it is sliced: the job, the wishes of its plan, and the slicer's program."""

    request: SliceRequest
    wishes: Wishes
    slicer: str | None = None

    def check(self, shape: Shape) -> None:
        """Refuse what will not be sliced, as far as that can be told without the sculpture; :class:`SlicingError`."""
        from ..slicing import ENGINES, SlicingError, engine
        from ..slicing.plan import LOWEST

        engine(self.request.engine)
        program = ENGINES[self.request.engine](self.slicer)
        program.resolve(self.request)
        program.find()
        bed, height = self.request.bed, shape.settings.height_mm
        if self.wishes.target is not None and not self.wishes.fixed_height:
            height = LOWEST
        # However it leans, back on the bed, it fits between two corners of the bed's side.
        room = bed.height if shape.stands else hypot(bed.depth, bed.height)
        if height > room:
            raise SlicingError(
                "too_large", f"The sculpture is {height:g} mm high, the printer has room for {room:.0f} mm.",
                "Make the sculpture smaller.",
            )  # fmt: skip


def run_sculpt(
    reporter: Reporter, source: Source, shape: Shape, printed: Print, output: Path, folder: Path | None
) -> tuple[Sculpture, dict[str, Any]]:
    """Make a sculpture and write it; the sculpture, as large as it became, and its report."""
    from .export import export_mesh

    _check(source, shape, printed, output, folder)
    portrait, head, seconds = _head(reporter, source)
    sculpture, poses = _posed(reporter, head, shape, seconds)
    data = _told(portrait, head, sculpture, poses, seconds)
    if folder is not None:
        _write_poses(folder, poses)
    if _sliced(output):
        from ..slicing.plan import plan_print

        picture = folder / "contact.png" if folder is not None else None
        slicing = reporter.part(0.4, 0.92)
        sculpture, data["slicing"] = plan_print(
            sculpture, output, printed.request, printed.wishes, slicing, printed.slicer, picture
        )
        data["sculpture"] |= {**sculpture.checks, "height_mm": sculpture.settings.height_mm}
    else:
        export_mesh(sculpture.vertices, sculpture.triangles, output)
    if folder is not None:
        from . import save

        save(sculpture, folder, reporter.part(0.92, 1.0))
    return sculpture, data


def _check(source: Source, shape: Shape, printed: Print, output: Path, folder: Path | None) -> None:
    """:class:`FaceSculptError` for whatever is known to be wrong before anything is made."""
    from .export import suffix_of

    suffix_of(output, also=("gcode",))
    source.check()
    if _sliced(output):
        printed.check(shape)
    elif printed.wishes.target is not None:
        raise UsageError("usage", "A target of time or filament needs a .gcode output.", "Use -o OUT.gcode.")
    if folder is not None:
        check_folder(folder)


def _sliced(output: Path) -> bool:
    return output.suffix.lower() == ".gcode"


def _head(reporter: Reporter, source: Source) -> tuple[Portrait | None, Head, dict[str, float]]:
    """The first photo's portrait, the head, and the seconds both took; a finished head has no portrait."""
    from ..reconstruction.head import Head

    if source.head is None:
        return head_of(reporter, source.photos, 0.3)
    try:
        return None, Head.load(source.head), {}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise SculptureError("empty_head", f"{source.head.name} is not a head.", "Reconstruct it again.") from error


def _posed(reporter: Reporter, head: Head, shape: Shape, seconds: dict[str, float]) -> tuple[Sculpture, list[Candidate]]:
    """The sculpture, and all poses that were compared where none was asked for; its time goes into ``seconds``."""
    start = time.perf_counter()
    compared = reporter.part(0.3, 0.36)
    poses = candidates(head, shape.settings, progress=compared) if shape.pose is None else []
    settings = posed(head, shape.settings, shape.pose or poses[0].pose)
    sculpture = sculpt(head, settings, reporter.part(0.36, 0.4))
    seconds["sculpt"] = time.perf_counter() - start
    return sculpture, poses


def _told(
    portrait: Portrait | None, head: Head, sculpture: Sculpture, poses: list[Candidate], seconds: dict[str, float]
) -> dict[str, Any]:
    """The report of a sculpture that is not sliced yet."""
    from ..reconstruction.reporting import report

    data: dict[str, Any] = report(portrait, head, seconds) if portrait else {"schema": 1, "seconds": seconds}
    settings = sculpture.settings
    data["sculpture"] = {**sculpture.checks, "tilt_deg": settings.tilt_deg, "lean_deg": settings.lean_deg}
    data["orientations"] = [candidate.to_json() for candidate in poses]
    return data


def _write_poses(folder: Path, poses: list[Candidate]) -> None:
    """Pictures and figures of the poses that were compared."""
    from .preview import save_view

    folder.mkdir(parents=True, exist_ok=True)
    for candidate in poses:
        view = (candidate.sculpture.vertices, candidate.sculpture.triangles)
        save_view(*view, folder / f"pose_{candidate.pose.key}.png", -90, 320)
    if poses:
        write_json(folder / "orientations.json", {"orientations": [candidate.to_json() for candidate in poses]})
