"""Which processes this test run has started and not yet ended."""

from __future__ import annotations

from collections.abc import Collection

import psutil


def descendants(besides: Collection[psutil.Process] = ()) -> list[psutil.Process]:
    """Living children of this process and theirs, without those that are only waiting to be buried.

    ``besides`` are left out with all that they have started since: the server of the end-to-end tests lives as long as
    the test run, which may reach other files meanwhile, and starts workers of its own.
    """
    found: list[psutil.Process] = []
    unseen = [psutil.Process()]
    while unseen:
        try:
            children = [child for child in unseen.pop().children() if child not in besides]
        except psutil.NoSuchProcess:
            continue
        unseen += children
        found += children
    return [process for process in found if _lives(process)]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
