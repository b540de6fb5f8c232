"""Children that behave badly in every way, as real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from octoprint_facesculpt.errors import Cancelled
from octoprint_facesculpt.jobs.runner import LINE_LIMIT, LOG_LIMIT, WAITED_FOR, JobError, run
from tests.children import descendants

RESULT = """import json; print(json.dumps({"event": "result", "data": {"answer": 42}}), flush=True)"""
IGNORE = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "


def execute(
    program: str, folder: Path, *, seconds: float = 60, cancelled: threading.Event | None = None, on_progress=None, **more
) -> dict:
    return run(
        [sys.executable, "-c", program],
        log=folder / "job.log",
        on_progress=on_progress or (lambda *_: None),
        cancelled=cancelled or threading.Event(),
        time_limit_seconds=seconds,
        **more,
    )


def fails(program: str, folder: Path, **more) -> JobError:
    with pytest.raises(JobError) as failure:
        execute(program, folder, **more)
    return failure.value


@pytest.fixture(autouse=True)
def _no_child_is_left() -> Iterator[None]:
    running = descendants()
    yield
    assert descendants(running) == []


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return path.read_text()


def gone(pid: int) -> bool:
    """Whether a process ends within a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_what_is_no_number_does_not_come_through(tmp_path: Path) -> None:
    """A browser can read none of them: one in a sculpture's figures would take all sculptures from the dashboard."""
    line = '{"event": "result", "data": {"seconds": NaN, "box": [Infinity, -Infinity, 1e999, -1e999, 1.5], "n": 7}}'
    answer = execute(f"print({line!r})", tmp_path)
    assert answer == {"seconds": None, "box": [None, None, None, None, 1.5], "n": 7}


def test_progress_and_result_come_through(tmp_path: Path) -> None:
    lines = [
        '{"event": "progress", "fraction": 0.25, "message": "quarter"}', '{"event": "progress", "fraction": 7}',
        '{"event": "progress", "fraction": NaN}', '{"event": "progress", "fraction": "x", "message": 5}',
    ]  # fmt: skip
    heard: list[tuple[float, str]] = []
    answer = execute(f"print({chr(10).join(lines)!r}); {RESULT}", tmp_path, on_progress=lambda *told: heard.append(told))
    assert answer == {"answer": 42}
    assert heard == [(0.25, "quarter"), (1.0, ""), (0.0, ""), (0.0, "5")]


def test_the_childs_own_error_comes_through(tmp_path: Path) -> None:
    line = '{"event": "error", "code": "no_face", "message": "There is no face.", "hint": "Come closer."}'
    error = fails(f"print('''{line}'''); raise SystemExit(2)", tmp_path)
    assert (error.code, error.message, error.hint) == ("no_face", "There is no face.", "Come closer.")


@pytest.mark.parametrize(
    ("program", "code", "text"),
    [
        ("raise SystemExit(3)", "crashed", "exit code 3"),
        ("import os; os.abort()", "crashed", "signal 6"),
        ("import os; os.kill(os.getpid(), 11)", "crashed", "signal 11"),
        ("pass", "crashed", "exit code 0"),
        (f"{RESULT}; raise SystemExit(1)", "crashed", "exit code 1"),
        ("""print('{"event": "result", "data": [1]}')""", "crashed", "exit code 0"),
        ("import time; time.sleep(1000)", "timed_out", "longer"),
        (f"{IGNORE}import time; time.sleep(1000)", "timed_out", "longer"),
        ("while True: print('x' * 1000)", "timed_out", "longer"),
        ("while True: print('x' * 1000, end='')", "timed_out", "longer"),
        ("import sys\nwhile True: sys.stderr.write('x' * 1000)", "timed_out", "longer"),
        ("x = bytearray(400_000_000); x[::4096] = b'1' * len(x[::4096]); import time; time.sleep(1000)",
         "out_of_memory", "more than 200 MB"),
    ],
    ids=["exit code", "abort", "segfault", "no result", "result but failed", "odd result", "hangs", "hangs on", "floods",
         "floods one line", "floods the log", "eats memory"],
)  # fmt: skip
def test_a_bad_child_ends_with_a_clear_error(program: str, code: str, text: str, tmp_path: Path) -> None:
    seconds = 1.0 if code == "timed_out" else 60.0
    error = fails(program, tmp_path, seconds=seconds, memory_limit_bytes=200 << 20)
    assert error.code == code and text in error.message


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(JobError) as failure:
        run(
            ["/nowhere/program"], log=tmp_path / "job.log", on_progress=lambda *_: None, cancelled=threading.Event(),
            time_limit_seconds=60,
        )  # fmt: skip
    assert failure.value.code in ("not_started", "crashed")


