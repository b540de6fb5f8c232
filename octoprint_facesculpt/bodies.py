"""Checks of what clients send as JSON: every value has a type and a range, and what is not known is refused."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import flask

from .errors import FaceSculptError
from .slicing.targets import RANGES

NAME_LIMIT = 80
#: Not printed themselves, but part of Persian and Indian words, and of emoji that are put together of several.
JOINERS = "\u200c\u200d"
#: Marks of the writing direction that come with what is copied from elsewhere.
MARKS = "\u200e\u200f"
OVERRIDE_LIMIT, SETTING_LIMIT = 30, 500
#: SQLite's largest integer.
ROW_LIMIT = 2**63 - 1


class RequestError(FaceSculptError):
    """A request that makes no sense; ``status`` is the HTTP status.

    Codes: ``bad_request``, ``no_file``, ``photo_too_large``, ``photo_not_ready``, ``not_found``, ``not_running``,
    ``not_stopped``, ``output_unwritable``.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(code, message)
        self.status = status


def json_body(known: set[str]) -> dict[str, Any]:
    """The request's JSON object, with no other fields than ``known``."""
    try:
        body = flask.request.get_json(silent=True)
    except RecursionError:
        body = None
    if not isinstance(body, dict):
        raise RequestError("bad_request", "The body must be a JSON object.")
    return _known(body, known)


def _known(values: dict[str, Any], known: set[str]) -> dict[str, Any]:
    unknown = set(values) - known
    if unknown:
        raise RequestError("bad_request", f"Unknown fields: {', '.join(sorted(map(str, unknown)))[:200]}.")
    return values


def part(body: dict[str, Any], name: str, known: set[str]) -> dict[str, Any]:
    """An object within the body; empty when it is not given."""
    part = body.get(name, {})
    if not isinstance(part, dict):
        raise RequestError("bad_request", f"{name} must be an object.")
    return _known(part, known)


def objects(body: dict[str, Any], name: str, known: set[str], most: int) -> list[dict[str, Any]]:
    """A list of at most ``most`` objects within the body; empty when it is not given."""
    parts = body.get(name, [])
    if not isinstance(parts, list) or len(parts) > most or not all(isinstance(one, dict) for one in parts):
        raise RequestError("bad_request", f"{name} must be a list of at most {most} objects.")
    return [_known(one, known) for one in parts]


def text(body: dict[str, Any], name: str, default: str | None = None) -> str:
    """A text of 1 to 80 printable characters."""
    value = body.get(name, default)
    value = _plain(value) if isinstance(value, str) else ""
    if not value.strip(JOINERS + " ") or len(value) > NAME_LIMIT or readable(value) != value:
        raise RequestError("bad_request", f"{name} must be a text of 1 to {NAME_LIMIT} characters.")
    return value


def find_row(model, identifier: str | int, deleted: bool = False):
    """The row that a request means, also a deleted one if asked for; ``not_found``."""
    known = not isinstance(identifier, int) or identifier <= ROW_LIMIT
    rows = model.with_deleted() if deleted else model.select()
    row = rows.where(model.id == identifier).first() if known else None
    if row is None:
        raise RequestError("not_found", "It is not there any more.", 404)
    return row


def readable(value: str) -> str:
    """A text without control characters, and without those that turn the direction of what follows."""
    return "".join(c for c in _plain(value) if c.isprintable() or c in JOINERS).strip()


def _plain(value: str) -> str:
    """A text with ordinary spaces only."""
    return "".join(" " if unicodedata.category(c) == "Zs" else c for c in value if c not in MARKS).strip(" ")


def number(body: dict[str, Any], name: str, default: float, low: float, high: float, whole: bool = False) -> float:
    """A number within ``low`` and ``high``; ``whole`` refuses fractions."""
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not low <= value <= high:
        raise RequestError("bad_request", f"{name} must be a number from {low:g} to {high:g}.")
    return value


def flag(body: dict[str, Any], name: str) -> bool:
    """True or false; false when it is not given."""
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise RequestError("bad_request", f"{name} must be true or false.")
    return value


def choice(body: dict[str, Any], name: str, choices: tuple[str, ...]) -> str:
    """One of ``choices``; the first when it is not given."""
    value = body.get(name, choices[0])
    if value not in choices:
        raise RequestError("bad_request", f"{name} must be one of {', '.join(choices)}.")
    return value


def overrides(slicing: dict[str, Any]) -> dict[str, str]:
    """Slicer settings by name, all values as texts."""
    wanted = slicing.get("overrides", {})
    if not isinstance(wanted, dict) or len(wanted) > OVERRIDE_LIMIT:
        raise RequestError("bad_request", f"overrides must be an object of at most {OVERRIDE_LIMIT} settings.")
    for key, value in wanted.items():
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,79}", key) or not _is_value(value):
            raise RequestError("bad_request", f"'{key[:40]}' is not a setting, or its value not possible.")
    return {key: str(value) for key, value in wanted.items()}


def setting_changes(body: dict[str, Any]) -> dict[str, str | None]:
    """Changes of a profile: settings by name, None for one that is to be as in the preset."""
    wanted = body.get("settings", {})
    if not isinstance(wanted, dict) or len(wanted) > SETTING_LIMIT:
        raise RequestError("bad_request", f"settings must be an object of at most {SETTING_LIMIT} settings.")
    for key, value in wanted.items():
        fits = value is None or (isinstance(value, str) and len(value) <= 20_000 and value.isprintable())
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,79}", key) or not fits:
            raise RequestError("bad_request", f"'{key[:40]}' is not a setting, or its value not possible.")
    return wanted


def print_target(body: dict[str, Any]) -> dict[str, Any] | None:
    """The target of a print, ``{"kind", "value", "fixed_height"}``; None when its height decides."""
    if body.get("target") is None:
        return None
    wanted = part(body, "target", {"kind", "value", "fixed_height"})
    kind = choice(wanted, "kind", tuple(RANGES))
    low, high = RANGES[kind]
    return {"kind": kind, "value": number(wanted, "value", -1, low, high), "fixed_height": flag(wanted, "fixed_height")}


def _is_value(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= 200 and value.isprintable()
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e9 <= value <= 1e9
