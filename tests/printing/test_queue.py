"""The print queue's rules, on a real database and a printer that does as it is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from octoprint_facesculpt.printing import queue as printing_queue
from octoprint_facesculpt.printing.queue import PrintQueue, QueueError
from octoprint_facesculpt.store import Photo, QueueItem, Sculpture, Store


@dataclass
class Printer:
    """What the queue asks a host: answers that a test sets, and the starts it was told."""

    is_ready: bool = True
    is_printing: bool = False
    files: set[str] = field(default_factory=lambda: {"facesculpt/a.gcode", "facesculpt/b.gcode"})
    started: list[tuple[str, str | None]] = field(default_factory=list)
    fault: Exception | None = None

    def ready(self) -> bool:
        return self.is_ready

    def printing(self) -> bool:
        return self.is_printing

    def profile(self) -> str:
        return "ender3"

    def has_gcode(self, path: str) -> bool:
        return path in self.files

    def start(self, path: str, user: str | None) -> None:
        if self.fault:
            raise self.fault
        self.started.append((path, user))
        self.is_printing, self.is_ready = True, False


@dataclass
class House:
    """A queue with its store and printer; ``told`` counts what dashboards were told."""

    store: Store
    printer: Printer
    queue: PrintQueue
    told: list[str]
    photo: Photo

    def sculpture(self, name: str = "a", **fields: Any) -> Sculpture:
        made = self.store.add_sculpture(self.photo, name, 0, {"height_mm": 40}, {})
        made.state, made.gcode_path = "ready", f"facesculpt/{name}.gcode"
        for key, value in fields.items():
            setattr(made, key, value)
        made.save()
        return made

    def order(self) -> list[int]:
        return [item.id for item in self.store.queued()]

    def state(self, item: QueueItem) -> str:
        return QueueItem.get_by_id(item.id).state


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    store = Store(tmp_path / "facesculpt.db")
    printer, told = Printer(), []
    queue = PrintQueue(store, printer, lambda kind, _what: told.append(kind))
    photo = Photo.create(name="photo.jpg", state="ready", width=10, height=10)
    yield House(store, printer, queue, told, photo)
    store.close()


def refused(code: str, action, *arguments: Any) -> None:
    with pytest.raises(QueueError) as error:
        action(*arguments)
    assert error.value.code == code and error.value.hint


# -- waiting


def test_sculptures_wait_in_the_order_they_came(house: House) -> None:
    items = [house.queue.add(house.sculpture(name)) for name in "aba"]
    assert house.order() == [item.id for item in items]
    assert [item.position for item in house.store.queued()] == [0, 1, 2]
    assert house.told == ["queue"] * 3 and not house.printer.started


@pytest.mark.parametrize("fields", [{"state": "working"}, {"state": "failed"}, {"gcode_path": None}, {"gcode_path": ""}])
def test_only_what_is_sliced_can_be_queued(house: House, fields: dict[str, Any]) -> None:
    refused("not_sliced", house.queue.add, house.sculpture(**fields))
    assert house.order() == [] and house.told == []


@pytest.mark.parametrize(
    ("which", "position", "order"), [(0, 2, "bca"), (2, 0, "cab"), (1, 1, "abc"), (0, 99, "bca"), (2, -5, "cab")]
)
def test_items_can_be_moved(house: House, which: int, position: int, order: str) -> None:
    items = {letter: house.queue.add(house.sculpture()) for letter in "abc"}
    house.queue.move(items["abc"[which]], position)
    assert house.order() == [items[letter].id for letter in order]
    assert [item.position for item in house.store.queued()] == [0, 1, 2]


def test_what_does_not_wait_cannot_be_moved(house: House) -> None:
    first, second = house.queue.add(house.sculpture()), house.queue.add(house.sculpture("b"))
    house.queue.start(first, True, None)
    refused("not_waiting", house.queue.move, QueueItem.get_by_id(first.id), 0)
    assert house.order() == [second.id]


def test_the_plan_and_the_printer_of_a_print_are_kept_with_it(house: House) -> None:
    sculpture = house.sculpture()
    sculpture.estimates = {"plan": {"engine": "prusaslicer", "estimated_seconds": 90}}
    sculpture.save()
    item = house.queue.add(sculpture)
    house.queue.start(item, True, None)
    sculpture.estimates = None
    sculpture.save()
    kept = QueueItem.get_by_id(item.id)
    assert (kept.plan, kept.printer) == ({"engine": "prusaslicer", "estimated_seconds": 90}, "ender3")


def test_removing_closes_the_gap(house: House) -> None:
    items = [house.queue.add(house.sculpture()) for _ in range(3)]
    house.queue.remove(items[1])
    assert house.order() == [items[0].id, items[2].id]
    assert [item.position for item in house.store.queued()] == [0, 1]
    assert house.queue.add(house.sculpture()).position == 2


def test_a_deleted_sculpture_leaves_the_queue(house: House) -> None:
    sculpture = house.sculpture()
    house.queue.add(sculpture)
    kept = house.queue.add(house.sculpture("b"))
    sculpture.delete_instance(recursive=True)
    assert house.order() == [kept.id]


# -- starting


def test_a_print_starts_only_when_the_user_says_so(house: House) -> None:
    item = house.queue.add(house.sculpture())
    assert not house.printer.started
    house.queue.start(item, True, "owner")
    assert house.printer.started == [("facesculpt/a.gcode", "owner")]
    assert house.state(item) == "printing" and QueueItem.get_by_id(item.id).started
    active = house.queue.active()
    assert active is not None and active.id == item.id and house.order() == []


@pytest.mark.parametrize(
    ("code", "bed_clear", "printer"),
    [
        ("bed_not_clear", False, {}),
        ("busy", True, {"is_printing": True, "is_ready": False}),
        ("not_ready", True, {"is_ready": False}),
        ("file_missing", True, {"files": set()}),
    ],
)
def test_a_start_that_cannot_be_is_refused_and_changes_nothing(
    house: House, code: str, bed_clear: bool, printer: dict[str, Any]
) -> None:
    item = house.queue.add(house.sculpture())
    for key, value in printer.items():
        setattr(house.printer, key, value)
    refused(code, house.queue.start, item, bed_clear, None)
    assert house.state(item) == "queued" and not house.printer.started
    assert QueueItem.get_by_id(item.id).started is None


def test_a_printer_that_fails_to_start_leaves_the_item_waiting(house: House) -> None:
    first, second = house.queue.add(house.sculpture()), house.queue.add(house.sculpture("b"))
    house.printer.fault = OSError("the port is gone")
    with pytest.raises(OSError, match="port"):
        house.queue.start(first, True, None)
    assert house.state(first) == "queued" and QueueItem.get_by_id(first.id).started is None
    assert house.order() == [first.id, second.id]
    assert [item.position for item in house.store.queued()] == [0, 1]


def test_no_item_is_printed_twice(house: House) -> None:
    item = house.queue.add(house.sculpture())
    house.queue.start(item, True, None)
    refused("not_waiting", house.queue.start, QueueItem.get_by_id(item.id), True, None)
    house.queue.on_event("PrintDone", {"path": "facesculpt/a.gcode"})
    house.printer.is_printing, house.printer.is_ready = False, True
    refused("not_waiting", house.queue.start, QueueItem.get_by_id(item.id), True, None)
    assert len(house.printer.started) == 1


def test_of_two_orders_at_once_one_is_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """OctoPrint takes a moment to begin, and says nothing of a second file it is given meanwhile."""
    first, second = house.queue.add(house.sculpture()), house.queue.add(house.sculpture("b"))
    monkeypatch.setattr(house.printer, "printing", lambda: False)
    house.queue.start(first, True, None)
    house.printer.is_ready = True
    refused("busy", house.queue.start, second, True, None)
    assert (house.state(first), house.state(second)) == ("printing", "queued")
    # It never came to it: the first waits again, and nothing stands in the way any more.
    monkeypatch.setattr(printing_queue, "STARTING", 0.0)
    house.queue.start(second, True, None)
    assert (house.state(first), house.state(second)) == ("queued", "printing")
    assert [path for path, _ in house.printer.started] == ["facesculpt/a.gcode", "facesculpt/b.gcode"]


def test_nothing_is_begun_over_an_interrupted_print(house: House) -> None:
    pending = [True]
    queue = PrintQueue(house.store, house.printer, lambda *_: None, lambda: pending[0])
    item = queue.add(house.sculpture())
    refused("to_be_recovered", queue.start, item, True, None)
    assert house.state(item) == "queued" and not house.printer.started
    pending[0] = False
    queue.start(item, True, None)
    assert house.printer.started


def test_what_is_printed_cannot_be_removed_and_what_was_can(house: House) -> None:
    item = house.queue.add(house.sculpture())
    house.queue.start(item, True, None)
    refused("busy", house.queue.remove, QueueItem.get_by_id(item.id))
    house.queue.on_event("PrintPaused", {"path": "facesculpt/a.gcode"})
    refused("busy", house.queue.remove, QueueItem.get_by_id(item.id))
    house.queue.on_event("PrintDone", {"path": "facesculpt/a.gcode"})
    house.queue.remove(QueueItem.get_by_id(item.id))
    assert QueueItem.get_or_none(QueueItem.id == item.id) is None


# -- following OctoPrint's events

PATH = {"path": "facesculpt/a.gcode"}


@pytest.mark.parametrize(
    ("events", "state", "reason"),
    [
        ([("PrintDone", PATH)], "done", ""),
        ([("PrintPaused", PATH)], "paused", ""),
        ([("PrintPaused", PATH), ("PrintResumed", PATH)], "printing", ""),
        ([("PrintPaused", PATH), ("PrintResumed", PATH), ("PrintDone", PATH)], "done", ""),
        ([("PrintFailed", {**PATH, "reason": "cancelled"})], "cancelled", "cancelled"),
        ([("PrintFailed", {**PATH, "reason": "error", "error": "x"})], "failed", "error"),
        ([("PrintFailed", {**PATH, "reason": "e" * 500})], "failed", "e" * 100),
        ([("PrintFailed", PATH)], "failed", ""),
        # Another file's events, and events that mean nothing here.
        ([("PrintDone", {"path": "other.gcode"})], "printing", ""),
        ([("PrintFailed", {"path": "facesculpt/b.gcode", "reason": "error"})], "printing", ""),
        ([("ZChange", PATH)], "printing", ""),
        # After the end nothing changes any more.
        ([("PrintDone", PATH), ("PrintFailed", {**PATH, "reason": "error"})], "done", ""),
    ],
)
def test_the_item_follows_the_print(house: House, events: list[tuple[str, dict]], state: str, reason: str) -> None:
    item, waiting = house.queue.add(house.sculpture()), house.queue.add(house.sculpture("b"))
    house.queue.start(item, True, None)
    for event, payload in events:
        house.queue.on_event(event, payload)
    row = QueueItem.get_by_id(item.id)
    assert (row.state, row.reason) == (state, reason)
    assert bool(row.ended) == (state in ("done", "failed", "cancelled"))
    # Nothing starts by itself.
    assert house.state(waiting) == "queued" and len(house.printer.started) == 1


def test_events_without_a_running_item_are_nothing(house: House) -> None:
    item = house.queue.add(house.sculpture())
    told = len(house.told)
    for event in ("PrintDone", "PrintFailed", "PrintPaused"):
        house.queue.on_event(event, PATH)
    assert house.state(item) == "queued" and len(house.told) == told


# -- restart


@pytest.mark.parametrize("event", [None, "PrintPaused"])
def test_after_a_restart_what_was_printing_is_interrupted_and_the_rest_waits(
    house: House, tmp_path: Path, event: str | None
) -> None:
    printing, waiting = house.queue.add(house.sculpture()), house.queue.add(house.sculpture("b"))
    house.queue.start(printing, True, None)
    if event:
        house.queue.on_event(event, PATH)
    house.store.close()

    store, printer = Store(tmp_path / "facesculpt.db"), Printer()
    queue = PrintQueue(store, printer, lambda *_: None)
    queue.recover()
    row = QueueItem.get_by_id(printing.id)
    assert (row.state, row.reason) == ("failed", "interrupted") and row.ended
    assert [item.id for item in store.queued()] == [waiting.id]
    assert queue.active() is None and not printer.started
    store.close()


def printed(house: House, item: QueueItem, **payload: Any) -> float | None:
    house.queue.on_event("PrintDone", {"path": item.sculpture.gcode_path, **payload})
    return QueueItem.get_by_id(item.id).seconds


def test_the_real_time_of_a_print_is_kept(house: House) -> None:
    item = house.queue.add(house.sculpture())
    house.queue.start(item, True, None)
    assert printed(house, item, time=3600.5) == 3600.5


@pytest.mark.parametrize("payload", [{}, {"time": None}, {"time": 0}, {"time": "long"}])
def test_a_print_whose_time_nobody_told_teaches_nothing(house: House, payload: dict[str, Any]) -> None:
    item = house.queue.add(house.sculpture())
    house.queue.start(item, True, None)
    assert printed(house, item, **payload) is None


def test_the_rest_of_an_interrupted_print_teaches_nothing(house: House) -> None:
    item = house.queue.add(house.sculpture())
    house.queue.start(item, True, None)
    house.queue.on_event("PrintFailed", {"path": item.sculpture.gcode_path, "reason": "error"})
    house.queue.resumed({"path": item.sculpture.gcode_path, "item": item.id})
    assert house.state(item) == "printing" and printed(house, item, time=900) is None and house.state(item) == "done"


def test_what_a_print_taught_stays_when_it_leaves_the_list(house: House) -> None:
    item = house.queue.add(house.sculpture(estimates={"plan": {"engine": "prusaslicer", "estimated_seconds": 3000}}))
    house.queue.start(item, True, None)
    assert printed(house, item, time=3600.5) == 3600.5
    house.queue.remove(QueueItem.get_by_id(item.id))
    assert house.store.experience("prusaslicer", "ender3") == [(3000.0, 3600.5)]
