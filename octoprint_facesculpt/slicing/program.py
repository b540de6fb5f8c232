"""What all slicing programs have in common: found by name, run as a child, watched, and never believed.

An engine says how it is asked and what it answered; the order of things is here. Success is what the finished G-code
itself shows, and until then nothing exists under the name the caller asked for.
"""

from __future__ import annotations

import base64
import errno
import math
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

from ..children import Guard, step_back, with_parent
from ..progress import Progress
from .beside import Beside
from .engine import Accepted, EngineInfo, Profile, SliceRequest, SliceResult, SlicingError
from .gcode_ahead import Ahead
from .gcode_index import write_index
from .model_file import stl_triangles
from .presets import offered

if TYPE_CHECKING:
    from .gcode_facts import GcodeFacts

DETECT_SECONDS, HELP_LIMIT = 60, 4096
FREE_BYTES = 300 * 1024 * 1024
#: What is kept of a program's output: characters of a line, lines to find the reason of a failure in, and warnings.
LINE_LIMIT, LAST_LINES, MAX_WARNINGS = 2000, 30, 10
#: A program's output is read in blocks of so many bytes (what a pipe holds), this share of its running time apart, and at
#: most so many seconds.
READ_BYTES, HEAR_SHARE, HEAR_SECONDS = 65536, 0.05, 0.5
#: What filament is, unless a profile says it: its diameter in mm, and its density in g/cm3.
FILAMENT_MM, PLA_DENSITY = 1.75, 1.24
#: The program's part of the progress.
RUNNING = 0.88


@dataclass(frozen=True)
class Made:
    """What a program made: ``gcode``, of which the first ``head_bytes`` bytes are to be replaced by ``head`` and the
    picture; ``filament_g`` if it is not written in the G-code; and its warnings."""

    gcode: Path
    head: str
    head_bytes: int
    filament_g: float | None = None
    warnings: tuple[str, ...] = ()


