"""OctoPrint's hooks of the lines that are sent and received, made to cost next to nothing for nearly all of a print's lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from .watch import PrintWatch


class Desk(Protocol):
    """What looks at the other lines."""

    watch: PrintWatch

    def on_sending(self, cmd: str, gcode: str | None, tags: set[str] | None) -> str | None: ...

    def on_received(self, line: str) -> None: ...


class LineHooks:
    """:attr:`sending` and :attr:`received` are for OctoPrint, which takes them before there is a desk: until :attr:`connect` is
    called they do nothing.

    While nothing calls for a closer look (:attr:`PrintWatch.closely`), a line of the file that moves in X and Y only needs to
    be noted, and an ``ok`` too; everything else is the desk's. A line that goes through OctoPrint finds the processor's caches
    full of other things, and each object that is touched on the way costs more than what is done with it: so the two are
    functions that hold all they need.
    """

    def __init__(self) -> None:
        desk: Desk | None = None
        closely: dict[str, Any] = {"not connected": True}
        note: Callable[[set[str]], None]
        acknowledged: Callable[[], None]

        def connect(to: Desk) -> None:
            nonlocal desk, closely, note, acknowledged
            note, acknowledged, desk = to.watch.note, to.watch.acknowledged, to
            closely = to.watch.closely

        def sending(
            _comm: Any, _phase: str, cmd: str, _type: str | None, gcode: str | None,
            subcode: str | None = None, tags: set[str] | None = None,
        ) -> str | None:  # fmt: skip
            if gcode == "G1" and not closely and tags and "source:file" in tags and "Z" not in cmd:
                note(tags)
                return None
            return desk.on_sending(cmd, gcode, tags) if desk is not None else None

        def received(_comm: Any, line: str) -> str:
            if not closely and line.startswith("ok"):
                acknowledged()
            elif desk is not None:
                desk.on_received(line)
            return line

        self.connect, self.sending, self.received = connect, sending, received
