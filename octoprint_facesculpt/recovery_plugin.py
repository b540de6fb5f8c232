"""The desk where interrupted prints are taken up again: between OctoPrint's hooks, the journal and the child that plans."""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .errors import FaceSculptError
from .host import Host
from .jobs.runner import run
from .recovery.errors import RecoveryError
from .recovery.identity import identity_of
from .recovery.interlock import endangers
from .recovery.journal import Journal, Reading, read
from .recovery.printer import PrinterFacts
from .recovery.resuming import recovering
from .recovery_watch import BANNER, OWN_TAG, PrintWatch

_logger = logging.getLogger(__name__)
#: Asks for the temperatures.
HARMLESS = "M105"
PLAN_SECONDS = 600.0
#: Seconds for the lines under way when the server ends: none may follow the journal's last record.
LAST_LINES = 0.3
#: Events after which a print is over, or is not over but interrupted.
ENDINGS = ("PrintDone", "PrintCancelled", "PrintFailed", "Disconnected", "Error")
#: Marks of the firmwares in the answer to M115.
FIRMWARES = (("klipper", "klipper"), ("marlin 1.", "marlin1"))
_POSITION = re.compile(r"X:\s*(-?\d+(?:\.\d+)?) Y:\s*(-?\d+(?:\.\d+)?) Z:\s*(-?\d+(?:\.\d+)?) E:")


def position_in(line: str) -> str | None:
    """The position in an answer to M114 as ``X,Y,Z``; None where there is none, or where the board has only just woken up."""
    match = _POSITION.search(line)
    if match is None or not any(float(value) for value in match.groups()):
        return None
    return ",".join(match.groups())


