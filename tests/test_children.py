"""The look for processes that were left behind sees them, and only them."""

from __future__ import annotations

import subprocess

from tests.children import descendants


def test_what_was_started_since_is_seen_and_what_ran_before_is_not() -> None:
    before = descendants()
    # A shell that starts a process of its own when it is told to.
    lasting = subprocess.Popen(["sh", "-c", "read go; sleep 1000 & echo; wait"], stdin=-1, stdout=-1, start_new_session=True)
    assert [p.pid for p in descendants(before)] == [lasting.pid]
    running = descendants()
    assert lasting.stdin and lasting.stdout
    try:
        lasting.stdin.write(b"\n")
        lasting.stdin.flush()
        assert lasting.stdout.readline() == b"\n"
        assert len(descendants(before)) == 2 and descendants(running) == []
        with subprocess.Popen(["sleep", "1000"]) as left:
            assert [p.pid for p in descendants(running)] == [left.pid]
            left.kill()
    finally:
        for process in descendants(before):
            process.kill()
        lasting.communicate()
    assert descendants(before) == []
