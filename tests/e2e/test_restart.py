"""A server that dies or is restarted in the middle of work: nothing is lost, nothing is left running, nothing prints by
itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.printer.fixture import SimulatedPrinter

from .orders import at_stage, checked, create, finished, look, upload
from .processes import wait_until_gone, workers
from .server import OctoPrintServer, wait_for

BASE = "/plugin/facesculpt"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedPrinter]:
    """A printer of its own, which goes on when the server dies."""
    with SimulatedPrinter(tmp_path_factory.mktemp("ender3"), speed=1000) as simulated:
        yield simulated


@pytest.fixture(scope="module")
def site(bench: SimulatedPrinter, assets_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OctoPrintServer]:
    """A server that may be killed and started again on the same base folder."""
    server = OctoPrintServer(tmp_path_factory.mktemp("restarted"), str(bench.link), assets_folder, offline=True)
    with server:
        yield server


@pytest.fixture(scope="module")
def survivor(site: OctoPrintServer, astronaut: Path) -> dict[str, Any]:
    """A sculpture whose server was killed while PrusaSlicer ran, and how it stood at four moments."""
    photo = upload(site, astronaut)
    order = create(site, photo)
    at_stage(site, order, 2)
    wait_for(lambda: any("prusa-slicer" in p.name() for p in workers(site.base)), 60, "the slicer", pause=0.02)
    before = look(site, order)
    head = site.base / "data" / "facesculpt" / "sculptures" / order["id"] / "head.npz"
    written = head.stat().st_mtime_ns
    site.kill()
    wait_until_gone(site.base)
    site.start()
    after = finished(site, order)
    return {"photo": photo, "before": before, "after": after, "head_untouched": head.stat().st_mtime_ns == written}


def test_a_killed_server_takes_up_the_work_behind_the_last_finished_stage(survivor: dict[str, Any]) -> None:
    assert [stage["state"] for stage in survivor["before"]["stages"]] == ["done", "done", "running"]
    after = survivor["after"]
    assert after["state"] == "ready", after["error"]
    assert [stage["state"] for stage in after["stages"]] == ["done"] * 3
    # The finished stages were not made again.
    assert survivor["head_untouched"] and after["stages"][:2] == survivor["before"]["stages"][:2]
    assert after["gcode"] and after["estimates"]


def test_a_stopped_server_ends_its_children_and_goes_on_later(site: OctoPrintServer, survivor: dict[str, Any]) -> None:
    waiting = [create(site, survivor["photo"], name=name) for name in ("first", "second")]
    at_stage(site, waiting[0], 0)
    site.stop()
    wait_until_gone(site.base)
    site.start()
    at_stage(site, waiting[0], 0)
    assert look(site, waiting[1])["state"] == "waiting"
    # What was finished before is still there.
    kept = look(site, survivor["after"])
    assert kept == survivor["after"]
    for address in kept["files"].values():
        assert site.get("/" + address).ok
    for sculpture in waiting:
        assert site.request("DELETE", f"{BASE}/sculptures/{sculpture['id']}").status_code == 204
    wait_until_gone(site.base)


def test_a_photo_whose_check_was_killed_is_checked_again(site: OctoPrintServer, astronaut: Path) -> None:
    with astronaut.open("rb") as source:
        photo = site.post(f"{BASE}/photos", files={"photo": ("a.jpg", source)}).json()["photo"]
    wait_for(lambda: workers(site.base), 30, "the check", pause=0.02)
    site.kill()
    wait_until_gone(site.base)
    site.start()
    assert checked(site, photo["id"])["state"] == "ready"


def test_a_print_of_a_killed_server_was_interrupted_and_no_other_starts(
    site: OctoPrintServer, bench: SimulatedPrinter, survivor: dict[str, Any]
) -> None:
    def queue() -> list[dict[str, Any]]:
        return site.get(f"{BASE}/queue").json()["queue"]

    wait_for(lambda: site.get(f"{BASE}/status").json()["printer"]["ready"], 60, "the printer")
    bench.order(do="speed", factor=100)
    body = {"sculpture": survivor["after"]["id"], "print": True, "bed_clear": True}
    answer = site.post(f"{BASE}/queue", json=body)
    assert answer.status_code == 201, answer.text
    assert site.post(f"{BASE}/queue", json={"sculpture": survivor["after"]["id"]}).status_code == 201
    wait_for(lambda: queue()[0]["state"] == "printing" and len(bench.moves()) > 50, 120, "the print to begin")
    # Work waits while the printer prints.
    held = create(site, survivor["photo"])
    wait_for(lambda: "print" in look(site, held)["stages"][0]["message"].lower(), 30, "the work to wait")
    assert not workers(site.base)
    # Nor is anything deleted that is being printed.
    for path in (f"/sculptures/{survivor['after']['id']}", f"/photos/{survivor['photo']['id']}"):
        refused = site.request("DELETE", BASE + path)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "busy")

    site.kill()
    site.start()
    items = queue()
    assert sorted((item["state"], item["reason"]) for item in items) == [("failed", "interrupted"), ("queued", "")]
    wait_for(lambda: site.get(f"{BASE}/status").json()["printer"]["ready"], 60, "the printer to be found again")
    assert not site.get(f"{BASE}/status").json()["printer"]["printing"]
    at_stage(site, held, 0)
    assert site.request("DELETE", f"{BASE}/sculptures/{held['id']}").status_code == 204
    wait_until_gone(site.base)
    assert [item["state"] for item in queue() if item["state"] in ("printing", "paused")] == []


def test_the_log_has_no_traceback_of_all_this(site: OctoPrintServer, survivor: dict[str, Any]) -> None:
    assert [record for record in site.complaints() if "Traceback" in record or "facesculpt" in record.lower()] == []
