"""A real OctoPrint server killed at random moments of a print, with or without its printer's power, and resumed by the plugin.

Each outage is judged by the simulated hardware, as in :mod:`tests.recovery.outages`.
"""

from __future__ import annotations

import json
import os
import random
import signal
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import requests

from octoprint_facesculpt.recovery.replay import build_index, state_at
from tests.printer.fixture import SimulatedPrinter
from tests.recovery.cases import Case
from tests.recovery.outages import LOOKS_SAME, Outcome, doubled, layer_of, layers_seen, same_layer, seen_choice
from tests.recovery.programs import busy_file

from .server import OctoPrintServer, wait_for

#: ``both`` lose their power; ``server`` is killed, and the board starts anew when it comes back; ``kept``: it does not.
KINDS = ("both", "server", "both", "kept")
#: Outages of one print; every so many-th strikes during the resume of the one before.
OF_A_PRINT, SECOND = 8, 5
LAYERS = 40
#: Characters of OctoPrint's log that are kept of a print that was lost.
LOG_TAIL = 4000
NAME = "busy.gcode"
#: Virtual seconds a real second: while the print goes on, while it heats, and while an outage is awaited.
PRINTING, HEATING, REAL = 25.0, 150.0, 1.0
#: The same until a server is connected, which resets the board only then: a nozzle must not go cold meanwhile.
STARTING = 0.02


class Ledger:
    """Path with plastic that the simulated printer has truly made, mm since the file's beginning, read from its log."""

    def __init__(self, log: Path) -> None:
        self._log, self._read = log, 0
        self.printed = 0.0
        self.last: dict[str, Any] | None = None

    def look(self) -> list[dict[str, Any]]:
        """The printing moves since the last look."""
        with self._log.open() as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind("\n") + 1]
        self._read += len(whole.encode())
        moves = [move for line in whole.splitlines() if (move := json.loads(line))["e"] > 0]
        moves = [move for move in moves if move["from"][:2] != move["to"][:2]]
        for move in moves:
            self.printed += sum((a - b) ** 2 for a, b in zip(move["from"], move["to"], strict=True)) ** 0.5
            self.last = move
        return moves


