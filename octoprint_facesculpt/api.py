"""The REST interface under ``/plugin/facesculpt/``: every body is checked, every route asks for a permission."""

from __future__ import annotations

import os
import shutil
from typing import Any

import flask
import octoprint.plugin
from flask_login import current_user
from octoprint.access.permissions import Permissions

from .errors import FaceSculptError
from .printing.queue import QueueError
from .slicing.profiles import PROFILES
from .store import Photo, QueueItem, Sculpture
from .views import FILES, photo_json, queue_json, sculpture_json

route = octoprint.plugin.BlueprintPlugin.route
NAME_LIMIT = 80
OVERRIDE_LIMIT = 30


class RequestError(FaceSculptError):
    """A request that makes no sense; ``status`` is the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(code, message)
        self.status = status


class FaceSculptApi(octoprint.plugin.BlueprintPlugin):
    """The routes; what they do is in the rooms."""

    def is_blueprint_csrf_protected(self) -> bool:
        return True

    def is_blueprint_protected(self) -> bool:
        # Each route asks for its own permission instead.
        return False

    @octoprint.plugin.BlueprintPlugin.errorhandler(FaceSculptError)
    def on_refusal(self, error: FaceSculptError):
        status = getattr(error, "status", 409 if isinstance(error, QueueError) else 400)
        body = {"error": {"code": error.code, "message": error.message, "hint": error.hint}}
        return flask.make_response(flask.jsonify(body), status)

    @route("/status", methods=["GET"])
    @Permissions.PLUGIN_FACESCULPT_VIEW.require(403)
    def api_status(self):
        return flask.jsonify(self.status())

    # -- photos

    @route("/photos", methods=["GET"])
    @Permissions.PLUGIN_FACESCULPT_VIEW.require(403)
    def api_photos(self):
        return flask.jsonify(photos=[photo_json(p) for p in Photo.select().order_by(Photo.created.desc())])

    @route("/photos", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_CREATE.require(403)
    def api_add_photo(self):
        uploads = ["server", "uploads"]
        path_key = "photo." + self._settings.global_get([*uploads, "pathSuffix"])
        name_key = "photo." + self._settings.global_get([*uploads, "nameSuffix"])
        if path_key not in flask.request.values:
            raise RequestError("no_file", "The request carries no photo.")
        uploaded = flask.request.values[path_key]
        size = os.path.getsize(uploaded)
        if size > self.photo_bytes():
            raise RequestError("photo_too_large", f"A photo may have {self.photo_bytes() >> 20} MiB at most.", 413)
        name = _text({"name": os.path.basename(flask.request.values.get(name_key, ""))[:NAME_LIMIT]}, "name", "photo")
        photo = Photo(name=name)
        target = self.workshop.photo_file(photo)
        target.parent.mkdir(parents=True)
        # The uploaded file is gone when the request ends.
        shutil.move(uploaded, target)
        photo.save(force_insert=True)
        self.pipeline.wake()
        self.publish("photo", photo)
        return flask.make_response(flask.jsonify(photo=photo_json(photo)), 201)

    @route("/photos/<identifier>", methods=["GET"])
    @Permissions.PLUGIN_FACESCULPT_VIEW.require(403)
    def api_photo(self, identifier: str):
        return flask.jsonify(photo=photo_json(_find(Photo, identifier)))

    @route("/photos/<identifier>", methods=["DELETE"])
    @Permissions.PLUGIN_FACESCULPT_CREATE.require(403)
    def api_delete_photo(self, identifier: str):
        photo = _find(Photo, identifier)
        for sculpture in list(photo.sculptures):
            self._delete_sculpture(sculpture)
        photo.delete_instance(recursive=True)
        shutil.rmtree(self.workshop.photo_file(photo).parent, ignore_errors=True)
        self.publish("photos", None)
        return flask.make_response("", 204)

    @route("/photos/<identifier>/image", methods=["GET"])
    @Permissions.PLUGIN_FACESCULPT_VIEW.require(403)
    def api_photo_image(self, identifier: str):
        file = self.workshop.photo_preview(_find(Photo, identifier))
        if not file.is_file():
            raise RequestError("not_found", "There is no picture yet.", 404)
        return _private(flask.send_file(file, mimetype="image/jpeg"))

    # -- sculptures

    @route("/sculptures", methods=["GET"])
    @Permissions.PLUGIN_FACESCULPT_VIEW.require(403)
    def api_sculptures(self):
        rows = Sculpture.select().order_by(Sculpture.created.desc())
        return flask.jsonify(sculptures=[sculpture_json(s, self.workshop.folder(s)) for s in rows])

    @route("/sculptures", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_CREATE.require(403)
    def api_add_sculpture(self):
        body = _body({"photo", "face", "name", "settings", "slicing"})
        photo = _find(Photo, _text(body, "photo"))
        if photo.state != "ready":
            raise RequestError("photo_not_ready", "This photo has not been checked, or has no face.", 409)
        face = _number(body, "face", 0, 0, max(len(photo.faces) - 1, 0), whole=True)
        wanted = _part(body, "settings", {"height_mm", "style"})
        settings = {
            "height_mm": _number(wanted, "height_mm", self.default_height(), 20, 400),
            "style": _choice(wanted, "style", ("bust", "head")),
        }
        cut = _part(body, "slicing", {"engine", "profile", "overrides"})
        slicing = {
            "engine": _choice(cut, "engine", ("prusaslicer",)),
            "profile": _choice({"profile": self.default_profile(), **cut}, "profile", tuple(PROFILES)),
            "overrides": _overrides(cut),
        }
        name = _text(body, "name", photo.name.rsplit(".", 1)[0] or "Sculpture")
        sculpture = self.store.add_sculpture(photo, name, int(face), settings, slicing)
        self.pipeline.wake()
        self.publish("sculpture", sculpture)
        body = sculpture_json(sculpture, self.workshop.folder(sculpture))
        return flask.make_response(flask.jsonify(sculpture=body), 202)

    @route("/sculptures/<identifier>", methods=["GET"])
    @Permissions.PLUGIN_FACESCULPT_VIEW.require(403)
    def api_sculpture(self, identifier: str):
        sculpture = _find(Sculpture, identifier)
        return flask.jsonify(sculpture=sculpture_json(sculpture, self.workshop.folder(sculpture)))

    @route("/sculptures/<identifier>", methods=["DELETE"])
    @Permissions.PLUGIN_FACESCULPT_CREATE.require(403)
    def api_delete_sculpture(self, identifier: str):
        self._delete_sculpture(_find(Sculpture, identifier))
        self.publish("sculptures", None)
        return flask.make_response("", 204)

    @route("/sculptures/<identifier>/cancel", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_CREATE.require(403)
    def api_cancel(self, identifier: str):
        sculpture = _find(Sculpture, identifier)
        if sculpture.state not in ("waiting", "working"):
            raise RequestError("not_running", "There is nothing to cancel.", 409)
        self.pipeline.cancel(sculpture)
        return flask.make_response("", 204)

    @route("/sculptures/<identifier>/retry", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_CREATE.require(403)
    def api_retry(self, identifier: str):
        sculpture = _find(Sculpture, identifier)
        if sculpture.state not in ("failed", "cancelled"):
            raise RequestError("not_stopped", "Only a failed or cancelled sculpture can be tried again.", 409)
        self.pipeline.retry(sculpture)
        return flask.make_response("", 202)

    @route("/sculptures/<identifier>/files/<name>", methods=["GET"])
    @Permissions.PLUGIN_FACESCULPT_VIEW.require(403)
    def api_file(self, identifier: str, name: str):
        sculpture = _find(Sculpture, identifier)
        file = self.workshop.folder(sculpture) / name
        if name not in FILES.values() or not file.is_file():
            raise RequestError("not_found", "There is no such file.", 404)
        answer = _private(flask.send_file(file))
        if name.endswith(".html"):
            # The viewer runs its scripts apart from OctoPrint: no cookies, no requests, no access to the page around.
            answer.headers["Content-Security-Policy"] = (
                "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob: data:; "
                "style-src 'unsafe-inline'; img-src data: blob:; connect-src data: blob:"
            )
        elif name.rsplit(".", 1)[1] not in ("png", "json"):
            stem = "".join(c if c.isalnum() or c in " -_" else "_" for c in sculpture.name) or "sculpture"
            answer.headers.set("Content-Disposition", "attachment", filename=f"{stem}.{name.rsplit('.', 1)[1]}")
        return answer

    # -- queue

    @route("/queue", methods=["GET"])
    @Permissions.PLUGIN_FACESCULPT_VIEW.require(403)
    def api_queue(self):
        return flask.jsonify(queue=queue_json(self.host))

    @route("/queue", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_PRINT.require(403)
    def api_enqueue(self):
        body = _body({"sculpture", "print", "bed_clear"})
        item = self.queue.add(_find(Sculpture, _text(body, "sculpture")))
        if body.get("print") is True:
            self.queue.start(item, body.get("bed_clear") is True, _user())
        return flask.make_response(flask.jsonify(id=item.id), 201)

    @route("/queue/<int:identifier>/print", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_PRINT.require(403)
    def api_print(self, identifier: int):
        self.queue.start(_find(QueueItem, identifier), _body({"bed_clear"}).get("bed_clear") is True, _user())
        return flask.make_response("", 202)

    @route("/queue/<int:identifier>/move", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_PRINT.require(403)
    def api_move(self, identifier: int):
        body = _body({"position"})
        self.store.move(_find(QueueItem, identifier), int(_number(body, "position", 0, 0, 10_000, whole=True)))
        self.publish("queue", None)
        return flask.make_response("", 204)

    @route("/queue/<int:identifier>", methods=["DELETE"])
    @Permissions.PLUGIN_FACESCULPT_PRINT.require(403)
    def api_dequeue(self, identifier: int):
        self.queue.remove(_find(QueueItem, identifier))
        return flask.make_response("", 204)

    # -- the rest

    @route("/slicing/profiles", methods=["GET"])
    @Permissions.PLUGIN_FACESCULPT_VIEW.require(403)
    def api_profiles(self):
        rows = [{"key": p.key, "name": p.name, "description": p.description} for p in PROFILES.values()]
        return flask.jsonify(profiles=rows, default=self.default_profile())

    @route("/assets/fetch", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_ADMIN.require(403)
    def api_fetch_assets(self):
        self.fetch_assets()
        return flask.make_response("", 202)

    def _delete_sculpture(self, sculpture: Sculpture) -> None:
        if any(item.state in ("printing", "paused") for item in sculpture.queued):
            raise QueueError("busy", "This sculpture is being printed.", "Cancel the print first.")
        self.pipeline.cancel(sculpture)
        sculpture.delete_instance(recursive=True)
        self.store.renumber()
        shutil.rmtree(self.workshop.folder(sculpture), ignore_errors=True)


def _find(model, identifier):
    row = model.get_or_none(model.id == identifier)
    if row is None:
        raise RequestError("not_found", "It is not there any more.", 404)
    return row


def _user() -> str | None:
    return None if current_user.is_anonymous else current_user.get_name()


def _private(answer):
    # Portraits are personal: no proxy may keep them.
    answer.headers["Cache-Control"] = "private, max-age=3600"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def _body(known: set[str]) -> dict[str, Any]:
    body = flask.request.get_json(silent=True)
    if not isinstance(body, dict):
        raise RequestError("bad_request", "The body must be a JSON object.")
    return _known(body, known)


def _known(values: dict[str, Any], known: set[str]) -> dict[str, Any]:
    unknown = set(values) - known
    if unknown:
        raise RequestError("bad_request", f"Unknown fields: {', '.join(sorted(map(str, unknown)))[:200]}.")
    return values


def _part(body: dict[str, Any], name: str, known: set[str]) -> dict[str, Any]:
    part = body.get(name, {})
    if not isinstance(part, dict):
        raise RequestError("bad_request", f"{name} must be an object.")
    return _known(part, known)


def _text(body: dict[str, Any], name: str, default: str | None = None) -> str:
    value = body.get(name) or default
    if not isinstance(value, str) or not value.strip() or len(value) > NAME_LIMIT or not value.isprintable():
        raise RequestError("bad_request", f"{name} must be a text of 1 to {NAME_LIMIT} characters.")
    return value.strip()


def _number(body: dict[str, Any], name: str, default: float, low: float, high: float, whole: bool = False) -> float:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not low <= value <= high:
        raise RequestError("bad_request", f"{name} must be a number from {low:g} to {high:g}.")
    return value


def _choice(body: dict[str, Any], name: str, choices: tuple[str, ...]) -> str:
    value = body.get(name, choices[0])
    if value not in choices:
        raise RequestError("bad_request", f"{name} must be one of {', '.join(choices)}.")
    return value


def _overrides(slicing: dict[str, Any]) -> dict[str, str]:
    overrides = slicing.get("overrides", {})
    if not isinstance(overrides, dict) or len(overrides) > OVERRIDE_LIMIT:
        raise RequestError("bad_request", f"overrides must be an object of at most {OVERRIDE_LIMIT} settings.")
    for key, value in overrides.items():
        if not key.isidentifier() or not isinstance(value, (str, int, float)) or len(str(value)) > 200:
            raise RequestError("bad_request", f"'{key[:40]}' is not a setting.")
    return {key: str(value) for key, value in overrides.items()}
