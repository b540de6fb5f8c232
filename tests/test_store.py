"""The database: migrations, rows, JSON columns, threads."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from peewee import OperationalError

from octoprint_facesculpt import store as module
from octoprint_facesculpt.store import (
    STAGES,
    ClosedStore,
    Photo,
    QueueItem,
    Sculpture,
    Stage,
    Store,
    StoreError,
    other_shape,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "facesculpt.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store(path)
    yield store
    store.close()


def sculpture(store: Store, name: str = "bust") -> Sculpture:
    photo = Photo.create(name="photo.jpg")
    return store.add_sculpture(photo, name, 0, {"height_mm": 160, "style": "bust"}, {"profile": "bust_016"})


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


# -- versions


def test_a_new_database_has_the_newest_version_and_is_kept(path: Path) -> None:
    store = Store(path)
    kept = sculpture(store)
    store.close()
    assert version(path) == len(module.MIGRATIONS)
    again = Store(path)
    assert Sculpture.get_by_id(kept.id).name == "bust"
    again.close()


def _add_remark(database) -> None:
    database.execute_sql("ALTER TABLE sculpture ADD COLUMN remark TEXT DEFAULT 'none'")


def _fail_half_way(database) -> None:
    _add_remark(database)
    raise LookupError("half way")


def test_an_older_database_is_migrated_with_its_data(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = Store(path)
    kept = sculpture(old)
    old.close()
    monkeypatch.setattr(module, "MIGRATIONS", (*module.MIGRATIONS, _add_remark))
    new = Store(path)
    row = new.database.execute_sql("SELECT name, remark FROM sculpture WHERE id = ?", (kept.id,)).fetchone()
    assert row == ("bust", "none") and version(path) == len(module.MIGRATIONS)
    assert [stage.stage for stage in Sculpture.get_by_id(kept.id).stages.order_by(Stage.id)] == list(STAGES)
    new.close()


def test_sculptures_of_the_first_tables_have_one_photo(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "MIGRATIONS", module.MIGRATIONS[:2])
        old = Store(path)
        kept = sculpture(old)
        old.database.execute_sql("ALTER TABLE sculpture DROP COLUMN others")
        old.close()
    new = Store(path)
    assert Sculpture.get_by_id(kept.id).others == []
    new.close()


def test_a_migration_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = Store(path)
    sculpture(old)
    old.close()
    before = version(path)
    with monkeypatch.context() as patch, pytest.raises(StoreError, match="half way"):
        # OctoPrint switches a plugin off that starts with any other error.
        patch.setattr(module, "MIGRATIONS", (*module.MIGRATIONS, _fail_half_way))
        Store(path)
    assert version(path) == before
    again = Store(path)
    columns = {column.name for column in again.database.get_columns("sculpture")}
    assert "remark" not in columns and Sculpture.select().count() == 1
    again.close()


def test_an_empty_file_becomes_a_database(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    store = Store(path)
    assert Photo.select().count() == 0 and version(path) == len(module.MIGRATIONS)
    store.close()


def test_a_newer_database_is_refused_and_left_alone(path: Path) -> None:
    Store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="version 99") as refused:
        Store(path)
    assert refused.value.code == "database_newer" and refused.value.hint
    assert version(path) == 99 and not list(path.parent.glob("*damaged*"))


# -- rows


def test_what_was_written_survives_a_kill(path: Path) -> None:
    """The connection is simply left, and its write-ahead log copied with the file: as a power cut leaves them."""
    store = Store(path)
    kept = sculpture(store)
    copy = path.parent / "copy"
    copy.mkdir()
    for file in path.parent.glob("facesculpt.db*"):
        (copy / file.name).write_bytes(file.read_bytes())
    store.close()
    again = Store(copy / path.name)
    assert Sculpture.get_by_id(kept.id).settings["height_mm"] == 160
    again.close()


# -- columns


@pytest.mark.parametrize("value", [None, [], {}, {"a": [1, 2.5, None, True, "ü\u2028\"'; DROP TABLE"]}, "text", 0, [[]]])
def test_json_columns_return_what_was_stored(value, store: Store) -> None:
    photo = Photo.create(name="photo.jpg", error=value)
    assert Photo.get_by_id(photo.id).error == value


def test_a_column_that_somebody_else_has_spoilt_costs_nobody_his_list(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    spoilt, sound = sculpture(store, "spoilt"), sculpture(store, "sound")
    store.database.execute_sql(
        "UPDATE sculpture SET others = '[', settings = ?, estimates = '{\"seconds\": NaN}' WHERE id = ?",
        ("[" * 9999, spoilt.id),
    )
    read = Sculpture.get_by_id(spoilt.id)
    assert (read.others, read.settings, read.estimates) == ([], None, {"seconds": None})
    assert [one.name for one in Sculpture.select().order_by(Sculpture.name)] == ["sound", "spoilt"]
    assert store.made_from(sound.photo) == [sound]
    assert "others" in caplog.text


def test_json_defaults_are_not_shared(store: Store) -> None:
    first, second = Photo(name="a"), Photo(name="b")
    first.faces.append(1)
    assert second.faces == []


def test_deleting_a_photo_deletes_what_hangs_on_it(store: Store) -> None:
    made = sculpture(store)
    store.enqueue(made)
    made.photo.delete_instance()
    assert [model.select().count() for model in (Photo, Sculpture, Stage, QueueItem)] == [0, 0, 0, 0]


# -- queue


def test_the_queue_keeps_its_order(store: Store) -> None:
    items = [store.enqueue(sculpture(store, name)) for name in "abcd"]

    def order() -> str:
        assert [item.position for item in store.queued()] == list(range(len(store.queued())))
        return "".join(item.sculpture.name for item in store.queued())

    assert order() == "abcd"
    for item, position, expected in ((3, 0, "dabc"), (3, 99, "abcd"), (0, -5, "abcd"), (1, 2, "acbd")):
        store.move(items[item], position)
        assert order() == expected
    items[2].delete_instance()
    store.renumber()
    assert order() == "abd"


# -- threads


def test_threads_read_and_write_at_once(store: Store) -> None:
    """Every read-then-write is one transaction: nothing is lost, no two places are the same, nobody finds it locked."""
    made = [sculpture(store, str(number)) for number in range(4)]
    start, errors = threading.Barrier(4), []

    def work(number: int) -> None:
        try:
            start.wait()
            for _ in range(6):
                item = store.enqueue(made[number])
                store.move(item, number)
                Stage.update(progress=Stage.progress + 1).where(Stage.sculpture == made[number]).execute()
                assert store.queued()
        except Exception as error:
            errors.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [item.position for item in store.queued()] == list(range(24))
    assert {stage.progress for stage in Stage.select()} == {6.0}


def test_prints_in_one_go_are_experience(store: Store) -> None:
    photo = Photo.create(name="a.jpg")
    made = store.add_sculpture(photo, "a", 0, {}, {})
    for engine, estimated, real, state in (
        ("prusaslicer", 100, 110.0, "done"), ("prusaslicer", 100, None, "done"),
        ("curaengine", 100, 130.0, "done"), ("prusaslicer", 200, 240.0, "done"),
    ):  # fmt: skip
        one = store.add_sculpture(photo, "x", 0, {}, {})
        one.estimates = {"plan": {"engine": engine, "estimated_seconds": estimated}}
        one.save()
        store.learn(QueueItem.create(sculpture=one, position=0, state=state, seconds=real))
    store.learn(QueueItem.create(sculpture=made, position=0, state="done", seconds=5.0))
    assert store.experience("prusaslicer", "ender3") == [(200.0, 240.0), (100.0, 110.0)]
    assert store.experience("curaengine", "ender3") == [(100.0, 130.0)]


def test_a_print_is_held_against_the_plan_it_was_made_by(store: Store) -> None:
    """Not against the one that was made of its sculpture since."""
    made = store.add_sculpture(Photo.create(name="a.jpg"), "a", 0, {}, {})
    made.estimates = {"plan": {"engine": "curaengine", "estimated_seconds": 50}}
    made.save()
    plan = {"engine": "prusaslicer", "estimated_seconds": 100}
    store.learn(QueueItem.create(sculpture=made, position=0, state="done", seconds=110.0, plan=plan))
    assert store.experience("prusaslicer", "ender3") == [(100.0, 110.0)] and store.experience("curaengine", "ender3") == []


def test_every_printer_has_its_own_experience(store: Store) -> None:
    made = store.add_sculpture(Photo.create(name="a.jpg"), "a", 0, {}, {})
    plan = {"engine": "prusaslicer", "estimated_seconds": 100}
    for printer, seconds in (("ender3", 110.0), ("other", 150.0), (None, 120.0)):
        item = QueueItem.create(sculpture=made, position=0, state="done", seconds=seconds, plan=plan, printer=printer)
        store.learn(item)
    assert store.experience("prusaslicer", "ender3") == [(100.0, 120.0), (100.0, 110.0)]
    assert store.experience("prusaslicer", "other") == [(100.0, 120.0), (100.0, 150.0)]
    assert store.experience("prusaslicer", "new") == [(100.0, 120.0)]


def test_prints_of_before_printers_were_kept_are_of_the_one_they_were_sliced_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "MIGRATIONS", module.MIGRATIONS[:4])
        old = Store(path)
        photo = Photo.create(name="a.jpg")
        plan = {"engine": "prusaslicer", "estimated_seconds": 100}
        for printer, seconds in (("other", 150.0), ("", 120.0), (None, 130.0)):
            slicing = {} if printer is None else {"printer": printer}
            made = old.add_sculpture(photo, "a", 0, {}, slicing)
            QueueItem.create(sculpture=made, position=0, state="done", seconds=seconds, plan=plan)
        old.database.execute_sql("ALTER TABLE queueitem DROP COLUMN printer")
        old.close()
    new = Store(path)
    assert version(path) == len(module.MIGRATIONS) and QueueItem.select().count() == 3
    assert [real for _, real in new.experience("prusaslicer", "ender3")] == [130.0, 120.0]
    assert [real for _, real in new.experience("prusaslicer", "other")] == [130.0, 120.0, 150.0]
    new.close()


def test_what_was_learnt_outlives_the_print_and_its_sculpture(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what was learnt before lessons were kept apart."""
    plan: dict[str, Any] = {"engine": "prusaslicer", "estimated_seconds": 100}
    with monkeypatch.context() as patch:
        patch.setattr(module, "MIGRATIONS", module.MIGRATIONS[:5])
        old = Store(path)
        for number, spoilt in enumerate((None, "[", '["prusaslicer"]', '{"engine": {}, "estimated_seconds": "long"}')):
            made = sculpture(old)
            made.estimates = {"plan": {"engine": "curaengine", "estimated_seconds": 50}}
            made.save()
            done = {"state": "done", "seconds": 110.0 + number, "plan": plan, "printer": "ender3"}
            item = QueueItem.create(sculpture=made, position=0, **done)
            if spoilt is not None:
                old.database.execute_sql("UPDATE queueitem SET plan = ? WHERE id = ?", (spoilt, item.id))
        QueueItem.create(sculpture=made, position=0, state="failed", plan=plan)
        old.close()
    new = Store(path)
    for photo in Photo.select():
        photo.delete_instance(recursive=True)
    assert new.experience("prusaslicer", "ender3") == [(100.0, 110.0)]
    assert new.experience("curaengine", "ender3") == [(50.0, 112.0), (50.0, 111.0)]
    new.close()


