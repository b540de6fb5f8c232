"""What happens when nobody does anything: a print goes on by itself, heaters that nobody waits for go off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .alone import COUNTDOWN


class Patience:
    """One wait at a time; ``go_on`` is called at the end of the countdown, ``give_up`` when nobody came to the heaters."""

    def __init__(self, go_on: Callable[[], None], give_up: Callable[[], None]) -> None:
        self._go_on, self._give_up = go_on, give_up
        self._timer: threading.Timer | None = None
        self._at: float | None = None
        #: Whether somebody has stopped a countdown of this print.
        self.stopped = False

    @property
    def counts_down(self) -> bool:
        return self._at is not None

    @property
    def left(self) -> float | None:
        """Seconds of the countdown; None without one."""
        return max(self._at - time.monotonic(), 0.0) if self._at is not None else None

    def count_down(self) -> None:
        """The print goes on by itself unless somebody stops it."""
        self._at = time.monotonic() + COUNTDOWN
        self._start(COUNTDOWN)

    def stop_count_down(self) -> None:
        """Somebody is there."""
        if self._at is not None:
            self._at, self.stopped = None, True
            self.end()

    def wait(self, seconds: float) -> None:
        """Heaters are on; each call begins the wait anew."""
        self._start(seconds)

    def end(self) -> None:
        """Wait for nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _start(self, seconds: float) -> None:
        self.end()
        self._timer = threading.Timer(seconds, self._over)
        self._timer.daemon = True
        self._timer.start()

    def _over(self) -> None:
        if self._at is not None:
            self._at = None
            self._go_on()
        else:
            self._give_up()
