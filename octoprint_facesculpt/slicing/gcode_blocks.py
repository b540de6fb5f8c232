"""G-code text -> arrays, a block of lines at a time, at some hundred megabytes a second.

Nearly all lines of sliced G-code are ``G0`` or ``G1`` and words of at most eight characters, which numpy reads by the
thousand: eight characters are one 64-bit number, whose bytes are validated and weighted with a few multiplications (Lemire,
*Number parsing at a gigabyte per second*, 2021). Whatever looks different is read line by line with a regular expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import numpy as np

from .engine import SlicingError
from .gcode_command import command_of

#: Larger blocks are hardly read faster, and need more memory.
BLOCK_BYTES = 640 * 1024
LINE_LIMIT = 100_000
#: What a row is: a straight move, an arc, or a new value for the position (G92).
MOVE, CLOCKWISE, COUNTERCLOCKWISE, SET = range(4)
LETTERS = b"XYZEF"
_KINDS = {b"G0": MOVE, b"G1": MOVE, b"G2": CLOCKWISE, b"G3": COUNTERCLOCKWISE, b"G92": SET}
_WORD = re.compile(rb"([A-Z]) *([-+]?(?:\d+\.?\d*|\.\d+))")
_LETTER = re.compile(rb"([A-Z]) *([-+]?(?:\d+\.?\d*|\.\d+))?")
#: Marlin knows no exponents. ``X10E5`` is two words; what ``X10e5`` is depends on whether it was made to know small letters.
_NOT_A_NUMBER = re.compile(rb"(?<![A-Z])[XYZEFIJRS](?:[-+]?(?:nan|inf)|[-+.\d]*\d(?-i:e)[-+\d])", re.IGNORECASE)
#: Comments that mean something begin with one of these.
_TELLING = (b";TYP", b";TIM", b";Fil", b";End", b"; es", b"; fi", b"; to", b"; prusa")
_TELLING_STARTS = {int.from_bytes(start[:3], "little") for start in _TELLING}
_CONFIG_BEGIN, _CONFIG_END = b"; prusaslicer_config = begin", b"; prusaslicer_config = end"
_CONFIG_START = int.from_bytes(_CONFIG_BEGIN[:3], "little")

_MARGIN = 8
#: What other letters have for a row.
_NO_ROW = len(LETTERS)
_ROW_OF = np.full(256, _NO_ROW, np.uint8)
_ROW_OF[list(LETTERS)] = range(len(LETTERS))
_POWER = 10.0 ** np.arange(16)


def _u(value: int) -> np.uint64:
    return np.uint64(value & 0xFFFFFFFFFFFFFFFF)


_ZEROS, _OVER_NINE, _HIGH = _u(0x3030303030303030), _u(0x7676767676767676), _u(0x8080808080808080)
_DIGITS_BEHIND = _u(0x7060504030201000)
_SEMICOLON, _MINUS, _POINT, _LINE_END = b";-.\n"
_DOT = _u(_POINT ^ ord("0"))
_ONE, _BYTE, _THREE, _7, _8, _16, _32, _60 = _u(1), _u(0xFF), _u(0xFFFFFF), _u(7), _u(8), _u(16), _u(32), _u(60)
_PAIRS, _FOURS = _u(0x00FF00FF00FF00FF), _u(0x0000FFFF0000FFFF)
#: The bytes of the last 0 to 8 of eight characters.
_LAST = np.array([(2**64 - 1) & ~(2 ** (64 - 8 * length) - 1) for length in range(9)], np.uint64)
_10, _100, _10000 = _u(2561), _u(6553601), _u(42949672960001)


@dataclass
class Block:
    """Some whole lines. ``rows`` are those that move or set the position, in their order.

    ``words`` (5, R) float64: X, Y, Z, E, F as written, NaN where absent; ``kinds`` (R,) of :data:`MOVE` ..; ``starts`` and
    ``ends`` (R,) int64: bytes of the file where each row's line begins and where the next does; ``arcs``: row -> words
    I, J, R of an arc; ``events``: all other commands and telling comments, each with the number of rows before it;
    ``commands``: how many lines are commands.
    """

    words: np.ndarray
    kinds: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    arcs: dict[int, dict[bytes, float]] = field(default_factory=dict)
    events: list[tuple[int, bytes]] = field(default_factory=list)
    commands: int = 0


def refusal(kind: str, reason: str) -> SlicingError:
    """The error for unsafe G-code; its code is ``gcode_`` and ``kind``."""
    return SlicingError(f"gcode_{kind}", f"The sliced G-code is not safe to print: {reason}.", "Try another profile.")


class Source(Protocol):
    """A binary file, or what behaves like one."""

    def readinto(self, place: memoryview, /) -> int | None:
        """Fill ``place`` from its beginning; how many bytes, 0 at the end."""
        ...


def blocks(source: Source) -> Iterator[Block]:
    """The whole of a file in bounded memory; :class:`SlicingError` ``gcode_not_text``, ``gcode_placeholder`` or
    ``gcode_bad_number`` for lines that no printer should be given."""
    # The margin before the text parts no words.
    buffer = bytearray(b"." * _MARGIN + bytes(BLOCK_BYTES + LINE_LIMIT + 2 * _MARGIN))
    kept = offset = 0
    in_config = False
    while True:
        read = source.readinto(memoryview(buffer)[_MARGIN + kept : _MARGIN + kept + BLOCK_BYTES]) or 0
        filled = _MARGIN + kept + read
        if not read and kept:
            # The last line may lack its end.
            buffer[filled : filled + 1] = b"\n"
            filled += 1
        end = buffer.rfind(b"\n", _MARGIN, filled) + 1
        if end > _MARGIN:
            block, in_config = _read(buffer, end, offset, in_config)
            yield block
        else:
            end = _MARGIN
        kept = filled - end
        if kept > LINE_LIMIT:
            raise refusal("not_text", f"It contains a line of more than {LINE_LIMIT} characters")
        offset += end - _MARGIN
        buffer[_MARGIN : _MARGIN + kept] = buffer[end:filled]
        if not read:
            return


def words_of(code: bytes) -> dict[bytes, float]:
    """A command's words, letter -> number."""
    return {letter: float(value) for letter, value in _WORD.findall(code.upper())}


