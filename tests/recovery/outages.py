"""Outages of every class in every phase of a print on the simulated printer, each lived through to the print that goes on.

The print is made once. At every moment at which something shall happen the process forks: the child lives through that one
outage, recovers as the plugin would, prints on, and writes down what the simulated hardware saw; the parent prints on
undisturbed. So every outage finds the whole state of the machine, of the firmware and of the journal as it was.
"""

from __future__ import annotations

import json
import os
import random
import traceback
from bisect import bisect_left
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from octoprint_facesculpt.recovery.errors import RecoveryError
from octoprint_facesculpt.recovery.estimate import BETWEEN
from octoprint_facesculpt.recovery.identity import identity_of
from octoprint_facesculpt.recovery.journal import Reading
from octoprint_facesculpt.recovery.outage import Seen
from octoprint_facesculpt.recovery.printer import PrinterFacts
from octoprint_facesculpt.recovery.recover import NOTHING, Chosen, Recovery, recover
from octoprint_facesculpt.recovery.replay import GcodeIndex, build_index, state_at
from octoprint_facesculpt.recovery.resuming import recovering

from ..printer.firmwares import KLIPPER
from ..printer.klipper import AHEAD
from ..printer.machine import Machine
from ..printer.plastic import Plastic
from .cases import Case, phases_of
from .host import Host, PowerCut

#: Those after which the board makes what it was given.
FINISHED = ("host", "server", "kept", "restart", "cable")
#: The same on Klipper, which is a program on the host's computer and makes nothing more when that or its board's cable fails.
KLIPPER_FINISHED = ("server", "kept", "restart")
#: Firmware, how it is set up, and by which name the plugin knows it.
FIRMWARES = {"2.1": (5.0, "marlin2"), "2.0": (10.0, "marlin2"), "1.1": (5.0, "marlin1"), KLIPPER: (0.0, "klipper")}
#: Lines of the file that are printed after a resume; what somebody who measures the nozzle's height is wrong by, mm.
LINES_AFTER, MEASURED = 160, 0.03
#: Heights nearer than this look the same to somebody who looks, mm.
LOOKS_SAME = 0.03


@dataclass
class Outcome:
    """What became of a case. ``printed`` are mm of path with plastic since the file's beginning, ``error`` is what was left out
    (above 0) or printed twice (below 0); ``safe_touches`` what the nozzle touched with the safe answer to a question."""

    case: Case
    action: str = ""
    offset: int = 0
    asked: bool = False
    truth: dict[str, Any] = field(default_factory=dict)
    estimate: dict[str, Any] = field(default_factory=dict)
    error: float | None = None
    power_failure_error: float | None = None
    layer_start_error: float | None = None
    promised: bool = True
    wrong_layer: bool = False
    doubled_layer: bool = False
    lost: str | None = None
    touches: list[str] = field(default_factory=list)
    safe_touches: list[str] = field(default_factory=list)
    deepest: float = 0.0
    second: dict[str, Any] | None = None


def machine_for(chance: random.Random) -> Machine:
    """An Ender 3 that remembers what is printed, and whose motors jump when they wake up."""
    return Machine(plastic=Plastic(), chance=chance)


