"""The last lines of a print and when they were acknowledged, as a journal's record names them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

#: Lines that a record names.
TAIL = 40
#: OctoPrint's mark of a line that says at which byte of the file it ends.
_PLACE = "filepos:"


@dataclass(frozen=True, slots=True)
class Line:
    """A line that went to the printer: the byte of the file behind it (below 0: unknown), and the moments at which it was sent
    and at which its ``ok`` came (None: not yet)."""

    offset: int
    sent: float
    ok: float | None


class LastLines:
    """Remembers the last :data:`TAIL` lines; ``clock`` tells seconds.

    A line is noted, and acknowledged, on the threads that talk to the printer: ``append((place, clock(), ok))`` and
    ``ok = None`` note one, and ``ok = clock()``, unless there is one already, acknowledges it. Both are methods here;
    OctoPrint's hooks do it themselves. A line that goes through OctoPrint finds the processor's caches full of other things,
    so that each object that is touched on the way costs more than what is done with it.
    """

    __slots__ = ("_kept", "append", "clock", "ok")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._kept: deque[tuple[int | set[str], float, float | None]] = deque(maxlen=TAIL)
        #: Appends a line: where it is, when it was sent, and the ``ok`` of the line before.
        self.append = self._kept.append
        self.clock = clock
        #: When the last line was acknowledged; None: not yet.
        self.ok: float | None = None

    def note(self, place: int | set[str]) -> None:
        """A line goes to the printer, which acknowledged the one before: the byte it ends at, or the marks that OctoPrint gave
        it, among them that byte. Marks are read when a record is made: few lines come into one."""
        self.append((place, self.clock(), self.ok))
        self.ok = None

    def acknowledged(self) -> None:
        """The printer has accepted the line that was noted last; only the first time counts."""
        if self.ok is None:
            self.ok = self.clock()

    def __call__(self) -> list[Line]:
        """The lines, oldest first. May be asked on any thread."""
        # In this order: a line that is noted in between has no ok yet, and the one before it has brought its own.
        last_ok = self.ok
        kept = list(self._kept.copy())
        if kept and last_ok is not None and last_ok < kept[-1][1]:
            last_ok = None
        oks = [*(ok for _, _, ok in kept[1:]), last_ok]
        return [Line(_offset(place), sent, ok) for (place, sent, _), ok in zip(kept, oks, strict=False)]

    @property
    def last_sent(self) -> float | None:
        """When the last line was sent; None where there is none."""
        return self._kept[-1][1] if self._kept else None

    def clear(self) -> None:
        """Another print."""
        self._kept.clear()


def _offset(place: int | set[str]) -> int:
    """The byte that a line's marks tell; below 0 where they tell none."""
    if isinstance(place, int):
        return place
    return next((int(mark[len(_PLACE) :]) for mark in place if mark.startswith(_PLACE)), -1)
