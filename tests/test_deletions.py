"""Deleted things: gone from every list, had back whole, and in the end really removed, whatever comes in between."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from peewee import DoesNotExist, OperationalError

from octoprint_facesculpt import deletions as module
from octoprint_facesculpt import leftovers
from octoprint_facesculpt.deletions import KEPT_SECONDS, DeletionError, Deletions
from octoprint_facesculpt.jobs.pipeline import Workshop
from octoprint_facesculpt.printing.queue import QueueError
from octoprint_facesculpt.store import Deletion, Photo, QueueItem, Sculpture, Stage, Store


class House:
    """A store and its files on the disk, OctoPrint's uploads in a set, and a clock that a test sets."""

    def __init__(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data, self.clock, self.room, self.dropped = data, 1000.0, True, []
        self.uploads: set[str] = set()
        monkeypatch.setattr(module.time, "monotonic", lambda: self.clock)
        self.open()

    def open(self) -> None:
        """Start the server, perhaps anew."""
        self.store = Store(self.data / "facesculpt.db")
        self.shop = Workshop(self.data, lambda: False, lambda *_: None, self.add_gcode, dict, remove_gcode=self.uploads.discard)
        self.deletions = Deletions(self.store, self.shop, self.dropped.append, lambda: self.room)
        self.deletions.open()

    def killed(self) -> None:
        self.store.close()
        self.open()

    def add_gcode(self, sculpture: Sculpture, file: Path, result: dict[str, Any]) -> str:
        assert result["estimated_seconds"] == 60 and file.is_file()
        self.uploads.add(f"{sculpture.name}.gcode")
        return f"{sculpture.name}.gcode"

    def photo(self, name: str = "a.jpg") -> Photo:
        photo = Photo.create(name=name, state="ready")
        self.shop.photo_file(photo).parent.mkdir(parents=True)
        self.shop.photo_file(photo).write_bytes(b"portrait")
        return photo

    def sculpture(self, photo: Photo, name: str = "a", others: tuple[Photo, ...] = ()) -> Sculpture:
        made = self.store.add_sculpture(photo, name, 0, {}, {}, [{"photo": other.id, "face": 0} for other in others])
        folder = self.shop.folder(made)
        folder.mkdir(parents=True)
        (folder / "bust.gcode").write_text("G1 X1\n")
        (folder / "slice.json").write_text(json.dumps({"estimated_seconds": 60}))
        made.state, made.gcode_path = "ready", f"{name}.gcode"
        made.save()
        self.uploads.add(f"{name}.gcode")
        return made

    def names(self) -> tuple[list[str], list[str], list[str]]:
        """What the lists show: photos, sculptures, and the queue in its order."""
        photos, sculptures = (sorted(str(row.name) for row in model.select()) for model in (Photo, Sculpture))
        assert [item.position for item in self.store.queued()] == list(range(len(self.store.queued())))
        return photos, sculptures, [item.sculpture.name for item in self.store.queued()]

    def on_disk(self) -> set[str]:
        return {path.name for kind in ("photos", "sculptures") for path in self.data.glob(f"{kind}/*")}

    def later(self, seconds: float = KEPT_SECONDS) -> None:
        self.clock += seconds
        self.deletions.clear()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    house = House(tmp_path, monkeypatch)
    yield house
    house.store.close()


def refused(code: str, action: Callable[..., Any], *arguments: Any) -> None:
    with pytest.raises(DeletionError) as error:
        action(*arguments)
    assert error.value.code == code and error.value.hint


def test_a_photo_goes_with_all_that_is_made_of_it_and_comes_back_so(house: House) -> None:
    photo, other = house.photo(), house.photo("b.jpg")
    first, second = house.sculpture(photo, "first"), house.sculpture(other, "second", (photo,))
    kept = house.sculpture(other, "kept")
    for sculpture in (first, kept, second, first):
        house.store.enqueue(sculpture)
    before, files = house.names(), house.on_disk()

    house.deletions.put_aside(photo)
    assert house.names() == (["b.jpg"], ["kept"], ["kept"])
    assert house.uploads == {"kept.gcode"} and house.on_disk() == files
    assert {sculpture.id for sculpture in house.dropped} == {first.id, second.id}
    (row,) = house.deletions.rows()
    assert (row["kind"], row["id"], row["name"]) == ("photos", photo.id, "a.jpg")
    assert Photo.get_or_none(Photo.id == photo.id) is None and house.store.made_from(other) == [kept]

    house.deletions.restore("photos", photo.id)
    assert house.names() == before and house.uploads == {"first.gcode", "second.gcode", "kept.gcode"}
    assert house.deletions.rows() == []
    # Somebody at another dashboard takes it back, too.
    house.deletions.restore("photos", photo.id)
    house.later()
    assert house.names() == before and house.on_disk() == files


def test_after_its_time_it_is_gone_for_ever(house: House) -> None:
    photo, kept = house.photo(), house.photo("b.jpg")
    house.store.enqueue(house.sculpture(photo))
    house.deletions.put_aside(photo)
    house.later(KEPT_SECONDS - 1)
    assert len(house.on_disk()) == 3
    house.later(1)
    assert house.on_disk() == {kept.id} and house.deletions.rows() == []
    assert [model.select().count() for model in (Deletion, Stage)] == [0, 0]
    assert [model.with_deleted().count() for model in (Photo, Sculpture, QueueItem)] == [1, 0, 0]
    refused("not_found", house.deletions.restore, "photos", photo.id)


@pytest.mark.parametrize(("age", "kept"), [(0, KEPT_SECONDS), (3000, 600), (90_000, 0), (-90_000, KEPT_SECONDS), (None, 0)])
def test_what_another_server_put_aside_is_kept_for_the_rest_of_its_time(house: House, age: int | None, kept: float) -> None:
    """Also when the clock was set back meanwhile, or somebody has spoilt what it says."""
    photo = house.photo()
    house.deletions.put_aside(photo)
    then = "yesterday" if age is None else (datetime.now(UTC) - timedelta(seconds=age)).isoformat()
    Deletion.update(deleted=then).execute()
    house.killed()
    assert (house.on_disk() == {photo.id}) == (kept > 0)
    house.later(max(kept - 10, 0))
    assert (house.on_disk() == {photo.id}) == (kept > 0)
    house.later(10)
    assert house.on_disk() == set() and Photo.with_deleted().count() == 0


def test_while_there_is_little_room_the_oldest_go_and_nothing_is_put_aside(house: House) -> None:
    old, new, wanted = house.photo("old"), house.photo("new"), house.photo("wanted")
    for photo in (old, new):
        house.deletions.put_aside(photo)
    assert [row["id"] for row in house.deletions.rows()] == [new.id, old.id]
    house.deletions._room = lambda: old.id not in house.on_disk()
    house.later(0)
    assert house.on_disk() == {new.id, wanted.id}
    house.deletions._room = lambda: False
    refused("no_room_to_keep", house.deletions.put_aside, wanted)
    assert house.names()[0] == ["wanted"] and house.on_disk() == {wanted.id}
    house.deletions.remove(wanted)
    assert house.names()[0] == [] and house.on_disk() == set() and Photo.with_deleted().count() == 0


def test_for_ever_leaves_nothing(house: House) -> None:
    photo, kept = house.photo(), house.photo("b.jpg")
    sculpture = house.sculpture(photo)
    house.store.enqueue(sculpture)
    waits = house.store.enqueue(house.sculpture(kept, "kept"))
    house.deletions.remove(photo)
    assert house.names() == (["b.jpg"], ["kept"], ["kept"]) and house.uploads == {"kept.gcode"}
    assert len(house.on_disk()) == 2 and house.deletions.rows() == [] and house.dropped == [sculpture]
    house.deletions.remove(waits)
    assert house.names() == (["b.jpg"], ["kept"], []) and QueueItem.with_deleted().count() == 0


@pytest.mark.parametrize(("which", "order"), [(0, "cab"), (1, "cab"), (2, "cab")])
def test_what_waited_comes_back_to_its_place(house: House, which: int, order: str) -> None:
    photo = house.photo()
    items = [house.store.enqueue(house.sculpture(photo, name)) for name in "abc"]
    house.store.move(items[2], 0)
    item = house.store.queued()[which]
    house.deletions.put_aside(item)
    assert "".join(house.names()[2]) == order.replace(order[which], "")
    # Its number is not given to another one meanwhile.
    assert house.store.enqueue(item.sculpture).id != item.id
    house.deletions.restore("queue", item.id)
    assert "".join(house.names()[2]) == order + order[which]


def test_nothing_comes_back_without_what_it_belongs_to(house: House) -> None:
    photo, further = house.photo(), house.photo("b.jpg")
    sculpture = house.sculpture(photo, "a", (further,))
    item = house.store.enqueue(sculpture)
    for row in (item, sculpture, further):
        house.deletions.put_aside(row)
    refused("restore_first", house.deletions.restore, "queue", item.id)
    refused("restore_first", house.deletions.restore, "sculptures", sculpture.id)
    for kind, row in (("photos", further), ("sculptures", sculpture), ("queue", item)):
        house.deletions.restore(kind, row.id)
    assert house.names() == (["a.jpg", "b.jpg"], ["a"], ["a"])
    # What went with something else comes back with that.
    house.deletions.put_aside(photo)
    refused("restore_first", house.deletions.restore, "sculptures", sculpture.id)
    # And it ends with it, however late it was put aside itself.
    house.later()
    assert house.on_disk() == {further.id}


def test_what_was_deleted_earlier_ends_with_its_photo(house: House) -> None:
    photo, further = house.photo(), house.photo("b.jpg")
    sculpture = house.sculpture(photo, "a", (further,))
    house.deletions.put_aside(sculpture)
    house.deletions.put_aside(further)
    # The clock of the day was set back in between.
    Deletion.update(deleted="2020-01-01T00:00:00+00:00").where(Deletion.target == further.id).execute()
    house.killed()
    assert house.on_disk() == {photo.id} and house.deletions.rows() == [] and Deletion.select().count() == 0


# -- whatever comes in between


def test_who_holds_a_row_while_it_is_deleted_does_not_write_it_back(house: House) -> None:
    photo = house.photo()
    sculpture = house.sculpture(photo)
    item = house.store.enqueue(sculpture)
    held = Photo.get_by_id(photo.id), Sculpture.get_by_id(sculpture.id), QueueItem.get_by_id(item.id)
    house.deletions.put_aside(photo)
    for row in held:
        row.state = "failed"
        row.save()
    assert house.names() == ([], [], [])
    house.deletions.restore("photos", photo.id)
    assert Photo.get_by_id(photo.id).state == Sculpture.get_by_id(sculpture.id).state == "failed"


def test_what_is_queued_while_its_sculpture_is_being_deleted_goes_with_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    sculpture = house.sculpture(house.photo())
    writing, queued = house.store.writing, []

    def late():
        if not queued:
            queued.append(True)
            house.store.enqueue(sculpture)
        return writing()

    monkeypatch.setattr(house.store, "writing", late)
    house.deletions.put_aside(sculpture)
    assert house.names() == (["a.jpg"], [], []) and QueueItem.with_deleted().count() == 1


@pytest.mark.parametrize("state", ["printing", "paused"])
def test_what_is_printed_stays(house: House, state: str) -> None:
    photo = house.photo()
    sculpture = house.sculpture(photo)
    item = house.store.enqueue(sculpture)
    # Begun since whoever wants to delete it has looked.
    QueueItem.update(state=state).execute()
    for row in (photo, sculpture, item):
        for delete in (house.deletions.put_aside, house.deletions.remove):
            with pytest.raises(QueueError) as error:
                delete(row)
            assert error.value.code == "busy"
    assert house.names()[:2] == (["a.jpg"], ["a"]) and len(house.on_disk()) == 2 and house.uploads == {"a.gcode"}


def test_nothing_new_is_made_of_what_was_deleted_a_moment_ago(house: House) -> None:
    photo, further = house.photo(), house.photo("b.jpg")
    sculpture = house.sculpture(photo)
    house.deletions.put_aside(further)
    with pytest.raises(DoesNotExist):
        house.sculpture(photo, "b", (further,))
    house.deletions.put_aside(sculpture)
    with pytest.raises(DoesNotExist):
        house.store.enqueue(sculpture)
    house.deletions.put_aside(photo)
    with pytest.raises(DoesNotExist):
        house.sculpture(photo, "b")
    assert Sculpture.with_deleted().count() == 1 and QueueItem.with_deleted().count() == 0


def test_its_files_are_no_leftovers(house: House) -> None:
    photo = house.photo()
    house.sculpture(photo)
    house.deletions.put_aside(photo)
    found = leftovers.find(house.data)
    assert found == leftovers.Leftovers()
    both = leftovers.Leftovers(tuple(house.data.glob("photos/*")), tuple(house.data.glob("sculptures/*")))
    leftovers.restore(both)
    leftovers.delete(both)
    assert len(house.on_disk()) == 2 and house.names() == ([], [], [])


def test_a_server_that_is_killed_while_it_puts_aside_or_takes_back_leaves_no_gcode(house: House) -> None:
    photo = house.photo()
    sculpture = house.sculpture(photo)
    house.deletions.put_aside(sculpture)
    # As if its file had not been removed yet, or had been added again already.
    house.uploads.add("a.gcode")
    Deletion.update(state="putting").execute()
    house.killed()
    assert house.uploads == set() and house.names()[1] == []
    # A file of somebody else that has got its name since is let alone.
    house.uploads.add("a.gcode")
    house.killed()
    house.later()
    assert house.uploads == {"a.gcode"}


def test_a_server_that_is_killed_while_it_removes_goes_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = house.photo()
    house.sculpture(photo)
    house.deletions.put_aside(photo)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module.shutil, "rmtree", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        house.later()
    refused("not_found", house.deletions.restore, "photos", photo.id)
    assert house.deletions.rows() == []
    house.killed()
    assert house.on_disk() == set() and Photo.with_deleted().count() == 0


def test_on_a_full_disk_files_go_before_the_rows(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = house.photo()
    house.deletions.put_aside(photo)

    def full(*_: Any, **__: Any) -> None:
        if house.on_disk():
            raise OperationalError("database or disk is full")

    update = Deletion.update
    monkeypatch.setattr(Deletion, "update", lambda *given, **values: full() or update(*given, **values))
    house.later()
    assert house.on_disk() == set() and Photo.with_deleted().count() == 0


def test_gcode_that_cannot_be_given_back_leaves_it_deleted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    sculpture = house.sculpture(house.photo())
    house.deletions.put_aside(sculpture)

    def full(*_: Any) -> str:
        house.uploads.add("a.gcode")
        raise OSError("no space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr(house, "add_gcode", full)
        house.deletions._shop = Workshop(
            house.data, lambda: False, lambda *_: None, full, dict, remove_gcode=house.uploads.discard
        )
        house.deletions.restore("sculptures", sculpture.id)
    assert house.names()[1] == [] and house.uploads == set()
    house.deletions._shop = house.shop
    house.deletions.restore("sculptures", sculpture.id)
    assert house.names()[1] == ["a"] and house.uploads == {"a.gcode"}


@pytest.mark.parametrize("spoilt", [None, "[", "{}", "7"])
def test_a_sculpture_whose_gcode_is_lost_comes_back_without(house: House, spoilt: str | None) -> None:
    sculpture = house.sculpture(house.photo())
    file = house.shop.folder(sculpture) / "slice.json"
    file.unlink() if spoilt is None else file.write_text(spoilt)
    house.deletions.put_aside(sculpture)
    house.deletions.restore("sculptures", sculpture.id)
    assert Sculpture.get_by_id(sculpture.id).gcode_path is None and house.uploads == set()
