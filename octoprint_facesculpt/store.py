"""What the plugin remembers: photos, sculptures, the stages of their making, and the print queue, in SQLite."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import uuid
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from peewee import (
    AutoField,
    CharField,
    DatabaseError,
    FloatField,
    ForeignKeyField,
    IntegerField,
    Model,
    SqliteDatabase,
    TextField,
)

from .errors import FaceSculptError

_logger = logging.getLogger(__name__)
STAGES = ("reconstruct", "sculpt", "slice")


def now() -> str:
    """The present moment as it is stored (UTC, ISO 8601)."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class JsonField(TextField):
    """A JSON value in a text column. One that somebody else has spoilt reads as the column's default."""

    def db_value(self, value: Any) -> str | None:
        return None if value is None else json.dumps(value)

    def python_value(self, value: str | None) -> Any:
        if value is None:
            return None
        try:
            return json.loads(value, parse_constant=lambda _: None)
        except (ValueError, RecursionError) as error:
            _logger.warning("the column %s of the database cannot be read: %s", self.name, error)
            return self.default() if callable(self.default) else self.default


class Photo(Model):
    """An uploaded photo. ``state``: checking, ready, failed."""

    id = CharField(primary_key=True, default=lambda: uuid.uuid4().hex)
    name = CharField()
    created = CharField(default=now)
    state = CharField(default="checking")
    width = IntegerField(default=0)
    height = IntegerField(default=0)
    faces = JsonField(default=list)
    notes = JsonField(default=list)
    error = JsonField(null=True)


class Sculpture(Model):
    """A sculpture made, or being made, from a photo. ``state``: waiting, working, ready, failed, cancelled."""

    id = CharField(primary_key=True, default=lambda: uuid.uuid4().hex)
    photo = ForeignKeyField(Photo, backref="sculptures", on_delete="CASCADE")
    photo_id: str
    queued: Any
    name = CharField()
    created = CharField(default=now)
    state = CharField(default="waiting")
    face = IntegerField(default=0)
    #: Further photos of the same person: a list of ``{"photo": id, "face": number}``.
    others = JsonField(default=list)
    settings = JsonField()
    slicing = JsonField()
    error = JsonField(null=True)
    notes = JsonField(default=list)
    estimates = JsonField(null=True)
    gcode_path = CharField(null=True)


class Stage(Model):
    """One stage of a sculpture. ``state``: waiting, running, done, failed, cancelled."""

    id = AutoField()
    sculpture = ForeignKeyField(Sculpture, backref="stages", on_delete="CASCADE")
    sculpture_id: str
    stage = CharField()
    state = CharField(default="waiting")
    progress = FloatField(default=0.0)
    message = CharField(default="")
    started = CharField(null=True)
    seconds = FloatField(null=True)


class QueueItem(Model):
    """A place in the print queue. ``state``: queued, printing, paused, done, failed, cancelled."""

    id = AutoField()
    sculpture = ForeignKeyField(Sculpture, backref="queued", on_delete="CASCADE")
    sculpture_id: str
    state = CharField(default="queued")
    position = IntegerField()
    added = CharField(default=now)
    started = CharField(null=True)
    ended = CharField(null=True)
    reason = CharField(default="")
    #: How long the print really took, without pauses; None when it was not printed in one go.
    seconds = FloatField(null=True)
    #: What was printed: the plan of that time, which may have been made anew since.
    plan = JsonField(null=True)
    #: OctoPrint's profile of the printer that printed it; None of prints from before this was kept.
    printer = CharField(null=True)


MODELS = (Photo, Sculpture, Stage, QueueItem)


def _first(database: SqliteDatabase) -> None:
    database.create_tables(MODELS)


def _real_seconds(database: SqliteDatabase) -> None:
    # Tables that are made now have the column already.
    if "seconds" not in {column.name for column in database.get_columns("queueitem")}:
        database.execute_sql("ALTER TABLE queueitem ADD COLUMN seconds REAL")


def _several_photos(database: SqliteDatabase) -> None:
    if "others" not in {column.name for column in database.get_columns("sculpture")}:
        database.execute_sql("ALTER TABLE sculpture ADD COLUMN others TEXT NOT NULL DEFAULT '[]'")


def _printed_plan(database: SqliteDatabase) -> None:
    if "plan" not in {column.name for column in database.get_columns("queueitem")}:
        database.execute_sql("ALTER TABLE queueitem ADD COLUMN plan TEXT")


def _printed_by(database: SqliteDatabase) -> None:
    if "printer" in {column.name for column in database.get_columns("queueitem")}:
        return
    database.execute_sql("ALTER TABLE queueitem ADD COLUMN printer VARCHAR(255)")
    # A sculpture that was sliced for a certain printer was printed by that one; of others it is not known.
    for number, slicing in database.execute_sql(
        "SELECT item.id, sculpture.slicing FROM queueitem item JOIN sculpture ON sculpture.id = item.sculpture_id"
        " WHERE item.state = 'done'"
    ).fetchall():
        if printer := (json.loads(slicing) or {}).get("printer"):
            database.execute_sql("UPDATE queueitem SET printer = ? WHERE id = ?", (printer, number))


