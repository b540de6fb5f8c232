"""The file of the database: whether it is sound, its copy for the day on which it is not, and why it cannot be opened."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from .errors import FaceSculptError

_logger = logging.getLogger(__name__)


class StoreError(FaceSculptError):
    """Codes: ``database_newer``, ``database_unreadable``."""

    bad_input = False


def damaged(path: Path) -> bool:
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
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> StoreError:
    """Why a database cannot be opened."""
    message = f"The database {path.name} cannot be opened: {error}."
    return StoreError("database_unreadable", message, "Is the disk full, or the folder read-only?")


def _copy_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.copy")


def keep_copy(path: Path) -> None:
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


def take_copy(path: Path) -> None:
    """Put the copy in the place of a database that was set aside; without a sound one a new database is begun."""
    copy = _copy_of(path)
    try:
        if copy.exists() and not damaged(copy):
            shutil.copy(copy, path)
            _logger.warning("the database %s is taken from its copy; what came since is not in it", path)
    except (StoreError, OSError) as error:
        path.unlink(missing_ok=True)
        _logger.error("the copy of the database cannot be used: %s", error)


def set_aside(path: Path) -> Path:
    """Rename a database and what belongs to it; its new path."""
    aside = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}")
    for suffix in ("", "-wal", "-shm"):
        part = Path(f"{path}{suffix}")
        if part.exists():
            part.rename(f"{aside}{suffix}")
    return aside
