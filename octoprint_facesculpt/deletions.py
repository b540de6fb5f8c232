"""What was deleted and can still be had back: it is gone from every list, and its files wait for an hour, unless their room is
needed before.

The files stay where they are; only the G-code leaves OctoPrint's uploads, where everybody would go on seeing it, and is put
there again from the sculpture's own folder.
"""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from peewee import SQL, DatabaseError

from .errors import FaceSculptError
from .jobs.pipeline import OUTPUTS, Workshop
from .printing.queue import ACTIVE, QueueError
from .store import Deletion, Photo, QueueItem, Sculpture, Store

_logger = logging.getLogger(__name__)
#: The order in which things were deleted, whatever the clock said.
_AS_DELETED = SQL("rowid")
#: Seconds for which something can be had back.
KEPT_SECONDS = 3600.0
#: What can be deleted, by what its addresses begin with.
KINDS: dict[str, type[Photo] | type[Sculpture] | type[QueueItem]] = {
    "photos": Photo,
    "sculptures": Sculpture,
    "queue": QueueItem,
}


class DeletionError(FaceSculptError):
    """Codes: ``no_room_to_keep``, ``restore_first``, ``not_found``."""


@dataclass(frozen=True)
class _Parts:
    """All that goes with what is deleted."""

    photos: list[Photo]
    sculptures: list[Sculpture]
    items: list[QueueItem]


class Deletions:
    """Deletes and takes back. ``drop(sculpture)`` ends its work if it is under way; ``room()`` is whether the disk has room for
    what nobody may want any more. Threads may share it."""

    def __init__(
        self, store: Store, shop: Workshop, drop: Callable[[Sculpture], None], room: Callable[[], bool] = lambda: True
    ) -> None:
        self._store, self._shop, self._drop, self._room = store, shop, drop, room
        self._lock = threading.RLock()
        #: Until when each is kept, by the monotonic clock: the time of day may jump when a small computer finds the internet.
        self._due: dict[str, float] = {}

    def open(self) -> None:
        """Take up what an earlier server left."""
        with self._lock:
            for deletion in Deletion.select():
                self._due[deletion.id] = time.monotonic() + _left(deletion)
                if deletion.state == "putting":
                    self._put_away(deletion)
        self.clear()

    def rows(self) -> list[dict[str, Any]]:
        """What can be had back, the newest first."""
        kept = Deletion.select().where(Deletion.state != "going").order_by(_AS_DELETED.desc())
        return [{"kind": one.kind, "id": _identifier(one), "name": one.name, "deleted": one.deleted} for one in kept]

    def put_aside(self, row: Photo | Sculpture | QueueItem) -> None:
        """Delete a row and what hangs on it, so that it can be had back; :class:`DeletionError` ``no_room_to_keep``,
        :class:`QueueError` ``busy`` while it is printed."""
        with self._lock:
            if not self._room():
                self.clear()
            if not self._room():
                raise DeletionError("no_room_to_keep", "The disk has no room to keep it.", "Delete it for ever.")
            with self._store.writing():
                parts = _parts(row)
                kind = next(kind for kind, model in KINDS.items() if isinstance(row, model))
                name = row.sculpture.name if isinstance(row, QueueItem) else row.name
                deletion = Deletion.create(kind=kind, target=str(row.id), name=name)
                for model, rows in ((Photo, parts.photos), (Sculpture, parts.sculptures), (QueueItem, parts.items)):
                    ids = [one.id for one in rows]
                    model.update(deletion=deletion).where(model.id.in_(ids), model.deletion.is_null()).execute()
                self._store.renumber()
            self._due[deletion.id] = time.monotonic() + KEPT_SECONDS
            for sculpture in parts.sculptures:
                self._drop(sculpture)
            self._put_away(deletion)

    def restore(self, kind: str, identifier: str | int) -> None:
        """Have a row back, and what went with it; nothing is done if it is there already. :class:`DeletionError` ``not_found``,
        or ``restore_first`` when what it belongs to is deleted, too."""
        model = KINDS[kind]
        with self._lock:
            row = model.with_deleted().where(model.id == identifier).first()
            deletion = row.deletion if row is not None else None
            if row is not None and deletion is None:
                return
            if deletion is None or deletion.state == "going":
                raise DeletionError("not_found", "It is not there any more.", "Make it again.")
            if (deletion.kind, deletion.target) != (kind, str(row.id)) or not _belongs(row):
                raise DeletionError("restore_first", "What it belongs to was deleted, too.", "Have that back first.")
            # Until all of it is back, a server that starts would clear up again.
            Deletion.update(state="putting").where(Deletion.id == deletion.id).execute()
            try:
                for sculpture in Sculpture.with_deleted().where(Sculpture.deletion == deletion):
                    self._give_gcode_back(sculpture)
            except Exception:
                self._put_away(deletion)
                raise
            self._store.take_back(deletion)
            self._due.pop(deletion.id, None)

    def remove(self, row: Photo | Sculpture | QueueItem) -> None:
        """Delete a row and what hangs on it for ever, also on a disk so full that no row can be deleted before a file is;
        :class:`QueueError` ``busy`` while it is printed."""
        with self._lock:
            parts = _parts(row)
            for sculpture in parts.sculptures:
                self._drop(sculpture)
                if sculpture.gcode_path:
                    self._shop.remove_gcode(sculpture.gcode_path)
            self._destroy(parts.photos, parts.sculptures, parts.items)
            self._store.renumber()
            # What a child that was being ended has written since.
            self._remove_files(parts.photos, parts.sculptures)

    def clear(self) -> bool:
        """Remove for ever what has had its time, and the oldest of the rest while there is no room. Whether anything was."""
        ended = False
        with self._lock:
            for deletion in Deletion.select().order_by(_AS_DELETED):
                due = self._due.setdefault(deletion.id, time.monotonic() + KEPT_SECONDS)
                if deletion.state == "going" or due <= time.monotonic() or not self._room():
                    self._end(deletion)
                    ended = True
        return ended

    def _put_away(self, deletion: Deletion) -> None:
        for sculpture in Sculpture.with_deleted().where(Sculpture.deletion == deletion):
            if sculpture.gcode_path:
                self._shop.remove_gcode(sculpture.gcode_path)
        Deletion.update(state="kept").where(Deletion.id == deletion.id).execute()

    def _give_gcode_back(self, sculpture: Sculpture) -> None:
        if sculpture.gcode_path is None:
            return
        folder = self._shop.folder(sculpture)
        try:
            sliced = json.loads((folder / "slice.json").read_bytes())
            sculpture.gcode_path = self._shop.add_gcode(sculpture, folder / OUTPUTS["slice"], sliced.get("slicing", sliced))
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError) as error:
            _logger.warning("the G-code of sculpture %s is lost: %s", sculpture.id, error)
            sculpture.gcode_path = None
        sculpture.save()

    def _end(self, deletion: Deletion) -> None:
        """Remove what was put aside, and whatever of older deletions hangs on it."""
        with suppress(DatabaseError):  # on a full disk, where the files must go first
            Deletion.update(state="going").where(Deletion.id == deletion.id).execute()
        photos = list(Photo.with_deleted().where(Photo.deletion == deletion))
        sculptures = list(Sculpture.with_deleted().where(Sculpture.deletion == deletion))
        sculptures += [one for photo in photos for one in self._store.made_from(photo, deleted=True)]
        items = list(QueueItem.with_deleted().where(QueueItem.deletion == deletion))
        self._destroy(photos, sculptures, items)
        self._due.pop(deletion.id, None)

    def _destroy(self, photos: list[Photo], sculptures: list[Sculpture], items: list[QueueItem]) -> None:
        """Remove files, then rows: a server that is killed in between finds the rows, and goes on."""
        self._remove_files(photos, sculptures)
        with self._store.writing():
            # What hangs on them goes with them.
            for model, rows in ((QueueItem, items), (Sculpture, sculptures), (Photo, photos)):
                model.delete().where(model.id.in_([row.id for row in rows])).execute()
            marked = (model.with_deleted(model.deletion).where(model.deletion.is_null(False)) for model in KINDS.values())
            used = {row.deletion_id for rows in marked for row in rows}
            Deletion.delete().where(Deletion.id.not_in(used)).execute()

    def _remove_files(self, photos: Iterable[Photo], sculptures: Iterable[Sculpture]) -> None:
        folders = [self._shop.folder(sculpture) for sculpture in sculptures]
        for folder in (*folders, *(self._shop.photo_file(photo).parent for photo in photos)):
            shutil.rmtree(folder, ignore_errors=True)


