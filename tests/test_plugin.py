"""The plugin's own wiring, without an OctoPrint around it."""

from __future__ import annotations

import inspect
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import flask
import pytest
from click.testing import CliRunner
from octoprint.events import Events

from octoprint_facesculpt import assets, cli, folders, settings
from octoprint_facesculpt.plugin import FaceSculptPlugin
from octoprint_facesculpt.recovery.journal import Journal
from octoprint_facesculpt.store import ClosedStore, Deletion, Photo, Sculpture, StoreError


class Settings(dict):
    """OctoPrint's settings of the plugin."""

    def get(self, path: list[str]) -> Any:  # type: ignore[override]
        return super().get(path[0])

    def get_boolean(self, path: list[str]) -> bool:
        return bool(self.get(path))


class Plugin(FaceSculptPlugin):
    """Remembers what it would have told the dashboards."""

    _plugin_version = "1"

    def __init__(self, folder: Path) -> None:
        self.folder, self.told = folder, []
        self._settings = Settings(settings.DEFAULTS)
        self._printer, self._file_manager, self._printer_profile_manager = MagicMock(), MagicMock(), MagicMock()
        self._logger = logging.getLogger("plugin")

    def get_plugin_data_folder(self) -> str:
        return str(self.folder)

    def publish(self, kind: str, what: Any) -> None:
        self.told.append((kind, what))


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Plugin]:
    plugin = Plugin(tmp_path)
    yield plugin
    plugin.on_shutdown()


def interrupt(folder: Path, path: str) -> None:
    """Leave the journal of a print that lost its power."""
    journal = Journal(folder / "recovery").open()
    journal.begin({"path": path, "file": f"/nowhere/{path}", "printer": {}}, phase="printing")
    journal.close()


# -- a database that cannot be opened


def test_without_its_database_an_interrupted_print_is_still_kept_safe(plugin: Plugin) -> None:
    """A card that a timelapse has filled up must not cost the bust that stands on the bed."""
    interrupt(plugin.folder, "a.gcode")
    with sqlite3.connect(plugin.folder / "facesculpt.db") as newer:
        newer.execute("PRAGMA user_version = 99")
    plugin.initialize()
    plugin.on_after_startup()
    assert isinstance(plugin.store, ClosedStore) and plugin.recovery.pending
    assert plugin.recovery.on_sending("G28 Z", "G28", set()) not in (None, "G28 Z")
    plugin.on_event(Events.PRINT_FAILED, {"path": "a.gcode"})
    assert plugin.recovery._around.job_of("a.gcode") == {}
    with pytest.raises(StoreError, match="newer"):
        plugin.status()


def test_a_photo_that_cannot_be_remembered_leaves_nothing_behind(plugin: Plugin) -> None:
    with sqlite3.connect(plugin.folder / "facesculpt.db") as newer:
        newer.execute("PRAGMA user_version = 99")
    plugin.initialize()
    uploaded = plugin.folder / "uploaded"
    uploaded.write_bytes(b"a portrait")
    plugin._settings.global_get = lambda path: path[-1].removesuffix("Suffix")  # type: ignore[attr-defined]
    request = {"photo.path": str(uploaded), "photo.name": "a.jpg"}
    with flask.Flask("test").test_request_context(data=request, method="POST"), pytest.raises(StoreError):
        inspect.unwrap(plugin.api_add_photo)(plugin)
    assert not list(plugin.folder.glob("photos/*"))


# -- what was deleted


def test_what_was_deleted_goes_when_it_has_had_its_time_or_the_disk_is_full(plugin: Plugin) -> None:
    plugin.initialize()
    photos = [Photo.create(name=name) for name in ("old.jpg", "new.jpg")]
    room = [0]
    plugin._settings.global_get_int = lambda _path: room[0]  # type: ignore[attr-defined]
    for photo in photos:
        plugin.workshop.photo_file(photo).parent.mkdir(parents=True)
        plugin.deletions.put_aside(photo)
    Deletion.update(deleted="2020-01-01T00:00:00+00:00").where(Deletion.name == "old.jpg").execute()
    plugin.on_after_startup()
    assert [Path(folder).name for folder in plugin.folder.glob("photos/*")] == [photos[1].id]
    # OctoPrint wants more room than any disk has.
    room[0] = 1 << 80
    plugin._clear()
    assert not list(plugin.folder.glob("photos/*")) and plugin.told[-1] == ("deleted", [])
    # A disk that cannot be asked must not end the looking.
    plugin._settings.global_get_int = lambda _path: 1 // 0  # type: ignore[attr-defined]
    Deletion.create(kind="photos", target="x", name="x")
    plugin._clear()


