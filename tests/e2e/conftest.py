"""One OctoPrint with one simulated printer for all end-to-end tests, and one sculpture that all of them may use."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.printer.fixture import SimulatedPrinter

from .browser import Dashboard, chromium, dashboard
from .orders import create, finished, upload
from .pushes import Pushes
from .server import OctoPrintServer, wait_for

PLUGINS = Path(__file__).with_name("plugins")


@pytest.fixture(scope="session")
def printer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedPrinter]:
    with SimulatedPrinter(tmp_path_factory.mktemp("ender3"), speed=1000) as simulated:
        yield simulated


@pytest.fixture(scope="session")
def server(
    printer: SimulatedPrinter, assets_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OctoPrintServer]:
    """The running server. When all tests are done, its log must not hold one complaint."""
    base = tmp_path_factory.mktemp("octoprint")
    shutil.copytree(PLUGINS, base / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
    with OctoPrintServer(base, str(printer.link), assets_folder, offline=True) as running:
        wait_for(lambda: running.get("/plugin/facesculpt/status").json()["printer"]["ready"], 120, "the printer")
        yield running
    assert [r for r in running.complaints() if "Traceback" in r or "facesculpt" in r.lower()] == []


@pytest.fixture(scope="session")
def photo(server: OctoPrintServer, astronaut: Path) -> dict[str, Any]:
    """An uploaded and checked portrait."""
    return upload(server, astronaut)


@pytest.fixture(scope="session")
def pushes(server: OctoPrintServer) -> Iterator[Pushes]:
    """What dashboards are told while the sculpture is made and printed."""
    with Pushes(server) as listening:
        yield listening


@pytest.fixture(scope="session")
def sculpture(server: OctoPrintServer, photo: dict[str, Any], pushes: Pushes) -> dict[str, Any]:
    """A finished sculpture with its G-code."""
    made = finished(server, create(server, photo))
    assert made["state"] == "ready", made["error"]

    def told() -> bool:
        return any(now["id"] == made["id"] and now["state"] == "ready" for now in pushes.plugin("sculpture"))

    wait_for(told, 60, "the dashboards to be told that it is ready")
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def tab(browser: Browser, server: OctoPrintServer) -> Iterator[Dashboard]:
    """The owner's."""
    with dashboard(browser, server.url) as opened:
        yield opened
