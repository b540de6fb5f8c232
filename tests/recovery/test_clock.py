"""How long a print has been standing, by clocks that cannot all be trusted."""

from __future__ import annotations

import time

import pytest

from octoprint_facesculpt.recovery.clock import Now, now, standstill
from octoprint_facesculpt.recovery.journal import this_boot

RECORD = {"wall": 1000.0, "mono": 500.0, "boot": "first"}


def moment(wall: float, synchronised: bool = True, mono: float = 60.0, up: float = 60.0, boot: str = "second") -> Now:
    return Now(wall, synchronised, mono, up, boot)


@pytest.mark.parametrize("wall", [0.0, 1400.0, 99999.0])
def test_within_one_run_the_monotonic_clock_tells_whatever_the_wall_clock_says(wall: float):
    stood = standstill(RECORD, False, moment(wall, False, mono=740.0, up=740.0, boot="first"))
    assert (stood.seconds, stood.at_least) == (240.0, False)


def test_two_clocks_set_by_a_server_tell_the_time_across_a_restart():
    stood = standstill(RECORD, True, moment(8200.0))
    assert (stood.seconds, stood.at_least, stood.since) == (7200.0, False, 1000.0)


@pytest.mark.parametrize(
    ("trusted_then", "here"),
    [
        # Not set yet after the start; not set when the print ran; set back; a clock that stood still while off.
        (True, moment(8200.0, synchronised=False)),
        (False, moment(8200.0)),
        (True, moment(400.0)),
        (True, moment(1010.0)),
    ],
)
def test_a_clock_that_may_be_wrong_is_not_believed(trusted_then: bool, here: Now):
    stood = standstill(RECORD, trusted_then, here)
    assert (stood.seconds, stood.at_least, stood.since) == (here.up, True, None)


def test_this_moment_is_that_of_this_computer():
    found = now()
    assert found.boot == this_boot()
    assert abs(found.wall - time.time()) < 5
    assert found.up >= found.mono - 1  # the time asleep counts only in one of them
