"""The queue's state machine: what OctoPrint's events mean for the item that is being printed.

Nothing here starts a print by itself: after an outage, a failure or a cancel only the user does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from ..errors import FaceSculptError
from ..store import QueueItem, Sculpture, Store, now, plan_of

ACTIVE = ("printing", "paused")
#: Seconds in which OctoPrint begins with what it was told to print.
STARTING = 30.0
#: Reason of an item that goes on after an outage.
RESUMED = "resumed"
#: Reason of a print that ended because something lost its power, and may go on.
INTERRUPTED = "interrupted"


class QueueError(FaceSculptError):
    """Codes: ``not_ready``, ``not_sliced``, ``bed_not_clear``, ``busy``, ``not_waiting``, ``to_be_recovered``,
    ``file_missing``, ``queued``."""


class Printer(Protocol):
    """What the queue needs of the host."""

    def ready(self) -> bool: ...
    def printing(self) -> bool: ...
    def profile(self) -> str: ...
    def has_gcode(self, path: str) -> bool: ...
    def start(self, path: str, user: str | None) -> None: ...


class PrintQueue:
    """The queue over a store; ``publish(type, object)`` tells the dashboards; ``pending()`` is whether an interrupted print
    stands on the bed."""

    def __init__(
        self,
        store: Store,
        printer: Printer,
        publish: Callable[[str, Any], None],
        pending: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store, self._printer, self._publish, self._pending = store, printer, publish, pending
        #: Two orders at once must not both find a printer with nothing to do.
        self._starting = threading.Lock()
        #: When OctoPrint was told to print the last one, by the monotonic clock.
        self._ordered = 0.0

    def recover(self) -> None:
        """At a server's start: what was printing then was interrupted."""
        QueueItem.update(state="failed", ended=now(), reason=INTERRUPTED).where(QueueItem.state.in_(ACTIVE)).execute()

    def add(self, sculpture: Sculpture) -> QueueItem:
        """Queue a sculpture; :class:`QueueError` ``not_sliced``."""
        if sculpture.state != "ready" or not sculpture.gcode_path:
            raise QueueError("not_sliced", "This sculpture has no G-code yet.", "Wait until it is sliced.")
        item = self._store.enqueue(sculpture)
        self._publish("queue", None)
        return item

    def start(self, item: QueueItem, bed_clear: bool, user: str | None) -> None:
        """Print an item now; :class:`QueueError` when the printer cannot, or nobody confirmed that the bed is clear."""
        with self._starting:
            self._start(item, bed_clear, user)
        self._publish("queue", None)

    def _start(self, item: QueueItem, bed_clear: bool, user: str | None) -> None:
        # As it is by now, not as it was found.
        if item.state != "queued" or QueueItem.get_or_none(QueueItem.id == item.id, QueueItem.state == "queued") is None:
            raise QueueError("not_waiting", "This item is not waiting any more.", "Queue the sculpture again.")
        if not bed_clear:
            raise QueueError("bed_not_clear", "Nobody confirmed that the bed is clear.", "Look, then confirm.")
        if self._pending():
            raise QueueError("to_be_recovered", "An interrupted print may go on.", "Go on with it first, or give it up.")
        if self._printer.printing() or self._begins():
            raise QueueError("busy", "The printer is printing.", "Wait until it is finished.")
        if not self._printer.ready():
            raise QueueError("not_ready", "The printer is not connected or not ready.", "Connect the printer first.")
        path = item.sculpture.gcode_path
        if not path or not self._printer.has_gcode(path):
            raise QueueError("file_missing", "The G-code file was deleted.", "Slice the sculpture again.")
        item.state, item.started = "printing", now()
        item.plan, item.printer = plan_of(item.sculpture), self._printer.profile()
        item.save()
        self._ordered = time.monotonic()
        try:
            self._printer.start(path, user)
        except Exception:
            item.state, item.started = "queued", None
            item.save()
            raise
        self._store.renumber()

    def _begins(self) -> bool:
        """Whether OctoPrint is about to print an item. One that it never began with waits again."""
        item = self.active()
        if item is None:
            return False
        if time.monotonic() - self._ordered < STARTING:
            return True
        item.state, item.started = "queued", None
        item.save()
        self._store.renumber()
        return False

    def resumed(self, job: dict[str, Any]) -> None:
        """An interrupted print goes on: its item is being printed again. ``job`` is what the journal keeps of it: the file's
        ``path`` and the ``item``, unless it was not started from this queue."""
        path, number = str(job.get("path")), job.get("item")
        ended = QueueItem.select().where(QueueItem.state.in_(("failed", "cancelled"))).order_by(QueueItem.id.desc())
        items = [item for item in ended if item.sculpture.gcode_path == path]
        item = next((item for item in items if item.id == number), None)
        if item is None and number is None:
            # A journal of before items were kept in it.
            item = next((item for item in items if item.reason == INTERRUPTED), None)
        if item is not None and self.active() is None:
            item.state, item.ended, item.reason = "printing", None, RESUMED
            item.save()
            self._publish("queue", None)

    def move(self, item: QueueItem, position: int) -> None:
        """Move a waiting item to a position, counted from 0; :class:`QueueError` ``not_waiting``."""
        if item.state != "queued":
            raise QueueError("not_waiting", "This item is not waiting any more.", "Queue the sculpture again.")
        self._store.move(item, position)
        self._publish("queue", None)

    def remove(self, item: QueueItem) -> None:
        """Take an item out; :class:`QueueError` ``busy`` while it prints."""
        if item.state in ACTIVE:
            raise QueueError("busy", "This item is being printed.", "Cancel the print first.")
        item.delete_instance()
        self._store.renumber()
        self._publish("queue", None)

    def active(self) -> QueueItem | None:
        """The item that is being printed."""
        return QueueItem.select().where(QueueItem.state.in_(ACTIVE)).first()

    def on_event(self, event: str, payload: dict[str, Any]) -> None:
        """Follow OctoPrint's events of the file that is being printed."""
        item = self.active()
        path = payload.get("path")
        if item is None or (path is not None and path != item.sculpture.gcode_path):
            return
        if event == "PrintPaused":
            item.state = "paused"
        elif event == "PrintResumed":
            item.state = "printing"
        elif event == "PrintDone":
            item.state, item.ended = "done", now()
            taken = payload.get("time")
            # Of a print that was interrupted only the rest was timed.
            if item.reason != RESUMED and isinstance(taken, (int, float)) and taken > 0:
                item.seconds = float(taken)
                self._store.learn(item)
        elif event == "PrintFailed":
            cancelled = payload.get("reason") == "cancelled"
            item.state, item.ended = ("cancelled" if cancelled else "failed"), now()
            item.reason = str(payload.get("reason", ""))[:100]
        else:
            return
        item.save()
        self._publish("queue", None)
