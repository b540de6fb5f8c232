"""The child processes of recovery: they read G-code and meshes, so that the server need not."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..jobs.runner import WAITED_FOR, run
from .answers import Answers

#: Seconds a child may take: whole files of a day's print are read.
LIMIT = 600.0
LAYER, CLOSE = "layer.svg", "layer.close.svg"


@dataclass
class Helpers:
    """Runs the commands ``recover`` and ``cut`` for a journal's folder; ``stop`` ends them."""

    folder: Path
    stop: threading.Event = field(default_factory=threading.Event)

    def plan(self, gcode: str, answers: Answers, seen: list[str]) -> dict[str, Any]:
        """The plan, and drawings of its layer beside the journal; ``seen`` are options that tell of the printer."""
        arguments = [*self._recover(gcode, answers, seen), "--layer-picture", str(self.folder / LAYER)]
        return self._run(arguments, "plan.log")

    def export(self, gcode: str, answers: Answers, seen: list[str]) -> Path:
        """A file that holds the plan and the rest of the print."""
        output = self.folder / "resume.gcode"
        self._run([*self._recover(gcode, answers, seen), "-o", str(output)], "export.log")
        return output

    def cut(self, model: Path, height: float) -> Path:
        """The picture of a sculpture cut at a height; one that was drawn before is used again."""
        name = f"cut-{model.parent.name[:40]}-{model.stat().st_mtime_ns:x}-{height:.2f}.png"
        picture = self.folder / name
        if not picture.is_file():
            for old in self.folder.glob("cut-*.png"):
                old.unlink(missing_ok=True)
            self._run(["cut", str(model), "-o", str(picture), "--height-mm", f"{height:.3f}"], "cut.log")
        return picture

    def _recover(self, gcode: str, answers: Answers, seen: list[str]) -> list[str]:
        arguments = ["recover", "--journal", str(self.folder), "--gcode", gcode, "--index", str(self.folder / "index.json")]
        return [*arguments, *seen, *answers.arguments()]

    def _run(self, arguments: list[str], log: str) -> dict[str, Any]:
        return run(
            [sys.executable, "-m", "octoprint_facesculpt", *arguments, "--json"], log=self.folder / log,
            on_progress=lambda *_: None, cancelled=self.stop, time_limit_seconds=LIMIT, niceness=WAITED_FOR,
        )  # fmt: skip
