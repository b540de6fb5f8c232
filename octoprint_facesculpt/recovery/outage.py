"""What happened, and where the nozzle stopped.

What is known comes from the journal's last record, which is a little older than the outage, and from what can be seen
afterwards: the run of the operating system (boot id), whether the printer's board started anew, its position if it did not,
and its temperatures. Measured facts about Marlin behind the numbers: while its planner is full an ``ok`` is sent when a
block is freed, so the move under way is the last acknowledged one less 14; without a host it finishes what it was given.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import dist
from typing import Any

from .errors import RecoveryError
from .journal import INTERVAL, Reading
from .printer import COOLED
from .window import Piece, Window, share_of

#: Blocks that wait or run in a full planner (BLOCK_BUFFER_SIZE 16 of the Ender 3 keeps one free).
PLANNER_BLOCKS = 15
#: Seconds by which a record may come later than it should: a slow disk.
LATE = 0.3
#: Seconds between records that survive the end of the server, though not of the machine.
UNSYNCED = 0.25
#: Share of the time between acknowledgements that printing explains, below which the host was too slow to fill the planner.
FED = 0.6

KINDS = ("host", "printer", "both", "supply", "cable", "restart", "cancelled", "none")
#: Those after which the board made all the lines it was given, and the journal knows which.
_FINISHED = ("cable", "restart")


@dataclass(frozen=True)
class Seen:
    """What can be seen after the outage. ``position`` is the printer's own report, if it neither lost power nor was reset;
    ``measured`` is where X and Y were found by driving to the endstops. None for what is not known."""

    boot: str
    session: str
    mono: float | None = None
    nozzle: float | None = None
    bed: float | None = None
    position: tuple[float, float, float] | None = None
    measured: tuple[float, float] | None = None


@dataclass(frozen=True)
class Outage:
    """``kind``: ``host`` only, ``printer`` only, ``both``, motor ``supply`` only (the board ran on from USB), ``restart`` in
    good order, ``cable`` pulled, ``cancelled`` by the user, ``none``. ``seconds`` it lasted, when a clock knows that;
    ``reasons`` explain."""

    kind: str
    seconds: float | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Estimate:
    """Where the nozzle stopped, in seconds of a window: between ``earliest`` and ``latest``, most likely ``at``.

    ``gap`` and ``overlap`` are the most path, mm, that resuming at ``at`` leaves out or prints twice. ``z`` is the lowest
    height the nozzle can be at, ``z_spread`` how much higher it may be."""

    at: float
    earliest: float
    latest: float
    gap: float
    overlap: float
    z: float
    z_spread: float
    exact: bool


def classify(reading: Reading | None, seen: Seen) -> Outage:
    """What happened since the journal's last record."""
    if reading is None or not reading.unfinished:
        phase = reading.record.get("phase") if reading else None
        reason = "The print was cancelled." if phase == "cancelled" else "No print was under way."
        return Outage("cancelled" if phase == "cancelled" else "none", None, (reason,))
    record = reading.record
    same_boot = record.get("boot") == seen.boot
    seconds = seen.mono - record["mono"] if same_boot and seen.mono is not None else None
    cause = record.get("reason")
    if cause == "supply":
        return Outage("supply", seconds, ("The heaters went cold while the board still answered.",))
    if record.get("phase") == "interrupted" or record.get("session") == seen.session:
        if cause == "shutdown":
            return Outage("restart", seconds, ("OctoPrint was shut down in good order.",))
        hot = seen.nozzle is not None and seen.nozzle >= float(record.get("nozzle_target") or 1e9) - COOLED
        if hot and cause != "printer_reset":
            return Outage("cable", seconds, ("The connection was lost; the nozzle is still hot, so the printer had power.",))
        return Outage("printer", seconds, (f"OctoPrint went on running; the printer did not ({cause or 'connection lost'}).",))
    reasons = ["OctoPrint ended without warning." if same_boot else "The computer of OctoPrint was restarted."]
    target = float(record.get("nozzle_target") or 0.0)
    if seen.position is not None:
        reasons.append("The printer still knows its position.")
        return Outage("host", seconds, tuple(reasons))
    if seen.nozzle is not None and target > 0:
        if seen.nozzle >= target - COOLED:
            reasons.append(f"The nozzle is still at {seen.nozzle:.0f} of {target:.0f} degrees: the printer had power.")
            return Outage("host", seconds, tuple(reasons))
        reasons.append(f"The nozzle has cooled to {seen.nozzle:.0f} of {target:.0f} degrees: the printer had no power.")
        return Outage("both", seconds, tuple(reasons))
    reasons.append("The temperatures are not known.")
    return Outage("host" if same_boot else "both", seconds, tuple(reasons))


def estimate(window: Window, record: dict[str, Any], outage: Outage, seen: Seen, interval: float = INTERVAL) -> Estimate:
    """Where the nozzle stopped. :class:`RecoveryError` ``not_recoverable`` when nothing of the file had been printed."""
    if not window.pieces:
        raise RecoveryError("not_recoverable", "The print had not begun to move.", "Start it again.")
    earliest, latest, likely = _bounds(window, record, outage, seen, interval)
    earliest, latest = max(earliest, 0.0), min(latest, window.seconds)
    line_end = outage.kind in ("host", *_FINISHED) or record.get("phase") == "paused"
    at = _middle(window, earliest, latest) if likely is None else min(max(likely, earliest), latest)
    exact = False
    if seen.position is not None:
        found = _nearest_line_end(window, earliest, latest, seen.position)
        if found is not None:
            at = earliest = latest = found
            exact = True
    elif seen.measured is not None:
        at, earliest, latest, exact = _located(window, earliest, latest, seen.measured, at)
    if line_end and not exact:
        piece = window.piece_at(at)
        # At the end of the line that it is nearest to.
        at = min(piece.at + piece.seconds, latest) if share_of(piece, at) >= 0.5 else max(piece.at, earliest)
    heights = [window.point_at(earliest)[2], window.point_at(latest)[2]]
    heights += [p.end[2] for p in window.pieces if earliest < p.at + p.seconds < latest]
    return Estimate(
        at=at, earliest=earliest, latest=latest, exact=exact,
        gap=round(window.printed_at(at) - window.printed_at(earliest), 3),
        overlap=round(window.printed_at(latest) - window.printed_at(at), 3),
        z=min(heights), z_spread=round(max(heights) - min(heights), 4),
    )  # fmt: skip


