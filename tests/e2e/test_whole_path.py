"""A photo becomes a bust that prints: photo, head, sculpture, G-code, queue, and the printer's own account of the print."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import pairwise
from math import dist
from typing import Any

import pytest

from tests.printer.bench import print_whole
from tests.printer.fixture import SimulatedPrinter
from tests.printer.machine import STEPS_PER_MM

from .pushes import Pushes
from .server import OctoPrintServer, wait_for

E_STEPS_PER_MM = 93.0


@dataclass(frozen=True)
class Step:
    """A line of the file that asks for motion, or a G92: what it says, where it leads (mm), and the filament so far."""

    line: str
    place: tuple[float, float, float]
    filament: float


def planned(gcode: str) -> list[Step]:
    """The motion that a G-code file asks for, read anew and independently of slicer and printer."""
    place, filament, extruder = [0.0, 0.0, 0.0], 0.0, 0.0
    relative = relative_e = False
    steps = []
    for raw in gcode.splitlines():
        line = raw.split(";", 1)[0].strip()
        words = {word[0]: float(word[1:]) for word in line.split()[1:] if re.fullmatch(r"[A-Z]-?[\d.]+", word)}
        match line.split(" ", 1)[0]:
            case "G28":
                place = [0.0, 0.0, 0.0]
            case "G90" | "G91" as mode:
                relative = relative_e = mode == "G91"
            case "M82" | "M83" as mode:
                relative_e = mode == "M83"
            case "G92":
                assert not words.keys() & set("XYZ")
                extruder = words.get("E", extruder)
                steps.append(Step("G92", (place[0], place[1], place[2]), filament))
            case "G0" | "G1":
                for axis, letter in enumerate("XYZ"):
                    if letter in words:
                        place[axis] = words[letter] + (place[axis] if relative else 0.0)
                if "E" in words:
                    filament += words["E"] - (0.0 if relative_e else extruder)
                    extruder = words["E"] + (extruder if relative_e else 0.0)
                if words.keys() & set("XYZE"):
                    steps.append(Step(line, (place[0], place[1], place[2]), filament))
            case "G2" | "G3":
                pytest.fail("the slicer makes no arcs")
    return steps


@pytest.fixture(scope="module")
def gcode(server: OctoPrintServer, sculpture: dict[str, Any]) -> str:
    """The G-code as OctoPrint has it among its own files."""
    file = sculpture["gcode"]
    answer = server.get(f"/downloads/files/{file['origin']}/{file['path']}")
    assert answer.ok
    return answer.text


@dataclass(frozen=True)
class Print:
    """A finished print: the queue's item, the executed moves of the file, and the machine before and after."""

    item: dict[str, Any]
    moves: list[dict[str, Any]]
    before: dict[str, Any]
    after: dict[str, Any]
    jobs: list[dict[str, Any]]


@pytest.fixture(scope="module")
def printed(server: OctoPrintServer, printer: SimulatedPrinter, sculpture: dict[str, Any], pushes: Pushes) -> Print:
    """The sculpture queued and printed to its end."""
    already, before = len(printer.moves()), printer.order(do="status")
    answer = server.post("/plugin/facesculpt/queue", json={"sculpture": sculpture["id"], "print": False})
    assert answer.status_code == 201, answer.text
    number = answer.json()["id"]
    answer = server.post(f"/plugin/facesculpt/queue/{number}/print", json={"bed_clear": True})
    assert answer.status_code == 202, answer.text
    jobs = []

    def ended() -> dict[str, Any] | None:
        jobs.append(server.get("/api/job").json())
        queue = server.get("/plugin/facesculpt/queue").json()["queue"]
        item = next(item for item in queue if item["id"] == number)
        return None if item["state"] in ("printing", "paused") else item

    item = wait_for(ended, 900, "the print's end")
    # The end of the file has been acknowledged; the last moves may still be waiting in the printer.
    wait_for(lambda: printer.order(do="status")["blocks"] == 0, 60, "the last move")
    # OctoPrint tells dashboards of a print's progress twice a second at most, and so of its end later than who asks.
    path = sculpture["gcode"]["path"]

    def told() -> bool:
        known = [now for now in pushes.current() if now["progress"]["completion"] is not None]
        last = [now for now in known if now["job"]["file"]["path"] == path][-1:]
        queues = [item["state"] for queue in pushes.plugin("queue") for item in queue if item["id"] == number]
        return queues[-1:] == ["done"] and any(now["progress"]["completion"] == 100 for now in last)

    wait_for(lambda: item["state"] != "done" or told(), 60, "the dashboards to be told of the end")
    moves = [move for move in printer.moves()[already:] if not move["line"].startswith("G28")]
    return Print(item, moves, before, printer.order(do="status"), jobs)


