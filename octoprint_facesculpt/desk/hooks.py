"""What OctoPrint calls for every line that is sent and received, made to cost next to nothing for nearly all of a print's."""

from __future__ import annotations

import time
from typing import Any, Protocol

from ..recovery.lines import LastLines
from .watch import PrintWatch

#: How OctoPrint's terminal marks what the printer says.
RECEIVED = "Recv: "


class Desk(Protocol):
    """What looks at the other lines."""

    watch: PrintWatch

    def on_sending(self, cmd: str, gcode: str | None, tags: set[str] | None) -> str | None: ...

    def on_received(self, line: str) -> None: ...


class LineHooks:
    """:meth:`sending` is OctoPrint's hook, which it takes before there is a desk, and :meth:`logged` is told each line of its
    terminal: the hook for received lines costs five times as much. Until :meth:`connect` is called they do nothing.

    While nothing calls for a closer look (:attr:`PrintWatch.closely`), a line of the file that moves in X and Y only needs to
    be noted, and an ``ok`` too; everything else is the desk's. Why they go no further than they must,
    :class:`~octoprint_facesculpt.recovery.lines.LastLines` tells.
    """

    __slots__ = ("_closely", "_desk", "_lines")

    def __init__(self) -> None:
        self._desk: Desk | None = None
        self._lines = LastLines(time.monotonic)
        self._closely: dict[str, Any] = {"not connected": True}

    def connect(self, desk: Desk) -> None:
        """From now on there is a desk."""
        self._desk, self._lines = desk, desk.watch.lines
        self._closely = desk.watch.closely

    def sending(
        self, _comm: Any, _phase: str, cmd: str, _type: str | None, gcode: str | None,
        subcode: str | None = None, tags: set[str] | None = None,
    ) -> str | None:  # fmt: skip
        if gcode == "G1" and not self._closely and tags and "source:file" in tags and "Z" not in cmd:
            lines = self._lines
            append, clock = lines.append, lines.clock
            append((tags, clock(), lines.ok))
            lines.ok = None
            return None
        return self._desk.on_sending(cmd, gcode, tags) if self._desk is not None else None

    def logged(self, text: str) -> None:
        if not text.startswith(RECEIVED):
            return
        if not self._closely and text.startswith("ok", len(RECEIVED)):
            lines = self._lines
            if lines.ok is None:
                clock = lines.clock
                lines.ok = clock()
        elif self._desk is not None:
            self._desk.on_received(text[len(RECEIVED) :])