class Campaign:
    """A file, its index, and the firmware it is printed on; ``folder`` keeps what the children write."""

    def __init__(self, gcode: Path, folder: Path, version: str = "2.1", lines_after: int = LINES_AFTER) -> None:
        self.gcode, self.folder, self.version, self.lines_after = gcode, folder, version, lines_after
        self.text = gcode.read_bytes()
        self.raise_mm, firmware = FIRMWARES[version]
        self.facts = PrinterFacts(firmware)
        self.index = build_index(gcode, firmware)
        self.index_file = folder / "index.json"
        self.index.save(self.index_file)

    def host(self, seed: int) -> Host:
        chance = random.Random(seed)
        return Host(machine_for(random.Random(seed + 1)), chance, self.raise_mm, self.version)

    def interrupted(self, at: float, kind: str = "both") -> tuple[dict[str, Any], Seen, Host]:
        """Print up to a moment at which an outage strikes, in this process: the record, what is seen, and the hardware."""
        chance = random.Random(1)
        host = self.host(0)
        host.cuts, host.on_cut = [at], lambda: strike(host, kind, chance)
        try:
            host.begin("vase.gcode")
            host.send_file(self.text)
        except PowerCut:
            pass
        return (*aftermath(host, kind, chance), host)

    def recover(self, record: dict[str, Any], seen: Seen, facts: PrinterFacts | None = None, **chosen: Any) -> Recovery:
        """The plan for a record."""
        reading = Reading({"job": "1", "identity": identity_of(self.gcode)}, record, 1)
        return recover(reading, seen, self.gcode, facts or self.facts, None, Chosen(**chosen))

    def spans(self) -> dict[str, list[tuple[float, float]]]:
        """When each phase of the print takes place."""
        return phases_of(self)

    def run(self, cases: list[Case], jobs: int = 1) -> list[Outcome]:
        """Print the file once, and live through all cases."""
        waiting = sorted(cases, key=lambda case: case.at)
        host = self.host(0)
        host.cuts = [case.at for case in waiting]
        running: list[int] = []

        def reap() -> None:
            # Not for any child: the test run may have others, which end when they like.
            child, status = os.waitpid(running.pop(0), 0)
            if status:
                raise RuntimeError(f"the child {child} ended with status {status}")

        mine: Case | None = None

        def cut() -> None:
            nonlocal mine
            case = waiting.pop(0)
            while len(running) >= jobs:
                reap()
            child = os.fork()
            if child:
                running.append(child)
                return
            mine, host.cuts = case, []
            strike(host, case.kind, random.Random(case.seed))

        host.on_cut = cut
        try:
            host.begin("vase.gcode")
            host.send_file(self.text)
            host.send("M400")
            if not host.dead:
                host.watch.on_event("PrintDone", {})
        except PowerCut:
            pass
        except BaseException:
            if mine is None:
                raise
            self._write(mine, {"traceback": traceback.format_exc()})
        if mine is not None:
            self._child(host, mine)
        while running:
            reap()
        return [self._result(case) for case in cases]

    def _child(self, host: Host, case: Case) -> None:
        """The end of a child's life."""
        try:
            data = asdict(live_through(self, host, case))
        except BaseException:
            data = {"traceback": traceback.format_exc()}
        self._write(case, data)

    def _write(self, case: Case, data: dict[str, Any]) -> None:
        (self.folder / f"{case.number}.json").write_text(json.dumps(data))
        os._exit(0)

    def _result(self, case: Case) -> Outcome:
        file = self.folder / f"{case.number}.json"
        data = json.loads(file.read_text())
        file.unlink()
        if "traceback" in data:
            raise RuntimeError(f"{case}\n{data['traceback']}")
        return Outcome(**{**data, "case": Case(**data["case"])})


def strike(host: Host, kind: str, chance: random.Random) -> None:
    """The outage itself."""
    if kind in ("both", "printer"):
        raise PowerCut
    if kind == "supply":
        # The board runs on from USB, and the host with it, until the thermal protection halts it.
        host.machine.supply = False
        host.machine.release()
        return
    host.torn = host.on_wire and kind == "cable" and chance.random() < 0.5
    if kind == "cancelled":
        host.watch.on_event("PrintCancelled", {"user": "owner"})
    elif kind == "cable":
        # Klipper answers on, but with an error.
        host.watch.on_event(*(("Error", {"reason": "firmware"}) if host.version == KLIPPER else ("Disconnected", {})))
    elif kind == "restart":
        host.watch.shutdown()
    host.dead = True