def test_the_sculpture_is_ready_with_all_its_files(server: OctoPrintServer, sculpture: dict[str, Any]) -> None:
    assert [(stage["stage"], stage["state"]) for stage in sculpture["stages"]] == [
        ("reconstruct", "done"), ("sculpt", "done"), ("slice", "done"),
    ]  # fmt: skip
    starts = {
        "front": b"\x89PNG", "three_quarter": b"\x89PNG", "profile": b"\x89PNG", "viewer": b"<", "stl": b"",
        "3mf": b"PK", "glb": b"glTF", "gcode": b"; generated by PrusaSlicer", "report": b"{",
        "index": b"", "contact": b"\x89PNG",
    }  # fmt: skip
    assert sculpture["files"].keys() == starts.keys()
    for kind, start in starts.items():
        answer = server.get("/" + sculpture["files"][kind])
        assert answer.ok and answer.content.startswith(start) and len(answer.content) > 1000, kind
    report = json.loads(server.get("/" + sculpture["files"]["report"]).content)
    assert report["schema"] == 1 and len(report["landmarks3d"]) == 478


def test_the_stages_were_pushed_as_they_went(sculpture: dict[str, Any], pushes: Pushes) -> None:
    told = [now for now in pushes.plugin("sculpture") if now["id"] == sculpture["id"]]
    assert told[0]["state"] in ("waiting", "working") and told[-1]["state"] == "ready"
    for index in range(3):
        states = [now["stages"][index]["state"] for now in told]
        assert "running" in states and states[-1] == "done"
        progress = [now["stages"][index]["progress"] for now in told]
        assert all(a <= b for a, b in pairwise(progress)) and progress[-1] == 1


def test_the_estimates_agree_with_the_file(sculpture: dict[str, Any], gcode: str) -> None:
    steps = planned(gcode)
    estimates = sculpture["estimates"]
    assert estimates["height_mm"] == pytest.approx(40, abs=0.3)
    assert estimates["layers"] > 100 and estimates["seconds"] > 600
    drawn = [(b.filament - a.filament, b.place[:2] != a.place[:2]) for a, b in pairwise(steps)]
    extruded = sum(filament for filament, moves in drawn if moves and filament > 0)
    assert estimates["filament_mm"] == pytest.approx(extruded, rel=0.02)


def test_the_print_runs_to_its_end(printed: Print) -> None:
    assert printed.item["state"] == "done" and printed.item["progress"] == 1.0 and printed.item["reason"] == ""
    assert printed.item["started"] <= printed.item["ended"]


def test_the_printer_has_made_every_move_of_the_file_and_no_other(printed: Print, gcode: str) -> None:
    """A move of fewer than 6 steps is no move to Marlin: it goes on with the next one, but its filament is forgotten when
    a G92 comes before that. All others are there, in order."""
    steps = planned(gcode)
    at, filament, executed = (0.0, 0.0, 0.0), 0.0, iter(printed.moves)
    made = 0
    for step in steps:
        if step.line == "G92":
            filament = step.filament
            continue
        ways = [abs(b - a) * per_mm for a, b, per_mm in zip(at, step.place, STEPS_PER_MM, strict=True)]
        if max(*ways, abs(step.filament - filament) * E_STEPS_PER_MM) < 6 - 1e-6:
            continue
        move = next(executed)
        assert move["line"] == step.line and move["share"] == 1
        assert dist(move["to"], step.place) < 1e-3 and dist(move["at"], step.place) < 1e-3
        assert abs(move["e"] - (step.filament - filament)) < 2e-5
        at, filament, made = step.place, step.filament, made + 1
    assert next(executed, None) is None
    assert made == len(printed.moves) > 5000


def test_the_printer_has_used_the_filament_of_the_file(printed: Print, gcode: str) -> None:
    assert printed.after["filament"] - printed.before["filament"] == pytest.approx(planned(gcode)[-1].filament, abs=0.1)


def test_the_end_code_leaves_the_printer_cold_and_the_bust_free(server: OctoPrintServer, printed: Print, gcode: str) -> None:
    assert printed.after["position"] == pytest.approx(planned(gcode)[-1].place, abs=1e-3)
    assert printed.after["position"][2] > 60

    def off() -> bool:
        heaters = server.get("/api/printer").json()["temperature"]
        return heaters["tool0"]["target"] == heaters["bed"]["target"] == 0

    wait_for(off, 30, "the heaters' targets to be 0")


def test_the_printer_takes_the_time_of_the_plan(sculpture: dict[str, Any], gcode: str) -> None:
    """By the virtual clock, without heating and homing."""
    assert print_whole(gcode.splitlines()).seconds == pytest.approx(
        sculpture["estimates"]["plan"]["estimated_seconds"], rel=0.01
    )


def test_the_progress_was_pushed_and_polled(printed: Print, sculpture: dict[str, Any], pushes: Pushes) -> None:
    path = sculpture["gcode"]["path"]
    shares = [
        now["progress"]["completion"]
        for now in pushes.current()
        if now["job"]["file"]["path"] == path and now["progress"]["completion"] is not None
    ]
    assert len(shares) > 5 and all(a <= b for a, b in pairwise(shares)) and shares[-1] == 100
    printing = [job for job in printed.jobs if job["state"] == "Printing"]
    assert printing and all(job["job"]["file"]["path"] == path for job in printing)
    states = [item["state"] for queue in pushes.plugin("queue") for item in queue if item["id"] == printed.item["id"]]
    assert states[0] == "queued" and "printing" in states and states[-1] == "done"
    assert states == sorted(states, key=["queued", "printing", "done"].index)
