"""State files as text with a sum (CRC-32) before it: a damaged digit would still be a number."""

from __future__ import annotations

import zlib


def summed(text: str) -> str:
    """A text with its sum in a line before it."""
    return f"{_sum(text)}\n{text}"


def unsummed(content: str) -> str:
    """The text of what :func:`summed` gave; :class:`ValueError` when it is not as it was."""
    told, _, text = content.partition("\n")
    if told != _sum(text):
        raise ValueError("the sum is another one")
    return text


def _sum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
