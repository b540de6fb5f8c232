"""An interrupted print and a desk that takes it up, with a printer that only writes down what it is sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from octoprint_facesculpt.desk.desk import READY_TAG, RecoveryDesk
from octoprint_facesculpt.desk.ports import Surroundings
from octoprint_facesculpt.recovery.identity import identity_of
from octoprint_facesculpt.recovery.journal import Journal
from tests.recovery.programs import print_file


class Recorder:
    """A printer port. What the desk sends to it comes back to the desk's hook, as it would from OctoPrint."""

    def __init__(self, gcode: Path) -> None:
        self.gcode = gcode
        self.sent: list[str] = []
        self.logged: list[str] = []
        self.resumed: tuple[str, int] | None = None
        self.is_ready, self.cancelled = True, 0
        self.started: str | None = None
        self.held = self.asked = False
        #: Whether the file can be held.
        self.holds = True
        #: Stop passing lines on after so many, as when the power goes.
        self.dies_after: int | None = None
        #: The connected printer's profile, OctoPrint's last safe mode, and when and of which file another print has ended.
        self.profile: dict[str, Any] | None = None
        self.safe_mode: int | None = None
        self.printed: tuple[float, str] | None = None
        self.desk: RecoveryDesk

    def ready(self) -> bool:
        return self.is_ready

    def send(self, lines: list[str], tags: set[str]) -> None:
        for line in lines:
            if self.dies_after is not None and len(self.sent) >= self.dies_after:
                return
            self.sent.append(line)
            assert self.desk.on_sending(line, line.split()[0], tags) is None

    def resume(self, path: str, offset: int, user: str | None) -> None:
        self.resumed = (path, offset)

    def start(self, path: str, user: str | None) -> None:
        self.started = path

    def cancel(self) -> None:
        self.cancelled += 1

    def hold(self) -> bool:
        self.held = self.holds
        return self.holds

    def release(self) -> None:
        self.held = False

    def ask_position(self) -> None:
        self.asked = True

    def log(self, text: str) -> None:
        self.logged.append(text)

    def camera(self) -> bool:
        return False

    def gcode_on_disk(self, path: str) -> Path:
        return self.gcode

    def bed_corners(self) -> tuple[float, float, float, float]:
        return 0.0, 0.0, 235.0, 235.0

    def height(self) -> float:
        return 250.0

    def printer_profile(self) -> dict[str, Any] | None:
        return self.profile

    def last_safe_mode(self) -> int | None:
        return self.safe_mode

    def printed_since(self, moment: float, but: str) -> bool:
        return self.printed is not None and self.printed[0] > moment and self.printed[1] != but


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 240.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise TimeoutError(what)


@pytest.fixture
def gcode(tmp_path: Path) -> Path:
    file = tmp_path / "vase.gcode"
    file.write_bytes(print_file(layers=8))
    return file


@pytest.fixture
def folder(tmp_path: Path, gcode: Path) -> Path:
    """The journal of a print that was cut off in its fourth layer."""
    kept = Journal(tmp_path / "journal", boot_id="another boot").open()
    kept.begin(
        {"path": "vase.gcode", "file": str(gcode), "identity": identity_of(gcode), "printer": {"firmware": "marlin2"}},
        phase="printing", nozzle_target=205.0, bed_target=60.0, seconds=1234.5,
    )  # fmt: skip
    text = gcode.read_bytes()
    fourth = [i for i in range(len(text)) if text.startswith(b";LAYER_CHANGE", i)][3]
    offset = 0
    for line in text.splitlines(keepends=True):
        offset += len(line)
        kept.note(offset)
        if offset > fourth + 900:
            break
    kept.close()
    return tmp_path / "journal"


class Opened:
    """A desk with its port, and what it published."""

    def __init__(self, folder: Path, gcode: Path, port: Recorder | None = None, **around: Any) -> None:
        self.port = port or Recorder(gcode)
        self.told: list[dict[str, Any]] = []
        surroundings = Surroundings(lambda _kind, what: self.told.append(what), **around)
        self.desk = self.port.desk = RecoveryDesk(folder, self.port, surroundings)
        self.desk.open()

    def until(self, state: str) -> dict[str, Any]:
        wait_for(lambda: self.desk.state == state, f"{state}; it is {self.desk.state}")
        return self.desk.status()

    def warm(self, nozzle: float = 200.0, bed: float = 60.0) -> None:
        """The printer reports temperatures."""
        self.desk.on_temperatures({"T0": (nozzle, 205.0), "B": (bed, 60.0)})


@pytest.fixture
def opened(folder: Path, gcode: Path) -> Iterator[Opened]:
    one = Opened(folder, gcode)
    yield one
    one.desk.close()


__all__ = ["READY_TAG", "Opened", "Recorder", "wait_for"]
