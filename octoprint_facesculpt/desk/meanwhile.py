"""What has changed around an interrupted print that the print's own journal cannot know: another printer profile, and time in
which OctoPrint ran without this plugin, when nothing was held back and other things may have been printed.

Neither can be told from the truth by a program. So it is said, nothing goes on by itself, and somebody has to look.
"""

from __future__ import annotations

import json
from typing import Any

from ..recovery.errors import RecoveryError
from .ports import PrinterPort

#: What of a printer profile makes it another one: its name is only told.
COMPARED = ("key", "bed", "nozzle", "extruders", "firmware")


def marks(host: PrinterPort) -> dict[str, Any]:
    """What the journal keeps of a print that begins, for later comparison."""
    return {"profile": host.printer_profile(), "safe_mode": host.last_safe_mode()}


def printer_note(job: dict[str, Any], host: PrinterPort, firmware: str | None) -> dict[str, Any] | None:
    """The printer profile that a print was begun with (``then``) and that of the connected printer (``now``), if they differ.
    ``firmware`` is what the printer calls its own, if it has told."""
    then, now = job.get("profile"), host.printer_profile()
    if not isinstance(then, dict) or now is None:
        return None
    known = (job.get("printer") or {}).get("firmware")
    then, now = {**then, "firmware": known}, {**now, "firmware": firmware or known}
    if all(then.get(name) == now.get(name) for name in COMPARED):
        return None
    return {"code": "printer_changed", "then": then, "now": now}


def ran_without_guard(job: dict[str, Any], record: dict[str, Any], host: PrinterPort) -> bool:
    """Whether OctoPrint has been in its safe mode since the print began, or has printed other files since the journal's last
    record: with this plugin it does neither."""
    if "safe_mode" in job and job["safe_mode"] != host.last_safe_mode():
        return True
    return host.printed_since(float(record.get("wall") or 0.0), str(job.get("path")))


def signature(note: dict[str, Any] | None) -> str | None:
    """Names a change of the printer, so that somebody can look at that very one."""
    return json.dumps([note["now"].get(name) for name in COMPARED]) if note else None


def require_printer(note: dict[str, Any] | None, seen: str | None) -> None:
    """:class:`RecoveryError` ``printer_changed`` unless somebody has ``seen`` the printer since it changed."""
    if note is not None and signature(note) != seen:
        raise RecoveryError(
            "printer_changed",
            "The printer or its profile is not the one that the print was begun with.",
            "Look at the printer again, or choose the old profile.",
        )
