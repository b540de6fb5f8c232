"""What OctoPrint pushes to dashboards, heard with OctoPrint's own client."""

from __future__ import annotations

import threading
from typing import Any

from octoprint_client import Client

from .server import OctoPrintServer, wait_for


class Pushes:
    """Keeps the plugin's messages and the printer's ``current`` messages from now on; a context manager."""

    def __init__(self, server: OctoPrintServer) -> None:
        self._client = Client(server.url, server.api_key)
        self._lock = threading.Lock()
        self._plugin: list[dict[str, Any]] = []
        self._current: list[dict[str, Any]] = []

    def plugin(self, kind: str) -> list[Any]:
        """The data of the plugin's messages of a type, in their order."""
        with self._lock:
            return [message["data"] for message in self._plugin if message["type"] == kind]

    def current(self) -> list[dict[str, Any]]:
        """The printer's state messages."""
        with self._lock:
            return list(self._current)

    def _hear(self, _socket: object, kind: str, message: Any) -> None:
        with self._lock:
            if kind == "plugin" and message["plugin"] == "facesculpt":
                self._plugin.append(message["data"])
            elif kind == "current":
                self._current.append(message)

    def __enter__(self) -> Pushes:
        self._socket = self._client.create_socket(on_message=self._hear)
        wait_for(self.current, 30, "the push connection")
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.disconnect()
