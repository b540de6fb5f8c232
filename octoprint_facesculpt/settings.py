"""The plugin's settings: defaults, and values made safe for use."""

from __future__ import annotations

from typing import Any

VERSION = 1
DEFAULTS: dict[str, Any] = {
    "photo_megabytes": 20,
    "jobs_while_printing": False,
    "threads": 2,
    "time_limit_minutes": 120,
    "slicer_path": "",
    "curaengine_path": "",
    "height_mm": 160,
    "profile": "bust_016",
    "resume_alone": False,
    "resume_alone_minutes": 5,
}
#: Bounds of the numbers.
RANGES = {
    "photo_megabytes": (1, 60), "threads": (1, 16), "time_limit_minutes": (5, 1440), "height_mm": (20, 400),
    "resume_alone_minutes": (1, 30),
}  # fmt: skip
#: The setting that names an engine's program.
PATHS = {"prusaslicer": "slicer_path", "curaengine": "curaengine_path"}
RESTRICTED = {"admin": [[name] for name in PATHS.values()]}


def number(settings: Any, name: str) -> int:
    """A number of the settings within its bounds, whatever was saved."""
    low, high = RANGES[name]
    try:
        value = round(float(settings.get([name])))
    except (TypeError, ValueError, OverflowError):
        value = DEFAULTS[name]
    return min(max(value, low), high)
