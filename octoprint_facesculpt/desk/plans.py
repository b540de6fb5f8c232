"""From a journal to a plan that waits: what happened, what somebody answers, and the plan that comes of both."""

from __future__ import annotations

import json
import logging
import threading
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..errors import FaceSculptError
from ..recovery.clock import now, standstill, synchronised
from ..recovery.errors import RecoveryError
from ..recovery.identity import identity_of
from ..recovery.journal import Journal, Reading, read
from ..recovery.printer import PrinterFacts
from .answers import ANYWHERE, AnswerFile, Answers, Wanted
from .guard import LineGuard
from .helpers import Helpers
from .meanwhile import marks, printer_note, ran_without_guard, signature
from .moved import Moves, Reach, insisted
from .patience import Patience
from .pictures import Pictures
from .ports import Numbered, PrinterPort, Surroundings
from .sight import FirstSight
from .watch import OWN_TAG, PrintWatch

_logger = logging.getLogger(__name__)
#: States in which no heater is on for a resume and nothing moves: a plan may be made anew.
WITHOUT_HEAT = ("idle", "planning", "ready", "refused")
#: Those in which the nozzle is where the interruption, or the user, has left it.
STILL = ("planning", "ready", "refused", "heating")
#: Events of OctoPrint's files.
MOVED = ("FileMoved", "FolderMoved")
FILES = (*MOVED, "FileAdded", "FileRemoved", "FolderRemoved")
#: Refusals of what somebody wanted, rather than of the print.
NOT_TAKEN = ("point_unsafe", "choice_invalid", "height_invalid", "line_invalid")


