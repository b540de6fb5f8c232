"""A firmware on a machine without a serial line, driven as fast as it goes, with a host that sends at once."""

from __future__ import annotations

from .firmware import Firmware
from .machine import Machine
from .planner import Block


class Bench:
    """``send`` runs lines; ``said`` is what the firmware answered, ``done`` the moves it has executed."""

    def __init__(self, raise_mm: float = 5.0, version: str = "2.1", machine: Machine | None = None) -> None:
        self.machine, self.said, self.done = machine or Machine(), [], []
        self.firmware = Firmware(self.machine, self.said.append, self._executed, raise_mm, version)
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
