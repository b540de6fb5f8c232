"""Whatever an engine does instead of slicing, and whatever happens meanwhile: one clear error, and nothing left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from octoprint_facesculpt.errors import Cancelled
from octoprint_facesculpt.slicing import ENGINES, SliceRequest, SlicingError, engine, program, slice_model
from tests.children import descendants

from .conftest import refused

#: What each engine says when it has sliced.
DONE = {
    "prusaslicer": 'echo "Slicing result exported to $OUT"',
    "curaengine": 'echo "Gcode header after slicing:\n;Layer height: 0.28\nEnd of gcode header."',
}
#: Shell text, error code, and what the message tells; DONE stands for the engine's own words of success.
BAD_ENGINES = {
    "fails": ("echo '[ERROR] It does not fit'; exit 1", "slicer_failed", "It does not fit"),
    "crashes": ("kill -SEGV $$", "slicer_failed", "signal 11"),
    "says nothing": ("exit 0", "slicer_failed", "without a word"),
    "writes nothing": ("DONE", "slicer_failed", "failed"),
    "writes half": ('echo "G28" > "$OUT"; exit 0', "slicer_failed", ""),
    "writes an empty file": (': > "$OUT"; DONE', "gcode_empty", ""),
    "writes a photo": ('head -c 9999 /dev/urandom > "$OUT"; DONE', "gcode_not_text", ""),
    "hangs": ("sleep 1000", "timed_out", "longer than"),
    "hangs and will not stop": ("trap '' TERM; while :; do sleep 0.1; done", "timed_out", "longer than"),
    "floods lines": ("exec yes 'I am slicing'", "timed_out", "longer than"),
    "floods errors": ("exec yes '[ERROR] I am slicing'", "timed_out", "longer than"),
    "floods one line": ("exec cat /dev/zero", "timed_out", "longer than"),
    "leaves a child that holds the pipe": ("sleep 1000 & exit 3", "slicer_failed", "exit code 3"),
    "fills the disk": ("echo 'write: No space left on device'; exit 1", "disk_full", "no room"),
}

each_engine = pytest.mark.parametrize("name", ENGINES)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@each_engine
@pytest.mark.parametrize(("slicing", "code", "text"), BAD_ENGINES.values(), ids=BAD_ENGINES)
def test_a_bad_engine_ends_with_a_clear_error(
    name: str, slicing: str, code: str, text: str, script: Callable[..., str], mushroom: Path, out: Path
) -> None:
    request = SliceRequest(name, "bust_028", time_limit_seconds=1.0 if code == "timed_out" else 60.0)
    error = refused(mushroom, out, request, script(slicing.replace("DONE", DONE[name]), engine=name))
    assert error.code == code and text in error.message and not error.bad_input


@pytest.mark.parametrize(
    ("slicing", "code", "text"),
    [
        ("echo '[ERROR] Layer height 0 is disallowed.'; echo G28 > $OUT", "slicer_failed", "height 0"),
        ("echo '[ERROR] setting with no value given: x'; exit 2", "definitions_mismatch", "do not fit"),
    ],
)
def test_curaengine_fails_in_ways_of_its_own(
    slicing: str, code: str, text: str, script: Callable[..., str], mushroom: Path, out: Path
) -> None:
    error = refused(mushroom, out, SliceRequest("curaengine", "bust_028"), script(slicing, engine="curaengine"))
    assert error.code == code and text in error.message and not error.bad_input


OTHERS = {
    "prusaslicer": ("echo Slic3r-1.3.0", "echo PrusaSlicer-3.0.1", "echo PrusaSlicer-2.3.3"),
    "curaengine": (
        "echo Slic3r", "echo Cura_SteamEngine version 3.6.0", "echo Cura_SteamEngine version 6.0.1",
        "echo Cura_SteamEngine version 15.04",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "helping"), [(name, other) for name, others in OTHERS.items() for other in (*others, "exec yes", "sleep 1000")]
)
def test_another_program_is_not_taken_for_the_engine(
    name: str, helping: str, script: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "DETECT_SECONDS", 1)
    running = descendants()
    with pytest.raises(SlicingError) as refusal:
        engine(name, script("exit 1", helping, name)).detect()
    assert refusal.value.code == "engine_version" and descendants(running) == []


@pytest.mark.parametrize(("name", "package"), [("prusaslicer", "prusa-slicer"), ("curaengine", "cura-engine")])
def test_a_missing_engine_says_what_to_install(name: str, package: str, mushroom: Path, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_bytes(b"\x7fELF nonsense")
    text.chmod(0o755)
    for missing in ("no-such-slicer", str(tmp_path / "nowhere"), str(tmp_path), str(text)):
        error = refused(mushroom, tmp_path, SliceRequest(name, "bust_028"), missing)
        assert error.code == "engine_missing" and package in error.hint


def test_an_engine_may_be_given_by_a_relative_path(
    script: Callable[..., str], monkeypatch: pytest.MonkeyPatch, mushroom: Path, out: Path
) -> None:
    path = Path(script("echo 'I was asked'; exit 1"))
    monkeypatch.chdir(path.parent)
    assert "I was asked" in refused(mushroom, out, SliceRequest(profile="bust_028"), f"./{path.name}").message


def test_what_a_program_says_is_heard_line_by_line() -> None:
    said = (
        r"printf 'one\n two \r\nth'; sleep 0.2; printf 'ree\n\n'; head -c 4500 /dev/zero | tr '\0' x; printf '\nB\303\274ste'"
    )
    process = program.start(["sh", "-c", said])
    assert process.stdout is not None
    with process, process.stdout:
        lines = list(program.heard(process.stdout))
    long = [line for line in lines if "x" in line]
    assert [line for line in lines if "x" not in line] == ["one", "two", "three", "", "Büste"]
    assert "".join(long) == "x" * 4500 and max(map(len, long)) == program.LINE_LIMIT


# -- storage


def test_a_folder_that_cannot_be_written_is_refused(mushroom: Path, tmp_path: Path) -> None:
    for place in (tmp_path / "nowhere", Path("/proc"), mushroom):
        with pytest.raises(SlicingError) as refusal:
            slice_model(mushroom, place / "out.gcode", SliceRequest(profile="bust_028"))
        assert refusal.value.code == "output_unwritable" and refusal.value.bad_input


def test_too_little_room_is_refused_before_slicing(mushroom: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "FREE_BYTES", 1 << 60)
    assert refused(mushroom, out, SliceRequest(profile="bust_028")).code == "disk_full"


@pytest.mark.parametrize(
    ("name", "kilobytes"),
    [("prusaslicer", 4), ("prusaslicer", 64), ("curaengine", 100)],
    ids=["for its settings", "for its G-code", "for CuraEngine's G-code"],
)
def test_a_disk_that_fills_while_slicing(name: str, kilobytes: int, mushroom: Path, out: Path) -> None:
    """No file of the process and its engine may grow beyond the limit."""
    command = [sys.executable, "-m", "octoprint_facesculpt", "slice", str(mushroom), "-o", str(out / "out.gcode")]
    limited = ["prlimit", f"--fsize={kilobytes * 1024}", *command, "--profile", "bust_028", "--engine", name]
    run = subprocess.run(limited, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 1 and run.stderr.startswith("disk_full: ")
    assert list(out.iterdir()) == []


# -- cancel


@each_engine
def test_cancel_leaves_no_process_and_no_file(name: str, mushroom: Path, tmp_path: Path) -> None:
    alive: list[int] = []
    running = descendants()

    def cancel(_fraction: float, _message: str = "") -> None:
        alive.append(len(descendants(running)))
        raise Cancelled()

    with pytest.raises(Cancelled):
        slice_model(mushroom, tmp_path / "out.gcode", SliceRequest(name, "bust_028"), cancel)
    # The engine, and the one that is asked for its version meanwhile.
    assert len(alive) == 1 and alive[0] in (1, 2)
    assert list(tmp_path.iterdir()) == [] and descendants(running) == []


@each_engine
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_engine_ends_with_the_process_that_started_it(
    name: str, number: int, script: Callable[..., str], mushroom: Path, tmp_path: Path, out: Path
) -> None:
    pid_file = tmp_path / "pid"
    path = script(f"echo $$ > {pid_file}.part; mv {pid_file}.part {pid_file}; exec sleep 1000", engine=name)
    command = [sys.executable, "-m", "octoprint_facesculpt", "slice", str(mushroom), "-o", str(out / "out.gcode")]
    parent = subprocess.Popen([*command, "--engine", name, "--slicer-path", path], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not pid_file.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    running = psutil.Process(int(pid_file.read_text()))
    parent.send_signal(number)
    _, said = parent.communicate(timeout=60)
    psutil.wait_procs([running], timeout=30)
    assert not running.is_running() or running.status() == psutil.STATUS_ZOMBIE
    if number == signal.SIGTERM:
        assert parent.returncode == 1 and said.startswith("cancelled: ")
        assert list(out.iterdir()) == []
