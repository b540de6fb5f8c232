"""CuraEngine as an equal of PrusaSlicer: found, offered, ordered, and its G-code printed to the end."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.printer.bench import print_whole
from tests.printer.fixture import SimulatedPrinter

from .orders import create, finished
from .server import OctoPrintServer, wait_for


@pytest.fixture(scope="module")
def made(server: OctoPrintServer, photo: dict[str, Any]) -> dict[str, Any]:
    """A small sculpture that CuraEngine has sliced."""
    settings = {"height_mm": 25, "style": "bust"}
    done = finished(server, create(server, photo, settings=settings, slicing={"engine": "curaengine", "profile": "bust_028"}))
    assert done["state"] == "ready", done["error"]
    return done


@pytest.fixture(scope="module")
def gcode(server: OctoPrintServer, made: dict[str, Any]) -> str:
    answer = server.get(f"/downloads/files/{made['gcode']['origin']}/{made['gcode']['path']}")
    assert answer.ok
    return answer.text


def test_both_engines_are_found(server: OctoPrintServer) -> None:
    slicers = server.get("/plugin/facesculpt/status").json()["slicers"]
    assert [(slicer["key"], slicer["found"]) for slicer in slicers] == [("prusaslicer", True), ("curaengine", True)]
    assert all(re.match(r"\d+\.\d+", slicer["version"]) for slicer in slicers)


def test_both_are_in_octoprints_own_dialog_with_their_profiles(server: OctoPrintServer) -> None:
    offered = server.get("/api/slicing").json()
    for key in ("facesculpt_prusaslicer", "facesculpt_curaengine"):
        assert {"bust_012", "bust_016", "bust_020", "bust_028"} <= set(offered[key]["profiles"])


def test_the_order_is_sliced_by_the_engine_that_was_asked_for(made: dict[str, Any], gcode: str) -> None:
    assert ";Generated with Cura_SteamEngine" in gcode and "thumbnail begin" in gcode[:2000]
    assert made["slicing"]["engine"] == "curaengine"
    assert made["estimates"]["seconds"] > 300 and made["estimates"]["height_mm"] == pytest.approx(25, abs=0.3)


def test_it_prints_to_the_end_with_the_filament_of_the_plan(
    server: OctoPrintServer, printer: SimulatedPrinter, made: dict[str, Any]
) -> None:
    before = printer.order(do="status")["filament"]
    number = server.post("/plugin/facesculpt/queue", json={"sculpture": made["id"]}).json()["id"]
    answer = server.post(f"/plugin/facesculpt/queue/{number}/print", json={"bed_clear": True})
    assert answer.status_code == 202, answer.text

    def ended() -> dict[str, Any] | None:
        item = next(i for i in server.get("/plugin/facesculpt/queue").json()["queue"] if i["id"] == number)
        return None if item["state"] in ("printing", "paused") else item

    assert wait_for(ended, 900, "the print's end")["state"] == "done"
    wait_for(lambda: printer.order(do="status")["blocks"] == 0, 60, "the last move")
    # What is retracted before the end code is not printed.
    used = printer.order(do="status")["filament"] - before
    assert used == pytest.approx(made["estimates"]["filament_mm"], abs=15)


def test_the_printer_takes_the_time_of_the_plan(made: dict[str, Any], gcode: str) -> None:
    """By the virtual clock, without heating and homing."""
    assert print_whole(gcode.splitlines()).seconds == pytest.approx(made["estimates"]["plan"]["estimated_seconds"], rel=0.01)
