"""Which outages there are: every class in every phase of a print, at moments by chance."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from octoprint_facesculpt.recovery.machine import Machine as Model

if TYPE_CHECKING:
    from .outages import Campaign

#: Classes: who loses power or is ended. ``server`` is killed, ``restart`` ends in good order.
KINDS = ("both", "host", "server", "restart", "printer", "cable", "supply", "cancelled")
#: Phases of a print, and of a resume in which a second outage comes.
PHASES = (
    "heat_up", "first_layer", "travel", "retracted", "layer_change", "arc", "printing", "pause", "filament_change", "end",
)  # fmt: skip
RESUME_PHASES = ("heat", "lift", "home", "prime", "modes", "approach", "go", "resumed")


@dataclass(frozen=True)
class Case:
    """One outage: ``second`` names the phase of the resume in which another one follows."""

    number: int
    kind: str
    phase: str
    at: float
    seed: int
    second: str | None = None


def phases_of(campaign: Campaign) -> dict[str, list[tuple[float, float]]]:
    """Print the file once without outages, and note when each phase takes place."""
    model = Model(campaign.facts.firmware)
    marks: dict[int, str] = {}
    for line in campaign.text.splitlines(keepends=True):
        start, pulled = model.state.offset, model.state.retracted
        move = model.execute(line)
        if move is not None:
            marks[start] = _phase_of_move(line, move, pulled)
    host = campaign.host(0)
    spans: dict[str, list[tuple[float, float]]] = {phase: [] for phase in PHASES}
    executed = host.firmware.planner._finished
    last_plastic = first_plastic = 0.0

    def finished(block: Any) -> None:
        nonlocal last_plastic, first_plastic
        executed(block)
        end = host.seconds + host.firmware.planner.spent
        start = end - (block.duration or 0.0)
        offset = int(block.source.rpartition("@")[2]) if "@" in block.source else -1
        if "M600" in block.source:
            first = spans["filament_change"][0][0] if spans["filament_change"] else start
            spans["filament_change"] = [(first, end)]
        elif offset in marks:
            phase = marks[offset]
            if phase == "layer_change":
                spans[phase].append((start - 1.0, end + 1.0))
            else:
                spans[phase].append((start, end))
            if block.delta[3] > 0 and block.delta[0]:
                last_plastic = end
                first_plastic = first_plastic or (start if phase == "first_layer" else 0.0)

    host.firmware.planner._finished = finished
    pause = host.pause

    def paused() -> None:
        start = host.seconds
        pause()
        spans["pause"].append((start, host.seconds))

    host.pause = paused  # type: ignore[method-assign]
    host.begin("vase.gcode")
    host.send_file(campaign.text)
    host.send("M400")
    spans["heat_up"] = [(1.0, first_plastic)]
    spans["end"] = [(last_plastic - 1.0, host.seconds)]
    return spans


def _phase_of_move(line: bytes, move: Any, pulled: float) -> str:
    if line.startswith((b"G2 ", b"G3 ")):
        return "arc"
    if move.layer == 1:
        return "first_layer"
    if move.end[2] - move.start[2] > 0.1 and move.end[:2] == move.start[:2] and move.end[2] - move.start[2] < 0.3:
        return "layer_change"
    if move.prints:
        return "printing"
    return "retracted" if pulled > 0 or move.filament else "travel"


def make_cases(spans: dict[str, list[tuple[float, float]]], count: int, seed: int) -> list[Case]:
    """Moments at random within every phase, for every class in turn; every fourth with another outage during its resume."""
    chance = random.Random(seed)
    combinations = [(kind, phase) for phase in PHASES for kind in KINDS if spans[phase]]
    seconds = _endless(RESUME_PHASES)
    cases = []
    for number in range(count):
        kind, phase = combinations[number % len(combinations)]
        found = spans[phase]
        start, end = chance.choices(found, weights=[max(b - a, 1e-3) for a, b in found])[0]
        second = next(seconds) if (number + number // len(KINDS)) % 4 == 1 else None
        cases.append(Case(number, kind, phase, chance.uniform(start, end), chance.randrange(1 << 30), second))
    return cases


def _endless(values: tuple[str, ...]) -> Iterator[str]:
    while True:
        yield from values
