"""One stage as a niced child process that cannot outlive the server, flood it, or hang for ever."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import Cancelled, FaceSculptError

#: A line of a child longer than this is cut; a log larger than this is not written further.
LINE_LIMIT = 1024 * 1024
LOG_LIMIT = 256 * 1024
#: Seconds a child has to end itself before it is killed.
PATIENCE = 2.0


class JobError(FaceSculptError):
    """A stage that failed: the child's own error, or ``timed_out``, ``crashed``, ``not_started``."""


def run(
    arguments: Sequence[str],
    *,
    log: Path,
    on_progress: Callable[[float, str], None],
    cancelled: threading.Event,
    time_limit_seconds: float,
    environment: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Run a child process that speaks JSON lines and wait for its result.

    Parameters
    ----------
    arguments : program and arguments
    log : file for what it says on stderr
    on_progress : called with (fraction, message) of every progress line
    cancelled : the child is ended when this is set
    time_limit_seconds : the child is ended after this time

    Returns
    -------
    The ``data`` of its result line.

    Raises
    ------
    JobError, Cancelled
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        process = subprocess.Popen(
            [*_courtesy(), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, env={**os.environ, **(environment or {})},
        )  # fmt: skip
    except OSError as error:
        raise JobError("not_started", f"The work could not be started: {error}.") from error
    overdue = threading.Event()
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(process, cancelled, overdue, ended, time_limit_seconds), daemon=True)
    drain = threading.Thread(target=_drain, args=(process, log), daemon=True)
    watch.start()
    drain.start()
    result: dict[str, Any] | None = None
    failure: JobError | None = None
    try:
        assert process.stdout is not None
        for raw in iter(lambda: process.stdout.readline(LINE_LIMIT), b""):
            line = _parse(raw)
            if line.get("event") == "progress":
                on_progress(_fraction(line.get("fraction")), str(line.get("message", ""))[:200])
            elif line.get("event") == "result" and isinstance(line.get("data"), dict):
                result = line["data"]
            elif line.get("event") == "error":
                failure = JobError(*(str(line.get(key, ""))[:500] for key in ("code", "message", "hint")))
        process.wait()
    finally:
        ended.set()
        stop(process)
        watch.join()
        drain.join()
    if cancelled.is_set():
        raise Cancelled()
    if overdue.is_set():
        raise JobError("timed_out", f"It took longer than {time_limit_seconds / 60:.0f} minutes.", "Try again.")
    if failure is not None:
        raise failure
    if process.returncode != 0 or result is None:
        raise JobError("crashed", f"The work ended unexpectedly ({_ending(process.returncode)}).", f"See {log.name}.")
    return result


def stop(process: subprocess.Popen) -> None:
    """End a child and all it started: first asked, then killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if process.poll() is not None and number == signal.SIGTERM:
            # What it started is in its group; a slicer that ignores the first signal gets the second.
            continue
    process.wait()


def _courtesy() -> list[str]:
    """What runs in front of the child: lowest priority for processor and disk, and death with the server."""
    prefix = ["nice", "-n", "19"] if shutil.which("nice") else []
    if shutil.which("ionice"):
        prefix += ["ionice", "-c", "3"]
    if shutil.which("setpriv"):
        prefix += ["setpriv", "--pdeathsig", "TERM"]
    return prefix


def _watch(process, cancelled, overdue, ended, limit: float) -> None:
    deadline = time.monotonic() + limit
    while not ended.wait(0.1):
        if cancelled.is_set() or time.monotonic() > deadline:
            if not cancelled.is_set():
                overdue.set()
            stop(process)
            return


def _drain(process: subprocess.Popen, log: Path) -> None:
    written = 0
    with log.open("wb") as file:
        assert process.stderr is not None
        for block in iter(lambda: process.stderr.read1(65536), b""):
            if written < LOG_LIMIT:
                file.write(block[: LOG_LIMIT - written])
                written += len(block)


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        line = json.loads(raw)
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}


def _fraction(value: Any) -> float:
    return min(max(float(value), 0.0), 1.0) if isinstance(value, (int, float)) else 0.0


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
