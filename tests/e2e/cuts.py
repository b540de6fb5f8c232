"""A bust that is being printed when the power goes: what the dashboard's story and its pictures need."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from tests.printer.fixture import SimulatedPrinter

from .browser import SOON, Dashboard
from .server import OctoPrintServer, wait_for

RECOVERY = "/plugin/facesculpt/recovery"
QUEUE = "/plugin/facesculpt/queue"


def copy_of(server: OctoPrintServer, base: Path, printer: SimulatedPrinter) -> OctoPrintServer:
    """A server of its own with all that another one has made, for another printer."""
    shutil.copytree(server.base, base, ignore=shutil.ignore_patterns("logs", "plugins", "*.sock"))
    config = yaml.safe_load((base / "config.yaml").read_text())
    config["serial"] |= {"port": str(printer.link), "additionalPorts": [str(printer.link)], "autoconnect": True}
    (base / "config.yaml").write_text(yaml.safe_dump(config))
    return OctoPrintServer(base, str(printer.link), offline=True)


def status(server: OctoPrintServer) -> dict[str, Any]:
    return server.get(RECOVERY).json()["recovery"]


def order(server: OctoPrintServer, command: str, **more: Any) -> dict[str, Any]:
    """Give the recovery a command, as a client of the REST interface."""
    answer = server.post(RECOVERY, json={"command": command, **more})
    assert answer.status_code == 202, answer.text
    return answer.json()["recovery"]


def until(server: OctoPrintServer, *states: str, timeout: float = 120) -> dict[str, Any]:
    """The recovery once it is in one of some states."""

    def there() -> dict[str, Any] | None:
        found = status(server)
        return found if found["state"] in states else None

    return wait_for(there, timeout, " or ".join(states))


def printer_ready(server: OctoPrintServer) -> None:
    wait_for(lambda: server.get("/plugin/facesculpt/status").json()["printer"]["ready"], 120, "the printer")


def print_up_to(server: OctoPrintServer, printer: SimulatedPrinter, sculpture: str, height: float) -> int:
    """Print a sculpture until the nozzle prints at a height; its number in the queue."""
    answer = server.post(QUEUE, json={"sculpture": sculpture, "print": True, "bed_clear": True})
    assert answer.ok, answer.text
    reached = lambda: any(m["e"] > 0 and m["at"][2] > height for m in printer.last_moves(40))  # noqa: E731
    wait_for(reached, 300, f"a height of {height} mm", pause=0.1)
    # At the speed of a real printer, so that the journal's last second is no minute of print.
    printer.order(do="speed", factor=1)
    before = printer.order(do="status")["time"]
    wait_for(lambda: printer.order(do="status")["time"] > before + 3, 60, "some seconds of print")
    return answer.json()["id"]


def cut(server: OctoPrintServer, printer: SimulatedPrinter, cold: float = 50.0) -> dict[str, Any]:
    """Take the power of both, wait until the nozzle is cold, give it back; where the nozzle stopped."""
    printer.order(do="power", on=False)
    stopped = printer.order(do="status")
    server.kill()
    printer.order(do="speed", factor=300)
    wait_for(lambda: printer.order(do="status")["nozzle"] < cold, 120, "a cold nozzle")
    printer.order(do="power", on=True)
    return stopped


def planned(server: OctoPrintServer) -> dict[str, Any]:
    """The recovery once it has a plan that knows that the printer was without power."""
    printer_ready(server)

    def known() -> dict[str, Any] | None:
        found = status(server)
        return found if found["state"] == "ready" and found["plan"]["outage"]["kind"] == "both" else None

    return wait_for(known, 120, "a plan")


def walk_to(tab: Dashboard, question: str) -> None:
    """Wait until the panel asks something."""
    tab.page.wait_for_selector(
        f"[data-test-id='facesculpt-recovery'][data-question='{question}'][data-state='ready']", timeout=3 * SOON
    )


def picture_is_drawn(tab: Dashboard, name: str) -> bool:
    """Whether an image of the tab has arrived and shows something."""
    return tab.find(name).evaluate("image => image.decode().then(() => image.naturalWidth > 100)")