class Story:
    """One server and one printer, in a folder of their own."""

    def __init__(self, folder: Path, printer: SimulatedPrinter, seed: int) -> None:
        self.printer, self.chance = printer, random.Random(seed)
        self.gcode = folder / NAME
        self.gcode.write_bytes(busy_file(layers=LAYERS))
        self.index = build_index(self.gcode)
        self.server = OctoPrintServer(folder / "octoprint", str(printer.link), offline=True, lean=True)
        self.server.start()
        self.ledger = Ledger(printer.log)
        self.touched = 0
        #: Of the last outage, or of a print that is about to begin.
        self.outcome: Outcome

    def _recovery(self) -> dict[str, Any]:
        return self.server.get("/plugin/facesculpt/recovery").json()["recovery"]

    def _order(self, **order: Any) -> dict[str, Any]:
        return self.printer.order(**order)

    def _ready(self) -> None:
        wait_for(lambda: self.server.get("/plugin/facesculpt/status").json()["printer"]["ready"], 240, "the printer", pause=0.1)

    def state(self) -> str:
        """What the recovery and the printer say, for somebody who wonders."""
        try:
            found = self._recovery()
            plan = found["plan"] or {}
            said = {"state": found["state"], "error": found["error"], "outage": plan.get("outage")}
            return json.dumps({**said, "log": self.server.log()[-LOG_TAIL:]})
        except requests.RequestException as error:
            return str(error)

    def begin(self) -> None:
        """A new print on a clear bed."""
        self._ready()
        # OctoPrint is ready while the board still makes the last moves of the print that was given up, with plastic.
        time.sleep(1)
        wait_for(lambda: not self._order(do="status")["blocks"], 60, "the board's last moves", pause=0.05)
        self._order(do="clear")
        self.ledger.look()
        self.ledger.printed = 0.0
        self._order(do="speed", factor=HEATING)
        with self.gcode.open("rb") as file:
            answer = self.server.post("/api/files/local", files={"file": (NAME, file)}, data={"print": "true"})
        answer.raise_for_status()
        self._printing()

    def _printing(self) -> None:
        """Wait until plastic is being put down."""
        self._order(do="status")
        self.ledger.look()
        before = self.ledger.printed

        def more() -> bool:
            self._order(do="status")
            self.ledger.look()
            return self.ledger.printed > before

        wait_for(more, 180, "plastic", pause=0.05)
        self._order(do="speed", factor=PRINTING)
        wait_for(lambda: self._recovery()["recording"], 60, "the journal", pause=0.1)

    def outage(self, number: int) -> Outcome:
        """Let the print go on for a while, strike, and resume."""
        kind = self.chance.choice(KINDS)
        virtual = self.chance.uniform(0.0, 25.0)
        begun = self._order(do="status")["time"]
        wait_for(lambda: self._order(do="status")["time"] >= begun + virtual, 120, "some of the print", pause=0.05)
        # At the speed of a real printer from here on, which waits for nobody: the journal keeps real time.
        self._order(do="speed", factor=REAL, hold=False)
        time.sleep(self.chance.uniform(2.5, 4.5))
        self.outcome = outcome = Outcome(Case(number, kind, "printing", virtual, 0))
        self._strike(kind)
        found = self._come_back(kind, outcome)
        if found["plan"]["kind"] == "resume" and number % SECOND == SECOND - 1:
            self._resume(found)
            step = self._resume_to_a_step(found["plan"]["plan"]["steps"])
            second = self.chance.choice(KINDS)
            outcome.second = {"kind": second, "step": step, "first": outcome.estimate}
            self._strike(second)
            found = self._come_back(second, outcome)
        self._go_on(found, outcome)
        return outcome

    def _resume_to_a_step(self, steps: list[dict[str, Any]]) -> int:
        """Wait for a step of the resume by chance, and after it for a moment, at which another outage shall strike.

        Nothing is printed before the steps that follow the priming. From there on time is the journal's: at a higher speed the
        board would make in a tenth of a second, between two records, what takes it many seconds."""
        step = self.chance.randrange(len(steps))
        phases = [one["phase"] for one in steps]
        slow = min(phases.index("prime") if "prime" in phases else len(steps) - 1, step)
        wait_for(lambda: self._recovery()["step"] >= slow, 120, "the priming", pause=0.02)
        self._order(do="speed", factor=REAL, hold=False)
        wait_for(lambda: self._recovery()["step"] >= step, 120, "a step of the resume", pause=0.02)
        time.sleep(self.chance.uniform(0.0, 1.0))
        return step

    def _strike(self, kind: str) -> None:
        # Neither may go on while the other is being ended.
        os.kill(self.server.pid, signal.SIGSTOP)
        if kind == "both":
            self._order(do="power", on=False)
        self.server.kill()

    def _come_back(self, kind: str, outcome: Outcome) -> dict[str, Any]:
        """Note the truth, start everything again, and wait for a plan whose question is answered."""
        self._order(do="speed", factor=HEATING)
        if kind == "both":
            wait_for(lambda: self._order(do="status")["nozzle"] < 140, 120, "a cold nozzle", pause=0.05)
            self._order(do="power", on=True)
        else:
            wait_for(lambda: not self._order(do="status")["blocks"], 120, "the board's last moves", pause=0.05)
            if kind == "server":
                # Opening the port resets the board, as it does on an Ender 3.
                self._order(do="speed", factor=STARTING)
                self._order(do="reset")
        state = self._order(do="status")
        self.ledger.look()
        truth = self.ledger.printed
        z = state["position"][2] - state["jumped"]
        outcome.truth = {"printed": round(truth, 3), "z": round(z, 3), "layer": layer_of(self.index, truth)}
        # A board that was not reset stays hot, and may be waiting for somebody who changes the filament.
        self._order(do="speed", factor=REAL if kind == "kept" else STARTING)
        self.server.start()
        self._ready()
        self._order(do="speed", factor=REAL)
        # A board that began anew lets its nozzle cool, and one that kept its power may not have been hot yet: either may be
        # seen as a board without power, and is judged alike.
        wanted = ("both",) if kind == "both" else ("host", "both")

        def planned() -> dict[str, Any] | None:
            found = self._recovery()
            if found["state"] == "refused":
                raise RuntimeError(f"refused: {found['error']}")
            seen = found["state"] == "ready" and found["plan"]["outage"]["kind"] in wanted
            return found if seen and (kind != "kept" or found["plan"]["stop"]["exact"] or time.monotonic() > patience) else None

        patience = time.monotonic() + 60
        found = wait_for(planned, 300, "a plan", pause=0.1)
        if found["plan"]["asks"]:
            outcome.asked = True
            # By now a board that kept its power may have ended a change of filament, and brought the nozzle back.
            state = self._order(do="status")
            z = state["position"][2] - state["jumped"]
            found = self._answer(found, z, truth)
        self._ready()
        self._judge(found["plan"], outcome, truth)
        return found

    def _answer(self, found: dict[str, Any], z: float, truth: float) -> dict[str, Any]:
        """What somebody answers who looks at nozzle and print."""
        choices = [(choice["layer"], choice["z"]) for choice in found["plan"]["stop"]["choices"]]
        choice, off = seen_choice(choices, z, layers_seen(self.index, truth))
        answer: dict[str, Any] = {"command": "plan"} if choice is None else {"command": "plan", "choice": choice}
        if off > LOOKS_SAME or found["plan"]["stop"]["z_spread"] > LOOKS_SAME:
            answer |= {"height": round(z, 2)}
        self.server.post("/plugin/facesculpt/recovery", json=answer).raise_for_status()

        def planned() -> dict[str, Any] | None:
            again = self._recovery()
            return again if again["state"] == "ready" and not again["plan"]["asks"] else None

        return wait_for(planned, 120, "the plan that was asked for", pause=0.1)

    def _judge(self, plan: dict[str, Any], outcome: Outcome, truth: float) -> None:
        outcome.action = plan["kind"]
        if plan["kind"] != "resume":
            outcome.wrong_layer = plan["kind"] == "restart" and layer_of(self.index, truth) > 1
            return
        resumed = _resumed_at(self.gcode, self.index, plan["plan"])
        stop, layer = plan["stop"], layer_of(self.index, truth)
        outcome.error = round(resumed - truth, 3)
        outcome.estimate = {
            "printed": round(resumed, 3), "layer": plan["layer"], "z": stop["z"], "gap": stop["gap"],
            "overlap": stop["overlap"],
            "exact": stop["exact"], "outage": plan["outage"]["kind"],
        }  # fmt: skip
        outcome.promised = -stop["overlap"] - 0.1 <= outcome.error <= stop["gap"] + 0.1
        outcome.wrong_layer = not same_layer(self.index, truth, resumed)
        outcome.doubled_layer = doubled(self.index, truth, resumed)
        sent = plan["window_offset"]
        if outcome.second is None:
            outcome.power_failure_error = round(state_at(self.gcode, sent, self.index).printed - truth, 3)
            outcome.layer_start_error = round(self.index.layers[max(layer - 1, 0)].printed - truth, 3)
        self._resumed = resumed

    def _resume(self, found: dict[str, Any]) -> None:
        if found["plan"]["kind"] == "restart":
            self._order(do="clear")
            self.ledger.printed = 0.0
        elif found["plan"]["kind"] == "resume":
            self.ledger.printed = self._resumed
        self._order(do="speed", factor=HEATING)
        body = {"command": "resume", "confirmed": True}
        # What is learned of the printer late makes it plan once more.
        wait_for(lambda: self.server.post("/plugin/facesculpt/recovery", json=body).ok, 120, "the resume", pause=0.2)

    def _go_on(self, found: dict[str, Any], outcome: Outcome) -> None:
        """Resume, and see at which height it prints on."""
        self._resume(found)
        if found["plan"]["kind"] == "finish":
            wait_for(lambda: self._recovery()["state"] == "idle", 120, "the end", pause=0.1)
            return
        self._printing()
        state = self._order(do="status")
        self.ledger.look()
        move = self.ledger.last
        assert move is not None
        layer = layer_of(self.index, self.ledger.printed)
        off = move["at"][2] - state["jumped"] - 0.2 * max(layer, 1)
        outcome.estimate["z_error"] = round(off, 3)
        outcome.wrong_layer |= abs(off) > 0.05
        outcome.touches = state["touches"] if state["touched"] > self.touched else []
        outcome.deepest, self.touched = state["deepest"], state["touched"]
        if found["plan"]["kind"] == "resume":
            # Who cancels a resume that has not yet gone on gives nothing up: the interrupted print waits, and what is still on
            # its way to the printer would be printed over the next one.
            wait_for(self._gone_on, 120, "the file to go on", pause=0.05)

    def _gone_on(self) -> bool:
        """Whether a resume's lines are all sent, and the file's are."""
        recovery = self._recovery()
        return recovery["step"] >= len(recovery["plan"]["plan"]["steps"])

    def finished(self) -> bool:
        """Whether the print is over, or so near its end that another outage finds nothing."""
        return self.index.end.printed - self.ledger.printed < 3000 or not self._recovery()["recording"]

    def give_up(self) -> None:
        """End the print, so that another can begin."""
        if not self.server.get("/plugin/facesculpt/status").json()["printer"]["ready"]:
            self._order(do="speed", factor=HEATING)
            self.server.post("/api/job", json={"command": "cancel"})
        self._ready()


