"""Pictures of a print's layers: drawn by a child when they are asked for, a handful at a time, and kept for a while."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..slicing.gcode_index import read_index
from ..slicing.layer_picture import COLOURS
from .pipeline import INDEX, OUTPUTS
from .places import Places
from .runner import WAITED_FOR, JobError, run

#: Layers that one child draws: who looks at one looks at its neighbours next.
BATCH = 12
#: Pictures that are kept of a sculpture, and seconds that a child may take, and that a request waits for its turn.
KEPT, DRAW_SECONDS, WAIT_SECONDS = 480, 60, 40
MEMORY_BYTES = 512 << 20
#: Requests that may wait for a child, the one that started it among them.
PLACES = 2


class LayerPictures:
    """Pictures in a folder ``layers`` beside the G-code. Threads may share it; one child draws at a time."""

    def __init__(self, run_child: Callable[..., dict[str, Any]] = run) -> None:
        self._run, self._drawing = run_child, threading.Lock()
        self._places = Places(PLACES, "layers_busy", "Other layers are being drawn.")

    def about(self, folder: Path) -> dict[str, Any]:
        """Heights (mm) and times (s) of all layers, which hold supports alone, what the colours mean, and the version of the
        G-code.

        :class:`SlicingError` ``index_invalid`` when the sculpture has no index of its G-code.
        """
        index = read_index(folder / INDEX, folder / OUTPUTS["slice"])
        return {
            "version": _version(folder),
            "z": [round(layer.z, 3) for layer in index.layers],
            "seconds": [round(layer.seconds, 1) for layer in index.layers],
            "supports_alone": index.supports_alone,
            "colours": [{"kind": kind, "colour": "#" + bytes(colour).hex()} for kind, colour in COLOURS.items()],
        }

    def picture(self, folder: Path, number: int, threads: int = 1) -> Path:
        """The picture (PNG) of a layer; :class:`JobError` ``layers_busy`` when others wait already or are drawn too long, or
        the child's."""
        version = _version(folder)
        kept = folder / "layers" / version
        picture = kept / f"{number}.png"
        if picture.is_file():
            return picture
        with self._places.taken():
            self._draw(folder, number, version, threads)
        if not picture.is_file():
            raise JobError("layer_unknown", f"There is no layer {number}.", "Reload the page.")
        return picture

    def _draw(self, folder: Path, number: int, version: str, threads: int) -> None:
        """Have a layer and its neighbours drawn, unless that has been done when it is its turn."""
        kept = folder / "layers" / version
        if not self._drawing.acquire(timeout=WAIT_SECONDS):
            raise self._places.busy()
        try:
            if (kept / f"{number}.png").is_file():
                return
            self._forget(folder / "layers", version)
            kept.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, "-m", "octoprint_facesculpt", "layers", str(folder / OUTPUTS["slice"]), "--json"]
            command += ["--index", str(folder / INDEX), "-o", str(kept), "--threads", str(threads)]
            command += ["--first", str(number // BATCH * BATCH), "--count", str(BATCH)]
            self._run(
                command,
                log=folder / "layers.log",
                on_progress=lambda *_: None,
                cancelled=threading.Event(),
                time_limit_seconds=DRAW_SECONDS,
                memory_limit_bytes=MEMORY_BYTES,
                niceness=WAITED_FOR,
            )
        finally:
            self._drawing.release()

    @staticmethod
    def _forget(folder: Path, version: str) -> None:
        """Remove the pictures of earlier slicings, and of this one's the oldest."""
        for other in folder.glob("*"):
            if other.name != version:
                shutil.rmtree(other, ignore_errors=True)
        pictures = sorted((folder / version).glob("*.png"), key=lambda file: file.stat().st_mtime)
        for old in pictures[: max(0, len(pictures) + BATCH - KEPT)]:
            old.unlink(missing_ok=True)


def _version(folder: Path) -> str:
    """What tells one slicing from the next."""
    try:
        about = (folder / OUTPUTS["slice"]).stat()
    except OSError as error:
        raise JobError("layer_unknown", "This sculpture has no G-code.", "Slice it first.") from error
    return f"{about.st_mtime_ns:x}-{about.st_size:x}"
