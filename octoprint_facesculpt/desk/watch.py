"""Watches a print for the journal: OctoPrint's hooks and events become records.

Everything called from OctoPrint's comm threads only remembers; the journal's thread writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..recovery.journal import Journal
from ..recovery.machine import Machine
from ..recovery.resuming import recovering
from ..recovery.supply import SupplyWatch
from .closely import Reason
from .last_look import HEATING, LastLook
from .sight import BANNER

#: Marks the lines that this plugin sends.
OWN_TAG = "plugin:facesculpt"
#: Marks those of the plan's lines that are sent before the print is started; the others come with OctoPrint's script.
STEP_TAG, SCRIPT_TAG = "facesculpt:step", "script:beforePrintStarted"
#: Lines after which a layer's first one has left Marlin's planner: a record of that moment leaves no doubt about the layer.
BEHIND = 17
#: The file's own commands that replace what was tuned by hand.
_REPLACES = {"M106": "fan", "M107": "fan", "M220": "feed_percent", "M221": "flow_percent"}
#: What a record says of the place.
_PLACE = ("sent", "tail", "phase", "parked", "moving", "pause_position")
#: Seconds after which a script's lines have been sent, and after which the moves they ask for are made.
SENT, MOVED = 3.0, 12.0
#: Commands that can move the nozzle, or change what such commands mean.
MOVING = frozenset(("G0", "G1", "G2", "G3", "G20", "G21", "G27", "G28", "G90", "G91", "G92"))


class PrintWatch:
    """Feeds a journal. ``job(path)`` describes the file of the uploads that is printed, ``None`` for one on the SD card.
    ``clock`` tells seconds."""

    #: What is being done about an interrupted print.
    pending = Reason[str]()
    #: No print is under way that the journal knows.
    _inactive = Reason[bool]()
    #: Lines of a new layer whose moves are not yet made for certain.
    _until_settled = Reason[int]()
    #: The print is paused, until its next line.
    _paused = Reason[bool]()
    #: The nozzle has moved up or down since it last printed.
    _lifted = Reason[bool]()
    #: The plan that is being carried out.
    _recovery = Reason[dict[str, Any]]()

    def __init__(
        self,
        journal: Journal,
        job: Callable[[str, str], dict[str, Any] | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal, self._job, self._clock = journal, job, clock
        #: A line of the file that moves in X and Y only needs to be noted here, and an ``ok``, while nothing calls for a closer
        #: look.
        self.lines = journal.lines
        #: Why lines must be looked at more closely, each reason with its value: a dictionary that stays the same.
        self.closely: dict[str, Any] = {}
        self._inactive = True
        #: Whether the printer was reset during the last print, of which OctoPrint makes a cancelled one.
        self.interrupted = False
        #: Whether the last print came to its end, or was cancelled by its user.
        self.finished = False
        self._supply, self._last_look = SupplyWatch(clock), LastLook()
        self._target = self._top = 0.0
        #: Whether the journal says that the supply is dead.
        self._dead = False
        #: The number of the plan's step that was sent last.
        self.step = -1
        #: Where the nozzle is while the print is paused, and lines that are not the file's move it.
        self._away: Machine | None = None
        #: When it was last moved away or back, and whether by a line with a height; None when it has settled.
        self._moved: tuple[float, bool] | None = None
        #: The heights it can be at meanwhile.
        self._between: tuple[float, float] | None = None
        #: Lines of the script that are no steps of the plan.
        self._extra = 0
        #: Seconds of printing so far, without pauses, and when they were last counted.
        self._seconds, self._counted = 0.0, 0.0

    @property
    def active(self) -> bool:
        """Whether a print is under way that the journal knows."""
        return not self._inactive

    @property
    def recovers(self) -> bool:
        """Whether a plan is being carried out, and the file does not yet go on."""
        return self._recovery is not None

    def settled(self) -> None:
        """The interruption has been seen to."""
        self.interrupted = False

    def go_on(self, recovery: dict[str, Any], seconds: float = 0.0) -> None:
        """The job of an earlier session, which had been printing for so long, is being resumed by a plan
        (:meth:`Recovery.to_json`)."""
        self._forget()
        self._seconds = seconds
        self._recovery, self.step, self._inactive = recovery, -1, None

    def prepared(self) -> None:
        """The steps so far have been made, and the printer waits for its user: the nozzle is where the next step begins."""
        if self._recovery is not None and self.step + 1 < len(self._recovery["plan"]["steps"]):
            z = self._recovery["plan"]["steps"][self.step + 1]["z"]
            self._away, self._between = Machine(), (z, z)
            self._away.state.position = [0.0, 0.0, z]
            self._journal.flush(z_low=z, z_high=z)

    def _move_by_hand(self, cmd: str) -> None:
        """Somebody moves the nozzle of a resume that waits for them."""
        if self._away is None or self._between is None:
            return
        self._away.execute(cmd.encode("ascii", "replace") + b"\n")
        low, high = self._between
        z = self._away.state.position[2]
        self._between = (min(low, z), max(high, z))
        if self._between != (low, high):
            self._journal.flush(z_low=self._between[0], z_high=self._between[1])

    def leave(self) -> None:
        """The resume is stopped; what the journal says of it stays true."""
        self._inactive, self._recovery = True, None

    def expect(self, extra: int) -> None:
        """So many lines of the script come before the plan's."""
        self._extra = extra

    @property
    def seconds(self) -> float:
        """Seconds of printing so far, without pauses and outages."""
        return self._seconds

    def _forget(self) -> None:
        self.finished = False
        self.interrupted, self._target, self._top = False, 0.0, 0.0
        self._supply.forget()
        self._dead = False
        self._away = self._moved = self._between = None
        self._until_settled = self._paused = self._lifted = self._recovery = None
        self._last_look = LastLook()
        self._seconds, self._counted, self._extra = 0.0, 0.0, 0

    # -- comm threads

    def before(self, cmd: str, gcode: str | None) -> tuple[str, ...]:
        """What must be sent before a line of the file."""
        return self._last_look.before(cmd) if self.active and gcode in HEATING else ()

    def on_sending(self, cmd: str, gcode: str | None, tags: set[str] | None) -> None:
        """A line leaves for the printer, which has acknowledged the one before."""
        if self._inactive or not tags:
            return
        if recovery := self._recovery:
            self._note_step(recovery, tags)
        if "source:file" in tags:
            self._journal.note(tags)
            self._from_file(cmd, gcode)
        elif gcode in ("M106", "M107") and not _word(cmd, "P", 0.0):
            self._journal.event(fan=_word(cmd, "S", 255.0) if gcode == "M106" else 0.0)
        elif gcode in ("M220", "M221"):
            # Without a value it only asks.
            if percent := _word(cmd, "S", 0.0):
                self._journal.event(**{_REPLACES[gcode]: percent})
        elif gcode == "M290":
            # G92 Z sets the height where the nozzle is, so the step is kept by itself; for the record only.
            self._journal.event(babystep=_word(cmd, "Z", _word(cmd, "S", 0.0)))
        elif self._paused and gcode in MOVING:
            self._move_away(cmd, gcode)
        elif self._recovery is not None and gcode in MOVING and OWN_TAG not in tags:
            self._move_by_hand(cmd)

    def _note_step(self, recovery: dict[str, Any], tags: set[str]) -> None:
        """A line of the plan, or the file's first after it.

        What must be on disk before Z moves, and before anything that follows, is waited for: nothing is being printed.
        """
        steps = recovery["plan"]["steps"]
        if SCRIPT_TAG in tags and OWN_TAG in tags and self._extra:
            self._extra -= 1
        elif OWN_TAG in tags and (STEP_TAG in tags or SCRIPT_TAG in tags) and self.step + 1 < len(steps):
            self.step += 1
            self._away = None
            now, before = ((step["z"], step["z_after"]) for step in (steps[self.step], steps[max(self.step - 1, 0)]))
            surely = self.step == 0 or now[0] != now[1] or before != now
            (self._journal.flush if surely else self._journal.event)(**recovering(recovery, self.step))
        elif "source:file" in tags:
            self.step, self._recovery = len(steps), None
            # Where only the file's end is left, the nozzle stays as high as it was lifted: it does not go back to the path.
            lifted = (steps[-1]["z"], steps[-1]["z_after"]) if recovery.get("kind") == "finish" else False
            self._journal.flush(phase="printing", moving=lifted)

    def _from_file(self, cmd: str, gcode: str | None) -> None:
        if gcode in ("G0", "G1", "G2", "G3"):
            self._last_look.move(cmd)
            self._lifted = self._last_look.lifted
            if "Z" in cmd and _word(cmd, "Z", 0.0) > self._top:
                # A new height is a new layer, or its first hop: once a layer, this goes to disk at once, and again when the
                # move has been made.
                self._top = _word(cmd, "Z", 0.0)
                self._until_settled = BEHIND
                self._journal.event()
        elif gcode in _REPLACES:
            self._journal.set(**{_REPLACES[gcode]: None})
        if left := self._until_settled:
            self._until_settled = left - 1
            if left == 1:
                self._journal.event()
        if self._paused:
            self._paused = self._away = self._moved = None
            self._journal.event(phase="printing", paused=False, parked=None, moving=False, pause_position=None)

    def moves_away(self, place: tuple[float, float, float] | None) -> None:
        """A script of a pause is about to be sent, which may move the nozzle from ``place`` or back to it.

        Waits for the disk: nothing is being printed, and a lift that the journal does not know would cost the height.
        """
        if not self.active:
            return
        self._note_pause(place)
        self._moved = (self._clock(), False)
        if self._away is not None:
            z = self._away.state.position[2]
            self._between = (z, z)
        self._journal.flush(moving=self._between or True)

    def _note_pause(self, place: tuple[float, float, float] | None) -> None:
        self._paused = True
        if self._away is None and place is not None:
            self._away = Machine()
            self._away.state.position = list(place)

    def _move_away(self, cmd: str, gcode: str) -> None:
        """A script's line, or one by hand, moves the nozzle of a paused print."""
        away = self._away
        self._moved = (self._clock(), True)
        if away is None or (gcode in ("G27", "G28") and not ("X" in cmd or "Y" in cmd)):
            # Where to, nobody can tell.
            self._between = None
            self._journal.event(parked=None, moving=True)
            return
        before = list(away.state.position)
        away.execute(cmd.encode("ascii", "replace") + b"\n")
        if away.state.position != before:
            low, high = self._between or (before[2], before[2])
            self._between = (min(low, away.state.position[2]), max(high, away.state.position[2]))
            self._journal.event(parked=[round(v, 3) for v in away.state.position], moving=self._between)

    def _look_whether_settled(self) -> None:
        """Lines that were sent long enough ago are made."""
        if self._moved is not None and self._away is not None:
            at, with_lines = self._moved
            if self._clock() - at > (MOVED if with_lines else SENT):
                self._moved = self._between = None
                self._journal.event(moving=False)

    def on_received(self, line: str) -> None:
        """A line from the printer."""
        if not self.active:
            return
        if line.startswith("ok"):
            self._journal.acknowledged()
        elif line.strip() == BANNER:
            self.interrupted = True
            self._interrupted("printer_reset")

    def on_temperatures(self, parsed: dict[str, Any]) -> None:
        """Temperatures as OctoPrint read them: ``{"T0": (actual, target), "B": ...}``."""
        if not self.active or self.interrupted:
            return
        if self._recovery is not None:
            # Its targets are not the print's: what the journal knows of these stays true.
            return
        self._look_whether_settled()
        self._count()
        fields: dict[str, float] = {"seconds": round(self._seconds, 1)}
        for name, (actual_key, target_key) in {"T0": ("nozzle", "nozzle_target"), "B": ("bed", "bed_target")}.items():
            actual, target = parsed.get(name) or parsed.get(name[:1]) or (None, None)
            if actual is not None:
                fields[actual_key] = actual
            if target and not self._paused:
                # In a pause it is the pause's own: what the print was made with stays true.
                fields[target_key] = target
        nozzle, target = parsed.get("T0") or parsed.get("T") or (None, None)
        self._journal.set(**fields)
        if target != self._target and target is not None:
            self._target = target
            self._journal.event()
        if target == 0:
            # Switched off, by the file's end or by hand: that it cools says nothing, unless it did so before.
            if not self._supply.suspicion():
                self._supply.forget()
        elif target and nozzle is not None:
            if dead := self._supply.look(nozzle, target, self._place):
                self._dead = True
                self._journal.event(**dead)
            elif self._dead and not self._supply.suspicion():
                # Hot again: it was a draught, or a heater that the board had switched off for a while.
                self._dead = False
                self._journal.event(reason=None, cold_anchor=None)

    def _place(self) -> dict[str, Any]:
        record = self._journal.record()
        return {name: record.get(name) for name in _PLACE}

    def _count(self) -> None:
        now = self._clock()
        if self._counted and not self._paused:
            self._seconds += now - self._counted
        self._counted = now

    # -- event thread

    def on_event(self, event: str, payload: dict[str, Any]) -> None:
        if event == "PrintStarted":
            self._begin(payload)
        elif not self.active:
            return
        elif event == "PrintPaused":
            place = [(payload.get("position") or {}).get(axis) for axis in "xyz"]
            known = all(isinstance(value, (int, float)) for value in place)
            self._note_pause(tuple(map(float, place)) if known else None)  # type: ignore[arg-type]
            self._journal.event(phase="paused", paused=True, pause_position=place if known else None)
        elif event == "PrintResumed":
            self._journal.event(phase="printing")
        elif event == "PrintDone":
            if self._supply.suspicion():
                # The board has acknowledged the file's end without motors: what is missing of the print is not lost.
                self._interrupted("supply")
            else:
                self._end("done")
        elif event == "PrintCancelled" and not self.interrupted:
            if self._recovery is not None:
                # Stopped before it had gone on: nothing is given up.
                self._interrupted("stopped")
            else:
                self._end("cancelled")
        elif event in ("Error", "Disconnected") or (event == "PrintFailed" and payload.get("reason") != "cancelled"):
            self._interrupted(str(payload.get("reason") or payload.get("error") or event.lower()))

    def shutdown(self) -> None:
        """The server ends in good order, and sends nothing any more."""
        if self.active:
            self._inactive = True
            phase = "recovering" if self._recovery is not None else "interrupted"
            self._journal.flush(phase=phase, reason="shutdown")

    def _begin(self, payload: dict[str, Any]) -> None:
        if self.active:  # resumed; known already
            return
        job = self._job(str(payload.get("origin")), str(payload.get("path")))
        if job is None:
            return
        self._forget()
        self._journal.begin(job, phase="printing")
        self._inactive = None

    def _interrupted(self, reason: str) -> None:
        if self.active:
            self._inactive = True
            # What is known of a resume that was under way stays true.
            phase = "recovering" if self._recovery is not None else "interrupted"
            self._journal.event(**{"phase": phase, "reason": reason, **self._supply.suspicion()})

    def _end(self, phase: str) -> None:
        self._inactive, self.finished = True, True
        self._journal.event(phase=phase)


def _word(line: str, letter: str, otherwise: float) -> float:
    for word in line.upper().split():
        if word.startswith(letter):
            try:
                return float(word[1:])
            except ValueError:
                return otherwise
    return otherwise