class RecoveryDesk:
    """State: ``idle``, ``planning``, ``ready`` (a plan waits for its confirmation), ``refused`` (there is none: see the error),
    ``running`` (the plan is being sent, then the file, until the print ends)."""

    def __init__(self, folder: Path, host: Host, publish: Callable[[str, Any], None]) -> None:
        self._folder, self._host, self._publish = folder, host, publish
        self._journal = Journal(folder)
        self.watch = PrintWatch(self._journal, self._job)
        self._firmware = "marlin2"
        # Read at once, before any printer is connected: from the first line on, Z must be safe.
        found = read(folder)
        self._reading: Reading | None = found if found is not None and found.unfinished else None
        self._state = "planning" if self._reading else "idle"
        self._plan: dict[str, Any] | None = None
        self._error: dict[str, str] | None = None
        #: What was seen of the printer since it is connected: its temperature, and its position if it was not reset.
        self._nozzle: float | None = None
        self._position: str | None = None
        self._asked_position = self._booted = False
        #: What somebody who looked has answered: ``choice``, ``height``, ``line``.
        self._answers: dict[str, float] = {}
        self._held: list[str] = []
        self._printing = False
        #: Plans that were begun.
        self._plans = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()

    # -- life

    def open(self) -> None:
        """From now on keep the journal, and plan for the print that was interrupted, if one was."""
        self._journal.open()
        if self._reading is not None:
            self._plan_anew()

    def close(self) -> None:
        self._stop.set()
        if self.watch.active:
            self._host.hold()
            time.sleep(LAST_LINES)
        self.watch.shutdown()
        self._journal.close()

    @property
    def pending(self) -> bool:
        """Whether a print waits for its recovery, or is being recovered."""
        return self._state != "idle"

    def status(self) -> dict[str, Any]:
        """For the dashboard."""
        job = self._reading.job if self._reading else {}
        return {
            "state": self._state, "plan": self._plan, "error": self._error, "held_back": list(self._held),
            "step": self.watch.step, "path": job.get("path"),
            "interrupted_wall": self._reading.record.get("wall") if self._reading else None,
            "journal_error": self._journal.failure, "recording": self.watch.active,
        }  # fmt: skip

    # -- what the user does

    def resume(self, confirmed: bool, user: str | None) -> None:
        """Make the plan and print on; :class:`RecoveryError` ``not_confirmed``, ``not_chosen``, ``not_ready``,
        ``nothing_to_recover``."""
        with self._lock:
            if self._state != "ready" or self._plan is None or self._reading is None:
                raise RecoveryError("nothing_to_recover", "There is no plan to carry out.", "Look at the recovery's state.")
            if not confirmed:
                raise RecoveryError("not_confirmed", "Nobody has confirmed that the print may go on.", "Look at it first.")
            if self._plan["asks"]:
                text = "It is not certain at which height the nozzle stopped."
                raise RecoveryError("not_chosen", text, "Look at the printer and choose, or measure the height.")
            if not self._host.ready():
                raise RecoveryError("not_ready", "The printer is not connected or not ready.", "Connect the printer first.")
            if self._plan["kind"] == "restart":
                return self._begin_anew(user)
            self._state, self._held = "running", []
            self._journal.adopt(self._reading, sent=self._plan["plan"]["offset"], **recovering(self._plan, 0))
        # On disk before anything moves.
        self._journal.flush()
        self.watch.go_on(self._plan)
        self._tell()
        self._host.resume(self._reading.job["path"], int(self._plan["plan"]["offset"]), user)

    def _begin_anew(self, user: str | None) -> None:
        """Nothing of the model was printed: an ordinary print from the file's beginning."""
        assert self._reading is not None
        path = self._reading.job["path"]
        self._give_up()
        self._journal.flush()
        self._tell()
        self._host.start(path, user)

    def _give_up(self) -> None:
        assert self._reading is not None
        self._journal.adopt(self._reading, sent=int(self._reading.record["sent"]), phase="dismissed")
        self._state, self._reading, self._plan, self._error, self._answers = "idle", None, None, None, {}

    def dismiss(self, confirmed: bool) -> None:
        """Give the interrupted print up; :class:`RecoveryError` ``not_confirmed``, ``nothing_to_recover``."""
        with self._lock:
            if self._state not in ("ready", "refused", "planning") or self._reading is None:
                raise RecoveryError("nothing_to_recover", "No recovery is waiting.", "")
            if not confirmed:
                raise RecoveryError("not_confirmed", "Nobody has confirmed to give the print up.", "Confirm it.")
            self._give_up()
        self._journal.flush()
        self._tell()

    def plan_again(self, **answers: float | None) -> None:
        """Plan with what is known now, and with what somebody has answered who looked at the printer: ``choice`` (number of one
        of the plan's choices), ``height`` of the nozzle in mm, ``line`` (byte of the file at which the line begins)."""
        self._answers = {name: value for name, value in answers.items() if value is not None}
        self._plan_anew()

    # -- hooks

    def on_queuing(self, cmd: str, tags: set[str] | None) -> str | None:
        """What to send instead of a line that may not reach the printer; None when it may.

        Not nothing at all: OctoPrint would wait half a minute for the answer to a line it never sent.
        """
        if (not self.pending and not self.watch.interrupted) or (tags and OWN_TAG in tags):
            return None
        if tags and "source:file" in tags:
            # Another print must not begin over this one; it is cancelled as soon as its start is known.
            return HARMLESS if self._state in ("planning", "ready", "refused") else None
        if not endangers(cmd):
            return None
        self._held = [*self._held[-9:], cmd.strip()[:80]]
        threading.Thread(target=self._tell, daemon=True).start()
        _logger.warning("held back '%s': an interrupted print is on the bed", cmd.strip()[:80])
        return HARMLESS

    def on_sending(self, cmd: str, gcode: str | None, tags: set[str] | None) -> None:
        self.watch.on_sending(cmd, gcode, tags)

    def on_script(self, kind: str, name: str, place: tuple[float, float, float] | None = None) -> tuple[list[str], None] | None:
        """The plan goes in front of the script that OctoPrint sends before a print; ``place`` is where a pause has stopped."""
        if (kind, name) == ("gcode", "beforePrintStarted") and self._state == "running" and self._plan is not None:
            return [step["line"] for step in self._plan["plan"]["steps"]], None
        if kind == "gcode" and name in ("afterPrintPaused", "beforePrintResumed"):
            self.watch.moves_away(place)
        return None

    def on_temperatures(self, parsed: dict[str, Any]) -> None:
        actual = (parsed.get("T0") or parsed.get("T") or (None, None))[0]
        if actual is not None and self._nozzle is None and self._state in ("ready", "refused"):
            # The first sight of the printer tells whether it had kept its power.
            self._nozzle = actual
            threading.Thread(target=self._plan_anew, name="facesculpt-plan", daemon=True).start()
            if not self._booted and not self._asked_position:
                self._asked_position = True
                threading.Thread(target=self._host.ask_position, daemon=True).start()
        self.watch.on_temperatures(parsed)

    def on_received(self, line: str) -> None:
        """A line from the printer."""
        if line.strip() == BANNER:
            # It has begun anew: whatever position it gives is not the nozzle's.
            self._booted, self._position = True, None
        elif (
            self._asked_position
            and self._position is None
            and self._state in ("planning", "ready", "refused")
            and (place := position_in(line)) is not None
        ):
            self._position = place
            threading.Thread(target=self._plan_anew, name="facesculpt-plan", daemon=True).start()
        self.watch.on_received(line)

    def on_firmware(self, name: str) -> None:
        self._firmware = next((known for mark, known in FIRMWARES if mark in name.lower()), "marlin2")

    def on_event(self, event: str, payload: dict[str, Any]) -> None:
        """OctoPrint's events, on their own thread."""
        if event == "PrintStarted" and self._state in ("planning", "ready", "refused"):
            _logger.warning("a print was started over an interrupted one; it is cancelled")
            self._held = [*self._held[-9:], "a print"]
            self._host.cancel()
            self._tell()
            return
        self.watch.on_event(event, payload)
        if event == "PrintStarted":
            self._printing = self.watch.active
        elif event in ENDINGS and self._printing:
            self._printing = False
            self._after_print()
        if event == "Disconnected":
            self._nozzle = self._position = None
            self._asked_position = self._booted = False

    # -- inside

    def _after_print(self) -> None:
        self._journal.flush()
        reading = read(self._folder)
        with self._lock:
            self._reading = reading if reading is not None and reading.unfinished else None
            self._state, self._plan, self._answers = "planning" if self._reading else "idle", None, {}
        self._plan_anew()
        # From here on, what is pending holds the lines back.
        self.watch.settled()
        self._tell()

    def _plan_anew(self) -> None:
        with self._lock:
            if self._state == "running" or self._reading is None:
                return
            self._state = "planning"
            self._plans += 1
            number = self._plans
        self._tell()
        threading.Thread(target=self._make_plan, args=(number,), name="facesculpt-recovery", daemon=True).start()

    def _make_plan(self, number: int) -> None:
        """Plan in a child; what was learned meanwhile has begun another plan, and this one is forgotten."""
        reading = self._reading
        if reading is None:
            return
        command = [sys.executable, "-m", "octoprint_facesculpt", "recover", "--json", "--journal", str(self._folder)]
        command += ["--gcode", str(reading.job.get("file", "")), "--index", str(self._folder / "index.json")]
        if self._nozzle is not None:
            command += ["--nozzle-is", str(self._nozzle)]
        if self._position is not None:
            command += ["--position", self._position]
        for name, value in self._answers.items():
            command += [f"--{name}", str(value)]
        plan, error = None, None
        try:
            plan = run(
                command, log=self._folder / "plan.log", on_progress=lambda *_: None, cancelled=self._stop,
                time_limit_seconds=PLAN_SECONDS,
            )  # fmt: skip
        except FaceSculptError as failure:
            error = {"code": failure.code, "message": failure.message, "hint": failure.hint}
        with self._lock:
            if number != self._plans or self._state != "planning":
                return
            self._plan, self._error, self._state = plan, error, "ready" if plan is not None else "refused"
        self._tell()

    def _job(self, origin: str, path: str) -> dict[str, Any] | None:
        """What the journal must know of a print that begins."""
        if origin != "local":
            return None
        file = self._host.gcode_on_disk(path)
        facts = PrinterFacts(self._firmware, self._host.bed_corners(), self._host.height())
        return {"path": path, "file": str(file), "identity": identity_of(file), "printer": asdict(facts)}

    def _tell(self) -> None:
        self._publish("recovery", self.status())