def letters_of(code: bytes) -> dict[bytes, float]:
    """As :func:`words_of`, and letters without a number as 1: they stand for yes."""
    return {letter: float(value or 1) for letter, value in _LETTER.findall(code.upper())}


def _read(buffer: bytearray, end: int, offset: int, in_config: bool) -> tuple[Block, bool]:
    """The lines in ``buffer[_MARGIN:end]``, which lie at ``offset`` of the file."""
    # Eight characters from each place on as one number. To index what lies so is cheaper than to take from it, as numpy.take
    # first copies all of it.
    eights = np.ndarray((end,), "<u8", buffer=buffer, strides=(1,))
    text = np.frombuffer(buffer, np.uint8)[: end + _MARGIN]
    # Spaces and line ends part the words; so does any other control character, which is then looked at in the slow way.
    cuts = (text[:end] <= 32).nonzero()[0]
    last = (text.take(cuts) == _LINE_END).nonzero()[0]
    ends = cuts.take(last)
    starts = np.empty_like(ends)
    starts[0], starts[1:] = _MARGIN, ends[:-1] + 1
    fast = (eights[starts] & _u(0xFFFEFF)) == int.from_bytes(b"G0 ", "little")
    read = fast.nonzero()[0]
    values, letters, counts = _words(text, eights, cuts, last, fast)
    # In a block of half a megabyte each of these is one, too.
    del cuts, last
    whole = bytes(memoryview(buffer)[:end])
    _require_text(whole)
    rows, kinds, slow_words, arcs, events, commands, in_config = _slow_lines(whole, starts, ends, eights, fast, in_config)

    is_row = fast.copy()
    is_row[rows] = True
    number = is_row.cumsum() - 1
    total = int(number[-1]) + 1 if len(number) else 0
    # Words of lines that turned out not to be fast, and those without a row, go to a place of their own behind all others.
    nowhere = len(LETTERS) * total
    flat = np.full(nowhere + 1, np.nan)
    places = letters.astype(np.intp)
    places *= total
    places += np.where(fast, number, nowhere).take(read).repeat(counts)
    np.minimum(places, nowhere, out=places)
    flat[places] = values
    words = flat[:nowhere].reshape(len(LETTERS), total)
    kind = np.zeros(total, np.uint8)
    for line, what, given in zip(rows, kinds, slow_words, strict=True):
        row = int(number[line])
        kind[row] = what
        for letter, value in given.items():
            if letter in LETTERS:
                words[LETTERS.index(letter), row] = value
    rows_before = number.take(np.array([line for line, _ in events], np.intp)) + 1
    shift = offset - _MARGIN
    chosen = is_row.nonzero()[0]
    block = Block(
        words, kind, starts.take(chosen) + shift, ends.take(chosen) + (1 + shift),
        {int(number[line]): given for line, given in arcs.items()},
        list(zip(rows_before.tolist(), (what for _, what in events), strict=True)),
        commands + int(total),
    )  # fmt: skip
    return block, in_config


