"""What the plugin remembers: photos, sculptures, the stages of their making, and the print queue, in SQLite."""

from __future__ import annotations

import json
import logging
import math
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from peewee import (
    AutoField,
    CharField,
    FloatField,
    ForeignKeyField,
    IntegerField,
    Model,
    SqliteDatabase,
    TextField,
)

from .database_file import StoreError, damaged, keep_copy, set_aside, take_copy, unreadable

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


class Deletion(Model):
    """Something that was deleted and can still be had back, with all that went with it: a row of ``kind`` photos, sculptures or
    queue.

    ``state``: putting (its G-code may still be in OctoPrint's uploads), kept, going (its files are being removed).
    """

    id = CharField(primary_key=True, default=lambda: uuid.uuid4().hex)
    kind = CharField()
    target = CharField()
    name = CharField()
    deleted = CharField(default=now)
    state = CharField(default="putting")


class _Deletable(Model):
    """A row that is only seen while it is not deleted. When its deletion is taken back, the database forgets the mark."""

    deletion = ForeignKeyField(Deletion, null=True, default=None, backref="+", on_delete="SET NULL")

    class Meta:
        # Who holds a row while somebody else deletes it must not write it back as it was.
        only_save_dirty = True

    @classmethod
    def select(cls, *fields):
        """Rows that are not deleted; so do ``get``, ``get_or_none``, and what refers to a row or is referred to by it."""
        return cls.with_deleted(*fields).where(cls.deletion.is_null())

    @classmethod
    def with_deleted(cls, *fields):
        """Rows, also deleted ones."""
        return super().select(*fields)


class Photo(_Deletable):
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


class Sculpture(_Deletable):
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

    def photos(self) -> list[str]:
        """The identifiers of all photos it is made of."""
        return [self.photo_id, *(other["photo"] for other in self.others)]


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


class QueueItem(_Deletable):
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


class Lesson(Model):
    """What a print that was made in one go taught: seconds by the ``engine``'s estimate, and the real ones. It outlives the
    print's place in the queue, and its sculpture."""

    id = AutoField()
    engine = CharField()
    #: As of :class:`QueueItem`.
    printer = CharField(null=True)
    estimated = FloatField()
    real = FloatField()


MODELS = (Deletion, Photo, Sculpture, Stage, QueueItem, Lesson)


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
        printer = _object(slicing).get("printer")
        if printer and isinstance(printer, str):
            database.execute_sql("UPDATE queueitem SET printer = ? WHERE id = ?", (printer, number))


def _lessons(database: SqliteDatabase) -> None:
    database.create_tables((Lesson,))
    for printer, plan, estimates, seconds in database.execute_sql(
        "SELECT item.printer, item.plan, sculpture.estimates, item.seconds FROM queueitem item"
        " JOIN sculpture ON sculpture.id = item.sculpture_id"
        " WHERE item.state = 'done' AND item.seconds IS NOT NULL ORDER BY item.id"
    ).fetchall():
        of_sculpture = _object(estimates).get("plan")
        _learn(_object(plan) or (of_sculpture if isinstance(of_sculpture, dict) else {}), printer, seconds)


def _deletions(database: SqliteDatabase) -> None:
    database.create_tables((Deletion,))
    for table in ("photo", "sculpture", "queueitem"):
        if "deletion_id" not in {column.name for column in database.get_columns(table)}:
            column = "deletion_id VARCHAR(255) REFERENCES deletion (id) ON DELETE SET NULL"
            database.execute_sql(f"ALTER TABLE {table} ADD COLUMN {column}")


def _object(value: str | None) -> dict[str, Any]:
    """The JSON object of a column; empty when it is none, whoever has spoilt it."""
    try:
        read = json.loads(value or "{}", parse_constant=lambda _: None)
    except (TypeError, ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _learn(plan: dict[str, Any], printer: str | None, seconds: float) -> None:
    engine, estimated = plan.get("engine"), plan.get("estimated_seconds")
    if engine and isinstance(engine, str) and isinstance(estimated, (int, float)) and 0 < estimated < math.inf:
        Lesson.create(engine=engine, printer=printer, estimated=estimated, real=seconds)


#: Steps from each version of the tables to the next; a step is never changed once it was released.
MIGRATIONS = (_first, _real_seconds, _several_photos, _printed_plan, _printed_by, _lessons, _deletions)


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
        if damaged(path):
            _logger.error("the database %s is damaged; it is set aside as %s", path, set_aside(path))
            take_copy(path)
        pragmas = {"journal_mode": "wal", "foreign_keys": 1, "synchronous": "full", "busy_timeout": 20_000}
        self.database: SqliteDatabase = SqliteDatabase(str(path), pragmas=pragmas)
        self.database.bind(MODELS)
        try:
            self._migrate()
        except StoreError:
            self.database.close()
            raise
        except Exception as error:
            # Whatever it is: without this plugin nothing would keep Z out of an interrupted print.
            self.database.close()
            raise unreadable(path, error) from error
        keep_copy(path)

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
        """A new sculpture with its stages waiting; ``others`` are further photos (see :class:`Sculpture`).
        ``Photo.DoesNotExist`` for one that was deleted meanwhile."""
        with self.writing():
            for used in (photo.id, *(other["photo"] for other in others or [])):
                Photo.get_by_id(used)
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

    @staticmethod
    def made_from(photo: Photo, deleted: bool = False) -> list[Sculpture]:
        """The sculptures that use a photo, be it the first or a further one; also ``deleted`` ones if asked for."""
        rows = Sculpture.with_deleted() if deleted else Sculpture.select()
        return [sculpture for sculpture in rows if photo.id in sculpture.photos()]

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
        """Put a sculpture at the queue's end; ``Sculpture.DoesNotExist`` when it was deleted meanwhile."""
        with self.writing():
            Sculpture.get_by_id(sculpture.id)
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

    def take_back(self, deletion: Deletion) -> None:
        """Undo a deletion; what waited in the queue comes back to its place."""
        with self.writing():
            others = self.queued()
            theirs = QueueItem.with_deleted().where(QueueItem.deletion == deletion, QueueItem.state == "queued")
            for item in theirs.order_by(QueueItem.position, QueueItem.id):
                others.insert(item.position, item)
            deletion.delete_instance()
            self._number(others)

    def queued(self) -> list[QueueItem]:
        """Items that wait, in their order."""
        return list(QueueItem.select().where(QueueItem.state == "queued").order_by(QueueItem.position, QueueItem.id))

    def experience(self, engine: str, printer: str) -> list[tuple[float, float]]:
        """Estimated and real seconds of a printer's finished prints that an engine sliced, newest first. Prints of which it is
        not known who printed them count for every printer: most owners have one."""
        theirs = (Lesson.printer == printer) | Lesson.printer.is_null()
        lessons = Lesson.select().where(Lesson.engine == engine, theirs).order_by(Lesson.id.desc()).limit(100)
        return [(lesson.estimated, lesson.real) for lesson in lessons]

    @staticmethod
    def learn(item: QueueItem) -> None:
        """Remember how long a finished print really took, if that is known."""
        if item.seconds is not None:
            _learn(item.plan or plan_of(item.sculpture), item.printer, item.seconds)

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
