"""How a request is refused: every error code has one HTTP status, so that a client knows whose turn it is.

400 and above: the request is wrong, or does not fit how things stand now. 500 and above: it is the machine's fault, and the
same request may succeed once that is mended.
"""

from __future__ import annotations

import errno

from peewee import DatabaseError

from .errors import FaceSculptError
from .printing.queue import QueueError
from .recovery.errors import RecoveryError

#: Codes by their status. What is not here is 409 of the queue and of recovery, else 400; :class:`.bodies.RequestError` says
#: its own.
_CODES = {
    404: ("profile_unknown", "layer_unknown", "not_found"),
    409: ("profile_protected", "index_invalid", "cancelled", "restore_first"),
    # The program is at fault, or its installation.
    500: ("internal_error", "crashed", "slicer_failed", "settings_changed", "weights_missing", "weights_invalid"),
    # Something is missing that somebody can see to, or there is too much to do at present.
    503: (
        "engine_missing", "engine_version", "definitions_missing", "definitions_mismatch", "asset_missing",
        "asset_unreachable", "asset_corrupt", "database_newer", "database_unreadable", "layers_busy", "not_started",
        "timed_out", "out_of_memory", "profiles_busy", "export_busy",
    ),
    507: ("disk_full", "output_unwritable", "no_room_to_keep"),
}  # fmt: skip
_STATUS = {code: status for status, codes in _CODES.items() for code in codes}
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def status_of(error: FaceSculptError) -> int:
    """The HTTP status of an error."""
    own = getattr(error, "status", None)
    if own is not None:
        return own
    if error.code.startswith("gcode_"):
        return 500
    return _STATUS.get(error.code, 409 if isinstance(error, (QueueError, RecoveryError)) else 400)


def explained(error: Exception) -> FaceSculptError:
    """What nobody expected, as an error of ours: a full disk, a database that cannot be written, or a fault of the program."""
    if isinstance(error, FaceSculptError):
        return error
    full = isinstance(error, DatabaseError) and "disk is full" in str(error)
    if full or (isinstance(error, OSError) and error.errno in _NO_ROOM):
        return FaceSculptError("disk_full", "There is no room left on the disk.", "Delete some files.")
    if isinstance(error, DatabaseError):
        return FaceSculptError("database_unreadable", f"The database does not answer: {error}.", "Look into octoprint.log.")
    if isinstance(error, OSError):
        return FaceSculptError("output_unwritable", f"Nothing can be written: {error.strerror}.", "Look into octoprint.log.")
    return FaceSculptError("internal_error", "This could not be done.", "Look into octoprint.log.")
