"""Connects once more where OctoPrint could not open the printer's port at its start, if an interrupted print waits for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

_logger = logging.getLogger(__name__)
#: Seconds between two looks, and how many there are after the start.
PAUSE, LOOKS = 5.0, 6


class Connection(Protocol):
    """OctoPrint's connection to its printer."""

    def opens(self) -> bool: ...
    def connect_anew(self) -> None: ...


class ConnectionKeeper:
    """OctoPrint opens a port twice where its work-around for parity is on, as on Debian, and a child that it starts between the
    two, to analyse a file that the outage left half analysed, holds the first one's lock until it is a program of its own. Then
    OctoPrint takes the port for busy and stays in the state of opening it (1.11.8, ``util/comm.py``, ``_open_serial``)."""

    def __init__(self, printer: Connection, waits: Callable[[], bool], pause: float = PAUSE) -> None:
        self._printer, self._waits, self._pause = printer, waits, pause
        self._stop = threading.Event()

    def start(self) -> None:
        """Look in the background, as long as a print ``waits``; a connection that somebody closed is left alone."""
        threading.Thread(target=self._look, name="facesculpt-connection", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _look(self) -> None:
        for _ in range(LOOKS):
            if self._stop.wait(self._pause) or not self._waits():
                return
            if self._printer.opens():
                _logger.warning("OctoPrint could not open the printer's port when it started; it is tried once more")
                self._printer.connect_anew()