@pytest.mark.parametrize("spoilt", ["[", "[]", "7", "null", '{"printer": {}}', "[" * 9999])
def test_a_wish_that_somebody_else_has_spoilt_stops_no_migration(
    path: Path, monkeypatch: pytest.MonkeyPatch, spoilt: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "MIGRATIONS", module.MIGRATIONS[:4])
        old = Store(path)
        made = sculpture(old)
        item = QueueItem.create(sculpture=made, position=0, state="done", seconds=100.0)
        old.database.execute_sql("UPDATE sculpture SET slicing = ?", (spoilt,))
        old.database.execute_sql("ALTER TABLE queueitem DROP COLUMN printer")
        old.close()
    new = Store(path)
    assert version(path) == len(module.MIGRATIONS) and QueueItem.get_by_id(item.id).printer is None
    new.close()


HOURS = {"kind": "hours", "value": 20, "fixed_height": False}


@pytest.mark.parametrize(
    ("settings", "slicing", "waiting"),
    [
        ({"height_mm": 100, "expression": 1.0}, {"profile": "bust_020"}, ["slice"]),
        ({"height_mm": 120}, {"profile": "bust_016"}, ["sculpt", "slice"]),
        ({"height_mm": 120}, {"profile": "bust_016", "target": HOURS}, ["slice"]),
        ({"height_mm": 100, "expression": 0.5}, {"profile": "bust_016"}, ["reconstruct", "sculpt", "slice"]),
        ({"height_mm": 100, "expression": 0.5}, {"profile": "bust_016", "target": HOURS}, ["reconstruct", "sculpt", "slice"]),
        # Heads of before detail have none.
        ({"height_mm": 100, "detail": 0.0}, {"profile": "bust_020"}, ["slice"]),
        ({"height_mm": 100, "detail": 1.0}, {"profile": "bust_016"}, ["reconstruct", "sculpt", "slice"]),
    ],
)
def test_a_plan_is_made_again_from_the_stage_that_changes(
    store: Store, settings: dict[str, Any], slicing: dict[str, Any], waiting: list[str]
) -> None:
    made = store.add_sculpture(Photo.create(name="a.jpg"), "a", 0, {"height_mm": 100}, {"profile": "bust_016"})
    Stage.update(state="done", seconds=3).where(Stage.sculpture == made).execute()
    made.state, made.estimates = "ready", {"seconds": 5}
    made.save()
    store.plan_again(made, settings, slicing)
    fresh = Sculpture.get_by_id(made.id)
    assert [stage.stage for stage in made.stages.where(Stage.state == "waiting").order_by(Stage.id)] == waiting
    assert fresh.state == "waiting" and fresh.estimates is None
    assert (fresh.settings, fresh.slicing) == (settings, slicing)


