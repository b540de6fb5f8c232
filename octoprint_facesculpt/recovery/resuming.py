"""What the journal must know while a print is being resumed, so that an outage in it is recoverable.

Apart from the planning, because OctoPrint's process needs it and must not load what the planning loads.
"""

from __future__ import annotations

from typing import Any


def recovering(recovery: dict[str, Any], step: int) -> dict[str, Any]:
    """The fields of the journal's record while step ``step`` of a recovery (as :meth:`Recovery.to_json` gives it) is made."""
    steps = recovery["plan"]["steps"]
    now = steps[step]
    stop = {key: value for key, value in recovery["stop"].items() if key != "choices"}
    return {
        "phase": "recovering", "step": step, "step_phase": now["phase"], "going": now["phase"] == "go", "reason": None,
        "z_low": now["z"], "z_high": now["z_after"], "pulled": any(one["line"] == "G10" for one in steps[: step + 1]),
        "paused": False, "parked": None, "moving": False, "cold_anchor": None, "pause_position": None,
        "resume": {"window": recovery["window_offset"], "before": recovery.get("window_before"), "stop": stop},
        "resumed": recovery["resumed"],
    }  # fmt: skip
