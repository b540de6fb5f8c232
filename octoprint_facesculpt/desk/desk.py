"""The desk where interrupted prints are taken up again: it carries a plan out, between OctoPrint's hooks and the journal."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

from ..recovery.clock import now, standstill
from ..recovery.errors import RecoveryError
from ..recovery.identity import identity_of
from ..recovery.interlock import shifts, unsettles
from ..recovery.journal import read
from ..recovery.plan import SOFT
from ..recovery.resuming import recovering
from .alone import obstacle
from .answers import Answers, require_height
from .guard import A_PRINT, HARMLESS
from .heat import NEAR, Heater, Heating
from .last_look import HEATING
from .meanwhile import require_printer
from .moved import CLEAR, FOLLOWED, moved_unseen
from .patience import Patience
from .plans import FILES, STILL, PlanDesk
from .ports import PrinterPort, Surroundings
from .sight import BANNER
from .watch import OWN_TAG, SCRIPT_TAG, STEP_TAG

_logger = logging.getLogger(__name__)
#: Marks the line behind those that are sent before the print is started.
READY_TAG = "facesculpt:prepared"
#: Parts of the plan after which the nozzle is off the print, so that it can be cleaned.
BEFORE_CLEANING = ("heat", "lift", "home")
#: States in which no other print may begin, and those in which heaters are on for the resume.
WAITING = ("planning", "ready", "refused", "heating", "preparing", "cleaning")
WARM = ("heating", "preparing", "cleaning")
#: Seconds after which heaters that nobody waits for are switched off.
UNATTENDED = 1800.0
#: Seconds for the lines under way when the server ends: none may follow the journal's last record.
LAST_LINES = 0.3
#: Events after which a print is over, or is not over but interrupted.
ENDINGS = ("PrintDone", "PrintCancelled", "PrintFailed", "Disconnected", "Error")
#: Answers about the height that nobody has measured, and outages in which the printer had its power all along.
NOT_MEASURED = ("trusted", "chosen")
WITH_POWER = ("host", "cable", "restart")
#: Events after which the printer may be another one.
PROFILES = ("Connected", "PrinterProfileModified", "PrinterProfileDeleted")
#: Marks of the firmwares in the answer to M115.
FIRMWARES = (("klipper", "klipper"), ("marlin 1.", "marlin1"))


class RecoveryDesk(PlanDesk):
    """Further states: ``heating``, ``preparing`` (the nozzle is being lifted and X and Y homed), ``cleaning`` (it waits for the
    user), ``running`` (the rest of the plan is being sent, then the file, until the print ends)."""

    def __init__(
        self, folder: Path, host: PrinterPort, around: Surroundings, kind: str = "recovery", name: str | None = None
    ) -> None:
        super().__init__(folder, host, around, kind, name)
        self._patience = Patience(self._go_on_alone, self._leave_cold)
        #: Where in the plan the script begins.
        self._begin = 0
        self._heating: Heating | None = None
        #: The nozzle's last temperature, degrees.
        self._nozzle: float | None = None
        self._printing = False
        self._resumed: tuple[float, float] | None = None

    def _status(self) -> dict[str, Any]:
        heating = self._heating.to_json() if self._heating else None
        return {**super()._status(), "step": self.watch.step, "heating": heating, "alone_in": self._patience.left}

    # -- life

    def close(self) -> None:
        self.helpers.stop.set()
        self._patience.end()
        if self.watch.active:
            self._host.hold()
            time.sleep(LAST_LINES)
        self.watch.shutdown()
        self._journal.close()

    @property
    def resumed(self) -> tuple[float, float] | None:
        """Of a print that goes on: seconds it had been printing before, and the share of it that was done, 0..1."""
        return self._resumed

    # -- what the user orders

    def heat(self, confirmed: bool) -> None:
        """Switch the heaters on; nothing moves. :class:`RecoveryError` as :meth:`resume`, and ``height_disagrees``."""
        with self._lock:
            plan = self._may_begin(confirmed)
            if not self.answers.complete:
                raise RecoveryError("not_confirmed", "Not all questions have been answered.", "Answer them first.")
            steps = [step["line"] for step in plan["plan"]["steps"] if step["phase"] == "heat"]
            soft = max([float(line.partition("S")[2]) for line in steps if line.startswith("M104")], default=0.0)
            self._heating = Heating(Heater(float(plan["targets"]["bed"])), Heater(soft))
            self._set_state("heating")
            # Without those that wait: the user must be able to stop.
            self._host.send([line for line in steps if not line.startswith(("M109", "M190"))], {OWN_TAG})
            self._patience.wait(UNATTENDED)
            if (self.answers.height or {}).get("kind") in NOT_MEASURED:
                # Somebody may have moved it at the printer's display, and now nothing else would tell.
                self._sight.asked_height = True
                threading.Thread(target=self._host.ask_position, daemon=True).start()

    def lift(self, confirmed: bool) -> None:
        """Lift the nozzle and home X and Y; :class:`RecoveryError` ``too_cold``, ``not_confirmed``, ``output_unwritable``."""
        with self._lock:
            self._take_moves()
            if self._state != "heating" or self._heating is None or self._plan is None or self._reading is None:
                raise RecoveryError("nothing_to_recover", "The printer is not being heated.", "Look at the recovery's state.")
            if not confirmed:
                raise RecoveryError("not_confirmed", "Nobody has confirmed that the nozzle may move.", "Look at it first.")
            if not self._heating.hot:
                raise RecoveryError("too_cold", "The nozzle still sticks to the print.", "Wait until it is warm.")
            self._require_same_printer()
            self._require_same_file()
            self._adopt()
            # On disk before anything moves.
            self._require_journal()
            self._begin = self._before_cleaning()
            self._set_state("preparing")
        self.watch.go_on(self._plan, self._seconds())
        self._host.send([step["line"] for step in self._plan["plan"]["steps"][: self._begin]], {OWN_TAG, STEP_TAG})
        self._host.send([HARMLESS], {OWN_TAG, READY_TAG})
        self._patience.wait(UNATTENDED)

    def stop(self) -> None:
        """Not now: heaters off, and back to the questions; or do not go on alone."""
        with self._lock:
            if self._patience.counts_down:
                self._patience.stop_count_down()
                return self.tell()
            if self._state not in ("heating", "cleaning"):
                raise RecoveryError("nothing_to_recover", "There is nothing to stop now.", "Look at the recovery's state.")
            moved = self._state == "cleaning"
            self._host.send(["M104 S0", "M140 S0"], {OWN_TAG})
            self._cool_down("ready")
        if moved:
            self._again()

    def resume(self, confirmed: bool, user: str | None) -> None:
        """Carry the plan, or what is left of it, out and print on; :class:`RecoveryError` ``not_confirmed``, ``not_ready``,
        ``nothing_to_recover``, ``height_disagrees``, ``output_unwritable``."""
        with self._lock:
            if self._state == "cleaning":
                plan = self._require_printer(confirmed)
            else:
                plan = self._may_begin(confirmed)
                if plan["kind"] == "restart":
                    return self._begin_anew(user)
                self._begin = 0
                self._adopt()
            # On disk before anything moves.
            self._require_journal()
            self._cool_down("running")
            self.guard.clear()
            self._printing = True
            self._resumed = (self._seconds(), plan["percent"] / 100)
        if not self._begin:
            self.watch.go_on(plan, self._resumed[0])
        self.tell()
        job = self.job
        try:
            self._host.resume(job["path"], int(plan["plan"]["offset"]), user)
        except Exception as error:
            _logger.exception("OctoPrint does not go on with the print")
            self._host.send(["M104 S0", "M140 S0"], {OWN_TAG})
            self._printing, self._resumed = False, None
            self._set_state("ready")
            self._again()
            raise RecoveryError(
                "not_ready", "OctoPrint could not go on with the print.", "See its log, then try again."
            ) from error
        self._around.resumed(job)

    def _begin_anew(self, user: str | None) -> None:
        """Nothing of the model was printed: an ordinary print from the file's beginning."""
        job = self.job
        self._give_up()
        self._journal.flush()
        self.tell()
        self._around.resumed(job)
        self._host.start(job["path"], user)

    # -- hooks

    def on_sending(self, cmd: str, gcode: str | None, tags: set[str] | None) -> str | None:
        """A line leaves for the printer: what to send instead of it; None when it may go as it is.

        Called for every line of a print, of which nearly all need the journal and nothing else."""
        if (self._state != "idle" or self.watch.interrupted) and self._holds_back(cmd, gcode, tags):
            return HARMLESS
        if (gcode is None or gcode in FOLLOWED) and self._state in STILL and not (tags and OWN_TAG in tags):
            self._follow(cmd, gcode)
        if gcode in HEATING and tags and "source:file" in tags and (first := self._look_first(cmd, gcode, tags)):
            return first
        if self._state in ("preparing", "running"):
            self._send_own(cmd, gcode, tags)
        else:
            self.watch.on_sending(cmd, gcode, tags)
        return None

    def _holds_back(self, cmd: str, gcode: str | None, tags: set[str] | None) -> bool:
        """Whether a line must not reach a printer with an interrupted print on its bed."""
        if tags and OWN_TAG in tags:
            return False
        if tags and "source:file" in tags:
            # Another print must not begin over this one; it is cancelled as soon as its start is known.
            return self._state in WAITING
        if tags and self._comes_between(cmd, gcode, tags):
            return self.guard.leave_out(cmd, "source:script" in tags)
        return self.guard.hold(cmd, self._sticks(), self._moves.relative)

    def _sticks(self) -> bool:
        """Whether the nozzle may stand on the print with plastic that is hard."""
        if self._state not in (*STILL, "idle") or self._moves.lift >= CLEAR:
            return False
        if self._nozzle is not None and self._nozzle >= SOFT - NEAR:
            return False
        plan = self._plan
        return plan is None or (plan["kind"] != "restart" and plan["stop"]["z"] < plan["plan"]["point"][2] + CLEAR)

    def _comes_between(self, cmd: str, gcode: str | None, tags: set[str]) -> bool:
        """Whether a line, of the user's scripts, which mean other moments, or typed while a plan is carried out, would move the
        nozzle away from where the plan has it, or undo what the plan has set."""
        if self._state == "running" and SCRIPT_TAG in tags:
            # Behind the plan, with the nozzle on the print.
            return True
        if self._state == "preparing" or (self._state == "running" and self.watch.recovers):
            # Nor may anything move the nozzle, or change the modes of its moves, between two lines of the plan.
            return gcode is None or gcode in FOLLOWED or unsettles(cmd)
        if self._state == "running":
            return False
        if self._state == "cleaning" and shifts(cmd):
            # The plan's heights are those that it has set.
            return True
        # What a macro does, nobody here knows.
        return "source:script" in tags and (gcode is None or gcode in FOLLOWED)

    def _follow(self, cmd: str, gcode: str | None) -> None:
        if reach := self._moves.follow(cmd, gcode):
            # What is ordered from now on knows of it; the comm thread that calls this must not wait.
            self._moved.append(reach)
            threading.Thread(target=self._take_moves, daemon=True).start()

    def _look_first(self, cmd: str, gcode: str, tags: set[str]) -> str | None:
        """Send what must come before a line of the file: the first of it in its place, and the rest while the file is held."""
        lines = self.watch.before(cmd, gcode)
        if not lines or not self._host.hold():
            return None
        threading.Thread(target=self._send_held, args=(lines[1:], cmd, {*tags, OWN_TAG}), daemon=True).start()
        return lines[0]

    def _send_held(self, lines: tuple[str, ...], cmd: str, tags: set[str]) -> None:
        try:
            self._host.send(list(lines), {OWN_TAG})
            self._host.send([cmd], tags)
        finally:
            self._host.release()

    def _send_own(self, cmd: str, gcode: str | None, tags: set[str] | None) -> None:
        """A line of a resume, whose steps the dashboards are shown."""
        step = self.watch.step
        self.watch.on_sending(cmd, gcode, tags)
        if tags and READY_TAG in tags and self._state == "preparing":
            # It follows the last of the lines that prepare: they have been acknowledged.
            self.watch.prepared()
            self._state = "cleaning"
        elif step == self.watch.step:
            return
        threading.Thread(target=self.tell, daemon=True).start()

    def on_received(self, line: str) -> None:
        """A line from the printer."""
        self.watch.on_received(line)
        if line.startswith("ok") and not self._sight.asked and not self._sight.asked_height:
            return
        if self._state == "heating" and (height := self._sight.take_height(line)) is not None:
            threading.Thread(target=self._compare_height, args=(height,), daemon=True).start()
        if line.strip() == BANNER:
            self._sight.began_anew()
            if self._state in WARM:
                threading.Thread(target=self._lost, daemon=True).start()
        elif self._state in ("planning", "ready", "refused") and self._sight.take_position(line):
            threading.Thread(target=self._plan_anew, name="facesculpt-plan", daemon=True).start()

    def on_script(self, kind: str, name: str, place: tuple[float, float, float] | None = None) -> tuple[list[str], None] | None:
        """The plan goes in front of the script that OctoPrint sends before a print; ``place`` is where a pause has stopped."""
        if kind == "gcode" and name in ("afterPrintPaused", "beforePrintResumed"):
            self.watch.moves_away(place)
        if (kind, name) != ("gcode", "beforePrintStarted") or self._state != "running" or self._plan is None:
            return None
        steps = self._plan["plan"]["steps"][self._begin :]
        # Somebody may have moved the nozzle while it was being cleaned.
        lines = ["G21", "G90", f"G1 Z{steps[0]['z']:.3f} F300", "M400"] if self._begin and steps else []
        self.watch.expect(len(lines))
        return [*lines, *(step["line"] for step in steps)], None

    def on_temperatures(self, parsed: dict[str, Any]) -> None:
        if self._state in ("planning", "ready", "refused") and self._sight.take_temperatures(parsed):
            # The first sight of the printer tells whether it had kept its power: at once, a board that was reset cools.
            threading.Thread(target=self._plan_anew, name="facesculpt-plan", daemon=True).start()
            if self._sight.ask():
                threading.Thread(target=self._host.ask_position, daemon=True).start()
        self._nozzle = (parsed.get("T0") or parsed.get("T") or (None,))[0]
        if self._heating is not None and self._state == "heating":
            self._heating.see(parsed)
            threading.Thread(target=self.tell, daemon=True).start()
        self.watch.on_temperatures(parsed)

    def on_firmware(self, name: str) -> None:
        self._firmware = next((known for mark, known in FIRMWARES if mark in name.lower()), "marlin2")

    def on_event(self, event: str, payload: dict[str, Any]) -> None:
        """OctoPrint's events, on their own thread."""
        if event == "PrintStarted" and self._state in WAITING:
            _logger.warning("a print was started over an interrupted one; it is cancelled")
            self.guard.note(A_PRINT)
            self._host.cancel()
            self.tell()
            return
        if event in FILES:
            return self._follow_file(event, payload)
        if event in PROFILES and self.pending:
            self.tell()
        self.watch.on_event(event, payload)
        if event == "PrintStarted":
            self._printing = self.watch.active
        elif event in ENDINGS and self._printing:
            self._printing = False
            self._after_print()
        elif event in ("Disconnected", "Error") and self._state in WARM:
            self._lost()
        if event == "Disconnected":
            self._sight.forget()
            self._nozzle = None
            self._patience.stop_count_down()

    # -- inside

    def _may_begin(self, confirmed: bool) -> dict[str, Any]:
        self._take_moves()
        if self._state != "ready" or self._plan is None or self._reading is None:
            raise RecoveryError("nothing_to_recover", "There is no plan to carry out.", "Look at the recovery's state.")
        self._patience.stop_count_down()
        plan = self._require_printer(confirmed)
        require_height(self.answers, plan)
        return plan

    def _require_printer(self, confirmed: bool) -> dict[str, Any]:
        if not confirmed:
            raise RecoveryError("not_confirmed", "Nobody has confirmed that the print may go on.", "Look at it first.")
        if not self._host.ready():
            raise RecoveryError("not_ready", "The printer is not connected or not ready.", "Connect the printer first.")
        assert self._plan is not None
        if self._plan["kind"] != "restart":
            # What begins anew is a print like any other.
            self._require_same_printer()
        self._require_same_file()
        return self._plan

    def _require_journal(self) -> None:
        """:class:`RecoveryError` ``output_unwritable``: after another outage, a journal that tells of the nozzle as it was
        before this plan would have it driven into the print."""
        if not self._journal.flush():
            why = self._journal.failure or "it takes too long"
            raise RecoveryError("output_unwritable", f"The journal cannot be written: {why}.", "Look into octoprint.log.")

    def _require_same_printer(self) -> None:
        try:
            require_printer(self._printer_note(), self.answers.printer)
        except RecoveryError:
            if self._state == "ready":
                self.answers = self.answers.look_again()
                self._save_answers()
                self.tell()
            raise

    def _require_same_file(self) -> None:
        """:class:`RecoveryError` ``file_missing``, ``file_changed``: the plan names a byte of the file that was printed."""
        file = Path(str(self.job.get("file", "")))
        if identity_of(file) != self.job.get("identity"):
            raise RecoveryError("file_changed", f"{file.name} is not the file that was being printed.", "Give the same file.")

    def _adopt(self) -> None:
        assert self._reading is not None and self._plan is not None
        self._journal.adopt(self._reading, sent=self._plan["plan"]["offset"], **recovering(self._plan, 0))

    def _seconds(self) -> float:
        """Seconds that the interrupted print had been printing."""
        return float(self._reading.record.get("seconds") or 0.0) if self._reading else 0.0

    def _before_cleaning(self) -> int:
        """How many of the plan's lines come before the nozzle can be cleaned."""
        assert self._plan is not None
        phases = [step["phase"] for step in self._plan["plan"]["steps"]]
        return next((number for number, phase in enumerate(phases) if phase not in BEFORE_CLEANING), len(phases))

    def _set_state(self, state: str) -> None:
        self._state = state
        self.tell()

    def _cool_down(self, state: str) -> None:
        """Into a state in which nothing waits for heat any more."""
        self._heating = None
        self._patience.end()
        self._set_state(state)

    def _cool_off(self) -> None:
        if self._state == "heating":
            self._host.send(["M104 S0", "M140 S0"], {OWN_TAG})
            self._cool_down("ready")

    def _compare_height(self, height: float) -> None:
        """The printer has told its height while it heats up."""
        if (plan := self._plan) is None:
            return
        knows = plan["outage"]["kind"] in WITH_POWER and not self._sight.booted
        if reach := moved_unseen(height, float(plan["stop"]["z"]), knows):
            self._moved.append(reach)
            self._take_moves()

    def _lost(self) -> None:
        """The printer went away, or started anew, while it was being made ready."""
        with self._lock:
            if self._state not in WARM:
                return
            moved = self._state != "heating"
            self._sight.cold_again()
            self._cool_down("ready")
        if moved:
            self._again()

    def _again(self) -> None:
        """The plan was begun and must be made anew from where it stopped."""
        self.watch.leave()
        self._journal.flush()
        self._reading, self._plan = read(self._folder), None
        self.answers = Answers()
        self.watch.settled()
        self._plan_anew()

    def _after_print(self) -> None:
        self._journal.flush()
        reading = read(self._folder)
        self._moves.lift = 0.0
        with self._lock:
            # A disk that is too slow for the last record must not bring a finished print back.
            unfinished = reading is not None and reading.unfinished and not self.watch.finished
            self._reading = reading if unfinished else None
            self._state, self._plan, self._resumed = "planning" if self._reading else "idle", None, None
            self._patience.stopped = self._unguarded = False
            self.answers = self._load_answers()
        if self._reading is None:
            self._answers.forget()
        self._plan_anew()
        # From here on, what is pending holds the lines back.
        self.watch.settled()
        self.tell()

    # -- going on alone

    def _planned(self) -> None:
        if self._patience.stopped or self._plan is None or self._reading is None or self._notes() or not self._host.ready():
            return
        stood = standstill(self._reading.record, bool(self.job.get("clock_synchronised")), now())
        why_not = obstacle(self._around.wish(), self._plan, self._reading.record, stood, self._sight.nozzle, self._sight.bed)
        if why_not is None and self.answers.question == "intro":
            self._patience.count_down()
        elif why_not != "not_wanted":
            _logger.info("the print does not go on by itself: %s", why_not)

    def _go_on_alone(self) -> None:
        _logger.warning("the print goes on by itself after a short stop of OctoPrint")
        try:
            self.resume(confirmed=True, user=None)
        except RecoveryError as error:
            _logger.warning("%s", error)

    def _leave_cold(self) -> None:
        if self._state in ("heating", "cleaning"):
            _logger.warning("nobody went on with the recovery; the heaters are switched off")
            self.stop()
