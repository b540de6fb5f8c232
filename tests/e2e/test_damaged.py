"""A database that is damaged, and what the user then has of the photos and sculptures it knew."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from playwright.sync_api import expect

from .browser import LATER, chromium, dashboard
from .orders import upload
from .server import OctoPrintServer, wait_for

STATUS = "/plugin/facesculpt/status"


@pytest.fixture
def damaged(tmp_path: Path, assets_folder: Path, astronaut: Path) -> OctoPrintServer:
    """A server that has a photo and a sculpture's folder, is stopped, and whose database, and its copy, were damaged."""
    server = OctoPrintServer(tmp_path / "base", assets=assets_folder, offline=True, lean=True)
    with server:
        upload(server, astronaut)
    data = server.base / "data" / "facesculpt"
    (data / "sculptures" / ("a" * 32)).mkdir(parents=True)
    (data / "sculptures" / ("a" * 32) / "bust.stl").write_bytes(b"solid")
    for file in data.glob("facesculpt.db*"):
        file.write_bytes(b"This is a letter to my printer. " * 200)
    return server


def test_photos_of_a_damaged_database_are_taken_back_and_the_rest_is_removed(damaged: OctoPrintServer) -> None:
    folders = damaged.base / "data" / "facesculpt"
    with damaged, chromium() as browser, dashboard(browser, damaged.url) as tab:
        assert {**damaged.get(STATUS).json()["leftovers"], "bytes": 0} == {"photos": 1, "sculptures": 1, "bytes": 0}
        told = tab.find("leftovers")
        expect(told).to_contain_text("Photos: 1, sculptures: 1")
        tab.find("leftovers-restore").click()
        expect(tab.find("photos").locator("li")).to_have_attribute("data-state", "ready", timeout=LATER)
        expect(tab.find("leftovers-restore")).to_be_hidden()
        expect(told).to_contain_text("Photos: 0, sculptures: 1")
        tab.find("leftovers-delete").click()
        tab.confirm()
        expect(told).to_be_hidden()
        assert not list((folders / "sculptures").iterdir()) and len(list((folders / "photos").iterdir())) == 1


def test_a_fault_of_the_machine_is_answered_as_one(damaged: OctoPrintServer) -> None:
    with damaged:
        with sqlite3.connect(damaged.base / "data" / "facesculpt" / "facesculpt.db") as database:
            database.execute("DROP TABLE queueitem")
        answer = damaged.get("/plugin/facesculpt/queue")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_unreadable")
        assert "Traceback" not in answer.text
        wait_for(lambda: "a request failed: GET" in damaged.log(), 20, "the log to tell of it")
