"""How many requests may wait for a child process at once.

OctoPrint answers everybody with a handful of threads, also who wants to pause or cancel a print, and each request that waits
keeps one of them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .runner import JobError


class Places:
    """``number`` of places; who finds none free is told at once: :class:`JobError` with this ``code`` and ``message``."""

    def __init__(self, number: int, code: str, message: str) -> None:
        self._free = threading.BoundedSemaphore(number)
        self._code, self._message = code, message

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a place."""
        if not self._free.acquire(blocking=False):
            raise self.busy()
        try:
            yield
        finally:
            self._free.release()

    def busy(self) -> JobError:
        """What is said to who finds no place, or has waited for too long."""
        return JobError(self._code, self._message, "Try again.")
