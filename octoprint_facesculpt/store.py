"""What the plugin remembers: photos, sculptures, the stages of their making, and the print queue, in SQLite."""

from __future__ import annotations

import json
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

STAGES = ("reconstruct", "sculpt", "slice")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class JsonField(TextField):
    """A JSON value in a text column."""

    def db_value(self, value: Any) -> str | None:
        return None if value is None else json.dumps(value)

    def python_value(self, value: str | None) -> Any:
        return None if value is None else json.loads(value)


class Photo(Model):
    """An uploaded photo. ``state``: checking, ready, failed."""

    id = CharField(primary_key=True, default=lambda: uuid.uuid4().hex)
    name = CharField()
    created = CharField(default=_now)
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
    name = CharField()
    created = CharField(default=_now)
    state = CharField(default="waiting")
    face = IntegerField(default=0)
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
    state = CharField(default="queued")
    position = IntegerField()
    added = CharField(default=_now)
    started = CharField(null=True)
    ended = CharField(null=True)
    reason = CharField(default="")


MODELS = (Photo, Sculpture, Stage, QueueItem)


def _first(database: SqliteDatabase) -> None:
    database.create_tables(MODELS)


#: Steps from each version of the tables to the next; a step is never changed once it was released.
MIGRATIONS = (_first,)


class Store:
    """The database file. Threads may share a store: each has its own connection."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        pragmas = {"journal_mode": "wal", "foreign_keys": 1, "synchronous": "full", "busy_timeout": 5000}
        self.database = SqliteDatabase(str(path), pragmas=pragmas)
        self.database.bind(MODELS)
        self._migrate()

    def _migrate(self) -> None:
        version = self.database.execute_sql("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise RuntimeError(f"the database is of a newer plugin (version {version}, known {len(MIGRATIONS)})")
        for number, step in enumerate(MIGRATIONS[version:], version + 1):
            with self.database.atomic():
                step(self.database)
                self.database.execute_sql(f"PRAGMA user_version = {number}")

    def close(self) -> None:
        """Close this thread's connection."""
        self.database.close()

    def add_sculpture(self, photo: Photo, name: str, face: int, settings: dict, slicing: dict) -> Sculpture:
        """A new sculpture with its stages waiting."""
        with self.database.atomic():
            sculpture = Sculpture.create(photo=photo, name=name, face=face, settings=settings, slicing=slicing)
            for stage in STAGES:
                Stage.create(sculpture=sculpture, stage=stage)
        return sculpture

    def enqueue(self, sculpture: Sculpture) -> QueueItem:
        """Put a sculpture at the queue's end."""
        with self.database.atomic():
            last = QueueItem.select().where(QueueItem.state == "queued").count()
            return QueueItem.create(sculpture=sculpture, position=last)

    def move(self, item: QueueItem, position: int) -> None:
        """Move a queued item to a position, counted from 0."""
        with self.database.atomic():
            others = [other for other in self.queued() if other.id != item.id]
            others.insert(max(0, min(position, len(others))), item)
            self._number(others)

    def renumber(self) -> None:
        """Close gaps in the queue's positions."""
        with self.database.atomic():
            self._number(self.queued())

    def queued(self) -> list[QueueItem]:
        """Items that wait, in their order."""
        return list(QueueItem.select().where(QueueItem.state == "queued").order_by(QueueItem.position, QueueItem.id))

    @staticmethod
    def _number(items: list[QueueItem]) -> None:
        for position, item in enumerate(items):
            QueueItem.update(position=position).where(QueueItem.id == item.id).execute()


def now() -> str:
    """The present moment as it is stored (UTC, ISO 8601)."""
    return _now()