class CommandLineEngine(ABC):
    """An engine that is a program. ``path`` names it; without it the system's is used."""

    name: ClassVar[str]
    title: ClassVar[str]
    #: The program's usual name, its Debian package, the arguments that make it say its version, and how it says it.
    program: ClassVar[str]
    package: ClassVar[str]
    help_arguments: ClassVar[tuple[str, ...]]
    version_pattern: ClassVar[str]
    #: What the program calls its G-code while it writes it from beginning to end.
    writes: ClassVar[str] = "out.gcode"
    #: Whether it writes by itself how far a print is (M73).
    tells_progress: ClassVar[bool] = False
    #: The first version that works, and the first that does not any more.
    versions: ClassVar[tuple[tuple[int, int], tuple[int, int]]]

    def __init__(self, path: str | None = None) -> None:
        self._path = path or None

    def find(self) -> Path:
        """The program; :class:`SlicingError` ``engine_missing``, or what else it needs and is not there."""
        found = shutil.which(self._path or self.program)
        if found is None:
            hint = f"Install it with: sudo apt install {self.package}"
            raise SlicingError("engine_missing", f"{self.title} is not installed.", hint)
        # The program runs in a folder of its own, where a relative path would mean something else.
        return Path(found).absolute()

    def detect(self, given_up: threading.Event | None = None) -> EngineInfo:
        found = self.find()
        try:
            process = start([str(found), *self.help_arguments])
        except OSError as error:
            raise SlicingError("engine_missing", f"{found} does not run.", f"Install {self.package} again.") from error
        with _output(process) as output, Guard(process, DETECT_SECONDS, given_up):
            match = re.search(self.version_pattern, output.read(HELP_LIMIT).decode("utf-8", errors="replace"))
        if match is None:
            raise SlicingError("engine_version", f"{found} is not {self.title}.", f"Set the path of {self.title}.")
        first, next_ = self.versions
        if not first <= tuple(int(part) for part in match[1].split(".")[:2]) < next_:
            raise SlicingError(
                "engine_version", f"{self.title} {match[1]} is not supported.",
                f"Install {first[0]}.{first[1]} or newer, older than {next_[0]}.{next_[1]}.",
            )  # fmt: skip
        return EngineInfo(found, match[1])

    def slice(self, model: Path, gcode: Path, request: SliceRequest, progress: Progress) -> SliceResult:
        # The program runs in a folder of its own, where relative paths would mean something else.
        model, gcode = model.absolute(), gcode.absolute()
        found = self.find()
        plain_stl = stl_triangles(model) is not None
        settings = self.resolve(request)
        picture = thumbnail_block(request.thumbnail) if request.thumbnail is not None else ""
        try:
            with ExitStack() as stack:
                # On the same file system as the result, so that the finished file only has to be renamed.
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".slicing-", dir=gcode.parent)))
                if shutil.disk_usage(folder).free < FREE_BYTES:
                    raise SlicingError("disk_full", "There are less than 300 MB free for the G-code.", "Delete some files.")
                suitable = stack.enter_context(Beside(lambda given_up: self._suitable(model, request, given_up)))
                if not plain_stl or request.face is not None:
                    # What is read by more than the slicer is examined first.
                    suitable.result()
                with Ahead(folder / self.writes, request.keep_supports) as ahead:
                    try:
                        made = self.make(found, model, folder, settings, request, progress, suitable.failed)
                    except SlicingError:
                        # A model or a program that will not do explains a failure better than what came of it.
                        suitable.result()
                        raise
                    progress(0.9, "Checking the G-code")
                    info, height = suitable.result()
                    facts = self._checked(made, picture, request, ahead, height)
                self.require_as_asked(settings, facts)
                if request.index is not None:
                    write_index(facts.index, request.index)
                os.replace(made.gcode, gcode)
        except OSError as error:
            raise _storage_error(error, gcode.parent) from error
        progress(1.0, "Sliced")
        return SliceResult(
            gcode=gcode,
            engine=self.name,
            version=info.version,
            estimated_seconds=round(facts.seconds, 1),
            slicer_seconds=facts.stated_seconds or 0.0,
            filament_mm=round(facts.filament_mm, 1),
            filament_g=round(made.filament_g or facts.stated_filament_g or _grams(facts), 2),
            layers=facts.layers,
            height_mm=round(facts.high[2], 3),
            bounds=(tuple(facts.low), tuple(facts.high)),  # type: ignore[arg-type]
            support_share=round(facts.support_share, 4),
            warnings=made.warnings,
            support_lines=facts.support_lines,
            model_layers=facts.index.model_layers,
        )

    def _suitable(self, model: Path, request: SliceRequest, given_up: threading.Event) -> tuple[EngineInfo, float]:
        """The program's version and the model's height in mm; :class:`SlicingError` if either will not do."""
        # Late: numpy has no place in the server, which imports this module for its profiles.
        from .model_check import check_fits, model_size

        extents = model_size(model)
        check_fits(extents, request.bed)
        info = self.detect(given_up)
        self._require_offered(request, info)
        return info, float(extents[2])

    def _checked(self, made: Made, picture: str, request: SliceRequest, ahead: Ahead, height: float) -> GcodeFacts:
        """Finish the G-code; what it does, if it may be printed."""
        from .gcode_check import check
        from .gcode_finish import Change, finish

        head = Change(0, made.head_bytes, made.head.encode("utf-8") + picture.encode("ascii"))
        with made.gcode.open("rb") as file:
            reading = ahead.reading(file.read(head.old), head.new)
        facts = finish(made.gcode, head, not self.tells_progress, reading, request.keep_supports)
        return check(made.gcode, request.bed, model_height=height, facts=facts)

    def _require_offered(self, request: SliceRequest, info: EngineInfo) -> None:
        """An older engine would print something else instead, without a word."""
        preset = self.profiles().get(request.profile)
        if request.config is None and preset is not None and not offered({preset.key: preset}, info.version):
            since = ".".join(map(str, preset.since))
            raise SlicingError(
                "profile_unknown", f"'{preset.name}' needs {self.title} {since}; {info.version} is installed.",
                "Choose a profile without it.",
            )  # fmt: skip

    @abstractmethod
    def profiles(self) -> dict[str, Profile]:
        """The presets by key."""

    @abstractmethod
    def configuration(self, profile: str) -> dict[str, str]:
        """A preset written out, as ``SliceRequest.config`` and a profile file take it."""

    @abstractmethod
    def accepted(self, config: Mapping[str, str]) -> Accepted:
        """What this engine makes of a configuration; :class:`SlicingError` ``profile_invalid`` when it refuses a value."""

    @abstractmethod
    def resolve(self, request: SliceRequest) -> Any:
        """The settings of a request; :class:`SlicingError` ``profile_unknown`` or ``profile_invalid``."""

    @abstractmethod
    def make(
        self,
        program: Path,
        model: Path,
        folder: Path,
        settings: Any,
        request: SliceRequest,
        progress: Progress,
        given_up: threading.Event,
    ) -> Made:
        """Run the program in ``folder`` to its end, or until it is given up; :class:`SlicingError` or :class:`OSError`."""

    @abstractmethod
    def require_as_asked(self, settings: Any, facts: GcodeFacts) -> None:
        """:class:`SlicingError` ``settings_changed`` when the G-code was made with other settings."""

    def run(
        self,
        command: list[str],
        folder: Path,
        limit_seconds: float,
        hear: Callable[[str], None],
        given_up: threading.Event | None = None,
    ) -> tuple[int, deque[str]]:
        """Run the program niced and watched, each line of its output going to ``hear``; exit code and last lines. When it is
        ``given_up`` it is stopped."""
        process = start(["nice", "-n", "10", *with_parent(), *command], folder)
        step_back(process, 10)
        said: deque[str] = deque(maxlen=LAST_LINES)
        with _output(process) as output, Guard(process, limit_seconds, given_up) as guard:
            for line in heard(output):
                said.append(line)
                hear(line)
            process.wait()
        if guard.reason == "timed_out":
            raise SlicingError("timed_out", f"{self.title} took longer than {limit_seconds:g} s.", "Use a coarser profile.")
        if process.returncode == -signal.SIGXFSZ or any("No space left" in line for line in said):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return process.returncode, said

    def failure(self, telling: list[str], code: int) -> SlicingError:
        """The error of a failed run, with the line of its output that tells most."""
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        reason = telling[-1] if telling else f"it ended without a word ({how})."
        return SlicingError("slicer_failed", f"{self.title} failed: {reason}", "Try another size or profile.")


