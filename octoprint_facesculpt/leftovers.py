"""Photos and sculptures of which the database knows nothing: it was damaged and begun anew, or somebody moved it away.

They are neither shown nor deleted by themselves: the tab tells of them, and the user has the photos back or removes it all.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from .store import Photo, Sculpture

_IDENTIFIER = re.compile(r"[0-9a-f]{32}")
#: A photo as it was uploaded, in the photo's folder.
ORIGINAL = "original"


@dataclass(frozen=True)
class Leftovers:
    """Folders of photos and of sculptures that no row belongs to, and how many bytes are in them."""

    photos: tuple[Path, ...] = ()
    sculptures: tuple[Path, ...] = ()
    bytes: int = 0

    def to_json(self) -> dict[str, int]:
        return {"photos": len(self.photos), "sculptures": len(self.sculptures), "bytes": self.bytes}


def find(data: Path, among: Leftovers | None = None) -> Leftovers:
    """What is left in the plugin's folder, or what still is ``among`` what was found before. Only that is asked for once photos
    are uploaded: they have their file before their row."""
    photos, sculptures = _unknown(data / "photos", Photo), _unknown(data / "sculptures", Sculpture)
    if among is not None:
        photos = tuple(folder for folder in photos if folder in among.photos)
        sculptures = tuple(folder for folder in sculptures if folder in among.sculptures)
    files = (file for folder in (*photos, *sculptures) for file in folder.rglob("*"))
    return Leftovers(photos, sculptures, sum(file.lstat().st_size for file in files if file.is_file()))


def restore(leftovers: Leftovers) -> None:
    """Take the photos back into the database, to be checked again. Their names are lost: they are called by their day."""
    for folder in leftovers.photos:
        original = folder / ORIGINAL
        if original.is_file() and not Photo.with_deleted().where(Photo.id == folder.name).exists():
            name = datetime.fromtimestamp(original.stat().st_mtime).strftime("%Y-%m-%d %H:%M")
            Photo.create(id=folder.name, name=name)


def delete(leftovers: Leftovers) -> None:
    """Remove for ever what still belongs to no row."""
    for model, folders in ((Photo, leftovers.photos), (Sculpture, leftovers.sculptures)):
        for folder in folders:
            if not model.with_deleted().where(model.id == folder.name).exists():
                shutil.rmtree(folder, ignore_errors=True)


def _unknown(folder: Path, model: type[Photo] | type[Sculpture]) -> tuple[Path, ...]:
    if not folder.is_dir():
        return ()
    # What was deleted and can still be had back has its row.
    known = {row.id for row in model.with_deleted(model.id)}
    named = (entry for entry in folder.iterdir() if _IDENTIFIER.fullmatch(entry.name) and entry.is_dir())
    return tuple(sorted(entry for entry in named if entry.name not in known and any(entry.iterdir())))
