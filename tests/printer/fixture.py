"""Starting and ordering about the simulated printer from tests and from the demo."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class SimulatedPrinter:
    """The simulator's process; a context manager. ``link`` is its serial port, ``moves()`` what it has executed."""

    def __init__(self, folder: Path, speed: float = 1000.0, options: tuple[str, ...] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.link, self.log, self.control = folder / "ender3", folder / "moves.jsonl", folder / "control.sock"
        self._speed, self._options = speed, options
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> SimulatedPrinter:
        command = [sys.executable, "-m", "tests.printer", "--link", str(self.link), "--speed", str(self._speed)]
        command += ["--log", str(self.log), "--control", str(self.control), *self._options]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True, stdin=subprocess.DEVNULL
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "ready":
            raise RuntimeError("the simulated printer did not start")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()

    def wait(self) -> None:
        """Wait until the process has ended by itself."""
        assert self._process is not None
        self._process.wait(20)

    def order(self, **order: Any) -> dict[str, Any]:
        """Give one order over the control socket and return the answer."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(self.control))
            connection.sendall(json.dumps(order).encode() + b"\n")
            answer = json.loads(connection.makefile().readline())
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer

    def moves(self) -> list[dict[str, Any]]:
        """All executed moves so far."""
        self.order(do="status")
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def last_moves(self, count: int) -> list[dict[str, Any]]:
        """So many of the moves executed last; a long print's others are not read."""
        self.order(do="status")
        with self.log.open("rb") as file:
            begin = max(0, file.seek(0, 2) - 512 * count)
            file.seek(begin)
            lines = file.read().splitlines()
        # The first may be the end of one, the last a beginning.
        return [json.loads(line) for line in lines[bool(begin) :] if line.endswith(b"}")][-count:]