class PlanDesk:
    """State: ``idle``, ``planning``, ``ready`` (a plan waits for its confirmation), ``refused`` (there is none: see the
    error). Nothing here moves or heats."""

    _patience: Patience

    def __init__(
        self, folder: Path, host: PrinterPort, around: Surroundings, kind: str = "recovery", name: str | None = None
    ) -> None:
        self._folder, self._host, self._around, self._kind, self._name = folder, host, around, kind, name
        self._journal = Journal(folder)
        self.watch = PrintWatch(self._journal, self._job)
        self.helpers = Helpers(folder)
        self._pictures = Pictures(folder, self.helpers)
        self.guard = LineGuard(self._send_allowed, host.log, self.tell)
        #: What the lines of others do to the nozzle, and those whose answers have not yet been taken back.
        self._moves, self._moved = Moves(), deque[Reach]()
        self._answers = AnswerFile(folder / "answers.json")
        self._firmware: str | None = None
        #: Whether OctoPrint has been running without this plugin since.
        self._unguarded = False
        # Read at once, before any printer is connected: from the first line on, Z must be safe.
        found = read(folder)
        self._reading: Reading | None = found if found is not None and found.unfinished else None
        self._state = "planning" if self._reading else "idle"
        self.answers = self._load_answers()
        self._plan: dict[str, Any] | None = None
        self._error: dict[str, str] | None = None
        self._sight = FirstSight()
        #: Counts plans, so that one that was overtaken is not used; one is made at a time.
        self._generation, self._planning = 0, threading.Lock()
        self._lock = threading.RLock()
        self._numbered = Numbered()

    # -- state

    def open(self) -> None:
        """From now on keep the journal, and plan for the print that was interrupted, if one was."""
        self._journal.open()
        if (reading := self._reading) is not None:
            self._unguarded = ran_without_guard(reading.job, reading.record, self._host)
            if self._unguarded and not self.answers.moved:
                _logger.warning("OctoPrint has been running without this plugin; the nozzle's height must be measured")
                self.answers = self.answers.moves(-ANYWHERE, ANYWHERE)
                self._save_answers()
            self._plan_anew()

    @property
    def pending(self) -> bool:
        """Whether a print waits for its recovery, or is being recovered."""
        return self._state != "idle"

    def needs(self, path: str) -> bool:
        """Whether the print of a file of the uploads waits for its recovery, or is being recovered: it must stay as it is."""
        return self.pending and self.job.get("path") == path

    @property
    def state(self) -> str:
        return self._state

    @property
    def _state(self) -> str:
        return self._now

    @_state.setter
    def _state(self, state: str) -> None:
        self._now = state
        # A print that goes on is one like others.
        self.watch.pending = None if state in ("idle", "running") else state

    @property
    def job(self) -> dict[str, Any]:
        """What the journal keeps of the interrupted print."""
        return self._reading.job if self._reading else {}

    def status(self) -> dict[str, Any]:
        """For the dashboard."""
        return self._numbered(self._status)

    def _status(self) -> dict[str, Any]:
        reading = self._reading
        stood = standstill(reading.record, bool(reading.job.get("clock_synchronised")), now()) if reading else None
        return {
            "state": self._state, "revision": self.revision, "plan": self._plan_json(), "error": self._error,
            "held_back": list(self.guard.held), "path": self.job.get("path"), "name": self._name or self.job.get("name"),
            "answers": self.answers.to_json(), "stood": asdict(stood) if stood else None,
            "seen": {"nozzle": self._sight.nozzle, "bed": self._sight.bed},
            "pictures": self._pictures.versions() if self._plan is not None else {},
            "camera": self._host.camera() if reading else False,
            "notes": self._notes(),
            "journal_error": self._journal.failure, "recording": self.watch.active,
        }  # fmt: skip

    @property
    def revision(self) -> str:
        """Names what can be confirmed now: it changes with the state, the answers and the plan."""
        plan = self._plan["plan"] if self._plan else {}
        # While a plan is made once more, as when the printer's temperatures are seen, the one before is what somebody sees.
        state = "ready" if self._state == "planning" and self._plan else self._state
        what = [state, self.answers.to_json(), plan.get("offset"), plan.get("point"), self._plan and self._plan["asks"]]
        what.append(signature(self._printer_note()))
        return f"{zlib.crc32(json.dumps(what).encode()):08x}"

    def _printer_note(self) -> dict[str, Any] | None:
        return printer_note(self.job, self._host, self._firmware) if self._reading is not None else None

    def _notes(self) -> list[dict[str, Any]]:
        """What somebody must know besides the plan: ``printer_changed`` (``then`` and ``now``), ``unguarded``."""
        found = [self._printer_note(), {"code": "unguarded"} if self._unguarded else None]
        return [note for note in found if note is not None]

    def require(self, revision: str | None) -> None:
        """:class:`RecoveryError` ``state_changed`` when somebody saw another state than there is now."""
        if revision is not None and revision != self.revision:
            raise RecoveryError("state_changed", "Meanwhile this has changed.", "Look at it again, then decide.")

    def picture(self, name: str) -> Path | None:
        """A picture's file by its name in :meth:`status`."""
        return self._pictures.file(name) if self._plan is not None else None

    def export(self) -> Path:
        """The plan and the rest of the print as a file; :class:`RecoveryError` ``nothing_to_recover``."""
        if self._plan is None or self._reading is None or self._state == "running":
            raise RecoveryError("nothing_to_recover", "There is no plan to write down.", "Look at the recovery's state.")
        return self.helpers.export(str(self.job.get("file", "")), self.answers, self._sight.options())

    def _plan_json(self) -> dict[str, Any] | None:
        # The way around the place is in the pictures; here it would only make every message long.
        return {key: value for key, value in self._plan.items() if key != "path"} if self._plan is not None else None

    # -- what the user answers

    def answer(self, change: Callable[[Answers], Answers]) -> None:
        """Change the answers; :class:`RecoveryError` ``nothing_to_recover`` unless a plan waits."""
        with self._lock:
            if self._state not in ("ready", "planning") or self._plan is None:
                raise RecoveryError("nothing_to_recover", "No recovery waits for an answer.", "Look at the recovery's state.")
            self._patience.stop_count_down()
            before, self.answers = self.answers, change(self.answers)
            self._save_answers()
            if before.wanted != self.answers.wanted:
                self._plan_anew()
            else:
                self.tell()

    def look(self, confirmed: bool) -> None:
        """The user has looked at the printer; :class:`RecoveryError` ``not_confirmed``."""
        if not confirmed:
            raise RecoveryError("not_confirmed", "Nobody has confirmed to have looked.", "Look at the printer first.")
        seen = signature(self._printer_note())
        self.answer(lambda answers: answers.look(seen))

    def measure(self, height: float) -> None:
        """The user measured the print's height, mm."""
        self.answer(lambda answers: answers.measure(height, self._plan or {}))

    def _give_up(self) -> None:
        assert self._reading is not None
        self._journal.adopt(self._reading, sent=int(self._reading.record["sent"]), phase="dismissed")
        self._state, self._reading, self._plan, self._error = "idle", None, None, None
        self._answers.forget()
        self.answers, self._unguarded = Answers(), False
        self.guard.clear()

    def dismiss(self, confirmed: bool) -> None:
        """Give the interrupted print up; :class:`RecoveryError` ``not_confirmed``, ``nothing_to_recover``."""
        with self._lock:
            if self._state not in ("ready", "refused", "planning") or self._reading is None:
                raise RecoveryError("nothing_to_recover", "No recovery is waiting.", "")
            if not confirmed:
                raise RecoveryError("not_confirmed", "Nobody has confirmed to give the print up.", "Confirm it.")
            self._patience.stop_count_down()
            self._give_up()
        self._journal.flush()
        self.tell()

    def plan_again(self, **wanted: float | None) -> None:
        """Plan with what is known now, and with what somebody has found out: ``choice`` (number of one of the plan's choices),
        ``height`` of the nozzle in mm, ``line`` (byte of the file at which the line to go on with begins)."""
        given = {name: value for name, value in wanted.items() if value is not None}
        if self._state in ("planning", "ready", "refused"):
            self.answers = replace(self.answers, wanted=replace(self.answers.wanted, **given))  # type: ignore[arg-type]
            self._save_answers()
            self._plan_anew()

    # -- what happens to the printer and the file meanwhile

    def _send_allowed(self, line: str) -> None:
        """Somebody insists on a line that was held back: where the nozzle is after it, nobody may know."""
        relative = line in self.guard.relative
        self._host.send(["G91", line, "G90"] if relative else [line], {OWN_TAG})
        if reach := insisted(line, relative):
            self._moved.append(reach)
            self._take_moves()

    def _take_moves(self) -> None:
        """The nozzle of an interrupted print may have been moved, by the user or for them: its height is asked for anew."""
        with self._lock:
            reaches = [self._moved.popleft() for _ in range(len(self._moved))]
            if not reaches or self._reading is None or self._state not in STILL:
                return
            _logger.warning("the nozzle was moved while an interrupted print waits; its height must be measured")
            self._patience.stop_count_down()
            self.answers = self.answers.moves(sum(down for down, _ in reaches), sum(up for _, up in reaches))
            self._save_answers()
            self._cool_off()
            self._plan_anew()

    def _cool_off(self) -> None:
        """Nothing is hot in the states that are known here."""

    def _follow_file(self, event: str, payload: dict[str, Any]) -> None:
        """Somebody has renamed, deleted or replaced files or folders of the uploads."""
        with self._lock:
            if self._reading is None or payload.get("storage") != "local":
                return
            path, moved = str(self.job.get("path")), event in MOVED
            source = str(payload.get("source_path" if moved else "path"))
            if not f"{path}/".startswith(f"{source}/") or (not moved and payload.get("operation") == "move"):
                return
            if moved:
                path = str(payload.get("destination_path")) + path[len(source) :]
                job = {**self.job, "path": path, "file": str(self._host.gcode_on_disk(path))}
                self._reading = replace(self._reading, job=job)
                self._journal.amend(job)
            self._plan_anew()
            self.tell()

    # -- planning

    def _plan_anew(self) -> None:
        with self._lock:
            if self._reading is None or self._state not in WITHOUT_HEAT:
                return
            self._state = "planning"
            self._generation += 1
            generation = self._generation
        self.tell()
        threading.Thread(target=self._make_plan, args=(generation,), name="facesculpt-recovery", daemon=True).start()

    def _make_plan(self, generation: int) -> None:
        with self._planning:
            reading, answers = self._reading, self.answers
            if generation != self._generation or reading is None:
                return
            plan, error = None, None
            try:
                plan = self.helpers.plan(str(reading.job.get("file", "")), answers, self._sight.options())
            except FaceSculptError as refusal:
                error = refusal
            with self._lock:
                if generation != self._generation or self._state != "planning":
                    return
                if error is not None and error.code in NOT_TAKEN and answers.wanted != Wanted():
                    # Back to the likeliest place.
                    self.answers = replace(self.answers, wanted=Wanted(), height=None)
                    return self._plan_anew()
                # Last the state: who sees it, without the lock, must find the rest.
                self._error = {"code": error.code, "message": error.message, "hint": error.hint} if error else None
                self._plan, self._state = plan, "ready" if plan else "refused"
                self._planned()
            self.tell()
            model = self._around.model_of(str(self.job.get("path", ""))) if plan else None
            if plan is not None and model is not None:
                self._pictures.draw_cut(model, float(plan["plan"]["point"][2]))
                self.tell()

    def _planned(self) -> None:
        """A plan has been made, or refused."""

    def _job(self, origin: str, path: str) -> dict[str, Any] | None:
        """What the journal must know of a print that begins."""
        if origin != "local":
            return None
        file = self._host.gcode_on_disk(path)
        facts = PrinterFacts(self._firmware or "marlin2", self._host.bed_corners(), self._host.height())
        return {
            "path": path, "file": str(file), "identity": identity_of(file), "printer": asdict(facts),
            "clock_synchronised": synchronised(), **marks(self._host), **self._around.job_of(path),
        }  # fmt: skip

    def _load_answers(self) -> Answers:
        if self._reading is None:
            return Answers()
        return self._answers.load(str(self.job.get("job")), self._reading.sequence)

    def _save_answers(self) -> None:
        if self._reading is not None:
            self._answers.save(self.answers, str(self.job.get("job")), self._reading.sequence)

    def tell(self) -> None:
        """Show the dashboards how it stands."""
        self._around.publish(self._kind, self.status())
