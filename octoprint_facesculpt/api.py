"""The REST interface under ``/plugin/facesculpt/``: every body is checked, every route asks for a permission."""

from __future__ import annotations

import os
import shutil

import flask
import octoprint.plugin
from octoprint.access.permissions import Permissions
from peewee import DatabaseError, DoesNotExist
from werkzeug.exceptions import HTTPException

from .api_deletions import DeletionRoutes
from .api_profiles import ProfileRoutes
from .api_recovery import RecoveryApi, current_user_name
from .bodies import (
    NAME_LIMIT,
    RequestError,
    choice,
    find_row,
    flag,
    json_body,
    number,
    objects,
    overrides,
    part,
    print_target,
    readable,
    text,
)
from .downloads import STATUS_CODES, Download, private, refusal
from .errors import FaceSculptError
from .printing.queue import QueueError
from .reconstruction import MAX_PHOTOS
from .refusals import explained, status_of
from .sculpture.settings import MAX_DETAIL, STYLES, orientations
from .slicing.face import CARES
from .slicing.presets import MASK
from .store import Photo, QueueItem, Sculpture, StoreError, other_shape
from .views import FILES, POSE, forget_poses, photo_json, sculpture_json

route = octoprint.plugin.BlueprintPlugin.route
LAYER_LIMIT = 1_000_000


