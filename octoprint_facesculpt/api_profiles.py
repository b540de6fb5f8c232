"""Routes of the slicing profiles: presets to choose from, the user's own beside them, and profiles from elsewhere."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import flask
import octoprint.plugin
from octoprint.access.permissions import Permissions

from .bodies import RequestError, json_body, readable, setting_changes, text
from .jobs.places import Places
from .jobs.runner import run
from .slicing.importing import Imported, Note
from .slicing.shelf import Shelf

route = octoprint.plugin.BlueprintPlugin.route
#: Seconds that reading a foreign profile may take.
IMPORT_SECONDS = 120
#: Whoever reads or changes a profile waits for a child, and for the slicer, which is asked whether it accepts it.
_PLACES = Places(1, "profiles_busy", "Another profile is being read or changed.")


class ProfileRoutes(octoprint.plugin.BlueprintPlugin):
    """``/slicing/profiles``; what is done is in :mod:`.slicing.shelf`."""

    @route("/slicing/profiles", methods=["GET"])
    @Permissions.PLUGIN_FACESCULPT_VIEW.require(403)
    def api_profiles(self):
        rows = [row for shelf in self.shelves().values() for row in shelf.rows()]
        return flask.jsonify(profiles=rows, default=self.default_profile(), printers=self.host.printers())

    @route("/slicing/profiles", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_ADMIN.require(403)
    def api_import_profile(self):
        """An uploaded file becomes a profile of the engine it is made for."""
        uploads = ["server", "uploads"]
        path_key = "profile." + self._settings.global_get([*uploads, "pathSuffix"])
        name_key = "profile." + self._settings.global_get([*uploads, "nameSuffix"])
        if path_key not in flask.request.values:
            raise RequestError("no_file", "The request carries no profile.")
        given = readable(os.path.basename(flask.request.values.get(name_key, "")))
        name = given.rsplit(".", 1)[0]
        with _PLACES.taken():
            read = self._read_foreign(Path(flask.request.values[path_key]), name)
            key = self._shelf(read.engine).add(read, read.title)
        body = {**self._shelf(read.engine).details(key), "imported": read.to_json()["notes"]}
        return flask.make_response(flask.jsonify(profile=body), 201)

    @route("/slicing/profiles/<engine>/<key>", methods=["GET"])
    @Permissions.PLUGIN_FACESCULPT_VIEW.require(403)
    def api_profile(self, engine: str, key: str):
        return flask.jsonify(profile=self._shelf(engine).details(key))

    @route("/slicing/profiles/<engine>/<key>/copy", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_ADMIN.require(403)
    def api_copy_profile(self, engine: str, key: str):
        body = json_body({"name"})
        shelf = self._shelf(engine)
        name = text(body, "name")
        with _PLACES.taken():
            copied = shelf.copy(key, name)
        return flask.make_response(flask.jsonify(profile=shelf.details(copied)), 201)

    @route("/slicing/profiles/<engine>/<key>", methods=["PUT"])
    @Permissions.PLUGIN_FACESCULPT_ADMIN.require(403)
    def api_change_profile(self, engine: str, key: str):
        body = json_body({"name", "settings"})
        shelf = self._shelf(engine)
        name, changes = text(body, "name") if "name" in body else None, setting_changes(body)
        with _PLACES.taken():
            shelf.change(key, name, changes)
        return flask.jsonify(profile=shelf.details(key))

    @route("/slicing/profiles/<engine>/<key>", methods=["DELETE"])
    @Permissions.PLUGIN_FACESCULPT_ADMIN.require(403)
    def api_delete_profile(self, engine: str, key: str):
        self._shelf(engine).delete(key)
        return flask.make_response("", 204)

    def _shelf(self, engine: str) -> Shelf:
        shelf = self.shelves().get(engine)
        if shelf is None:
            raise RequestError("not_found", "There is no such slicer.", 404)
        return shelf

    def _read_foreign(self, file: Path, name: str) -> Imported:
        """Read an uploaded profile in a child, where a hostile file can do no harm."""
        command = [sys.executable, "-m", "octoprint_facesculpt", "profile", str(file), "--json"]
        command += ["--name", name] if name.strip() else []
        data: dict[str, Any] = run(
            command,
            log=Path(self.get_plugin_data_folder(), "profile.log"),
            on_progress=lambda *_: None,
            cancelled=threading.Event(),
            time_limit_seconds=IMPORT_SECONDS,
            memory_limit_bytes=1 << 30,
        )
        notes = tuple(Note(note["code"], note["message"], tuple(note["keys"])) for note in data["notes"])
        return Imported(data["engine"], data["title"], data["base"], data["config"], notes)