def _require_text(block: bytes) -> None:
    """Comments may hold the model's name, which the printer never sees; everything else is ASCII."""
    if b"\0" in block:
        raise refusal("not_text", "It contains other than ASCII characters")
    if block.isascii():
        return
    for line in block.split(b"\n"):
        if not line.partition(b";")[0].isascii():
            raise refusal("not_text", "It contains other than ASCII characters")


def _words(
    text: np.ndarray, eights: np.ndarray, cuts: np.ndarray, last: np.ndarray, fast: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values of the words of all ``fast`` lines, their letters (by :data:`LETTERS`), and how many words each of these lines
    has; ``last`` are the cuts that end lines. A line that is not as expected is taken out of ``fast``."""
    counts = np.empty_like(last)
    counts[0] = last[0] + 1
    np.subtract(last[1:], last[:-1], out=counts[1:])
    is_word = fast.repeat(counts)
    is_word[last] = False
    counts = counts[fast] - 1
    word = is_word.nonzero()[0]
    begin = cuts.take(word)
    word += 1
    behind = cuts.take(word)
    del word
    begin += 1
    letters = _ROW_OF.take(text.take(begin))
    begin += 1
    negative = text.take(begin) == _MINUS
    length = np.subtract(behind, begin, out=begin)
    length -= negative
    values, bad = _numbers(text, eights, behind, length)
    np.negative(values, where=negative, out=values)
    bad |= letters == _NO_ROW
    if bad.any():
        fast[np.searchsorted(last, is_word.nonzero()[0][bad])] = False
    return values, letters, counts


def _numbers(text: np.ndarray, eights: np.ndarray, behind: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The unsigned numbers of ``length`` characters that end before ``behind``, and which of them are none."""
    # Only the last eight characters, with zeros in the place of what stands before the number.
    digits = eights[behind - 8]
    digits ^= _ZEROS
    digits &= _LAST.take(length, mode="clip")
    other = digits + _OVER_NINE
    other &= _HIGH
    other >>= _7
    place = other
    # At most one character is no digit, and that is the point.
    digits ^= place * _DOT
    wrong = place * _BYTE
    wrong &= digits
    # The characters before the point; of a number without one, none.
    before = np.maximum(place, _ONE)
    before -= _ONE
    wrong |= before & place
    bad = wrong != 0
    del wrong
    # They move over it.
    before &= digits
    before *= _BYTE
    digits += before
    digits *= _10
    digits >>= _8
    digits &= _PAIRS
    digits *= _100
    digits >>= _16
    digits &= _FOURS
    digits *= _10000
    digits >>= _32
    values = digits.astype(np.float64)
    place *= _DIGITS_BEHIND
    place >>= _60
    values /= _POWER.take(place.view(np.int64))
    if len(length) and (length.min() < 2 or length.max() > 8):
        unusual = np.flatnonzero((length - 2).view(np.uint64) > 6)
        short, longer = unusual[length[unusual] < 2], unusual[length[unusual] > 8]
        # Nothing, or a point without a digit.
        bad[short] |= (length[short] < 1) | (text[behind[short] - 1] == _POINT)
        if len(longer):
            values[longer], bad[longer] = _long_numbers(text, behind[longer], length[longer])
    return values, bad


def _long_numbers(text: np.ndarray, behind: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`_numbers` for 9 to 16 characters, as absolute extrusion has them."""
    bad = length > 16
    value, decimals, points = np.zeros(len(behind)), np.full(len(behind), -1), np.zeros(len(behind), int)
    begin, length = behind - length, np.where(bad, 0, length)
    for place in range(int(length.max(initial=0))):
        inside = place < length
        character = text[np.where(inside, begin + place, 0)].astype(np.int16) - ord("0")
        point = inside & (character == ord(".") - ord("0"))
        digit = inside & (character >= 0) & (character <= 9)
        bad |= inside & ~point & ~digit
        value = np.where(digit, value * 10 + character, value)
        decimals = np.where(point, 0, np.where(digit & (decimals >= 0), decimals + 1, decimals))
        points += point
    return value / _POWER[np.clip(decimals, 0, 15)], bad | (points > 1)


def _slow_lines(
    block: bytes, starts: np.ndarray, ends: np.ndarray, eights: np.ndarray, fast: np.ndarray, in_config: bool
) -> tuple[list[int], list[int], list[dict[bytes, float]], dict[int, dict[bytes, float]], list[tuple[int, bytes]], int, bool]:
    """Everything but the fast lines, one by one; rows, their kinds and words, arcs, events, commands, and whether the
    slicer's settings have begun."""
    rows, kinds, given, arcs, events, commands = [], [], [], {}, [], 0
    lines = np.flatnonzero(~fast & (starts != ends))
    first = eights[starts.take(lines)] & _THREE
    # The settings are comments, and all of them tell.
    begins = starts.take(lines[first == _CONFIG_START]).tolist()
    if not in_config and not any(block.startswith(_CONFIG_BEGIN, begin) for begin in begins):
        telling = (first & _BYTE) != _SEMICOLON
        for start in _TELLING_STARTS:
            telling |= first == start
        lines = lines[telling]
    for line, start, end in zip(lines.tolist(), starts.take(lines).tolist(), ends.take(lines).tolist(), strict=True):
        raw = block[start:end]
        if raw[0] == _SEMICOLON:
            in_config = in_config or raw.startswith(_CONFIG_BEGIN)
            if in_config or raw.startswith(_TELLING):
                events.append((line, raw.rstrip()))
            in_config = in_config and not raw.startswith(_CONFIG_END)
            continue
        code, kind, words = _command(raw)
        if not code:
            continue
        if kind is None:
            commands += 1
            events.append((line, code))
            continue
        rows.append(line)
        kinds.append(kind)
        given.append(words)
        if kind in (CLOCKWISE, COUNTERCLOCKWISE):
            arcs[line] = {letter: value for letter, value in words.items() if letter in (b"I", b"J", b"R")}
    return rows, kinds, given, arcs, events, commands, in_config


@lru_cache(maxsize=256)
def _command(raw: bytes) -> tuple[bytes, int | None, dict[bytes, float]]:
    """A line's command, which kind of row it is, if it is one, and that one's words. Many lines are the same as others."""
    code = command_of(raw)
    if b"{" in code:
        raise refusal("placeholder", f"It contains the line '{code.decode()[:80]}'")
    if _NOT_A_NUMBER.search(code):
        raise refusal("bad_number", f"It contains the line '{code.decode()[:80]}'")
    kind = _KINDS.get(code.split(None, 1)[0].upper()) if code else None
    return code, kind, words_of(code) if kind is not None else {}