def test_a_size_that_was_found_by_slicing_is_made_in_full_when_it_is_kept(store: Store) -> None:
    """While its time decided, only the slicing knew the size; the sculpture's own files have another."""
    aimed = {"profile": "bust_016", "target": HOURS}
    made = store.add_sculpture(Photo.create(name="a.jpg"), "a", 0, {"height_mm": 151.3}, aimed)
    assert module.first_stage(made, {"height_mm": 151.3}, {"profile": "bust_016", "target": None}) == "sculpt"
    assert module.first_stage(made, {"height_mm": 151.3}, {**aimed, "profile": "bust_020"}) == "slice"


def test_more_detail_of_a_head_that_has_it_is_only_carved_anew(store: Store) -> None:
    made = store.add_sculpture(Photo.create(name="a.jpg"), "a", 0, {"height_mm": 100, "detail": 1.0}, {})
    assert module.first_stage(made, {"height_mm": 100, "detail": 1.5}, {}) == "sculpt"
    assert module.first_stage(made, {"height_mm": 100, "detail": 1.0}, {}) == "slice"


def test_an_old_head_is_made_anew_for_detail_also_when_it_was_planned_without_before(store: Store) -> None:
    made = store.add_sculpture(Photo.create(name="a.jpg"), "a", 0, {"height_mm": 100, "detail": 0.0}, {})
    assert module.first_stage(made, {"height_mm": 100, "detail": 1.0}, {}) == "reconstruct"


