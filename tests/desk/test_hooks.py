"""The hooks for lines: that the short way they go leaves the journal as the long one would."""

from __future__ import annotations

import random
from typing import Any

import pytest

from octoprint_facesculpt.desk.hooks import LineHooks
from octoprint_facesculpt.desk.watch import PrintWatch

from ..recovery.host import VirtualJournal

START = {"origin": "local", "path": "bust.gcode"}
PLAN = {
    "kind": "resume",
    "plan": {"steps": [{"line": "G1 Z5", "phase": "lift", "z": 2.0, "z_after": 5.0}], "offset": 0},
}


class Long:
    """A print on virtual time whose lines all go the long way; ``seen`` are those that the desk was asked about."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.journal = VirtualJournal(lambda: self.seconds, random.Random(1))
        self.watch = PrintWatch(self.journal, lambda _origin, path: {"path": path}, lambda: self.seconds)
        self.seen: list[str] = []

    def on_sending(self, cmd: str, gcode: str | None, tags: set[str] | None) -> str | None:
        self.seen.append(cmd)
        self.watch.on_sending(cmd, gcode, tags)
        return "M105" if cmd == "G28" else None

    def on_received(self, line: str) -> None:
        self.watch.on_received(line)

    def send(self, cmd: str, tags: set[str] | None) -> str | None:
        return self.on_sending(cmd, cmd.split()[0], tags)

    def receive(self, line: str) -> None:
        self.on_received(line)

    def records(self) -> list[dict[str, Any]]:
        """What the journal would write now, and what it has written."""
        found = [self.journal.record(), *(record for _, record in self.journal.synced)]
        return [{key: value for key, value in record.items() if key not in ("wall", "session")} for record in found]


class Short(Long):
    """The same by the hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.hooks = LineHooks()
        self.hooks.connect(self)

    def send(self, cmd: str, tags: set[str] | None) -> str | None:
        return self.hooks.sending(None, "sending", cmd, None, cmd.split()[0], tags=tags)

    def receive(self, line: str) -> None:
        self.hooks.logged(f"Send: N{len(self.seen)} ok")
        self.hooks.logged(f"Recv: {line}")


def test_they_do_nothing_before_there_is_a_desk() -> None:
    hooks = LineHooks()
    assert hooks.sending(None, "sending", "G1 X5", None, "G1", tags={"source:file", "filepos:9"}) is None
    hooks.logged("Recv: ok")


def test_a_line_in_the_plane_is_noted_without_the_desk_and_others_are_not() -> None:
    short = Short()
    short.watch._inactive = None
    assert short.send("G1 X5 Y5 E1", {"source:file", "filepos:100"}) is None
    short.receive("ok")
    assert short.seen == [] and short.records()[0]["tail"] == [[100, 0.0, 0.0]]
    for line, tags in (("G1 X5", {"source:api"}), ("G1 X5", None), ("M117 Hello", {"source:file", "filepos:120"})):
        assert short.send(line, tags) is None
    assert short.send("G28", {"source:api"}) == "M105"
    assert short.seen == ["G1 X5", "G1 X5", "M117 Hello", "G28"]


@pytest.mark.parametrize("reason", ["pending", "_inactive", "_until_settled", "_paused", "_lifted", "_recovery"])
def test_each_reason_leads_past_the_short_way(reason: str) -> None:
    short = Short()
    short.watch._inactive = None
    setattr(short.watch, reason, PLAN if reason == "_recovery" else 3)
    short.on_sending = lambda cmd, _gcode, _tags: short.seen.append(cmd)  # type: ignore[method-assign,assignment,func-returns-value]
    short.send("G1 X5", {"source:file", "filepos:100"})
    setattr(short.watch, reason, None)
    short.send("G1 X6", {"source:file", "filepos:120"})
    assert short.seen == ["G1 X5"]


@pytest.mark.parametrize("seed", range(12))
def test_the_records_are_those_of_the_long_way(seed: int) -> None:
    both = long, short = Long(), Short()
    chance, offset = random.Random(seed), 0
    for each in both:
        each.watch.on_event("PrintStarted", START)
    for _ in range(400):
        offset += 30
        what, step = chance.random(), chance.choice((0.0, 0.004, 0.3, 4.0))
        height = chance.uniform(0.2, 9)
        for each in both:
            each.seconds += step
            if what < 0.72:
                each.send("G1 X5 Y5 E0.1", {"source:file", f"filepos:{offset}"})
            elif what < 0.76:
                each.send(f"G1 Z{height:.2f}", {"source:file", f"filepos:{offset}"})
            elif what < 0.80:
                each.send("M106 S120", {"source:file", f"filepos:{offset}"})
            elif what < 0.84:
                each.send("M220 S90", {"source:api"})
            elif what < 0.88:
                each.send("M105", {"trigger:poll"})
            elif what < 0.92:
                each.watch.on_temperatures({"T0": (205.0, 205.0), "B": (60.0, 60.0)})
            elif what < 0.95:
                each.watch.moves_away((1.0, 2.0, height))
                each.watch.on_event("PrintPaused", {"position": {"x": 1, "y": 2, "z": height}})
                each.send(f"G1 Z{height + 5:.2f}", {"source:script", "script:afterPrintPaused"})
            elif what < 0.97:
                each.watch.on_event("PrintResumed", {})
            elif what < 0.98:
                each.watch.go_on(PLAN)
            elif what < 0.985:
                each.receive("start")
            else:
                each.watch.on_event("PrintStarted", START)
            each.seconds += 0.001
            each.receive("ok" if step < 4 else "echo:busy")
        assert short.records() == long.records()
    assert len(short.seen) < len(long.seen)
