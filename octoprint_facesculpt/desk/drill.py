"""A rehearsal in the dashboard: the same desk and the same questions, with a printer that exists only here.

Its journal lies in a folder of its own, its heaters warm up within seconds, and its lines are carried out by the machine
model in a child process. Nothing of it ever reaches OctoPrint's printer.
"""

from __future__ import annotations

import json
import logging
import queue
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import FaceSculptError
from ..jobs.runner import run
from ..recovery.errors import RecoveryError
from .desk import RecoveryDesk
from .helpers import LIMIT
from .ports import Files, Numbered, Surroundings
from .watch import OWN_TAG, SCRIPT_TAG

_logger = logging.getLogger(__name__)
#: Temperature of the room, and degrees gained a tick of so many seconds.
ROOM, STEP, TICK = 24.0, 9.0, 0.25
LOG_LINES = 400


class DrillPrinter:
    """Takes what the desk sends; ``finish(offset)`` carries out the print's resume."""

    def __init__(self, files: Files, finish: Callable[[], None], log: list[str]) -> None:
        self._files, self._finish, self._log = files, finish, log
        self.desk: RecoveryDesk | None = None
        self.stop = threading.Event()
        self._lines: queue.SimpleQueue[tuple[str, set[str]]] = queue.SimpleQueue()
        self._targets = {"T0": 0.0, "B": 0.0}
        self._actual = {"T0": ROOM, "B": ROOM}

    def switch_on(self) -> None:
        threading.Thread(target=self._tick, name="facesculpt-drill", daemon=True).start()
        threading.Thread(target=self._take, name="facesculpt-drill-lines", daemon=True).start()

    def ready(self) -> bool:
        return True

    def send(self, lines: list[str], tags: set[str]) -> None:
        for line in lines:
            self._lines.put((line, set(tags)))

    def resume(self, path: str, offset: int, user: str | None) -> None:
        threading.Thread(target=self._print, daemon=True).start()

    def start(self, path: str, user: str | None) -> None:
        """A print that had not begun is not worth a rehearsal."""

    def cancel(self) -> None:
        """Nothing else is ever printed here."""

    def hold(self) -> bool:
        """Nothing is ever on its way."""
        return True

    def release(self) -> None:
        """Nothing was held."""

    def ask_position(self) -> None:
        """It has lost its power, and with it its position."""

    def log(self, text: str) -> None:
        self._log.append(text)

    def camera(self) -> bool:
        return False

    def printer_profile(self) -> None:
        """It is always the same."""

    def last_safe_mode(self) -> None:
        """It has none."""

    def printed_since(self, moment: float, but: str) -> bool:
        return False

    def gcode_on_disk(self, path: str) -> Path:
        return self._files.gcode_on_disk(path)

    def bed_corners(self) -> tuple[float, float, float, float]:
        return self._files.bed_corners()

    def height(self) -> float:
        return self._files.height()

    def _take(self) -> None:
        """Carry out what was sent, one line after the other, as a printer does."""
        while not self.stop.is_set():
            try:
                line, tags = self._lines.get(timeout=TICK)
            except queue.Empty:
                continue
            word, _, value = line.partition(" S")
            heater = {"M104": "T0", "M109": "T0", "M140": "B", "M190": "B"}.get(word)
            if heater:
                self._targets[heater] = float(value or 0.0)
            self._log.append(f"Send: {line}")
            if self.desk is not None:
                self.desk.on_sending(line, word.split()[0], tags)

    def _print(self) -> None:
        script = self.desk.on_script("gcode", "beforePrintStarted") if self.desk else None
        if self.desk is not None and script is not None:
            for line in script[0]:
                self.desk.on_sending(line, line.split()[0], {OWN_TAG, SCRIPT_TAG})
        self._finish()

    def _tick(self) -> None:
        while not self.stop.wait(TICK):
            for heater, target in self._targets.items():
                now = self._actual[heater]
                self._actual[heater] = min(now + STEP, target) if target > now else max(now - STEP, target, ROOM)
            if self.desk is not None:
                self.desk.on_temperatures({h: (round(v, 1), self._targets[h]) for h, v in self._actual.items()})


