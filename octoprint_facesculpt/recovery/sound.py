"""Whether a journal's record has what everything else relies on: a file may have been written by anybody, or another version.

What is not known here may be anything. A number that is none (NaN) would become a height or a temperature of a plan.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: Beyond any byte, second or millimetre.
FAR = 1e15
#: Heights, mm, and temperatures, degrees, of no printer.
HIGH, HOT = 10_000.0, 1000.0


def _number(low: float = -FAR, high: float = FAR) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value < high


def _numbers(count: int, low: float = -FAR) -> Callable[[Any], bool]:
    one = _number(low)
    return lambda value: isinstance(value, (list, tuple)) and len(value) == count and all(one(row) for row in value)


def _moving(value: Any) -> bool:
    return isinstance(value, bool) or _numbers(2, -HIGH)(value)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _rows(value: Any) -> bool:
    one = _number(0.0)
    return isinstance(value, list) and all(
        isinstance(row, list)
        and 2 <= len(row) <= 3
        and one(row[0])
        and one(row[1])
        and (row[2:] in ([], [None]) or one(row[2]))
        for row in value
    )


def _resume(value: Any) -> bool:
    """A plan that was being carried out: where its window began, and the estimate that it was made of."""
    if not isinstance(value, dict) or not isinstance(stop := value.get("stop"), dict):
        return False
    numbers = [stop.get(name) for name in ("at", "earliest", "latest", "gap", "overlap", "z", "z_spread")]
    before, left = value.get("before"), stop.get("left")
    return (
        _number(0.0)(value.get("window")) and (before is None or _number(0.0)(before)) and all(map(_number(), numbers))
        and isinstance(stop.get("exact"), bool) and (left is None or isinstance(left, dict))
    )  # fmt: skip


def _anchor(value: Any) -> bool:
    """A place of before, with those before it."""
    before = value.get("before", []) if isinstance(value, dict) else None
    return _place(value) and isinstance(before, list) and all(_place(one) for one in before)


def _place(value: Any) -> bool:
    return isinstance(value, dict) and _number(0.0)(value.get("sent")) and _fits(value)


_HEAT, _SECONDS, _HEIGHT = _number(-HOT, HOT), _number(0.0), _number(-HIGH, HIGH)
#: What a field must be unless it is None or missing.
_FIELDS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("nozzle", "bed", "nozzle_target", "bed_target"), _HEAT),
    **dict.fromkeys(("feed_percent", "flow_percent", "fan"), _number(0.0, 1000.0)),
    **dict.fromkeys(("within", "slowest_sync", "cold_seconds", "cold_report", "seconds", "wall", "mono", "sent"), _SECONDS),
    **dict.fromkeys(("z_low", "z_high"), _HEIGHT),
    **dict.fromkeys(("phase", "reason", "boot", "session", "step_phase"), _text),
    **dict.fromkeys(("parked", "pause_position"), _numbers(3, -HIGH)),
    "moving": _moving, "tail": _rows, "resumed": _numbers(2, 0.0), "cold_anchor": _anchor,
}  # fmt: skip


def _fits(record: dict[str, Any]) -> bool:
    return all(record.get(name) is None or fits(record[name]) for name, fits in _FIELDS.items())


def is_sound(record: dict[str, Any]) -> bool:
    """Whether every field of a record that is known has a value that can be worked with."""
    again = record.get("phase") == "recovering" and record.get("resume") is not None
    needed = ("sent", "mono", "z_low", "z_high") if again else ("sent", "mono")
    # Of a plan that has been carried out nothing is used any more.
    return all(record.get(name) is not None for name in needed) and _fits(record) and (not again or _resume(record["resume"]))