class FaceSculptApi(ProfileRoutes, DeletionRoutes, RecoveryApi):
    """The routes; what they do is in the rooms."""

    def is_blueprint_csrf_protected(self) -> bool:
        return True

    def is_blueprint_protected(self) -> bool:
        # Each route asks for its own permission instead.
        return False

    @octoprint.plugin.BlueprintPlugin.errorhandler(FaceSculptError)
    def on_refusal(self, error: FaceSculptError):
        return flask.make_response(flask.jsonify(refusal(error)), status_of(error))

    @octoprint.plugin.BlueprintPlugin.errorhandler(HTTPException)
    def on_http_error(self, error: HTTPException):
        status = error.code or 500
        told = FaceSculptError(STATUS_CODES.get(status, "refused"), error.description or error.name)
        return flask.make_response(flask.jsonify(refusal(told)), status)

    @octoprint.plugin.BlueprintPlugin.errorhandler(DoesNotExist)
    def on_deleted_meanwhile(self, _error: DoesNotExist):
        return self.on_refusal(RequestError("not_found", "It is not there any more.", 404))

    @octoprint.plugin.BlueprintPlugin.errorhandler(Exception)
    def on_fault(self, error: Exception):
        self._logger.error("a request failed: %s %s", flask.request.method, flask.request.path, exc_info=error)
        return self.on_refusal(explained(error))

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
        name = readable(os.path.basename(flask.request.values.get(name_key, "")))
        photo = Photo(name=name[:NAME_LIMIT] or "photo")
        target = self.workshop.photo_file(photo)
        try:
            target.parent.mkdir(parents=True)
            # The uploaded file is gone when the request ends.
            shutil.move(uploaded, target)
            photo.save(force_insert=True)
        except StoreError:
            shutil.rmtree(target.parent, ignore_errors=True)
            raise
        except (OSError, DatabaseError) as error:
            shutil.rmtree(target.parent, ignore_errors=True)
            self._logger.error("a photo cannot be stored: %s", error)
            raise RequestError("output_unwritable", f"The photo cannot be stored: {error}.", 507) from error
        self.pipeline.wake()
        self.publish("photo", photo)
        return flask.make_response(flask.jsonify(photo=photo_json(photo)), 201)

    @route("/photos/<identifier>", methods=["GET"])
    @Permissions.PLUGIN_FACESCULPT_VIEW.require(403)
    def api_photo(self, identifier: str):
        return flask.jsonify(photo=photo_json(find_row(Photo, identifier)))

    @route("/photos/<identifier>/image", methods=["GET"])
    @Permissions.PLUGIN_FACESCULPT_VIEW.require(403)
    def api_photo_image(self, identifier: str):
        file = self.workshop.photo_preview(find_row(Photo, identifier))
        if not file.is_file():
            raise RequestError("not_found", "There is no picture yet.", 404)
        return _private(flask.send_file(file, mimetype="image/jpeg"))

    # -- sculptures

    @route("/sculptures", methods=["GET"])
    @Permissions.PLUGIN_FACESCULPT_VIEW.require(403)
    def api_sculptures(self):
        stages = self.store.stages()
        rows = Sculpture.select().order_by(Sculpture.created.desc())
        return flask.jsonify(sculptures=[sculpture_json(s, self.workshop.folder(s), stages.get(s.id, [])) for s in rows])

    @route("/sculptures", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_CREATE.require(403)
    def api_add_sculpture(self):
        body = json_body({"photo", "face", "others", "name", "settings", "slicing"})
        photo, face = _face_of(body)
        others = [_face_of(other) for other in objects(body, "others", {"photo", "face"}, MAX_PHOTOS - 1)]
        chosen = [photo, *(other for other, _ in others)]
        if len({other.id for other in chosen}) < len(chosen):
            raise RequestError("bad_request", "Every photo can be used once.")
        settings = self._settings_of(body, {})
        slicing = self._slicing_of(body, {}, settings["style"])
        name = text(body, "name", photo.name.rsplit(".", 1)[0] or "Sculpture")
        further = [{"photo": other.id, "face": its_face} for other, its_face in others]
        sculpture = self.store.add_sculpture(photo, name, face, settings, slicing, further)
        self.pipeline.wake()
        self.publish("sculpture", sculpture)
        body = sculpture_json(sculpture, self.workshop.folder(sculpture))
        return flask.make_response(flask.jsonify(sculpture=body), 202)

    @route("/sculptures/<identifier>", methods=["GET"])
    @Permissions.PLUGIN_FACESCULPT_VIEW.require(403)
    def api_sculpture(self, identifier: str):
        sculpture = find_row(Sculpture, identifier)
        return flask.jsonify(sculpture=sculpture_json(sculpture, self.workshop.folder(sculpture)))

    @route("/sculptures/<identifier>/cancel", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_CREATE.require(403)
    def api_cancel(self, identifier: str):
        sculpture = find_row(Sculpture, identifier)
        if sculpture.state not in ("waiting", "working"):
            raise RequestError("not_running", "There is nothing to cancel.", 409)
        self.pipeline.cancel(sculpture)
        return flask.make_response("", 204)

    @route("/sculptures/<identifier>/retry", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_CREATE.require(403)
    def api_retry(self, identifier: str):
        sculpture = find_row(Sculpture, identifier)
        if sculpture.state not in ("failed", "cancelled"):
            raise RequestError("not_stopped", "Only a failed or cancelled sculpture can be tried again.", 409)
        self.refuse_while_printed(sculpture)
        self.pipeline.retry(sculpture)
        body = sculpture_json(find_row(Sculpture, identifier), self.workshop.folder(sculpture))
        return flask.make_response(flask.jsonify(sculpture=body), 202)

    @route("/sculptures/<identifier>/plan", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_CREATE.require(403)
    def api_plan_again(self, identifier: str):
        """Other wishes for a sculpture: it is sliced anew, and made anew as far back as they reach."""
        body = json_body({"settings", "slicing"})
        sculpture = find_row(Sculpture, identifier)
        if sculpture.state not in ("ready", "failed", "cancelled"):
            raise RequestError("not_stopped", "This sculpture is in the making.", 409)
        self.refuse_while_printed(sculpture)
        if any(item.state == "queued" for item in sculpture.queued):
            raise QueueError("queued", "This sculpture waits in the queue.", "Take it out of the queue first.")
        settings = self._settings_of(body, sculpture.settings)
        slicing = self._slicing_of(body, sculpture.slicing, settings["style"])
        if other_shape(sculpture.settings, settings):
            forget_poses(self.workshop.folder(sculpture))
        self.store.plan_again(sculpture, settings, slicing)
        self.pipeline.retry(sculpture)
        body = sculpture_json(find_row(Sculpture, identifier), self.workshop.folder(sculpture))
        return flask.make_response(flask.jsonify(sculpture=body), 202)

    def sculpture_file(self, identifier: str, name: str, versioned: bool) -> Download:
        """``GET /sculptures/<identifier>/files/<name>``; see :mod:`.downloads`."""
        try:
            sculpture = find_row(Sculpture, identifier)
        finally:
            self.store.close()
        file = self.workshop.folder(sculpture) / name
        if not (name in FILES.values() or POSE.fullmatch(name)) or not file.is_file():
            raise RequestError("not_found", "There is no such file.", 404)
        kind = name.rsplit(".", 1)[1]
        headers = private(versioned)
        if kind == "html":
            # The viewer runs its scripts apart from OctoPrint: no cookies, no requests, no access to the page around.
            headers["Content-Security-Policy"] = (
                "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob: data:; "
                "style-src 'unsafe-inline'; img-src data: blob:; connect-src data: blob:"
            )
        stem = "".join(c if c.isalnum() or c in " -_" else "_" for c in sculpture.name) or "sculpture"
        return Download(file, None if kind in ("png", "json", "html") else f"{stem}.{kind}", headers)

    @route("/sculptures/<identifier>/layers", methods=["GET"])
    @Permissions.PLUGIN_FACESCULPT_VIEW.require(403)
    def api_layers(self, identifier: str):
        sculpture = find_row(Sculpture, identifier)
        return flask.jsonify(layers=self.layers.about(self.workshop.folder(sculpture)))

    @route("/sculptures/<identifier>/layers/<int:number>.png", methods=["GET"])
    @Permissions.PLUGIN_FACESCULPT_VIEW.require(403)
    def api_layer(self, identifier: str, number: int):
        sculpture = find_row(Sculpture, identifier)
        if number > LAYER_LIMIT:
            raise RequestError("not_found", "There is no such layer.", 404)
        return _private(flask.send_file(self.layers.picture(self.workshop.folder(sculpture), number), mimetype="image/png"))

    # -- queue

    @route("/queue", methods=["GET"])
    @Permissions.PLUGIN_FACESCULPT_VIEW.require(403)
    def api_queue(self):
        return flask.jsonify(queue=self.queue_rows())

    @route("/queue", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_PRINT.require(403)
    def api_enqueue(self):
        body = json_body({"sculpture", "print", "bed_clear"})
        at_once, bed_clear = flag(body, "print"), flag(body, "bed_clear")
        item = self.queue.add(find_row(Sculpture, text(body, "sculpture")))
        if at_once:
            try:
                self.queue.start(item, bed_clear, current_user_name())
            except QueueError:
                # What was refused must leave nothing behind.
                self.queue.remove(item)
                raise
        return flask.make_response(flask.jsonify(id=item.id), 201)

    @route("/queue/<int:identifier>/print", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_PRINT.require(403)
    def api_print(self, identifier: int):
        bed_clear = flag(json_body({"bed_clear"}), "bed_clear")
        self.queue.start(find_row(QueueItem, identifier), bed_clear, current_user_name())
        return flask.make_response(flask.jsonify(id=identifier), 202)

    @route("/queue/<int:identifier>/move", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_PRINT.require(403)
    def api_move(self, identifier: int):
        body = json_body({"position"})
        self.queue.move(find_row(QueueItem, identifier), int(number(body, "position", 0, 0, 10_000, whole=True)))
        return flask.make_response("", 204)

    # -- the rest

    @route("/assets/fetch", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_ADMIN.require(403)
    def api_fetch_assets(self):
        self.fetch_assets()
        return flask.make_response(flask.jsonify(fetching=True), 202)

    @route("/leftovers", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_CREATE.require(403)
    def api_leftovers(self):
        """Photos and sculptures of which the database knows nothing: have the photos back, or remove it all."""
        command = choice(json_body({"command"}), "command", ("restore", "delete"))
        orders = {"restore": self.restore_leftovers, "delete": self.delete_leftovers}
        orders[command]()
        return flask.make_response("", 204)

    def _settings_of(self, body: dict, before: dict) -> dict:
        """The sculpture's settings in a request; what it does not name stays as it was ``before``."""
        given = part(body, "settings", {"height_mm", "style", "orientation", "expression", "detail", "hair"})
        wanted = {**before, **given}
        style = choice(wanted, "style", STYLES)
        poses = orientations(style)
        if wanted.get("orientation") not in poses and "orientation" not in given:
            # Another style than before, which has no such pose.
            wanted["orientation"] = poses[0]
        return {
            **before,
            "height_mm": number(wanted, "height_mm", self.default_height(), 20, 400),
            "style": style,
            "orientation": choice(wanted, "orientation", poses),
            "expression": number(wanted, "expression", 1.0, 0, 1),
            # A sculpture that does not say them is older than detail and hair.
            "detail": number(wanted, "detail", 0.0 if before else 1.0, 0, MAX_DETAIL),
            "hair": flag({"hair": not before, **wanted}, "hair"),
        }

    def _slicing_of(self, body: dict, before: dict, style: str) -> dict:
        """How a print is sliced: engine, profile, overrides, printer, target, and the care for the face."""
        known = {"engine", "profile", "overrides", "printer", "target", "face_care", "filament_left_g"}
        given = part(body, "slicing", known)
        cut = {key: value for key, value in {**before, **given}.items() if value is not None}
        engine = choice(cut, "engine", tuple(slicer["key"] for slicer in self.slicers()))
        shelf = self.shelves()[engine]
        default = MASK if style == "mask" else self.default_profile()
        profile = choice({"profile": default, **cut}, "profile", tuple(shelf.names()))
        printers = ("", *(printer["key"] for printer in self.host.printers()))
        target = print_target(cut)
        sized = "height_mm" in body.get("settings", {})
        if "target" not in given and sized and target is not None and not target["fixed_height"]:
            # A height that is asked for now decides against the time or filament of before.
            target = None
        if target is None and "target" not in given and not before and profile in shelf.presets:
            hours = shelf.presets[profile].target_hours
            # A height that was asked for decides against the preset's own time.
            if hours is not None and not sized:
                target = {"kind": "hours", "value": hours, "fixed_height": False}
        return {
            "engine": engine,
            "profile": profile,
            "overrides": overrides(cut),
            "printer": choice(cut, "printer", printers),
            "target": target,
            "face_care": choice(cut, "face_care", CARES),
            "filament_left_g": number(cut, "filament_left_g", 0, 0, 100_000) or None,
        }


def _face_of(body: dict) -> tuple[Photo, int]:
    """The photo that a body names, and which of its faces is meant."""
    photo = find_row(Photo, text(body, "photo"))
    if photo.state != "ready":
        raise RequestError("photo_not_ready", "This photo has not been checked, or has no face.", 409)
    return photo, int(number(body, "face", 0, 0, max(len(photo.faces) - 1, 0), whole=True))


def _private(answer):
    answer.headers.update(private("v" in flask.request.args))
    return answer
