"""The last lines of a print, and which of them were acknowledged."""

from __future__ import annotations

import random
import threading

from octoprint_facesculpt.recovery.lines import TAIL, LastLines, Line


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


def test_no_line_ever_has_the_ok_of_another() -> None:
    ticks, done = iter(range(10**9)), threading.Event()
    lines = LastLines(lambda: float(next(ticks)))

    def look() -> None:
        while not done.is_set():
            seen.extend(lines())

    seen: list[Line] = []
    looker = threading.Thread(target=look)
    looker.start()
    for number in range(20_000):
        lines.note(number)
        lines.acknowledged()
    done.set()
    looker.join()
    # The clock counts its readings: the ok of a line follows its sending at once.
    assert seen and all(line.ok is None or line.ok == line.sent + 1 for line in seen)
