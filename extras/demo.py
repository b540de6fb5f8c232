"""The demo: a photo goes through a real server to a print on the simulated Ender 3. Started by demo.sh."""

from __future__ import annotations

import argparse
import io
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from octoprint_facesculpt import assets
from octoprint_facesculpt.views import FILES
from tests.e2e.server import PASSWORD, USER, OctoPrintServer, free_port, wait_for
from tests.printer.fixture import SimulatedPrinter

ROOT = Path(__file__).resolve().parents[1]
REST = "/plugin/facesculpt"
PORT = 5000
#: Seconds after which a step is given up.
PATIENCE = 1800


class DemoError(Exception):
    """The demo cannot go on; the message is for people."""


def main() -> int:
    options = _arguments()
    started = time.monotonic()
    done = False
    # The server and the printer are ended on the way out, so a signal must unwind the stack.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        name, picture = _photo(options.photo)
        # The printer's folder lies elsewhere because the path of a socket must not be long.
        with (
            tempfile.TemporaryDirectory(prefix="facesculpt-") as short,
            SimulatedPrinter(Path(short), options.scale) as printer,
            _server(options.folder, str(printer.link)) as server,
        ):
            _say("Dashboard", f"{server.url}/#tab_plugin_facesculpt")
            _say("Log in as", f"{USER}, password {PASSWORD}")
            sculpture = _make(server, name, picture, options)
            _print(server, sculpture)
            done = True
            print(f"From the start of OctoPrint to the finished print: {time.monotonic() - started:.0f} s")
            if sys.stdin.isatty() and not options.exit:
                print(f"The server keeps running at {server.url} until Ctrl-C.", flush=True)
                signal.pause()
    except KeyboardInterrupt:
        return 0 if done else 130
    except (DemoError, OSError, RuntimeError, TimeoutError, requests.RequestException) as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bash extras/demo.sh", description=__doc__)
    parser.add_argument("photo", nargs="?", type=Path, help="default: the portrait that comes with scikit-image")
    parser.add_argument("--height", type=float, default=60, help="height of the bust in mm (default 60)")
    parser.add_argument("--profile", default="bust_028", help="slicing profile (default bust_028, the quick one)")
    parser.add_argument("--scale", type=float, default=1000, help="printed seconds a real second, at most (default 1000)")
    parser.add_argument("--folder", type=Path, help="new folder for the server's files (default: one in .demo)")
    parser.add_argument("--exit", action="store_true", help="end when the print is finished, also in a terminal")
    options = parser.parse_args()
    if options.folder is None:
        options.folder = ROOT / ".demo" / datetime.now().strftime("%Y%m%d-%H%M%S")
    return options


def _photo(path: Path | None) -> tuple[str, bytes]:
    """Name and bytes of the photo."""
    if path is not None:
        return path.name, path.read_bytes()
    import skimage.data
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(skimage.data.astronaut()).save(buffer, "JPEG", quality=92)
    return "astronaut.jpg", buffer.getvalue()


@contextmanager
def _server(folder: Path, serial_port: str) -> Iterator[OctoPrintServer]:
    """A running OctoPrint, connected to the printer."""
    folder.mkdir(parents=True)
    with _timed("Configuration"):
        server = OctoPrintServer(folder, serial_port, assets.default_folder(), _port())
    try:
        with _timed("OctoPrint"):
            server.start()
        yield server
    finally:
        server.stop()


