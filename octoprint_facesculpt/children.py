"""Child processes that end when they should: with their parent, at their limits, and with all that they started."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

#: Seconds a child has to end itself before it is killed.
PATIENCE = 2.0
#: Seconds that processes which a dead child left behind may hold on to its output.
STRAGGLERS = 1.0
#: Seconds between two looks at a child that can be cancelled or grow too large, and at one that only has a time limit. One
#: that has no limit of memory is looked at less and less often: this share of the time it has been running apart.
_LOOK, _LOOK_SELDOM, _LOOK_SHARE = 0.1, 0.5, 0.1


@cache
def with_parent() -> tuple[str, ...]:
    """What runs in front of a child's program so that the kernel kills it when the thread that started it is gone."""
    return ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()


def step_back(process: subprocess.Popen, by: int) -> None:
    """Let a child that leads its own session be ``by`` nicer than this process, also where the kernel shares the processor out
    by session: in such an autogroup (sched(7)) a process is only nice to those of its own session."""
    with suppress(OSError):  # a kernel without them, or the child is gone
        Path(f"/proc/{process.pid}/autogroup").write_text(str(min(19, os.nice(0) + by)))


def stop(process: subprocess.Popen, patience: float = PATIENCE) -> None:
    """End a child that leads its own session, and its whole group: first asked, then killed."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + patience
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
    # Also when the leader is gone: what it started may ignore the first signal.
    _signal(process, signal.SIGKILL)
    process.wait()


class Guard:
    """Watches a child from a thread and stops it; use as a context manager around reading its output.

    Parameters
    ----------
    process : a child started with ``start_new_session=True``
    seconds : time limit
    cancelled : stops the child when set
    memory_bytes : limit of the resident memory of the child and all its descendants

    ``reason`` is ``cancelled``, ``timed_out``, ``out_of_memory`` or, when the guard did nothing, empty.
    """

    def __init__(
        self,
        process: subprocess.Popen,
        seconds: float,
        cancelled: threading.Event | None = None,
        memory_bytes: int | None = None,
    ) -> None:
        self.reason = ""
        self._process, self._cancelled, self._memory = process, cancelled, memory_bytes
        self._deadline = time.monotonic() + seconds
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Guard:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()
        stop(self._process)

    def _watch(self) -> None:
        dead_since, looks, begun = None, 0, time.monotonic()
        pause = _LOOK_SELDOM if self._cancelled is None and self._memory is None else _LOOK
        # The first look is not later than the limit, or a child could end unseen after a limit that is shorter than a pause.
        until_look = min(pause, self._deadline - time.monotonic())
        while not self._left.wait(max(0.0, until_look)):
            if self._memory is None:
                pause = max(pause, min(_LOOK_SELDOM, _LOOK_SHARE * (time.monotonic() - begun)))
            until_look = pause
            looks += 1
            if self._process.poll() is not None:
                dead_since = dead_since or time.monotonic()
                if time.monotonic() - dead_since > STRAGGLERS:
                    return stop(self._process)
                continue
            if self._cancelled is not None and self._cancelled.is_set():
                self.reason = "cancelled"
            elif time.monotonic() >= self._deadline:
                self.reason = "timed_out"
            elif self._memory is not None and looks % 5 == 0 and _resident(self._process.pid) > self._memory:
                self.reason = "out_of_memory"
            if self.reason:
                return stop(self._process)


def _resident(pid: int) -> int:
    """Resident bytes of a process and its descendants; 0 when it is gone."""
    import psutil

    total = 0
    try:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
    except psutil.NoSuchProcess:
        return 0
    return total


def _signal(process: subprocess.Popen, number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        # The whole group is gone: that is what was wanted.
        return
