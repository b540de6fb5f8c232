"""Files of which the database knows nothing: found, taken back, removed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from octoprint_facesculpt import leftovers
from octoprint_facesculpt.store import Photo, Sculpture, Store

LOST, LOST_TOO, EMPTY = "a" * 32, "b" * 32, "c" * 32


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """The plugin's folder after its database was begun anew: one photo and one sculpture are known, others are not."""
    store = Store(tmp_path / "facesculpt.db")
    photo = Photo.create(name="known.jpg")
    sculpture = store.add_sculpture(photo, "known", 0, {}, {})
    for kind, names, file in (("photos", (photo.id, LOST), "original"), ("sculptures", (sculpture.id, LOST_TOO), "bust.stl")):
        for name in names:
            (tmp_path / kind / name).mkdir(parents=True)
            (tmp_path / kind / name / file).write_bytes(b"x" * 1000)
    (tmp_path / "photos" / EMPTY).mkdir()
    (tmp_path / "photos" / "somebody's own").mkdir()
    (tmp_path / "photos" / "somebody's own" / "original").write_bytes(b"x")
    yield tmp_path
    store.close()


def test_only_what_has_files_and_no_row_is_left_over(data: Path) -> None:
    assert leftovers.find(data).to_json() == {"photos": 1, "sculptures": 1, "bytes": 2000}


def test_an_empty_folder_has_no_leftovers(tmp_path: Path) -> None:
    store = Store(tmp_path / "facesculpt.db")
    assert leftovers.find(tmp_path).to_json() == {"photos": 0, "sculptures": 0, "bytes": 0}
    store.close()


def test_photos_are_taken_back_and_checked_again(data: Path) -> None:
    os.utime(data / "photos" / LOST / "original", (1_700_000_000, 1_700_000_000))
    found = leftovers.find(data)
    leftovers.restore(found)
    leftovers.restore(found)
    photo = Photo.get_by_id(LOST)
    assert photo.state == "checking" and photo.name.startswith("2023-11-1")
    assert leftovers.find(data, found).to_json() == {"photos": 0, "sculptures": 1, "bytes": 1000}


def test_what_is_deleted_belongs_to_nobody(data: Path) -> None:
    found = leftovers.find(data)
    # It has got a row since, and another photo is just being uploaded.
    Photo.create(id=LOST, name="taken back in another browser")
    (data / "photos" / EMPTY / "original").write_bytes(b"x")
    leftovers.delete(found)
    assert (data / "photos" / LOST / "original").exists() and (data / "photos" / EMPTY / "original").exists()
    assert not (data / "sculptures" / LOST_TOO).exists() and (data / "photos" / "somebody's own" / "original").exists()
    known = Sculpture.get()
    assert (data / "sculptures" / known.id / "bust.stl").exists()
    assert leftovers.find(data, found).to_json() == {"photos": 0, "sculptures": 0, "bytes": 0}