def _bounds(
    window: Window, record: dict[str, Any], outage: Outage, seen: Seen, interval: float
) -> tuple[float, float, float | None]:
    """The earliest and the latest moment at which it can have stopped, and the likeliest, if that is not in their middle."""
    tail = record.get("tail") or [[record["sent"], 0.0]]
    sent, age = int(tail[-1][0]), float(tail[-1][1])
    acknowledged = int(tail[-2][0]) if len(tail) > 1 else sent
    all_done = window.after_line(sent)
    if record.get("phase") == "paused" or outage.kind in _FINISHED:
        return all_done, all_done, None
    blocks = window.blocks_before(acknowledged)
    running = window.block_start(blocks - PLANNER_BLOCKS)
    over = window.block_start(blocks - PLANNER_BLOCKS + 1)
    now = min(running + age, over)
    if running + age > over + LATE:
        # The line in the board's hands waits for more than a free place (M400, M84, the file's end): the planner runs dry.
        now = min(running + age, all_done)
        running, over = max(running, now - LATE - age / 10), min(now + LATE, all_done)
    fed = _fed(window, tail)
    if outage.kind == "host":
        # The board made all it was given: a line for every block that ran out after the last record, too.
        since = UNSYNCED if record.get("boot") == seen.boot else interval + LATE

        def given(after: float) -> float:
            return window.block_start(window.piece_at(now + after).blocks + PLANNER_BLOCKS + 1)

        last = window.block_start(window.piece_at(now + since).blocks + PLANNER_BLOCKS + 2)
        usual = given(since / 2 - LATE / 2) if fed else None
        return window.after_line(acknowledged), max(last if fed else 0.0, all_done + since), usual
    if not fed:
        # The planner held less than it could: anything up to the last acknowledged move may be under way.
        over = window.after_line(acknowledged)
    if outage.kind == "supply":
        cold = float(record.get("cold_seconds", 30.0))
        return now - cold - 10.0, now - cold, None
    if outage.kind == "printer":
        return running, over, None
    return now, (now if fed else max(now, over)) + interval + LATE, None


def _fed(window: Window, tail: list[list[float]]) -> bool:
    """Whether the host's lines kept the planner full: the moves they made then explain the time they took."""
    if len(tail) < 3:
        return True
    took = float(tail[0][1]) - float(tail[-1][1])
    printing = window.after_line(int(tail[-2][0])) - window.after_line(int(tail[0][0]))
    return took <= 0 or printing >= FED * took


def _middle(window: Window, earliest: float, latest: float) -> float:
    """The moment with as much printed path before as after it."""
    half = (window.printed_at(earliest) + window.printed_at(latest)) / 2
    for piece in window.pieces:
        if piece.prints and piece.at + piece.seconds > earliest and piece.printed + piece.length >= half:
            share = (half - piece.printed) / piece.length if piece.length else 1.0
            return min(max(piece.at + piece.seconds * share, earliest), latest)
    return latest


def _nearest_line_end(window: Window, earliest: float, latest: float, place: tuple[float, float, float]) -> float | None:
    ends = [p for p in window.pieces if earliest - 1.0 <= p.at + p.seconds <= latest + 1.0 and p.end == p.move.end]
    near = [p for p in ends if dist(p.end, place) < 0.05]
    return near[-1].at + near[-1].seconds if near else None


#: How far from the truth X and Y can be when they are measured at the endstops: drivers jump to their home step, mm.
MEASURED_WITHIN = 0.6


def _located(
    window: Window, earliest: float, latest: float, place: tuple[float, float], guess: float
) -> tuple[float, float, float, bool]:
    """Narrow the bounds to where the path passes a measured place; of several passes, the one nearest to the guess."""
    passes = []
    for piece in window.pieces:
        first, last = max(piece.at, earliest), min(piece.at + piece.seconds, latest)
        if last < first:
            continue
        share = min(max(_foot(piece, place), share_of(piece, first)), share_of(piece, last))
        x, y = (a + (b - a) * share for a, b in zip(piece.start[:2], piece.end[:2], strict=True))
        off = dist((x, y), place)
        if off <= MEASURED_WITHIN:
            passes.append((off, piece.at + piece.seconds * share, piece))
    if not passes:
        return guess, earliest, latest, False
    best = min(passes, key=lambda p: (round(p[0], 1), abs(p[1] - guess)))
    close = [p for p in passes if abs(p[1] - best[1]) < 0.2 or p[2].number == best[2].number]
    slack = MEASURED_WITHIN / max(best[2].length / best[2].seconds, 1.0) if best[2].seconds else 0.0
    low, high = min(p[1] for p in close) - slack, max(p[1] for p in close) + slack
    return best[1], max(low, earliest), min(high, latest), len(close) == len(passes)


def _foot(piece: Piece, place: tuple[float, float]) -> float:
    dx, dy = piece.end[0] - piece.start[0], piece.end[1] - piece.start[1]
    square = dx * dx + dy * dy
    return ((place[0] - piece.start[0]) * dx + (place[1] - piece.start[1]) * dy) / square if square else 1.0