def aftermath(host: Host, kind: str, chance: random.Random) -> tuple[dict[str, Any], Seen]:
    """Let the board finish what it can, time pass, and everything come back; the journal's record and what is then seen."""
    machine, journal = host.machine, host.journal
    klipper = host.version == KLIPPER
    hot = kind in (KLIPPER_FINISHED if klipper else FINISHED)
    record = journal.after(kind)
    if kind == "printer":
        for _ in range(chance.randrange(1, 60)):
            host.seconds += 1.0
            journal.look()
        if klipper:
            host.watch.on_event("Error", {"reason": "firmware"})
        else:
            host.watch.on_received("start")
    if hot:
        host.dead = True
        host.send("M400")
    elif klipper and kind in ("host", "cable"):
        # What its board has been sent is still made.
        host.dead = True
        host._pass(chance.uniform(0.0, AHEAD))
    if kind in ("printer", "cable", "restart", "supply", "cancelled"):
        record = journal.synced[-1][1]
    machine.supply = True
    position = None
    host.kept = kind == "kept"
    if host.kept:
        x, y, z = (round(host.firmware.workspace(axis), 2) for axis in range(3))
        position = (x, y, z)
    else:
        machine.nozzle.target = machine.bed.target = 0.0
        machine.release()
    # A computer takes its time to start.
    off = chance.choice((25.0 if kind in ("both", "host") else 5.0, 60.0, 900.0))
    if not hot:
        machine.advance(off)
    host.seconds += off
    boot = "after" if kind in ("both", "host") else "before"
    session = journal.session if kind in ("printer", "cable", "supply") else "another"
    return record, Seen(boot, session, host.seconds, machine.nozzle.actual, position=position)


def live_through(campaign: Campaign, host: Host, case: Case) -> Outcome:
    """Recover from an outage that has just struck, and from a second one if the case has it."""
    chance = random.Random(case.seed)
    doing = host.sending or _line_under_way(host)
    outcome = Outcome(case, offset=_offset_under_way(host))
    record, seen = aftermath(host, case.kind, chance)
    found = _recover(campaign, host, case.kind, record, seen, chance, outcome)
    outcome.truth["doing"] = doing
    if found is None:
        return outcome
    if case.second is None or found.kind == "restart":
        _print_on(campaign, host, found, outcome, chance)
        return outcome
    again = _resuming(campaign, host, found, record, chance)
    second = chance.choice(("both", "printer", "host", "server"))

    def cut() -> None:
        strike(again, second, chance)

    again.on_cut = cut
    with suppress(PowerCut):
        _send_until(again, found, campaign, case.second, chance)
    outcome.second = {"kind": second, "doing": again.sending, "first": outcome.estimate}
    outcome.truth, outcome.estimate = {}, {}
    record, seen = aftermath(again, second, chance)
    finally_found = _recover(campaign, again, second, record, seen, chance, outcome)
    if finally_found is not None:
        _print_on(campaign, again, finally_found, outcome, chance)
    return outcome


def _recover(
    campaign: Campaign, host: Host, kind: str, record: dict[str, Any], seen: Seen, chance: random.Random, outcome: Outcome
) -> Recovery | None:
    """Ask for a plan, answer its question as somebody would who looks, and note truth and estimate."""
    machine, index = host.machine, campaign.index
    # As somebody sees it who looks at nozzle and print.
    z = machine.position[2] - machine.jumped
    true_layer = layer_of(index, host.printed)
    outcome.truth |= {"printed": round(host.printed, 3), "layer": true_layer, "z": round(z, 3), "sent": record["sent"]}
    reading = Reading({"job": "1", "identity": identity_of(campaign.gcode)}, record, 1)

    def planned(chosen: Chosen | None = None) -> Recovery:
        return recover(reading, seen, campaign.gcode, campaign.facts, campaign.index_file, chosen)

    try:
        found = planned()
        if found.stop.asks:
            outcome.asked = True
            outcome.safe_touches += _with_safe_answer(campaign, host, found, record)
            layers = layers_seen(index, host.printed)
            answer = _answer(found, z, layers, chance)
            if answer.height is not None and chance.random() < 0.5:
                # Somebody measures first, and looks at the print only if that does not tell.
                answer = replace(answer, choice=None)
            found = planned(answer)
            if found.stop.asks and answer.choice is None:
                found = planned(replace(answer, choice=seen_choice([(c.layer, c.z) for c in found.stop.choices], z, layers)[0]))
            # What the board itself holds up, the plan lets down first.
            machine.shift(z - found.stop.z - (host.firmware.hop if found.stop.held is not None else 0.0))
    except RecoveryError as refusal:
        outcome.action = refusal.code
        # A print that its host believes to be done is lost if plastic is missing: motors without supply make no moves.
        whole = index.end.printed - host.printed < NOTHING
        ended = kind == "cancelled" or (record.get("phase") in ("done", "cancelled") and whole)
        outcome.lost = None if refusal.code == "nothing_to_recover" and ended else f"{refusal.code}: {refusal.message}"
        return None
    outcome.action = found.kind
    if found.kind == "restart":
        # At most the first layer's beginning is begun anew.
        outcome.wrong_layer = true_layer > 1
        return found
    resumed = _printed_when_resumed(campaign, found)
    error = resumed - host.printed
    layer = layer_of(index, resumed)
    outcome.estimate = {
        "printed": round(resumed, 3), "layer": layer, "z": found.stop.z, "gap": found.stop.gap, "overlap": found.stop.overlap,
        "exact": found.stop.exact, "outage": found.outage.kind,
    }  # fmt: skip
    outcome.error = round(error, 3)
    outcome.promised = -found.stop.overlap - 0.1 <= error <= found.stop.gap + 0.1
    outcome.wrong_layer = not same_layer(index, host.printed, resumed)
    outcome.doubled_layer = doubled(index, host.printed, resumed)
    if found.kind == "resume":
        sent = int(record["sent"])
        outcome.power_failure_error = round(state_at(campaign.gcode, sent, index).printed - host.printed, 3)
        outcome.layer_start_error = round(index.layers[max(true_layer - 1, 0)].printed - host.printed, 3)
    return found


