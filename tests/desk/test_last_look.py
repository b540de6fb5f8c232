"""Before the file switches the nozzle off, its heat is looked at once more."""

from __future__ import annotations

import pytest

from octoprint_facesculpt.desk.last_look import LINES, LastLook

PRINTED, LIFTED = "G1 X5 Y5 E0.2", "G1 Z20 F600"


def _last(*lines: str) -> tuple[str, ...]:
    """What comes before the last line."""
    look = LastLook()
    found: tuple[str, ...] = ()
    for line in lines:
        if line.startswith("G1"):
            look.move(line)
        else:
            found = look.before(line)
    return found


@pytest.mark.parametrize("line", ["M104 S0", "M104 T0 S0", "M104 S0 T0", "M109 S0"])
def test_a_lifted_nozzle_waits_before_it_is_switched_off(line: str):
    assert _last(PRINTED, LIFTED, line) == LINES
    assert LINES[0] == "M400", "the last moves are made first"


@pytest.mark.parametrize(
    "lines",
    [
        (PRINTED, "M104 S0"),
        (PRINTED, LIFTED, PRINTED, "M104 S0"),
        (PRINTED, LIFTED, "M104 S180"),
        (PRINTED, LIFTED, "M104 S0 T1"),
        (PRINTED, LIFTED, "M104 S0", "M104 S0"),
    ],
    ids=["on the print", "back on the print", "cooler", "another nozzle", "again"],
)
def test_nothing_waits(lines: tuple[str, ...]):
    assert _last(*lines) == ()