def _grams(facts: GcodeFacts) -> float:
    """The filament's weight where a profile does not say its density, and the slicer 0 g: nobody is told that it weighs
    nothing."""
    return facts.filament_mm * math.pi / 4 * FILAMENT_MM**2 * PLA_DENSITY / 1000


def start(command: list[str], folder: Path | None = None) -> subprocess.Popen:
    """A child in its own session with a fixed environment, its output and errors in one pipe."""
    keep = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        # PrusaSlicer dies of a locale that the system does not have.
        env={**keep, "LC_ALL": "C.UTF-8"}, start_new_session=True, cwd=folder,
    )  # fmt: skip


def _output(process: subprocess.Popen) -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


def heard(output: IO[bytes]) -> Iterator[str]:
    """Lines of a program's output, stripped; longer ones than :data:`LINE_LIMIT` in pieces.

    What it says is taken a few times a second: to wake up for each of thousands of lines costs more than to understand them.
    """
    kept, begun = b"", time.monotonic()
    ended = select.poll()
    # Of no other event than that the other end is closed.
    ended.register(output, 0)
    while block := os.read(output.fileno(), READ_BYTES):
        *lines, kept = (kept + block).split(b"\n")
        for line in lines:
            yield from _pieces(line)
        whole = len(kept) - len(kept) % LINE_LIMIT
        if whole:
            yield from _pieces(kept[:whole])
            kept = kept[whole:]
        ended.poll(1000 * min(HEAR_SECONDS, HEAR_SHARE * (time.monotonic() - begun)))
    if kept:
        yield from _pieces(kept)


def _pieces(line: bytes) -> Iterator[str]:
    for begin in range(0, max(len(line), 1), LINE_LIMIT):
        yield line[begin : begin + LINE_LIMIT].decode("utf-8", errors="replace").strip()


def as_stl(model: Path, folder: Path) -> Path:
    """The model as an STL file in ``folder``: triangles and nothing else.

    A 3MF file may bring settings along, which slicers take over, down to programs that they run on what they have sliced.
    """
    path = folder / "model.stl"
    if model.suffix.lower() == ".stl":
        path.symlink_to(model)
    else:
        import trimesh

        trimesh.load(model, force="mesh").export(path)
    return path


def plain(value: str) -> str:
    """A setting's value in one spelling, for comparison: its first number without unit and trailing zeros."""
    first = value.split(",")[0].strip().strip('"')
    try:
        return f"{float(first.rstrip('%')):g}"
    except ValueError:
        return first


def thumbnail_block(png: Path, side: int = 220) -> str:
    """A picture as the comment block that OctoPrint, Klipper and others read thumbnails from; :class:`SlicingError`
    ``thumbnail_invalid`` when it is none."""
    from io import BytesIO

    from PIL import Image

    try:
        with Image.open(png) as image:
            image.thumbnail((side, side))
            buffer = BytesIO()
            image.save(buffer, "PNG", optimize=True)
            size = f"{image.width}x{image.height}"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SlicingError("thumbnail_invalid", f"{png.name} is not a picture.", "Use a PNG file.") from error
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    lines = "".join(f"; {text[i : i + 78]}\n" for i in range(0, len(text), 78))
    return f";\n; thumbnail begin {size} {len(text)}\n{lines}; thumbnail end\n;\n"


def _storage_error(error: OSError, folder: Path) -> SlicingError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return SlicingError("disk_full", f"There is no room for the G-code in {folder}.", "Delete some files.")
    reason = error.strerror or str(error)
    return SlicingError("output_unwritable", f"Nothing can be written in {folder}: {reason}.", "Choose another folder.")
