"""Routes by which photos, sculptures and places in the queue are deleted, and had back."""

from __future__ import annotations

from collections.abc import Callable

import flask
import octoprint.plugin
from octoprint.access.permissions import Permissions

from .bodies import find_row
from .deletions import KINDS, Deletions
from .desk.desk import RecoveryDesk
from .host import Host
from .printing.queue import ACTIVE, QueueError
from .store import Photo, QueueItem, Sculpture, Store

route = octoprint.plugin.BlueprintPlugin.route


class DeletionRoutes(octoprint.plugin.BlueprintPlugin):
    """``DELETE`` and ``restore``; what they do is in :mod:`.deletions`. With ``?forever=true`` nothing is kept."""

    store: Store
    host: Host
    recovery: RecoveryDesk
    deletions: Deletions
    #: Tells the dashboards what can be had back, and which lists have changed.
    publish_deleted: Callable[..., None]

    @route("/deleted", methods=["GET"])
    @Permissions.PLUGIN_FACESCULPT_VIEW.require(403)
    def api_deleted(self):
        return flask.jsonify(deleted=self.deletions.rows())

    @route("/photos/<identifier>", methods=["DELETE"])
    @Permissions.PLUGIN_FACESCULPT_CREATE.require(403)
    def api_delete_photo(self, identifier: str):
        photo = find_row(Photo, identifier)
        for sculpture in self.store.made_from(photo):
            self.refuse_while_printed(sculpture)
        return self._delete("photos", photo)

    @route("/photos/<identifier>/restore", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_CREATE.require(403)
    def api_restore_photo(self, identifier: str):
        return self._restore("photos", identifier)

    @route("/sculptures/<identifier>", methods=["DELETE"])
    @Permissions.PLUGIN_FACESCULPT_CREATE.require(403)
    def api_delete_sculpture(self, identifier: str):
        sculpture = find_row(Sculpture, identifier)
        self.refuse_while_printed(sculpture)
        return self._delete("sculptures", sculpture)

    @route("/sculptures/<identifier>/restore", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_CREATE.require(403)
    def api_restore_sculpture(self, identifier: str):
        return self._restore("sculptures", identifier)

    @route("/queue/<int:identifier>", methods=["DELETE"])
    @Permissions.PLUGIN_FACESCULPT_PRINT.require(403)
    def api_dequeue(self, identifier: int):
        return self._delete("queue", find_row(QueueItem, identifier))

    @route("/queue/<int:identifier>/restore", methods=["POST"])
    @Permissions.PLUGIN_FACESCULPT_PRINT.require(403)
    def api_requeue(self, identifier: int):
        return self._restore("queue", identifier)

    def refuse_while_printed(self, sculpture: Sculpture) -> None:
        """:class:`QueueError` ``busy`` or ``to_be_recovered`` while a sculpture's G-code must stay as it is."""
        path = sculpture.gcode_path
        if any(item.state in ACTIVE for item in sculpture.queued) or (path and self.host.prints(path)):
            raise QueueError("busy", "This sculpture is being printed.", "Cancel the print first.")
        if path and self.recovery.needs(path):
            raise QueueError(
                "to_be_recovered", "Its interrupted print may go on.", "Go on with that print first, or give it up."
            )

    def _delete(self, kind: str, row: Photo | Sculpture | QueueItem):
        if flask.request.args.get("forever") == "true":
            self.deletions.remove(row)
        else:
            self.deletions.put_aside(row)
        self.publish_deleted(kind)
        return flask.make_response("", 204)

    def _restore(self, kind: str, identifier: str | int):
        find_row(KINDS[kind], identifier, deleted=True)
        self.deletions.restore(kind, identifier)
        self.publish_deleted(kind)
        return flask.make_response("", 204)
