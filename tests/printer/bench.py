"""A firmware on a machine without a serial line, driven as fast as it goes, with a host that sends at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .firmware import parse
from .firmwares import make_firmware
from .machine import Machine
from .planner import Block

#: Commands at which a printer heats or homes, which no slicer's estimate contains.
PREPARING = frozenset(("G28", "M109", "M190"))


@dataclass(frozen=True)
class Printed:
    """A whole print: virtual seconds of its moves and pauses, and of heating and homing; mm of filament that went through
    the nozzle; the highest place it was at; what the firmware complained of; whether both heaters were off at the end."""

    seconds: float
    preparing: float
    filament: float
    height: float
    complaints: tuple[str, ...]
    cold: bool


def print_whole(lines: Iterable[str]) -> Printed:
    """Print a G-code file to its end with a host that is never late."""
    bench, preparing = Bench(), 0.0
    for line in lines:
        prepares = parse(line)[0] in PREPARING
        if prepares:
            bench.finish()
        before = bench.seconds
        bench.send(line)
        preparing += bench.seconds - before if prepares else 0.0
    bench.finish()
    height = max((block.start[2] + max(block.delta[2], 0.0) for block in bench.done if block.delta[3] > 0), default=0.0)
    machine = bench.machine
    return Printed(
        bench.seconds - preparing, preparing, machine.filament, height,
        tuple(text for text in bench.said if "Unknown" in text or "Error" in text),
        machine.nozzle.target == machine.bed.target == 0,
    )  # fmt: skip


class Bench:
    """``send`` runs lines; ``said`` is what the firmware answered, ``done`` the moves it has executed."""

    def __init__(self, raise_mm: float = 5.0, version: str = "2.1", machine: Machine | None = None) -> None:
        self.machine, self.said, self.done = machine or Machine(), [], []
        self.firmware = make_firmware(self.machine, self.said.append, self._executed, raise_mm, version)
        self.seconds = 0.0
        self.reasons: list[object] = []

    def _executed(self, block: Block) -> None:
        if block.length:
            self.done.append(block)

    def send(self, *lines: str) -> None:
        """Run lines to their ``ok``, letting time pass only while the firmware waits."""
        for line in lines:
            for reason in self.firmware.execute(line):
                self.reasons.append(reason)
                self._wait(reason)

    def finish(self) -> None:
        """Let the queue run dry."""
        self.send("M400")

    def answers(self, line: str) -> list[str]:
        """What one line is answered."""
        before = len(self.said)
        self.send(line)
        return self.said[before:]

    def _wait(self, reason: object) -> None:
        planner = self.firmware.planner
        if reason == "planner":
            while planner.full:
                self._pass(planner.until_free() + 1e-9)
        elif reason == "drained":
            while planner.blocks:
                self._pass(planner.until_free() + 1e-9)
        elif reason in ("nozzle", "bed"):
            while not getattr(self.machine, reason).reached:
                self._pass(0.1)
        else:
            assert isinstance(reason, float)
            self._pass(reason)

    def _pass(self, seconds: float) -> None:
        self.firmware.planner.advance(seconds)
        self.machine.advance(seconds)
        self.firmware.watch_heaters(seconds)
        self.seconds += seconds
