"""Work that goes on beside a program that is running, so that nobody waits for it afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Beside(Generic[T]):
    """``work`` in a thread of its own; use as a context manager. It is given an event that asks it to end.

    ``failed`` is set when it has raised.
    """

    def __init__(self, work: Callable[[threading.Event], T]) -> None:
        self.failed = threading.Event()
        self._work, self._stop = work, threading.Event()
        self._answer: list[T] = []
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Beside[T]:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def result(self) -> T:
        """Wait for the end; what the work returned or raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._answer[0]

    def _run(self) -> None:
        try:
            self._answer.append(self._work(self._stop))
        except Exception as error:
            # Whoever asks for the result is told.
            self._error = error
            self.failed.set()