def _resumed_at(gcode: Path, index: Any, plan: dict[str, Any]) -> float:
    """Printed path at which a plan goes on."""
    left, here = 0.0, plan["point"]
    for step in plan["steps"]:
        if step["phase"] == "go" and step["line"].startswith("G1 X"):
            words = {word[0]: float(word[1:]) for word in step["line"].split()[1:]}
            there = [words[axis] for axis in "XYZ"]
            left += sum((a - b) ** 2 for a, b in zip(here, there, strict=True)) ** 0.5 if words.get("E", 0.0) > 0 else 0.0
            here = there
    return state_at(gcode, plan["offset"], index).printed - left


def live(seed: int, count: int, minutes: float) -> list[Outcome]:
    """So many outages on a server and a printer, unless the time runs out before. A print that does not go on is lost; the next
    is begun on another server and printer."""
    deadline = time.monotonic() + 60 * minutes
    lived: list[Outcome] = []
    while len(lived) < count and time.monotonic() < deadline:
        with tempfile.TemporaryDirectory() as name:
            folder, its_seed = Path(name), seed + 1000 * len(lived)
            options = ("--plastic", "--seed", str(its_seed))
            with SimulatedPrinter(folder / "ender3", speed=HEATING, options=options) as printer:
                story = Story(folder, printer, its_seed)
                try:
                    _live(story, lived, seed, count, deadline)
                except (TimeoutError, RuntimeError, requests.RequestException) as error:
                    story.outcome.lost = f"{type(error).__name__}: {error}; {story.state()}"
                    _note(lived, story.outcome, seed)
                finally:
                    story.server.stop()
    return lived


def _live(story: Story, lived: list[Outcome], seed: int, count: int, deadline: float) -> None:
    printing = False
    while len(lived) < count and time.monotonic() < deadline:
        if not printing or story.finished() or len(lived) % OF_A_PRINT == 0:
            # What goes wrong from here on is not the last outage's.
            story.outcome = Outcome(Case(len(lived), "begun", "heat_up", 0.0, 0))
            story.give_up()
            story.begin()
            printing = True
        _note(lived, story.outage(len(lived)), seed)
        printing = lived[-1].action != "finish"


def _note(lived: list[Outcome], outcome: Outcome, seed: int) -> None:
    lived.append(outcome)
    print(json.dumps({"seed": seed, **vars(outcome), "case": vars(outcome.case)}), flush=True)


def live_on_server(count: int, seed: int, jobs: int, minutes: float = 1e6) -> list[Outcome]:
    """``count`` outages, on ``jobs`` servers at a time."""
    shares = [count // jobs + (job < count % jobs) for job in range(jobs)]
    with ProcessPoolExecutor(jobs) as pool:
        parts = pool.map(live, [seed + 100 * job for job in range(jobs)], shares, [minutes] * jobs)
        return [outcome for part in parts for outcome in part]