#: Steps from each version of the tables to the next; a step is never changed once it was released.
MIGRATIONS = (_first, _real_seconds, _several_photos, _printed_plan, _printed_by)


class StoreError(FaceSculptError):
    """Codes: ``database_newer``, ``database_unreadable``."""

    bad_input = False


class _Refusing(SqliteDatabase):
    """A database that is never opened."""

    def __init__(self, error: StoreError) -> None:
        super().__init__(":memory:")
        self._error = error

    def _connect(self) -> Any:
        raise self._error


class Store:
    """The database file. Threads may share a store: each has its own connection.

    A damaged file is set aside as ``NAME.damaged-TIME``, and the copy that was made when it was last opened takes its place, or
    a new one. :class:`StoreError` ``database_newer`` for the
    file of a newer plugin, ``database_unreadable`` for one that cannot be opened; both are left as they are.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if _damaged(path):
            _logger.error("the database %s is damaged; it is set aside as %s", path, _set_aside(path))
            _take_copy(path)
        pragmas = {"journal_mode": "wal", "foreign_keys": 1, "synchronous": "full", "busy_timeout": 20_000}
        self.database: SqliteDatabase = SqliteDatabase(str(path), pragmas=pragmas)
        self.database.bind(MODELS)
        try:
            self._migrate()
        except DatabaseError as error:
            self.database.close()
            raise _unreadable(path, error) from error
        except BaseException:
            self.database.close()
            raise
        _keep_copy(path)

    def _migrate(self) -> None:
        version = self.database.execute_sql("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise StoreError(
                "database_newer",
                f"The database is of a newer FaceSculpt (version {version}, known {len(MIGRATIONS)}).",
                "Update the plugin again, or move the database away.",
            )
        for number, step in enumerate(MIGRATIONS[version:], version + 1):
            with self.writing():
                step(self.database)
                self.database.execute_sql(f"PRAGMA user_version = {number}")

    def writing(self):
        """A transaction of this thread: all of it is written, or nothing."""
        # Locked from the start: what was read first could otherwise be changed by another thread before it is written.
        return self.database.atomic("IMMEDIATE")

    def close(self) -> None:
        """Close this thread's connection."""
        self.database.close()

    def add_sculpture(
        self, photo: Photo, name: str, face: int, settings: dict, slicing: dict, others: list[dict] | None = None
    ) -> Sculpture:
        """A new sculpture with its stages waiting; ``others`` are further photos (see :class:`Sculpture`)."""
        with self.writing():
            sculpture = Sculpture.create(
                photo=photo, name=name, face=face, settings=settings, slicing=slicing, others=others or []
            )
            for stage in STAGES:
                Stage.create(sculpture=sculpture, stage=stage)
        return sculpture

    def stages(self) -> dict[str, list[Stage]]:
        """The stages of all sculptures, by the sculpture's identifier: one question instead of one for each of hundreds."""
        found: dict[str, list[Stage]] = {}
        for stage in Stage.select().order_by(Stage.id):
            found.setdefault(stage.sculpture_id, []).append(stage)
        return found

    def made_from(self, photo: Photo) -> list[Sculpture]:
        """The sculptures that use a photo, be it the first or a further one."""
        return [s for s in Sculpture.select() if s.photo_id == photo.id or any(o["photo"] == photo.id for o in s.others)]

    def moved(self, source: str, destination: str) -> list[Sculpture]:
        """The sculptures whose G-code a moved file or folder is or holds, with its new path."""
        with self.writing():
            sliced = Sculpture.select().where(Sculpture.gcode_path.is_null(False))
            theirs = [s for s in sliced if f"{s.gcode_path}/".startswith(f"{source}/")]
            for sculpture in theirs:
                sculpture.gcode_path = destination + str(sculpture.gcode_path)[len(source) :]
                sculpture.save(only=[Sculpture.gcode_path])
        return theirs

    def enqueue(self, sculpture: Sculpture) -> QueueItem:
        """Put a sculpture at the queue's end."""
        with self.writing():
            last = QueueItem.select().where(QueueItem.state == "queued").count()
            return QueueItem.create(sculpture=sculpture, position=last)

    def move(self, item: QueueItem, position: int) -> None:
        """Move a queued item to a position, counted from 0."""
        with self.writing():
            others = [other for other in self.queued() if other.id != item.id]
            others.insert(max(0, min(position, len(others))), item)
            self._number(others)

    def renumber(self) -> None:
        """Close gaps in the queue's positions."""
        with self.writing():
            self._number(self.queued())

    def queued(self) -> list[QueueItem]:
        """Items that wait, in their order."""
        return list(QueueItem.select().where(QueueItem.state == "queued").order_by(QueueItem.position, QueueItem.id))

    def experience(self, engine: str, printer: str) -> list[tuple[float, float]]:
        """Estimated and real seconds of a printer's finished prints that an engine sliced, newest first. Prints of which it is
        not known who printed them count for every printer: most owners have one."""
        theirs = (QueueItem.printer == printer) | QueueItem.printer.is_null()
        items = QueueItem.select().where(QueueItem.state == "done", QueueItem.seconds.is_null(False), theirs)
        told = []
        for item in items.order_by(QueueItem.id.desc()).limit(100):
            plan = item.plan or plan_of(item.sculpture)
            if plan.get("engine") == engine and plan.get("estimated_seconds"):
                told.append((float(plan["estimated_seconds"]), float(item.seconds or 0)))
        return told

    def plan_again(self, sculpture: Sculpture, settings: dict, slicing: dict) -> None:
        """Let a finished sculpture be made anew with other wishes, from the first stage on to which they matter."""
        with self.writing():
            again = STAGES[STAGES.index(first_stage(sculpture, settings, slicing)) :]
            Stage.update(state="waiting", progress=0.0, message="", seconds=None).where(
                Stage.sculpture == sculpture, Stage.stage.in_(again)
            ).execute()
            sculpture.settings, sculpture.slicing = settings, slicing
            sculpture.state, sculpture.error, sculpture.estimates = "waiting", None, None
            sculpture.save()

    @staticmethod
    def _number(items: list[QueueItem]) -> None:
        for position, item in enumerate(items):
            QueueItem.update(position=position).where(QueueItem.id == item.id).execute()


