"""Holds back lines that would drive the nozzle into an unfinished print, and lets one through when somebody insists."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ..recovery.errors import RecoveryError
from ..recovery.interlock import drags, endangers

_logger = logging.getLogger(__name__)
#: Sent instead of a line that is held back: OctoPrint would wait half a minute for the answer to one it never sent.
HARMLESS = "M105"
#: Lines that are remembered, and characters of each.
KEPT, LONGEST = 10, 80
#: What is typed in the terminal, before the line itself, to send it all the same.
AT_COMMAND, ALLOW = "facesculpt", "allow"
#: Why a line is held back.
DRIVES = "this could drive the nozzle into it or let go of the motors"
DRAGS = "the nozzle, which may stand on it and is cold, could drag it off the bed. Heat the nozzle or raise it (Z) first"
#: What a print that is refused is called among the lines.
A_PRINT = "a print"


class LineGuard:
    """``send(line)`` sends a line past the guard, ``log(text)`` writes into OctoPrint's terminal, ``tell()`` shows the
    dashboards what is held back."""

    def __init__(self, send: Callable[[str], None], log: Callable[[str], None], tell: Callable[[], None]) -> None:
        self._send, self._log, self._tell = send, log, tell
        self.held: list[str] = []
        #: Those of them that were meant relative to where the nozzle is.
        self.relative: set[str] = set()

    def hold(self, cmd: str, sticks: bool = False, relative: bool = False) -> bool:
        """Whether a line must not be sent; remembers it then. ``sticks``: the nozzle may stand on the print, cold;
        ``relative``: moves are relative ones. Called on OctoPrint's comm threads: it does not wait."""
        if endangers(cmd):
            why = DRIVES
        elif sticks and drags(cmd):
            why = DRAGS
        else:
            return False
        line = cmd.strip()[:LONGEST]
        _logger.warning("held back '%s': an interrupted print is on the bed", line)
        self.note(line)
        (self.relative.add if relative else self.relative.discard)(line)
        threading.Thread(target=self._explain, args=(line, why), daemon=True).start()
        return True

    def leave_out(self, cmd: str, scripted: bool) -> bool:
        """A line that has no place between an interruption and its recovery: always held, and nobody is asked."""
        source = " of a script" if scripted else ""
        text = f"FaceSculpt left out '{cmd.strip()[:LONGEST]}'{source}: an interrupted print is on the bed."
        _logger.warning(text)
        threading.Thread(target=self._log, args=(text,), daemon=True).start()
        return True

    def note(self, what: str) -> None:
        self.held = [*(h for h in self.held if h != what), what][-KEPT:]

    def clear(self) -> None:
        self.held = []
        self.relative.clear()

    def allow(self, line: str, confirmed: bool) -> None:
        """Send a line that was held back; :class:`RecoveryError` ``not_confirmed``, ``not_held``."""
        line = line.strip()
        if line not in self.held or line == A_PRINT:
            raise RecoveryError("not_held", "This line has not been held back.", "Send it from the terminal first.")
        if not confirmed:
            raise RecoveryError("not_confirmed", "Nobody has confirmed that this line may be sent.", "Look at the printer.")
        _logger.warning("'%s' is sent on demand although an interrupted print is on the bed", line)
        self.held = [h for h in self.held if h != line]
        self._send(line)
        self._tell()

    def on_at_command(self, name: str, parameters: str, tags: set[str] | None) -> None:
        """``@facesculpt allow G28`` in the terminal; in files and scripts it does nothing."""
        verb, _, line = parameters.strip().partition(" ")
        if name.lower() != AT_COMMAND or verb.lower() != ALLOW or not tags or "source:api" not in tags:
            return
        # The comm thread that calls this must not wait for itself.
        threading.Thread(target=self._allow_from_terminal, args=(line,), daemon=True).start()

    def _allow_from_terminal(self, line: str) -> None:
        try:
            self.allow(line, confirmed=True)
        except RecoveryError as error:
            self._log(f"FaceSculpt: {error.message} {error.hint}")

    def _explain(self, line: str, why: str) -> None:
        self._log(
            f"FaceSculpt held back '{line}': an unfinished print is on the bed, and {why}. "
            f"If you really mean it, enter: @{AT_COMMAND} {ALLOW} {line}"
        )
        self._tell()
