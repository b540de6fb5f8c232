"""Connecting once more where OctoPrint could not open the port."""

from __future__ import annotations

import threading

from octoprint_facesculpt.desk.connection import LOOKS, ConnectionKeeper

PAUSE = 0.01


class Port:
    """A connection that can be opened after so many attempts."""

    def __init__(self, attempts: int) -> None:
        self.attempts, self.looks, self.looked = attempts, 0, threading.Event()

    def opens(self) -> bool:
        self.looks += 1
        if self.looks == LOOKS:
            self.looked.set()
        return self.attempts > 0

    def connect_anew(self) -> None:
        self.attempts -= 1


def test_it_is_tried_until_the_port_is_open() -> None:
    port = Port(attempts=2)
    ConnectionKeeper(port, lambda: True, PAUSE).start()
    assert port.looked.wait(20)
    assert port.attempts == 0


def test_without_a_print_that_waits_nothing_is_touched() -> None:
    port, asked = Port(attempts=1), threading.Event()

    def waits() -> bool:
        asked.set()
        return False

    ConnectionKeeper(port, waits, PAUSE).start()
    assert asked.wait(20)
    assert not port.looked.wait(20 * PAUSE)
    assert (port.looks, port.attempts) == (0, 1)


def test_it_ends_with_the_server() -> None:
    port = Port(attempts=1)
    keeper = ConnectionKeeper(port, lambda: True, PAUSE)
    keeper.stop()
    keeper.start()
    assert not port.looked.wait(20 * PAUSE)
    assert port.attempts == 1
