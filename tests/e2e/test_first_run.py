"""The tab before anything can be made: the first run, and a plugin that cannot be used."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, expect

from .browser import FILES, LATER, SOON, Dashboard, dashboard
from .server import OctoPrintServer

#: Lets the page ask for the plugin's state, and does not wait for what comes of it.
ASK_AGAIN = "() => { ko.dataFor($('#facesculpt_overview')[0]).refresh(); }"


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """An internet that takes every call and says nothing, until it is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listening.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        yield listening


@pytest.fixture
def bare(tmp_path: Path, silence: socket.socket) -> Iterator[OctoPrintServer]:
    """A server whose owner has not seen the wizard, without model files and without a printer."""
    started = OctoPrintServer(tmp_path / "bare", offline=True)
    config = yaml.safe_load((started.base / "config.yaml").read_text())
    del config["server"]["seenWizards"]["facesculpt"]
    (started.base / "config.yaml").write_text(yaml.safe_dump(config))
    with started:
        yield started


def test_the_first_run_fetches_the_model_files(
    browser: Browser, bare: OctoPrintServer, silence: socket.socket, assets_folder: Path, astronaut: Path
) -> None:
    with dashboard(browser, bare.url) as tab:
        wizard = tab.page.locator("#wizard_plugin_facesculpt")
        expect(wizard.get_by_role("button", name="Fetch the model files")).to_be_enabled(timeout=SOON)
        expect(wizard.locator("[data-test-id=facesculpt-set-up]")).to_be_hidden()
        tab.page.locator("#wizard_dialog button[name=finish]").click()
        expect(tab.page.locator("#wizard_dialog")).to_be_hidden(timeout=SOON)

        expect(tab.find("intro")).to_be_visible()
        # A folder that cannot be had, as on a full disk.
        photos = bare.base / "data" / "facesculpt" / "photos"
        photos.write_text("in the way")
        with astronaut.open("rb") as source:
            refused = bare.post("/plugin/facesculpt/photos", files={"photo": ("a.jpg", source)})
        assert (refused.status_code, refused.json()["error"]["code"]) == (507, "output_unwritable")
        photos.unlink()
        tab.page.set_input_files(FILES, astronaut)
        photo = tab.find("photos").locator("li")
        expect(photo).to_contain_text("A model file is missing.", timeout=LATER)
        expect(tab.find("intro")).to_be_hidden()

        # A page that is opened in the middle of a fetch knows of it.
        tab.find("fetch").click()
        tab.reload()
        expect(tab.find("fetch")).to_be_visible(timeout=SOON)
        expect(tab.find("fetch")).to_be_disabled()
        silence.close()
        expect(tab.find("assets")).to_contain_text("The model files could not be fetched.", timeout=LATER)
        expect(tab.find("fetch")).to_be_enabled()
        # A connection that was lost in the middle of a fetch did not tell how it ended.
        tab.page.evaluate("() => OctoPrint.coreui.viewmodels.facesculptViewModel.fetching(true)")
        expect(tab.find("fetch")).to_be_disabled()
        tab.page.evaluate("() => OctoPrint.coreui.viewmodels.facesculptViewModel.onDataUpdaterReconnect()")
        expect(tab.find("fetch")).to_be_enabled(timeout=SOON)
        # The files come by another way, so that the test needs no internet; the fetch finds and checks them.
        shutil.copytree(assets_folder, bare.base / "data" / "facesculpt" / "assets", dirs_exist_ok=True)
        tab.find("fetch").click()
        expect(tab.find("assets")).to_be_hidden(timeout=SOON)
        expect(photo).to_have_attribute("data-state", "ready", timeout=LATER)

    # Nobody is logged in, but guests may see OctoPrint.
    answer = bare.request("PUT", "/api/access/groups/guests", json={"permissions": ["STATUS", "SETTINGS_READ"]})
    assert answer.ok, answer.text
    with dashboard(browser, bare.url, user=None) as tab:
        expect(tab.page.get_by_text("Please log in, or ask the administrator")).to_be_visible(timeout=SOON)
        expect(tab.find("photos")).to_be_hidden()


def test_why_the_plugin_cannot_be_used_is_told(tab: Dashboard) -> None:
    told = tab.find("unreachable")
    expect(told).to_be_hidden()
    error = {"code": "database_unreadable", "message": "The database facesculpt.db cannot be opened.", "hint": ""}
    answer: dict[str, Any] = {}
    tab.page.route("**/plugin/facesculpt/status", lambda route: route.fulfill(**answer))
    for status, body, text in ((503, {"error": error}, "The database of FaceSculpt"), (500, {}, "FaceSculpt does not answer")):
        answer.update(status=status, json=body)
        tab.page.evaluate(ASK_AGAIN)
        expect(told).to_contain_text(text)
    tab.page.unroute("**/plugin/facesculpt/status")
    tab.page.evaluate(ASK_AGAIN)
    expect(told).to_be_hidden()
    # The answers that were put in the server's place.
    tab.complaints.clear()