def test_an_old_head_is_made_anew_for_hair_and_one_that_has_it_is_not(store: Store) -> None:
    old, new = (
        store.add_sculpture(Photo.create(name="a.jpg"), "a", 0, {"height_mm": 100, **hair}, {}) for hair in ({}, {"hair": True})
    )
    assert module.first_stage(old, {"height_mm": 100, "hair": True}, {}) == "reconstruct"
    assert module.first_stage(old, {"height_mm": 100, "hair": False}, {}) == "slice"
    assert module.first_stage(new, {"height_mm": 100, "hair": False}, {}) == "sculpt"


def test_what_is_carved_or_worn_makes_another_shape_and_size_and_pose_do_not() -> None:
    before = {"height_mm": 100, "style": "bust", "orientation": "auto"}
    for same in ({}, {"height_mm": 60}, {"orientation": "tilt_10"}, {"expression": 1.0}, {"detail": 0.0}, {"hair": False}):
        assert not other_shape(before, {**before, **same})
    for other in ({"style": "mask"}, {"expression": 0.5}, {"detail": 1.0}, {"hair": True}):
        assert other_shape(before, {**before, **other})


def test_a_database_of_the_first_version_learns_to_keep_real_times(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    Store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        for column in ("seconds", "plan", "printer"):
            connection.execute(f"ALTER TABLE queueitem DROP COLUMN {column}")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    store = Store(path)
    assert store.experience("prusaslicer", "ender3") == [] and version(path) == len(module.MIGRATIONS)
    store.close()


def test_in_place_of_a_store_that_cannot_be_opened_everything_is_refused(path: Path) -> None:
    store = ClosedStore(StoreError("database_unreadable", "The disk is full."))
    experience = partial(store.experience, "prusaslicer", "ender3")
    for ask in (Photo.select().count, store.queued, experience, partial(Photo.create, name="a")):
        with pytest.raises(StoreError, match="The disk is full"):
            ask()
    store.close()
    assert not path.exists()


def test_tables_that_cannot_be_made_are_refused_with_their_reason(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Store) -> None:
        raise OperationalError("database or disk is full")

    monkeypatch.setattr(Store, "_migrate", full)
    with pytest.raises(StoreError, match="disk is full") as refused:
        Store(path)
    assert refused.value.code == "database_unreadable"


def test_sculptures_keep_to_a_file_that_is_moved_and_to_a_folder(path: Path) -> None:
    store = Store(path)
    photo = Photo.create(name="a.jpg")
    sculptures = {}
    for name in ("busts/a.gcode", "busts/b.gcode", "bustsx/c.gcode", None):
        sculptures[name] = store.add_sculpture(photo, "a", 0, {}, {})
        Sculpture.update(gcode_path=name).where(Sculpture.id == sculptures[name].id).execute()
    assert store.moved("busts/a.gcode", "mum.gcode") == [sculptures["busts/a.gcode"]]
    assert store.moved("busts", "old/busts") == [sculptures["busts/b.gcode"]]
    assert store.moved("None", "x") == []
    now = [sculpture.gcode_path for sculpture in Sculpture.select()]
    assert sorted(map(str, now)) == ["None", "bustsx/c.gcode", "mum.gcode", "old/busts/b.gcode"]
    store.close()
