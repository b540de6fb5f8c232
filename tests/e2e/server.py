"""A real, headless OctoPrint with this plugin, in a base folder of its own.

Used by the end-to-end tests and by the demo.
"""

from __future__ import annotations

import os
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests
import yaml

USER, PASSWORD = "owner", "sculpture"
#: Bundled plugins that printing does without.
UNNEEDED = (
    "action_command_notification", "action_command_prompt", "appkeys", "backup", "classicwebcam", "corewizard",
    "customcontrolmanager", "eventmanager", "file_check", "gcodeviewer", "logging", "uploadmanager", "virtual_printer",
)  # fmt: skip
#: Ports of servers, the first thousand for the first test process.
PORTS = range(20_000, 30_000)


def free_port() -> int:
    """A port of this machine that nobody listens on.

    Not one of those that the kernel gives to whoever asks for any (ip(7), ``ip_local_port_range``), nor of another test
    process: a server takes seconds to start, and is started again on the same port.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = range(PORTS.start + 1000 * worker, PORTS.start + 1000 * (worker + 1))
    for port in random.sample(ports, len(ports)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"all ports of {ports} are taken")


class OctoPrintServer:
    """Start, stop and kill a server; a context manager.

    ``serial_port`` is the printer's device; ``assets`` a folder with the fetched model files, which the plugin finds in
    its own data folder; ``offline`` leaves out what asks the internet at every start, ``lean`` whatever is not needed to print,
    and ``without_us`` this plugin.
    """

    def __init__(
        self,
        base: Path,
        serial_port: str | None = None,
        assets: Path | None = None,
        port: int | None = None,
        offline: bool = False,
        lean: bool = False,
        without_us: bool = False,
    ) -> None:
        self.base, self.port, self._offline, self._lean = base, port or free_port(), offline, lean
        self._without_us = without_us
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen | None = None
        base.mkdir(parents=True, exist_ok=True)
        if not (base / "config.yaml").exists():
            self._configure(serial_port)
        self.api_key = yaml.safe_load((base / "users.yaml").read_text())[USER]["apikey"]
        if assets is not None:
            target = base / "data" / "facesculpt" / "assets"
            target.mkdir(parents=True, exist_ok=True)
            for file in assets.glob("*.tflite"):
                shutil.copy(file, target / file.name)

    def _configure(self, serial_port: str | None) -> None:
        # Without the work-around OctoPrint opens a port once; opened twice it may be taken for busy: see ConnectionKeeper.
        serial: dict[str, Any] = {"log": False, "baudrate": 115200, "useParityWorkaround": "never"}
        if serial_port is not None:
            serial |= {"port": serial_port, "additionalPorts": [serial_port], "autoconnect": True}
        config = {
            "devel": {"enableRateLimiter": False, "webassets": {"clean_on_startup": False}},
            "server": {
                "firstRun": False,
                "host": "127.0.0.1",
                "onlineCheck": {"enabled": False},
                "pluginBlacklist": {"enabled": False},
                "seenWizards": {
                    "backup": None, "classicwebcam": 1, "corewizard": 4, "file_check": 1, "tracking": None,
                    "facesculpt": 1,
                },
            },
            "serial": serial,
            "printerProfiles": {"default": "ender3"},
            "plugins": {
                "tracking": {"enabled": False},
                "softwareupdate": {"checks": {"octoprint": {"disabled": True}}},
                "_disabled": [
                    "announcements", "discovery", "softwareupdate", "tracking", "errortracking", "pi_support",
                    "achievements", "firmware_check", *(["health_check", "pluginmanager"] if self._offline else []),
                    *(UNNEEDED if self._lean else []),
                    *(["facesculpt", "facesculpt_cura"] if self._without_us else []),
                ],
            },
        }  # fmt: skip
        (self.base / "config.yaml").write_text(yaml.safe_dump(config))
        # OctoPrint makes this folder only when it cleans it, and logs a traceback when its bundles find none.
        (self.base / "generated" / "webassets").mkdir(parents=True, exist_ok=True)
        profiles = self.base / "printerProfiles"
        profiles.mkdir(exist_ok=True)
        profile = {
            "id": "ender3",
            "name": "Ender 3",
            "model": "Creality Ender 3",
            "color": "default",
            "volume": {
                "width": 235, "depth": 235, "height": 250, "formFactor": "rectangular", "origin": "lowerleft",
                "custom_box": False,
            },
            "heatedBed": True,
            "heatedChamber": False,
            "extruder": {
                "count": 1, "offsets": [[0, 0]], "nozzleDiameter": 0.4, "sharedNozzle": False,
                "defaultExtrusionLength": 5,
            },
            "axes": {axis: {"speed": 6000, "inverted": False} for axis in "xyze"},
        }  # fmt: skip
        (profiles / "ender3.profile").write_text(yaml.safe_dump(profile))
        command = ["--basedir", str(self.base), "user", "add", "--admin", "--password", PASSWORD, USER]
        subprocess.run([*_octoprint(), *command], check=True, capture_output=True)
        users = yaml.safe_load((self.base / "users.yaml").read_text())
        users[USER]["apikey"] = secrets.token_hex(16).upper()
        (self.base / "users.yaml").write_text(yaml.safe_dump(users))

    def start(self, timeout: float = 120) -> OctoPrintServer:
        command = ["--basedir", str(self.base), "serve", "--host", "127.0.0.1", "--port", str(self.port)]
        if os.geteuid() == 0:
            command.append("--iknowwhatimdoing")
        with (self.base / "server.out").open("ab") as out:
            self._process = subprocess.Popen(
                [*_octoprint(), *command], stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
            )
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"OctoPrint ended at once; see {self.base / 'server.out'}")
            try:
                if self.get("/api/version" if self._without_us else "/plugin/facesculpt/status", timeout=5).ok:
                    return self
            except requests.RequestException:
                pass
            time.sleep(0.3)
        raise TimeoutError(f"OctoPrint did not start; see {self.base / 'server.out'}")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def cpu_nanoseconds(self) -> int:
        """Processor time that the server's threads have used so far, without its children."""
        # The clock of another process, as clock_getcpuclockid(3) numbers it on Linux.
        return time.clock_gettime_ns((~self.pid << 3) | 2)

    def kill(self) -> None:
        """Take the power away: no shutdown, no goodbye."""
        os.kill(self.pid, signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def __enter__(self) -> OctoPrintServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def request(self, method: str, path: str, **arguments: Any) -> requests.Response:
        headers = {"X-Api-Key": self.api_key, **arguments.pop("headers", {})}
        arguments.setdefault("timeout", 60)
        return requests.request(method, self.url + path, headers=headers, **arguments)

    def get(self, path: str, **arguments: Any) -> requests.Response:
        return self.request("GET", path, **arguments)

    def post(self, path: str, json: Any = None, **arguments: Any) -> requests.Response:
        if "files" not in arguments:
            arguments["json"] = {} if json is None else json
        return self.request("POST", path, **arguments)

    def log(self) -> str:
        file = self.base / "logs" / "octoprint.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def complaints(self, log: str | None = None) -> list[str]:
        """The log's warnings and errors, each with the lines that belong to it; requests that were refused are none."""
        text = self.log() if log is None else log
        records = re.split(r"^(?=\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ - )", text, flags=re.MULTILINE)
        answers = r"tornado\.(?:access|general)|octoprint\.server\.util\.csrf"
        complaint = re.compile(rf".{{26}}(?!{answers})\S+ - (WARNING|ERROR|CRITICAL) - ")
        return [record for record in records if complaint.match(record)]


def wait_for(condition, timeout: float, what: str, pause: float = 0.3):
    """The first true answer of ``condition()``; TimeoutError naming ``what`` when there is none in time."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        time.sleep(pause)
    raise TimeoutError(f"waited {timeout:.0f} s for {what}")


def _octoprint() -> list[str]:
    return [sys.executable, "-m", "octoprint"]
