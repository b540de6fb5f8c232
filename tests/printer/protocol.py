"""Marlin's serial protocol: line numbers, checksums, and asking again for what did not arrive whole."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass
class LineReader:
    """Checks the host's lines. :meth:`accept` gives the command of a good one, or answers to a bad one."""

    last: int = 0

    def accept(self, raw: str) -> tuple[str | None, list[str]]:
        """``(command, [])`` for a line to execute, ``(None, answers)`` for one to be sent again."""
        line = raw.strip()
        match = re.match(r"N(-?\d+)\s*(.*)", line)
        if match is None:
            if line.startswith("M110"):
                self.last = _new_number(line, self.last)
            return line, []
        number, rest = int(match[1]), match[2]
        body, star, checksum = rest.rpartition("*")
        if not star:
            return None, self._again("No Checksum with line number")
        if checksum.strip() != str(_xor(line[: line.rindex("*")])):
            return None, self._again("checksum mismatch")
        if body.strip().startswith("M110"):
            # Marlin takes the second number, when there is one.
            self.last = _new_number(body, number)
            return body.strip(), []
        if number != self.last + 1:
            return None, self._again("Line Number is not Last Line Number+1")
        self.last = number
        return body.strip(), []

    def _again(self, reason: str) -> list[str]:
        return [f"Error:{reason}, Last Line: {self.last}", f"Resend: {self.last + 1}", "ok"]


def _new_number(command: str, otherwise: int) -> int:
    match = re.search(r"N(-?\d+)", command)
    return int(match[1]) if match else otherwise


def _xor(text: str) -> int:
    value = 0
    for byte in text.encode():
        value ^= byte
    return value