def _parts(row: Photo | Sculpture | QueueItem) -> _Parts:
    photos = [row] if isinstance(row, Photo) else []
    sculptures = Store.made_from(row) if isinstance(row, Photo) else [row] if isinstance(row, Sculpture) else []
    ids = [row.id] if isinstance(row, QueueItem) else []
    theirs = (QueueItem.id.in_(ids)) | (QueueItem.sculpture.in_(sculptures))
    items = list(QueueItem.select().where(theirs))
    if any(item.state in ACTIVE for item in items):
        raise QueueError("busy", "It is being printed.", "Cancel the print first.")
    return _Parts(photos, sculptures, items)


def _belongs(row: Photo | Sculpture | QueueItem) -> bool:
    """Whether what a row cannot be without is there."""
    if isinstance(row, QueueItem):
        return Sculpture.get_or_none(Sculpture.id == row.sculpture_id) is not None
    needed = set(row.photos()) if isinstance(row, Sculpture) else set()
    return Photo.select().where(Photo.id.in_(needed)).count() == len(needed)


def _identifier(deletion: Deletion) -> str | int:
    return int(deletion.target) if deletion.kind == "queue" else str(deletion.target)


def _left(deletion: Deletion) -> float:
    """Seconds for which something is still kept that another server has put aside."""
    try:
        age = (datetime.now(UTC) - datetime.fromisoformat(str(deletion.deleted))).total_seconds()
    except (ValueError, TypeError):
        age = KEPT_SECONDS
    return min(max(KEPT_SECONDS - age, 0.0), KEPT_SECONDS)