class ClosedStore(Store):
    """In place of a store that cannot be opened: whatever is asked of it is refused with the ``error`` that kept it closed."""

    def __init__(self, error: StoreError) -> None:
        self.database = _Refusing(error)
        self.database.bind(MODELS)


def plan_of(sculpture: Sculpture) -> dict[str, Any]:
    """How a sculpture is going to be printed, by its last slicing."""
    return (sculpture.estimates or {}).get("plan") or {}


def other_shape(before: dict, settings: dict) -> bool:
    """Whether a sculpture of these ``settings`` has another shape than ``before``, whatever its size and pose."""
    return any(_complete(settings)[key] != _complete(before)[key] for key in ("style", "expression", "detail", "hair"))


def first_stage(sculpture: Sculpture, settings: dict, slicing: dict) -> str:
    """The first of :data:`STAGES` that comes out otherwise when a sculpture gets these ``settings`` and ``slicing``."""
    before, settings = _complete(sculpture.settings), _complete(settings)
    # The head of a sculpture without detail or hair may be older than these, and know of none.
    unknown = any(settings[key] and not before[key] for key in ("detail", "hair"))
    if settings["expression"] != before["expression"] or unknown:
        return "reconstruct"
    target = slicing.get("target")
    if target is not None and not target["fixed_height"]:
        return "slice"  # which finds the size
    same = settings == before and not (sculpture.slicing.get("target") and target is None)
    return "slice" if same else "sculpt"


def _complete(settings: dict) -> dict:
    """Settings with what older sculptures do not say: they are busts, have the photo's expression, and a smooth face."""
    return {"style": "bust", "expression": 1.0, "detail": 0.0, "hair": False, **settings}


def _damaged(path: Path) -> bool:
    """Whether a file is no sound database. Anything else that keeps it from being read, such as a full disk or missing
    rights, is a :class:`StoreError`: it must not cost anybody his queue."""
    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok"
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return True
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> StoreError:
    message = f"The database {path.name} cannot be opened: {error}."
    return StoreError("database_unreadable", message, "Is the disk full, or the folder read-only?")


def _copy_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.copy")


def _keep_copy(path: Path) -> None:
    """Copy a sound database beside itself, for the day on which it is damaged. A disk too full for that keeps nobody out."""
    part = path.with_name(f"{path.name}.copy.part")
    try:
        part.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as target:
            source.backup(target)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(_copy_of(path))
    except (sqlite3.Error, OSError) as error:
        _logger.warning("the database %s cannot be copied: %s", path, error)
        part.unlink(missing_ok=True)


def _take_copy(path: Path) -> None:
    """Put the copy in the place of a database that was set aside; without a sound one a new database is begun."""
    copy = _copy_of(path)
    try:
        if copy.exists() and not _damaged(copy):
            shutil.copy(copy, path)
            _logger.warning("the database %s is taken from its copy; what came since is not in it", path)
    except (StoreError, OSError) as error:
        path.unlink(missing_ok=True)
        _logger.error("the copy of the database cannot be used: %s", error)


def _set_aside(path: Path) -> Path:
    """Rename a database and what belongs to it; its new path."""
    aside = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}")
    for suffix in ("", "-wal", "-shm"):
        part = Path(f"{path}{suffix}")
        if part.exists():
            part.rename(f"{aside}{suffix}")
    return aside
