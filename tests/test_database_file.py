"""The file of the database: damaged, copied, set aside."""

from __future__ import annotations

from pathlib import Path

import pytest

from octoprint_facesculpt.store import Photo, Sculpture, Store, StoreError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "facesculpt.db"


def sculpture(store: Store, name: str = "bust") -> Sculpture:
    return store.add_sculpture(Photo.create(name="photo.jpg"), name, 0, {"height_mm": 160, "style": "bust"}, {})


def _no_database(path: Path) -> None:
    path.write_bytes(b"This is a letter to my printer. " * 200)


def _header_gone(path: Path) -> None:
    path.write_bytes(b"\0" * 100 + path.read_bytes()[100:])


def _tables_gone(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xaa" * (len(data) - 4096))


def _half(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("damage", [_no_database, _header_gone, _tables_gone, _half])
def test_a_damaged_database_is_set_aside_not_lost(damage, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(path)
    for number in range(20):
        sculpture(store, f"bust {number}")
    store.close()
    damage(path)
    data = path.read_bytes()
    fresh = Store(path)
    assert Sculpture.select().count() == 0
    assert sculpture(fresh).state == "waiting"
    fresh.close()
    (aside,) = (file for file in path.parent.glob("facesculpt.db.damaged-*") if file.suffix not in ("-wal", "-shm"))
    assert aside.read_bytes() == data
    assert "damaged" in caplog.text and aside.name in caplog.text


@pytest.mark.parametrize("damage", [_no_database, _header_gone, _tables_gone, _half])
def test_the_copy_of_the_last_start_takes_the_place_of_a_damaged_database(damage, path: Path) -> None:
    store = Store(path)
    kept = sculpture(store, "grandma")
    store.close()
    Store(path).close()
    damage(path)
    again = Store(path)
    assert [one.name for one in Sculpture.select()] == ["grandma"] and Sculpture.get_by_id(kept.id).stages.count() == 3
    assert list(path.parent.glob("facesculpt.db.damaged-*"))
    again.close()


def test_a_damaged_copy_is_not_used_and_one_that_cannot_be_made_keeps_nobody_out(path: Path) -> None:
    store = Store(path)
    sculpture(store)
    store.close()
    _no_database(path)
    _no_database(path.with_name("facesculpt.db.copy"))
    store = Store(path)
    assert Sculpture.select().count() == 0
    kept = sculpture(store)
    store.close()
    copy = path.with_name("facesculpt.db.copy")
    copy.unlink()
    copy.mkdir()
    store = Store(path)
    assert Sculpture.get_by_id(kept.id) and not path.with_name("facesculpt.db.copy.part").exists()
    store.close()


def test_a_place_that_cannot_be_opened_is_an_error_that_moves_nothing(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StoreError) as refused:
        Store(path)
    assert refused.value.code == "database_unreadable" and list(path.parent.iterdir()) == [path]
