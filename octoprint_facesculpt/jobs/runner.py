"""One stage as a niced child process that cannot outlive the server, flood it, eat its memory, or hang for ever."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ..children import Guard, step_back, with_parent
from ..errors import Cancelled, FaceSculptError

#: A line of a child longer than this is cut; a log larger than this is not written further.
LINE_LIMIT = 1024 * 1024
LOG_LIMIT = 256 * 1024
#: How far a child steps back behind the server and its printer: work that takes minutes, and what somebody is waiting for, who
#: on a machine with other work would else wait for ever.
BACKGROUND, WAITED_FOR = 19, 10


class JobError(FaceSculptError):
    """A stage that failed: the child's own error, or ``timed_out``, ``out_of_memory``, ``crashed``, ``not_started``."""


def run(
    arguments: Sequence[str],
    *,
    log: Path,
    on_progress: Callable[[float, str], None],
    cancelled: threading.Event,
    time_limit_seconds: float,
    memory_limit_bytes: int | None = None,
    environment: dict[str, str] | None = None,
    niceness: int = BACKGROUND,
) -> dict[str, Any]:
    """Run a child process that speaks JSON lines and wait for its result.

    Parameters
    ----------
    arguments : program and arguments
    log : file for what it says on stderr
    on_progress : called with (fraction, message) of every progress line
    cancelled : the child is ended when this is set
    time_limit_seconds : the child is ended after this time
    memory_limit_bytes : the child is ended when it and all it started use more memory than this
    environment : variables beside this process's own
    niceness : how far it steps back, ``BACKGROUND`` or ``WAITED_FOR``

    Returns
    -------
    The ``data`` of its result line.

    Raises
    ------
    JobError, Cancelled
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    process = _started(arguments, environment or {}, niceness)
    drain = threading.Thread(target=_drain, args=(process, log), daemon=True)
    drain.start()
    with Guard(process, time_limit_seconds, cancelled, memory_limit_bytes) as guard:
        result, failure = _heard(process, on_progress)
        process.wait()
    drain.join()
    if cancelled.is_set():
        raise Cancelled()
    if guard.reason == "timed_out":
        raise JobError("timed_out", f"It took longer than {time_limit_seconds / 60:.0f} minutes.", "Try again.")
    if guard.reason == "out_of_memory":
        have = (memory_limit_bytes or 0) >> 20
        raise JobError("out_of_memory", f"It needed more than {have} MB of memory.", "Use a machine with more memory.")
    if failure is not None:
        raise failure
    if process.returncode != 0 or result is None:
        raise JobError("crashed", f"The work ended unexpectedly ({_ending(process.returncode)}).", f"See {log.name}.")
    return result


def _started(arguments: Sequence[str], environment: dict[str, str], niceness: int) -> subprocess.Popen:
    """The child, in a session of its own; :class:`JobError` ``not_started``."""
    try:
        process = subprocess.Popen(
            [*_courtesy(niceness), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, env={**os.environ, **environment},
        )  # fmt: skip
    except OSError as error:
        raise JobError("not_started", f"The work could not be started: {error}.") from error
    step_back(process, niceness)
    return process


def _heard(
    process: subprocess.Popen, on_progress: Callable[[float, str], None]
) -> tuple[dict[str, Any] | None, JobError | None]:
    """Listen to a child until it says nothing more: its last result and its last error."""
    result: dict[str, Any] | None = None
    failure: JobError | None = None
    output = process.stdout
    assert output is not None
    with output:
        for raw in iter(lambda: output.readline(LINE_LIMIT), b""):
            line = _parse(raw)
            if line.get("event") == "progress":
                on_progress(_fraction(line.get("fraction")), str(line.get("message", ""))[:200])
            elif line.get("event") == "result" and isinstance(line.get("data"), dict):
                result = line["data"]
            elif line.get("event") == "error":
                failure = JobError(*(str(line.get(key, ""))[:500] for key in ("code", "message", "hint")))
    return result, failure


@cache
def _courtesy(niceness: int) -> tuple[str, ...]:
    """What runs in front of the child: low priority for the processor, the lowest for the disk, first to go when memory is
    short, and death with the server."""
    wishes = (("nice", "-n", str(niceness)), ("ionice", "-c", "3"), ("choom", "-n", "1000", "--"))
    return (*(word for wish in wishes if shutil.which(wish[0]) for word in wish), *with_parent())


def _drain(process: subprocess.Popen, log: Path) -> None:
    written = 0
    said = process.stderr
    assert said is not None
    with log.open("wb") as file, said:
        for block in iter(lambda: os.read(said.fileno(), 65536), b""):
            if written < LOG_LIMIT:
                file.write(block[: LOG_LIMIT - written])
                written += len(block)


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        line = json.loads(raw, parse_float=_number, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return {}
    return line if isinstance(line, dict) else {}


def _number(text: str) -> float | None:
    """A number that can be told in JSON again; None for one that is too large."""
    value = float(text)
    return value if math.isfinite(value) else None


def _fraction(value: Any) -> float:
    return min(max(float(value), 0.0), 1.0) if isinstance(value, (int, float)) and math.isfinite(value) else 0.0


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