def _answer(found: Recovery, z: float, layers: set[int], chance: random.Random) -> Chosen:
    """What somebody answers who looks at nozzle and print: one of the choices of the layer that is being printed, or what was
    measured where the nozzle is at none of their heights."""
    choice, off = seen_choice([(one.layer, one.z) for one in found.stop.choices], z, layers)
    if choice is not None and off <= LOOKS_SAME and not found.stop.parked:
        return Chosen(choice=choice)
    measured = round(z + chance.uniform(-MEASURED, MEASURED), 2)
    return Chosen(choice=choice if len(found.stop.choices) > 1 and off < BETWEEN else None, height=measured)


def seen_choice(choices: list[tuple[int, float]], z: float, layers: set[int]) -> tuple[int | None, float]:
    """Of choices (layer, height) the one nearest to ``z`` in one of the ``layers``, and how far from it that is."""
    offs = [(layer not in layers, abs(height - z), number) for number, (layer, height) in enumerate(choices)]
    _, off, number = min(offs, default=(True, 1e9, None))
    return number, off


def layers_seen(index: GcodeIndex, printed: float) -> set[int]:
    """The layers that somebody can take for the one being printed: on the edge between two, both."""
    return {layer_of(index, printed + edge) for edge in (0, 2e-3)}


def _with_safe_answer(campaign: Campaign, host: Host, found: Recovery, record: dict[str, Any]) -> list[str]:
    """What the nozzle would touch if the question's lowest height were taken, true or not."""
    machine = host.machine.copy()
    before = len(machine.touches)
    trial = _resuming(campaign, host, found, record, random.Random(1), machine)
    trial.send_plan(found.to_json(), campaign.text, 60)
    trial.send("M400")
    return machine.touches[before:]


def _resuming(
    campaign: Campaign,
    host: Host,
    found: Recovery,
    record: dict[str, Any],
    chance: random.Random,
    machine: Machine | None = None,
) -> Host:
    """The same printer, after it was started anew unless it was kept alive, at a host that takes the job up."""
    machine = machine or host.machine
    machine.__dict__.pop("move", None)
    again = Host(machine, chance, campaign.raise_mm, campaign.version, host.seconds)
    if host.kept:
        again.take_over(host.firmware)
    again.printed = _printed_when_resumed(campaign, found)
    reading = Reading({"job": "1"}, record, 1)
    again.journal.adopt(reading, sent=found.plan.offset, **recovering(found.to_json(), 0))
    again.journal.flush()
    return again