class Drill:
    """One rehearsal at a time. ``publish`` tells the dashboards; ``files`` knows OctoPrint's files and the bed."""

    def __init__(self, folder: Path, files: Files, around: Surroundings) -> None:
        self._folder, self._files, self._around = folder, files, around
        self._lock = threading.Lock()
        self._log: list[str] = []
        self._printer: DrillPrinter | None = None
        self._desk: RecoveryDesk | None = None
        self._gcode = Path()
        self._verdict: dict[str, Any] | None = None
        self._error: dict[str, str] | None = None
        self._staging = False
        self._stop = threading.Event()
        self._numbered = Numbered()
        # What an earlier server left.
        shutil.rmtree(folder, ignore_errors=True)

    @property
    def desk(self) -> RecoveryDesk:
        """Where answers go; :class:`RecoveryError` ``nothing_to_recover`` when nothing is rehearsed."""
        if self._desk is None:
            raise RecoveryError("nothing_to_recover", "Nothing is being rehearsed.", "Begin a rehearsal.")
        return self._desk

    def status(self) -> dict[str, Any]:
        """As of a desk, with ``log`` and, at the end, ``verdict``; its state is then ``finished``."""
        return self._numbered(self._status)

    def _status(self) -> dict[str, Any]:
        now: dict[str, Any] = self._desk.status() if self._desk else {"state": "idle", "held_back": [], "plan": None}
        if self._staging:
            now |= {"state": "planning", "path": self._gcode.name}
        if self._verdict is not None:
            now["state"] = "finished"
        if self._error is not None:
            now |= {"state": "refused", "error": self._error}
        return {**now, "drill": True, "log": self._log[-LOG_LINES:], "verdict": self._verdict}

    def begin(self, path: str, name: str) -> None:
        """Rehearse an outage of the print of a file; :class:`RecoveryError` ``rehearsal_going_on``, ``file_missing``."""
        with self._lock:
            if self._desk is not None or self._staging:
                raise RecoveryError("rehearsal_going_on", "A rehearsal is under way.", "End it first.")
            self._gcode = self._files.gcode_on_disk(path)
            if not self._gcode.is_file():
                raise RecoveryError("file_missing", f"{path} is not there.", "Choose another file.")
            self._staging, self._verdict, self._error = True, None, None
            self._log.clear()
            self._stop = threading.Event()
        threading.Thread(target=self._stage, args=(path, name), name="facesculpt-drill-stage", daemon=True).start()
        self._tell()

    def end(self) -> None:
        """Forget the rehearsal."""
        with self._lock:
            self._stop.set()
            desk, printer = self._desk, self._printer
            self._desk = self._printer = self._verdict = self._error = None
            self._staging = False
        if printer is not None:
            printer.stop.set()
        if desk is not None:
            desk.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._tell()

    def _stage(self, path: str, name: str) -> None:
        stop = self._stop
        try:
            corners = ",".join(f"{value:g}" for value in self._files.bed_corners())
            self._child(["--begin", "--bed", corners], "stage.log", stop)
        except FaceSculptError as error:
            self._fail(error)
            return
        with self._lock:
            if stop.is_set():
                return
            printer = DrillPrinter(self._files, self._carry_out, self._log)
            around = Surroundings(lambda _kind, _what: self._tell(), model_of=lambda _path: self._around.model_of(path))
            self._desk = printer.desk = RecoveryDesk(self._folder, printer, around, "drill", name)
            self._printer, self._staging = printer, False
        self._desk.open()
        printer.switch_on()

    def _carry_out(self) -> None:
        desk = self._desk
        plan = desk.status()["plan"] if desk else None
        if desk is None or plan is None:
            return
        (self._folder / "plan.json").write_text(json.dumps(plan))
        try:
            found = self._child(["--plan", str(self._folder / "plan.json")], "rehearse.log", self._stop)
        except FaceSculptError as error:
            return self._fail(error)
        self._log.extend(["", *found.pop("log")])
        self._verdict = found
        self._tell()

    def _child(self, arguments: list[str], log: str, stop: threading.Event) -> dict[str, Any]:
        command = [sys.executable, "-m", "octoprint_facesculpt", "rehearse", str(self._gcode), "--journal", str(self._folder)]
        return run(
            [*command, *arguments, "--json"], log=self._folder / log, on_progress=lambda *_: None, cancelled=stop,
            time_limit_seconds=LIMIT,
        )  # fmt: skip

    def _fail(self, error: FaceSculptError) -> None:
        if not self._stop.is_set():
            self._staging = False
            self._error = {"code": error.code, "message": error.message, "hint": error.hint}
            self._tell()

    def _tell(self) -> None:
        self._around.publish("drill", self.status())
