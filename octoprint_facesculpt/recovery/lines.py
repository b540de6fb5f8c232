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

    :attr:`note` says that a line goes to the printer, which acknowledged the one before: the byte it ends at, or the marks that
    OctoPrint gave it, among them that byte. Marks are read when a record is made: few lines come into one.
    :attr:`acknowledged` says that the printer has accepted the line that was noted last; only the first time counts.

    Both are called for every line on the threads that talk to the printer. There the processor's caches hold other things, and
    whatever is looked up costs several times what it does in a loop: so these are functions with all they need at hand, and
    the ``ok`` of a line is kept with the line after it.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        kept: deque[tuple[int | set[str], float, float | None]] = deque(maxlen=TAIL)
        append = kept.append
        ok: float | None = None

        def note(place: int | set[str]) -> None:
            nonlocal ok
            append((place, clock(), ok))
            ok = None

        def acknowledged() -> None:
            nonlocal ok
            if ok is None:
                ok = clock()

        self.note: Callable[[int | set[str]], None] = note
        self.acknowledged: Callable[[], None] = acknowledged
        self._kept = kept
        self._ok = lambda: ok

    def __call__(self) -> list[Line]:
        """The lines, oldest first. May be asked on any thread."""
        # In this order: a line that is noted in between has no ok yet, and the one before it has brought its own.
        last_ok = self._ok()
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
