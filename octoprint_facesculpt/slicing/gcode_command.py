"""A command as all readers of G-code here expect it, however a printer would take it as well."""

from __future__ import annotations

import re

_LINE_NUMBER = re.compile(rb"N\d+\s*", re.IGNORECASE)
_NAME = re.compile(rb"([A-Z]) *0*(\d+(?:\.\d+)?)\s*", re.IGNORECASE)


def command_of(line: bytes) -> bytes:
    """A line's command as slicers write it: without comment, line number and checksum, its name without leading zeros and
    with a space behind it. To a printer ``N5 G01Z-5*97`` is ``G1 Z-5``."""
    code = line.partition(b";")[0].strip()
    if number := _LINE_NUMBER.match(code):
        # Only numbered lines have checksums; elsewhere an asterisk may belong to a text.
        code = code[number.end() :].partition(b"*")[0]
    if name := _NAME.match(code):
        code = b"%b%b %b" % (name[1].upper(), name[2], code[name.end() :])
    return code.rstrip()
