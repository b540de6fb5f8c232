"""Whether a print's lines need to be looked at more closely, asked for every line of a print in next to no time."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class Watched(Protocol):
    """What has reasons: those that hold at the moment, each with its value."""

    closely: dict[str, Any]


class Reason(Generic[T]):
    """An attribute that is a reason to look closely while it is true (not None, 0, False or empty).

    The attributes of one object share a dictionary, its ``closely``: it is empty when none of them is true. Threads may change
    different attributes at the same time.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, watched: Watched, owner: type | None = None) -> T | None:
        return watched.closely.get(self._name)

    def __set__(self, watched: Watched, value: T | None) -> None:
        if value:
            watched.closely[self._name] = value
        else:
            watched.closely.pop(self._name, None)
