"""The REST interface of recovery: what happened, the answers of the user, pictures, the resume as a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
import octoprint.plugin
from flask_login import current_user
from octoprint.access.permissions import Permissions

from .bodies import RequestError, choice, flag, json_body, number, text
from .desk.answers import Answers
from .desk.desk import RecoveryDesk
from .desk.drill import Drill
from .downloads import Download
from .jobs.places import Places

route = octoprint.plugin.BlueprintPlugin.route
#: What may be asked of the desk, in the order of a recovery.
COMMANDS = (
    "plan", "begin", "look", "point", "accept", "measure", "layer", "trust", "back", "heat", "lift", "resume", "stop",
    "dismiss", "allow", "drill",
)  # fmt: skip
FIELDS = {
    "command", "confirmed", "revision", "layers", "moves", "height_mm", "line", "drill", "choice", "height",
}  # fmt: skip
PICTURES = {"layer": "image/svg+xml", "close": "image/svg+xml", "cut": "image/png"}
#: Heights in mm that can be measured.
HIGHEST = 2000.0
#: Writing the resume as a file takes a child as long as reading the whole print.
_PLACES = Places(1, "export_busy", "The file is being written already.")


class RecoveryApi(octoprint.plugin.BlueprintPlugin):
    """Routes under ``recovery``. ``drill`` in a request means the rehearsal instead of the real printer's recovery."""

    recovery: RecoveryDesk
    drill: Drill

    @route("/recovery", methods=["GET"])
    @Permissions.PLUGIN_FACESCULPT_VIEW.require(403)
    def api_recovery(self):
        return flask.jsonify(recovery=(self.drill if _is_drill() else self.recovery).status())

    @route("/recovery", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_RECOVER.require(403)
    def api_recover(self):
        body = json_body(FIELDS)
        command = choice(body, "command", COMMANDS)
        rehearsed = flag(body, "drill")
        if rehearsed and command == "drill":
            self.begin_drill()
        elif rehearsed and command == "dismiss":
            self.drill.end()
        else:
            desk = self.drill.desk if rehearsed else self.recovery
            desk.require(text(body, "revision") if "revision" in body else None)
            if command not in (orders := _orders(desk, body)):
                raise RequestError("bad_request", f"{command} is for a drill only.")
            orders[command]()
        now = self.drill.status() if rehearsed else self.recovery.status()
        return flask.make_response(flask.jsonify(recovery=now), 202)

    def begin_drill(self) -> None:
        """Rehearse an outage of some print."""
        raise NotImplementedError

    @route("/recovery/pictures/<name>", methods=["GET"])
    @Permissions.PLUGIN_FACESCULPT_VIEW.require(403)
    def api_recovery_picture(self, name: str):
        desk = self.drill.desk if _is_drill() else self.recovery
        file = desk.picture(name) if name in PICTURES else None
        if file is None or not file.is_file():
            raise RequestError("not_found", "There is no such picture.", 404)
        answer = flask.send_file(file, mimetype=PICTURES[name])
        answer.headers["Cache-Control"] = "private, max-age=3600"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
        return answer

    def resume_file(self, versioned: bool) -> Download:
        """``GET /recovery/resume.gcode``; see :mod:`.downloads`."""
        with _PLACES.taken():
            file = self.recovery.export()
        name = str(self.recovery.job.get("path", "print.gcode")).rpartition("/")[2]
        return Download(file, f"resume_{name}", {"Cache-Control": "no-store"})


def _orders(desk: RecoveryDesk, body: dict[str, Any]) -> dict[str, Callable[[], None]]:
    confirmed = flag(body, "confirmed")

    def point() -> None:
        layers = int(number(body, "layers", 0, -9, 9, whole=True))
        moves = int(number(body, "moves", 0, -999, 999, whole=True))
        desk.answer(lambda answers: answers.point(layers, moves))

    def measure() -> None:
        if "height_mm" not in body:
            raise RequestError("bad_request", "height_mm is missing.")
        desk.measure(float(number(body, "height_mm", 0, 0, HIGHEST)))

    def plan() -> None:
        limits = {"choice": (0, 1000, True), "height": (-1, 10_000, False), "line": (0, 1 << 40, True)}
        given = {name: number(body, name, 0, *limit) for name, limit in limits.items() if body.get(name) is not None}
        desk.plan_again(**given)

    def layer() -> None:
        choice_ = int(number(body, "choice", 0, 0, 1000, whole=True))
        desk.answer(lambda answers: answers.choose(choice_))

    return {
        "plan": plan,
        "begin": lambda: desk.answer(Answers.begin),
        "look": lambda: desk.look(confirmed),
        "point": point,
        "accept": lambda: desk.answer(Answers.accept_point),
        "measure": measure,
        "layer": layer,
        "trust": lambda: desk.answer(Answers.trust),
        "back": lambda: desk.answer(Answers.back),
        "heat": lambda: desk.heat(confirmed),
        "lift": lambda: desk.lift(confirmed),
        "resume": lambda: desk.resume(confirmed, current_user_name()),
        "stop": desk.stop,
        "dismiss": lambda: desk.dismiss(confirmed),
        "allow": lambda: desk.guard.allow(text(body, "line"), confirmed),
    }


def _is_drill() -> bool:
    return flask.request.args.get("drill") == "true"


def current_user_name() -> str | None:
    """The name of the user of a request; None when nobody is logged in."""
    return None if current_user.is_anonymous else current_user.get_name()
