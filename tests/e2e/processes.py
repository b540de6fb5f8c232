"""The processes that work for a server, its own children and what they started."""

from __future__ import annotations

from pathlib import Path

import psutil

from .server import wait_for


def workers(base: Path) -> list[psutil.Process]:
    """Every process that was given a path of this server's plugin data on its command line."""
    data = str(base / "data" / "facesculpt" / "")
    found = []
    for process in psutil.process_iter():
        try:
            ours = any(word.startswith(data) for word in process.cmdline())
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def wait_until_gone(base: Path) -> None:
    """Wait until nothing works for the server any more; the test fails when something stays."""
    wait_for(lambda: not workers(base), 30, "the end of all that works for the server")
