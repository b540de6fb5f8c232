"""The plugin is a quiet guest: it loads without a complaint and brings nothing heavy into the server."""

from __future__ import annotations

import re
from typing import Any

from .server import OctoPrintServer

#: What the children import and the server must not.
HEAVY = {
    "torch", "numpy", "scipy", "cv2", "skimage", "trimesh", "manifold3d", "safetensors", "fast_simplification", "networkx",
    "lxml", "PIL", "pillow_heif",
}  # fmt: skip
UNWANTED = re.compile(r"facesculpt|csrf|autoescape|api.?protect|is_\w+_protected|printer.?profile|missing", re.IGNORECASE)


def test_octoprint_has_loaded_the_plugin(server: OctoPrintServer) -> None:
    assert re.search(r"^\| +FaceSculpt \(\d+\.\d+\.\d+\)\s+= ", server.log(), re.MULTILINE)
    status = server.get("/plugin/facesculpt/status").json()
    assert all(asset["present"] for asset in status["assets"])
    assert status["slicer"]["found"]


def test_the_log_has_no_complaint_about_the_plugin(server: OctoPrintServer) -> None:
    server.get("/")
    assert [record for record in server.complaints() if UNWANTED.search(record)] == []


def test_a_complaint_would_be_seen(server: OctoPrintServer) -> None:
    """The reading of the log is not blind."""
    text = (
        "2026-01-02 03:04:05,678 - octoprint.server - INFO - fine\n"
        "2026-01-02 03:04:05,678 - octoprint.server - WARNING - CSRF Protection for Blueprint of plugin x is DISABLED\n"
        "2026-01-02 03:04:05,679 - octoprint.plugins.facesculpt - ERROR - broken\nTraceback\n"
    )
    found = server.complaints(text)
    assert len(found) == 2 and all(UNWANTED.search(record) for record in found) and "Traceback" in found[1]


def test_the_servers_process_imports_nothing_heavy(server: OctoPrintServer, sculpture: dict[str, Any]) -> None:
    """Asked after a photo has gone all the way to G-code, so that late imports count too."""
    answer = server.get("/api/plugin/loaded_modules")
    assert answer.status_code == 200, answer.text
    modules = answer.json()["modules"]
    assert "octoprint_facesculpt.api" in modules
    assert {name.partition(".")[0] for name in modules} & HEAVY == set()


def test_only_an_administrator_may_ask_for_the_modules(server: OctoPrintServer) -> None:
    assert server.get("/api/plugin/loaded_modules", headers={"X-Api-Key": ""}).status_code == 403


def test_the_dashboard_carries_the_plugins_files(server: OctoPrintServer) -> None:
    page = server.get("/")
    assert page.ok
    for path in ("js/facesculpt.js", "css/facesculpt.css", "clientjs/facesculpt.js"):
        assert server.get(f"/plugin/facesculpt/static/{path}").ok, path
