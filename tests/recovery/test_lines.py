"""The last lines of a print, and which of them were acknowledged."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator

import pytest

from octoprint_facesculpt.recovery.lines import TAIL, LastLines, Line


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Threads that take turns often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_they_are_as_a_plain_list_would_keep_them() -> None:
    chance, now = random.Random(3), 0.0
    lines = LastLines(lambda: now)
    plain: list[list[float | None]] = []
    for number in range(3000):
        now += chance.choice((0.0, 0.01, 2.0))
        what = chance.random()
        if what < 0.5:
            lines.note({f"filepos:{number}", "source:file"} if what < 0.3 else number)
            plain = [*plain, [number, now, None]][-TAIL:]
        elif what < 0.99:
            lines.acknowledged()
            if plain and plain[-1][2] is None:
                plain[-1][2] = now
        else:
            lines.clear()
            plain = []
        assert lines() == [Line(*row) for row in plain]  # type: ignore[arg-type]
        assert lines.last_sent == (plain[-1][1] if plain else None)


def test_a_line_without_a_place_has_none() -> None:
    lines = LastLines(lambda: 1.0)
    lines.note({"source:file"})
    assert lines() == [Line(-1, 1.0, None)]


def test_no_line_ever_has_the_ok_of_another(quick_switches: None) -> None:
    ticks, done = iter(range(10**9)), threading.Event()
    lines = LastLines(lambda: float(next(ticks)))

    def send() -> None:
        while not done.is_set():
            lines.note(1)
            lines.acknowledged()

    sender = threading.Thread(target=send)
    sender.start()
    seen = [line for _ in range(2000) for line in lines()]
    done.set()
    sender.join()
    # The clock counts its readings: the ok of a line follows its sending at once.
    assert seen and all(line.ok is None or line.ok == line.sent + 1 for line in seen)
