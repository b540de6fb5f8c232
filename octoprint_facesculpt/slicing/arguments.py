"""Slicing options written as text: ``WxDxH@X,Y``, ``X,Y``, ``KEY=VALUE``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .engine import Bed, SlicingError

_NUMBER = r"(-?\d+(?:\.\d+)?)"


def parse_bed(text: str) -> Bed:
    """A bed from ``235x235x250`` or ``200x200x180@-100,-100``; :class:`SlicingError` ``profile_invalid``."""
    match = re.fullmatch(rf"{_NUMBER}x{_NUMBER}x{_NUMBER}(?:@{_NUMBER},{_NUMBER})?", text)
    values = [float(value or 0) for value in match.groups()] if match else []
    if not values or not all(10 <= value <= 2000 for value in values[:3]):
        raise SlicingError("profile_invalid", f"'{text}' is not a bed.", "Write it like 235x235x250 or 200x200x180@-100,-100.")
    return Bed(*values)


def parse_point(text: str) -> tuple[float, float]:
    """A point from ``115.5,115.5``; :class:`SlicingError` ``profile_invalid``."""
    match = re.fullmatch(rf"{_NUMBER},{_NUMBER}", text)
    if match is None:
        raise SlicingError("profile_invalid", f"'{text}' is not a point.", "Write it like 115.5,115.5.")
    return float(match[1]), float(match[2])


def parse_settings(pairs: Iterable[str]) -> dict[str, str]:
    """Settings from ``KEY=VALUE`` texts; :class:`SlicingError` ``profile_invalid``."""
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not re.fullmatch(r"[a-z][a-z0-9_]*", key.strip()):
            raise SlicingError("profile_invalid", f"'{pair}' is not a setting.", "Write it like fill_density=10%.")
        settings[key.strip()] = value.strip()
    return settings