def test_lines_that_are_not_ours_are_passed_over(tmp_path: Path) -> None:
    bad = ["", "hello", "[1, 2]", '"text"', "null", '{"event": 5}', '{"event": "result"}', "{" * 50_000, "[" * 100_000,
           '{"event": "progress"', "x" * (2 * LINE_LIMIT)]  # fmt: skip
    program = f"import sys\nfor c, n in {[(line[:1], len(line)) if len(line) > 100 else (line, 1) for line in bad]!r}:"
    program += f"\n  print(c * n)\nsys.stdout.buffer.write(bytes(range(256)) + b'\\n')\nsys.stdout.flush()\n{RESULT}"
    assert execute(program, tmp_path) == {"answer": 42}


def test_its_log_is_kept_and_bounded(tmp_path: Path) -> None:
    program = f"import sys; sys.stderr.write('the reason\\n' + 'x' * {4 * LOG_LIMIT}); {RESULT}"
    assert execute(program, tmp_path) == {"answer": 42}
    log = (tmp_path / "job.log").read_bytes()
    assert log.startswith(b"the reason\n") and len(log) == LOG_LIMIT


@pytest.mark.parametrize("manners", ["", IGNORE], ids=["polite", "stubborn"])
def test_cancel_ends_the_child_and_all_it_started(manners: str, tmp_path: Path) -> None:
    cancelled = threading.Event()
    program = f"""{manners}
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {manners + "import time; time.sleep(1000)"!r}])
print('{{"event": "progress", "message": "' + str(child.pid) + '"}}', flush=True)
time.sleep(1000)"""
    pids: list[int] = []

    def heard(_fraction: float, message: str) -> None:
        pids.append(int(message))
        cancelled.set()

    with pytest.raises(Cancelled):
        execute(program, tmp_path, cancelled=cancelled, on_progress=heard)
    assert len(pids) == 1 and gone(pids[0])


def test_a_child_that_dies_before_its_own_child_does_not_block(tmp_path: Path) -> None:
    program = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])"
    assert fails(program, tmp_path).code == "crashed"


def test_a_callback_that_fails_ends_the_child(tmp_path: Path) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        execute("""print('{"event": "progress"}', flush=True); import time; time.sleep(1000)""", tmp_path, on_progress=fail)


@pytest.mark.parametrize(("options", "niceness"), [({}, 19), ({"niceness": WAITED_FOR}, 10)], ids=["work", "waited for"])
def test_the_child_is_nice_and_the_first_to_go_when_memory_is_short(tmp_path: Path, options: dict, niceness: int) -> None:
    expected = min(19, os.nice(0) + niceness)
    program = """import json, os, pathlib, time
io = open("/proc/self/oom_score_adj").read().strip()
group = pathlib.Path("/proc/self/autogroup")
until = time.monotonic() + 5
while group.exists() and not group.read_text().endswith(f"nice {EXPECTED}\\n") and time.monotonic() < until:
    time.sleep(0.01)
rank = group.read_text().split()[-1] if group.exists() else str(EXPECTED)
data = {"nice": os.nice(0), "session's": rank, "oom": int(io), "session": os.getsid(0) == os.getpid()}
print(json.dumps({"event": "result", "data": {**data, "extra": os.environ["EXTRA"]}}))"""
    program = program.replace("EXPECTED", str(expected))
    answer = execute(program, tmp_path, environment={"EXTRA": "yes"}, **options)
    assert answer == {"nice": expected, "session's": str(expected), "oom": 1000, "session": True, "extra": "yes"}
    assert os.nice(0) < 19


@pytest.mark.parametrize("manners", ["", IGNORE], ids=["polite", "stubborn"])
def test_the_child_dies_with_a_killed_server(manners: str, tmp_path: Path) -> None:
    child = f"{manners}import os, time; open('pid.part', 'w').write(str(os.getpid())); os.rename('pid.part', 'pid')"
    server = f"""
import sys, threading
from pathlib import Path
from octoprint_facesculpt.jobs.runner import run
run([sys.executable, "-c", {child + "; time.sleep(1000)"!r}], log=Path("log"), on_progress=print,
    cancelled=threading.Event(), time_limit_seconds=1000)"""
    process = subprocess.Popen([sys.executable, "-c", server], cwd=tmp_path)
    pid = int(wait_for(tmp_path / "pid"))
    assert psutil.pid_exists(pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert gone(pid)