def _port() -> int:
    """OctoPrint's usual port, or another when that is taken."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            return free_port()
    return PORT


def _make(server: OctoPrintServer, name: str, picture: bytes, options: argparse.Namespace) -> dict[str, Any]:
    """Upload the photo and wait until its bust is sliced; the sculpture as the REST interface describes it."""
    with _timed("Photo"):
        photo = _json(server.post(f"{REST}/photos", files={"photo": (name, picture)}))["photo"]
        photo = _wait(lambda: _settled(server, "photo", photo["id"], ("ready", "failed")), "the photo's check")
    if not photo["faces"]:
        raise DemoError("There is no face in this photo.")
    body = {
        "photo": photo["id"],
        "settings": {"height_mm": options.height},
        "slicing": {"profile": options.profile},
    }
    identifier = _json(server.post(f"{REST}/sculptures", json=body))["sculpture"]["id"]
    told: set[str] = set()

    def finished() -> dict[str, Any] | None:
        sculpture = _json(server.get(f"{REST}/sculptures/{identifier}"))["sculpture"]
        for stage in sculpture["stages"]:
            if stage["state"] == "done" and stage["stage"] not in told:
                told.add(stage["stage"])
                _say(stage["stage"].capitalize(), f"{stage['seconds']:.1f} s")
        return sculpture if sculpture["state"] not in ("waiting", "working") else None

    sculpture = _ready(_wait(finished, "the bust"))
    data = server.base / "data" / "facesculpt"
    _say("Photo", data / "photos" / photo["id"] / "original")
    for kind in sculpture["files"]:
        _say(kind, data / "sculptures" / identifier / FILES[kind])
    _say("uploaded G-code", server.base / "uploads" / sculpture["gcode"]["path"])
    estimates = sculpture["estimates"]
    hours, grams, layers = estimates["seconds"] / 3600, estimates["filament_g"], estimates["layers"]
    _say("Estimate", f"{hours:.1f} h, {grams:.0f} g of filament, {layers} layers")
    return sculpture


def _print(server: OctoPrintServer, sculpture: dict[str, Any]) -> None:
    """Queue the sculpture, print it and follow the print to its end."""
    _wait(lambda: _json(server.get(f"{REST}/status"))["printer"]["ready"], "the printer")
    item = _json(server.post(f"{REST}/queue", json={"sculpture": sculpture["id"]}))["id"]
    _json(server.post(f"{REST}/queue/{item}/print", json={"bed_clear": True}))
    _say("Queued", f"place {item}, print started")
    next_percent = 10

    def ended() -> dict[str, Any] | None:
        nonlocal next_percent
        row = next(row for row in _json(server.get(f"{REST}/queue"))["queue"] if row["id"] == item)
        percent = int(100 * row["progress"])
        if row["state"] == "printing" and percent >= next_percent:
            next_percent = percent - percent % 10 + 10
            _say("Printing", f"{percent} %")
        return row if row["state"] not in ("queued", "printing", "paused") else None

    with _timed("Print"):
        row = _wait(ended, "the print")
    if row["state"] != "done":
        raise DemoError(f"The print ended as '{row['state']}': {row['reason'] or 'no reason given'}.")


def _settled(server: OctoPrintServer, kind: str, identifier: str, states: tuple[str, ...]) -> dict[str, Any] | None:
    """A photo or sculpture once it is in one of ``states``."""
    row = _json(server.get(f"{REST}/{kind}s/{identifier}"))[kind]
    return _ready(row) if row["state"] in states else None


def _ready(row: dict[str, Any]) -> dict[str, Any]:
    if row["state"] != "ready":
        error = row["error"] or {"message": f"It ended as '{row['state']}'.", "hint": ""}
        raise DemoError(f"{error['message']} {error['hint']}".strip())
    return row


def _json(answer: requests.Response) -> dict[str, Any]:
    """The answer's body; :class:`DemoError` with the server's own words when it refused."""
    body = answer.json() if answer.headers.get("Content-Type", "").startswith("application/json") else {}
    if not answer.ok:
        raise DemoError(body.get("error", {}).get("message") or f"{answer.request.path_url}: {answer.status_code}")
    return body


def _wait(condition: Callable[[], Any], what: str) -> Any:
    return wait_for(condition, PATIENCE, what, pause=0.5)


def _say(title: str, text: object) -> None:
    print(f"{title:<24}{text}", flush=True)


@contextmanager
def _timed(title: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    _say(title, f"{time.monotonic() - start:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