# -- files that are moved in OctoPrint's file manager


def moved(plugin: Plugin, source: str, destination: str) -> str:
    """Where a sculpture's G-code ``a.gcode`` is sought after a move."""
    sculpture = plugin.store.add_sculpture(Photo.create(name="a.jpg"), "a", 0, {}, {})
    Sculpture.update(gcode_path="a.gcode").execute()
    plugin.on_event(Events.FILE_MOVED, {"storage": "local", "source_path": source, "destination_path": destination})
    return Sculpture.get_by_id(sculpture.id).gcode_path


def test_a_sculpture_keeps_to_its_file_when_that_is_renamed(plugin: Plugin) -> None:
    plugin.initialize()
    assert moved(plugin, "a.gcode", "mum/bust.gcode") == "mum/bust.gcode"
    assert {kind for kind, _ in plugin.told} >= {"sculpture", "queue"}


def test_what_waits_for_its_recovery_is_known_by_its_new_name(plugin: Plugin) -> None:
    interrupt(plugin.folder, "a.gcode")
    plugin.initialize()
    assert plugin.recovery.needs("a.gcode")
    assert moved(plugin, "a.gcode", "b.gcode") == "b.gcode"
    assert plugin.recovery.needs("b.gcode") and not plugin.recovery.needs("a.gcode")


# -- model files


def test_the_end_of_a_fetch_is_told_when_the_folder_cannot_be_had(plugin: Plugin) -> None:
    plugin.initialize()
    (plugin.folder / "assets").write_text("in the way")
    plugin.fetch_assets()
    deadline = time.monotonic() + 20
    while not plugin.told and time.monotonic() < deadline:
        time.sleep(0.02)
    ((kind, what),) = plugin.told
    assert kind == "assets" and what["done"] and what["error"]["code"] == "output_unwritable"


def test_octoprints_own_command_fetches_to_where_the_server_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has no internet there is told to fetch with it."""
    monkeypatch.delenv("FACESCULPT_ASSETS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(folders, "server", None)
    fetched: list[Path | None] = []
    monkeypatch.setattr(assets, "fetch", lambda folder=None, **_: fetched.append(folder))
    group = SimpleNamespace(settings=SimpleNamespace(getBaseFolder=lambda name: str(tmp_path / name)))
    (command,) = (one for one in cli.octoprint_commands(group, None) if one.name == "assets")
    CliRunner().invoke(command, ["fetch", "--source", "/somewhere"])
    assert fetched == [tmp_path / "data" / "facesculpt" / "assets"]


# -- settings


def test_a_slicer_that_was_installed_meanwhile_is_found_and_a_wrong_one_not_run_again(plugin: Plugin, tmp_path: Path) -> None:
    plugin.initialize()
    log, program = tmp_path / "log", tmp_path / "slicer"
    plugin._settings[settings.PATHS["prusaslicer"]] = str(program)

    def install(says: str) -> None:
        program.write_text(f"#!/bin/sh\necho run >> {log}\necho '{says}'\n")
        program.chmod(0o755)

    def found() -> bool:
        return next(slicer["found"] for slicer in plugin.slicers() if slicer["key"] == "prusaslicer")

    assert not found() and not log.exists()
    install("PrusaSlicer-2.5.0 based on Slic3r")
    assert found() and found() and log.read_text() == "run\n"
    plugin._slicers.forget()  # as when the settings are saved
    install("another program")
    assert not found() and not found() and log.read_text() == "run\nrun\n"


def test_a_slicer_is_run_once_for_all_who_ask_meanwhile(plugin: Plugin, tmp_path: Path) -> None:
    """Each that waits for it keeps one of the few threads with which OctoPrint answers everybody."""
    plugin.initialize()
    log, program = tmp_path / "log", tmp_path / "slicer"
    plugin._settings[settings.PATHS["prusaslicer"]] = str(program)
    program.write_text(f"#!/bin/sh\necho run >> {log}\nsleep 1\necho 'PrusaSlicer-2.5.0 based on Slic3r'\n")
    program.chmod(0o755)
    askers = [threading.Thread(target=plugin.slicers) for _ in range(4)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(60)
    assert log.read_text() == "run\n"


@pytest.mark.parametrize(("given", "used"), [("92.5", 92), (92.7, 93), ("", 160), ("1e999", 160), ("nan", 160), (None, 160)])
def test_numbers_of_the_settings_may_be_written_with_a_fraction(given: Any, used: int) -> None:
    assert settings.number(Settings(height_mm=given), "height_mm") == used