def _send_until(again: Host, found: Recovery, campaign: Campaign, phase: str, chance: random.Random) -> None:
    """Carry the plan out up to an outage in a phase of it."""
    steps = [number for number, step in enumerate(found.plan.steps) if step.phase == phase]
    plan = found.to_json()
    step = chance.choice(steps) if steps else len(found.plan.steps)
    within = 30.0 if phase == "heat" else 3.0 if phase == "resumed" else 1.2
    after = chance.uniform(0.0, within)
    send = again.watch.on_sending
    told = -1

    def watched(cmd: str, gcode: str | None, tags: set[str] | None) -> None:
        nonlocal told
        told += 1
        if told == step:
            again.cuts = [again.seconds + after]
        send(cmd, gcode, tags)

    again.watch.on_sending = watched  # type: ignore[method-assign]
    again.send_plan(plan, campaign.text)


def _print_on(campaign: Campaign, host: Host, found: Recovery, outcome: Outcome, chance: random.Random) -> None:
    machine = host.machine
    machine.__dict__.pop("move", None)
    if found.kind == "restart":
        machine.clear()
        again = Host(machine, chance, campaign.raise_mm, campaign.version, host.seconds)
        again.begin("vase.gcode")
        again.send_file(campaign.text, lines=campaign.lines_after)
    else:
        again = _resuming(campaign, host, found, host.journal.record(), chance)
        again.send_plan(found.to_json(), campaign.text, 0)
        again.send("M400")
        wanted = state_at(campaign.gcode, found.plan.offset, campaign.index, campaign.facts.firmware)
        off = machine.position[2] - wanted.position[2] - wanted.hop
        outcome.estimate["z_error"] = round(off, 3)
        if found.kind == "resume":
            places = [again.firmware.workspace(axis) for axis in range(3)]
            state_kept = max(abs(a - b) for a, b in zip(places, wanted.position, strict=True)) < 0.01
            outcome.wrong_layer |= abs(off - machine.jumped) > 0.05 or not state_kept
        again.send_file(campaign.text, found.plan.offset, campaign.lines_after if found.kind == "resume" else 10**9)
    again.send("M400")
    outcome.touches = machine.touches[:5]
    outcome.deepest = round(machine.deepest, 3)


def _printed_when_resumed(campaign: Campaign, found: Recovery) -> float:
    """Printed path at which a plan goes on, by the file itself: up to the interrupted line, and its share that is left out."""
    end = state_at(campaign.gcode, found.plan.offset, campaign.index, campaign.facts.firmware).printed
    left, here = 0.0, found.plan.point
    for step in found.plan.steps:
        if step.phase == "go" and step.line.startswith("G1 X"):
            words = {word[0]: float(word[1:]) for word in step.line.split()[1:]}
            there = (words["X"], words["Y"], words["Z"])
            if words.get("E", 0.0) > 0:
                left += sum((a - b) ** 2 for a, b in zip(here, there, strict=True)) ** 0.5
            here = there
    return end - left


def layer_of(index: GcodeIndex, printed: float) -> int:
    """The layer, from 1, that a length of printed path ends in; 0 before the first."""
    return bisect_left(index.layers, printed - 1e-3, key=lambda layer: layer.printed)


def same_layer(index: GcodeIndex, true: float, resumed: float) -> bool:
    """Whether two lengths of printed path end in the same layer. On the edge between two layers both are right; whether the
    height is, is measured when it prints on."""
    return bool(layers_seen(index, true) & layers_seen(index, resumed))


def doubled(index: GcodeIndex, true: float, resumed: float) -> bool:
    """Whether as much is printed twice as nine tenths of the layer that it stopped in."""
    starts = [0.0, *(row.printed for row in index.layers), index.end.printed]
    layer = layer_of(index, true)
    return true - resumed >= 0.9 * (starts[layer + 1] - starts[layer])


def _line_under_way(host: Host) -> str:
    block = next((block for block in host.firmware.planner.blocks if block.length), None)
    return block.source.partition(";")[0].strip() if block else ""


def _offset_under_way(host: Host) -> int:
    block = next((block for block in host.firmware.planner.blocks if block.length), None)
    return int(block.source.rpartition("@")[2]) if block and "@" in block.source else -1
