"""What somebody does with the printer and the files between an outage and the resume, with a real server and printer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.printer.fixture import SimulatedPrinter
from tests.recovery.programs import print_file

from .cuts import RECOVERY, order, planned, printer_ready, status, until
from .server import OctoPrintServer, wait_for

LAYERS = 12


def _heights(moves: list[dict[str, Any]]) -> list[float]:
    """True heights at which plastic was put on the model."""
    return [m["at"][2] for m in moves if m["e"] > 0 and m["from"][:2] != m["to"][:2] and m["from"][0] > 50]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Power cut, restart, then: a print from the SD card, the nozzle raised by OctoPrint's controls, the file renamed, deleted
    and uploaded again; and the resume."""
    folder, told = tmp_path_factory.mktemp("meanwhile"), {}
    with SimulatedPrinter(folder / "ender3", speed=1000) as printer:
        first = OctoPrintServer(folder / "octoprint", str(printer.link), offline=True, lean=True)
        with first:
            printer_ready(first)
            printer.order(do="speed", factor=20)
            upload = {"file": ("vase.gcode", print_file(layers=LAYERS))}
            first.post("/api/files/local", files=upload, data={"print": "true"}).raise_for_status()
            wait_for(lambda: any(z > 0.55 for z in _heights(printer.moves())), 120, "the third layer", pause=0.1)
            printer.order(do="speed", factor=1)
            before = printer.order(do="status")["time"]
            wait_for(lambda: printer.order(do="status")["time"] > before + 2, 60, "two seconds of print")
            told["cut"] = printer.order(do="power", on=False)["position"]
            first.kill()
        printer.order(do="speed", factor=100)
        wait_for(lambda: printer.order(do="status")["nozzle"] < 150, 60, "a cold nozzle")
        printer.order(do="power", on=True)
        printer.order(do="speed", factor=1000)
        with OctoPrintServer(first.base, str(printer.link), port=first.port, offline=True, lean=True) as server:
            told["planned"] = planned(server)
            moved = len(printer.moves())
            server.post("/api/printer/command", json={"commands": ["M23 bust.gco", "M24"]}).raise_for_status()
            told["held"] = wait_for(lambda: status(server)["held_back"], 20, "the interlock")
            server.post("/api/printer/printhead", json={"command": "jog", "z": 10}).raise_for_status()
            _story_of_files(server, told)
            told["now"] = printer.order(do="status")["position"]
            told["unmeasured"] = server.post(RECOVERY, json={"command": "resume", "confirmed": True})
            wanted: dict[str, Any] = {"height": round(told["now"][2], 2)}
            choices = told["moved"]["plan"]["stop"]["choices"]
            if len(choices) > 1:
                wanted["choice"] = min(range(len(choices)), key=lambda n: abs(choices[n]["z"] - told["cut"][2]))
            order(server, "plan", **wanted)
            told["measured"] = wait_for(lambda: (r := until(server, "ready")) and not r["plan"]["asks"] and r, 60, "the height")
            order(server, "resume", confirmed=True)
            until(server, "idle", timeout=180)
        told["moves"] = printer.moves()[moved:]
    return told


def _story_of_files(server: OctoPrintServer, told: dict[str, Any]) -> None:
    def known(key: str, value: Any, state: str) -> dict[str, Any]:
        return wait_for(lambda: (r := status(server))["state"] == state and r[key] == value and r, 90, f"{key} {value}")

    told["moved"] = wait_for(lambda: (r := until(server, "ready")) and r["plan"]["stop"]["moved"] and r, 90, "the move")
    rename = {"command": "move", "destination": "renamed.gcode"}
    server.post("/api/files/local/vase.gcode", json=rename).raise_for_status()
    told["renamed"] = known("path", "renamed.gcode", "ready")
    server.request("DELETE", "/api/files/local/renamed.gcode").raise_for_status()
    told["deleted"] = until(server, "refused")
    server.post("/api/files/local", files={"file": ("renamed.gcode", print_file(layers=LAYERS))}).raise_for_status()
    told["back"] = until(server, "ready")


def test_print_from_the_sd_card_is_held_back(told: dict[str, Any]) -> None:
    assert told["held"] == ["M24"]


def test_nozzle_that_was_moved_must_be_measured(told: dict[str, Any]) -> None:
    stop = told["moved"]["plan"]["stop"]
    assert told["now"][2] == pytest.approx(told["cut"][2] + 10.0, abs=0.01)
    assert stop["z"] <= told["cut"][2] + 0.01 and stop["z"] + stop["z_spread"] >= told["now"][2] - 0.01
    refused = told["unmeasured"]
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_chosen")


def test_the_print_goes_on_at_its_true_height(told: dict[str, Any]) -> None:
    heights = _heights(told["moves"])
    assert min(heights) >= told["cut"][2] - 0.01
    assert max(heights) == pytest.approx(0.2 * LAYERS, abs=0.05)


def test_file_is_followed_and_its_loss_told_at_once(told: dict[str, Any]) -> None:
    assert told["renamed"]["plan"] is not None and told["renamed"]["name"] in (None, "renamed.gcode")
    assert told["deleted"]["error"]["code"] == "file_missing"
    assert told["back"]["error"] is None and told["back"]["plan"]["stop"]["moved"]
