"""Where the nozzle stopped: bounds that hold, the likeliest place between them, and the question when they span two heights.

The measured facts about Marlin behind this: a line is acknowledged at once while the planner has a free place, and when a
block is freed while it has not; then the move under way is the last acknowledged one less 14, in 97 % of the cases, and one
or two later in the others. So an ``ok`` that came late tells where the machine was, and any ``ok`` bounds it: no further than
the acknowledged lines, no less far than a full planner behind them. Without a host it finishes what it was given.

Marlin's answers to the file's own ``G92 E0`` tell its counters, and so the line under way. They are not used: a bust sliced by
PrusaSlicer has one in 59 seconds of print, one by CuraEngine two in all, and blocks that are counted do not drift in between.
What is uncertain is the second after the last record, of which no answer tells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .errors import RecoveryError
from .heights import MEASURED_HEIGHT, SAME_HEIGHT, Choice, choices_between, layers_at, layers_near, line_end_at, located
from .journal import INTERVAL
from .lines import TAIL
from .outage import Outage, Seen
from .supply import COOLS
from .window import Window

#: Blocks that wait or run in a full planner (BLOCK_BUFFER_SIZE 16 of the Ender 3 keeps one free).
PLANNER_BLOCKS = 15
#: Blocks by which a full planner can be further than it should.
AHEAD = 2
#: Seconds by which a record may come later than it should: a slow disk.
LATE = 0.3
#: Seconds between records that survive the end of the server, though not of the machine.
UNSYNCED = 0.25
#: Seconds between a line and its ``ok`` beyond which it waited for a free place in the planner: sending takes less.
WAITED = 0.02
#: Seconds that Marlin waits for more moves before it begins the first (BLOCK_DELAY_FOR_1ST_MOVE).
FIRST = 0.1
#: The same after a resume, whose last own lines are made first.
RESUMED = 0.4
#: Share by which moves may take longer or shorter than computed.
TIMING = 0.03
#: Further from a height than this, mm, a nozzle is at none.
BETWEEN = 1.0
#: Degrees below its target from which on a nozzle may have been without power for a moment.
DOUBT = 5.0
#: Degrees that a nozzle loses at most between the reset that opening the port may cause and the first report: until then, a
#: board that had its power all along cannot be told from one that had none.
RESET_COOLS = 30.0
#: Bytes of lines that make no move and are accepted at once, after the last move that was given.
LINES_WITHOUT_MOVES = 200
#: How far the firmware itself may lift the nozzle for a change of filament, mm.
PARK_RAISE = 30.0
#: Seconds of moves that Klipper has queued at most when it acknowledges a line: twice buffer_time_high, which look-ahead waits
#: for at a print's beginning. All it has queued is lost with the computer that it runs on.
KLIPPER_AHEAD = 4.0
#: If Klipper's queue is full, one of so many last lines must have waited for its ``ok``.
KLIPPER_FULL = 8
#: Those after which the board made all the lines it was given.
_FINISHED = ("host", "cable", "restart")


@dataclass(frozen=True)
class Estimate:
    """Where the nozzle stopped, in seconds of a window: between ``earliest`` and ``latest``, most likely ``at``.

    ``gap`` and ``overlap`` are the most path, mm, that resuming at ``at`` leaves out or prints twice. ``z`` is the lowest
    height the nozzle can be at, ``z_spread`` how much higher it may be. ``choices`` are the heights it may have stopped at,
    lowest first; when there are several, one must be chosen (``chosen``) by somebody who looks. The lowest is the safe one:
    taken wrongly, the nozzle stays above the print."""

    at: float
    earliest: float
    latest: float
    gap: float
    overlap: float
    z: float
    z_spread: float
    exact: bool
    choices: tuple[Choice, ...] = ()
    chosen: bool = False
    #: Whether the nozzle was moved away from the path (pause, filament change): ``z`` is then not the path's.
    parked: bool = False
    #: Whether it was moved since then: ``z`` is where it is now, and tells nothing of the path.
    moved: bool = False
    #: The place at which it left the path, if it did so; what a height far above the path tells for certain.
    left: Choice | None = None
    #: Of a board that has been running all along: how much higher than ``z`` a retraction of its own may hold the nozzle, until
    #: a G11 ends that. None: no board is known to hold any.
    held: float | None = None

    @property
    def asks(self) -> bool:
        """Whether somebody must look, or measure the height, before the print may go on."""
        return not self.chosen and (len(self.choices) > 1 or self.z_spread > 2 * SAME_HEIGHT)

    @classmethod
    def from_json(cls, data: dict[str, Any], **changes: Any) -> Estimate:
        choices = tuple(Choice(**{**row, "point": tuple(row["point"])}) for row in data.get("choices", ()))
        left = data.get("left") and Choice(**{**data["left"], "point": tuple(data["left"]["point"])})
        return cls(**{**data, "choices": choices, "left": left, **changes})


@dataclass(frozen=True)
class _Bounds:
    """``likely`` is None where the middle is as good as any place."""

    earliest: float
    latest: float
    likely: float | None = None
    #: Heights of a nozzle that was moved away, lowest and highest.
    parked: tuple[float, float] | None = None
    #: When it left the path, if it did.
    left: float | None = None


def estimate(window: Window, record: dict[str, Any], outage: Outage, seen: Seen, interval: float = INTERVAL) -> Estimate:
    """Where the nozzle stopped. :class:`RecoveryError` ``not_recoverable`` when nothing of the file had been printed."""
    if not window.pieces:
        raise RecoveryError("not_recoverable", "The print had not begun to move.", "Start it again.")
    bounds = _bounds(window, record, outage, seen, interval)
    floor = _resumed_at(window, record)
    earliest = min(max(bounds.earliest, floor, 0.0), window.seconds)
    latest = max(min(bounds.latest, window.seconds), earliest)
    exact = latest - earliest < 1e-9
    likely = bounds.likely
    if seen.position is not None and bounds.parked is not None and outage.kind == "host":
        # A board that kept its power may have brought the nozzle back by itself, after somebody had looked.
        low, high = bounds.parked
        z = seen.position[2]
        if low - SAME_HEIGHT <= z <= high + SAME_HEIGHT:
            bounds = replace(bounds, parked=(z, z))
    elif seen.position is not None:
        found = line_end_at(window, earliest, latest, seen.position)
        if found is not None:
            (earliest, latest), exact = found, True
            likely = latest
        elif outage.kind == "host":
            # It is not where a board that finished its lines would be: perhaps it was started anew and moved since.
            other = _bounds(window, record, replace(outage, kind="both"), seen, interval)
            earliest, likely = min(earliest, max(other.earliest, floor)), None
    elif seen.measured is not None and not exact:
        guess = likely if likely is not None else (earliest + latest) / 2
        likely, earliest, latest, exact = located(window, earliest, latest, seen.measured, guess)
    choices = choices_between(window, earliest, latest, likely, at_line_end=outage.kind in _FINISHED and not exact)
    stop = _of_choice(choices[0], tuple(choices), exact, bounds.parked)
    if bounds.left is None:
        return stop
    point, layer = window.point_at(bounds.left), window.piece_at(bounds.left).move.layer
    left = Choice(layer, round(point[2], 4), bounds.left, bounds.left, bounds.left, 0.0, 0.0, point)
    return replace(stop, left=left)


def moved_by(stop: Estimate, moved: tuple[float, float], height: float) -> Estimate:
    """The nozzle of a printer that reaches ``height`` mm was moved down and up by no more than ``moved``, mm, since it stopped:
    then it must be measured, and its height does not tell the layer."""
    heights = [stop.z, stop.z + stop.z_spread, *(c.z for c in stop.choices)]
    low = max(min(heights) + min(moved), 0.0)
    high = max(min(max(heights) + max(moved), height), low)
    return replace(stop, z=round(low, 4), z_spread=round(high - low, 4), moved=True)


def choose(stop: Estimate, choice: int | None, height: float | None) -> Estimate:
    """Take one of the choices, or a measured height of the nozzle, mm, or both; the height alone leaves the question open where
    it does not tell the layer. RecoveryError ``choice_invalid``, ``height_invalid``."""
    if choice is not None and not 0 <= choice < len(stop.choices):
        raise RecoveryError("choice_invalid", f"There is no choice {choice}.", f"There are {len(stop.choices)}.")
    top = stop.z + stop.z_spread
    if stop.moved:
        return _choose_moved(stop, choice, height)
    if height is not None:
        lowest, highest = min([stop.z, *(c.z for c in stop.choices)]), max([top, *(c.z for c in stop.choices)])
        if not lowest - 1.0 <= height <= highest + 1.0:
            text = f"The nozzle cannot be at {height:g} mm: it was between {lowest:g} and {highest:g} mm."
            raise RecoveryError("height_invalid", text, "Measure again.")
        if stop.left is not None and height > max(c.z for c in stop.choices) + BETWEEN:
            stop, choice = replace(stop, choices=(stop.left,)), 0
        elif choice is None and len(layers_near(height, stop.choices, BETWEEN)) > 1:
            # It may have been lifted within a layer to about the height of the next: somebody must say which of them it is.
            return replace(stop, z=height, z_spread=0.0)
        elif choice is None and stop.choices:
            stop, choice = _nearest(stop, height)
    if choice is not None:
        parked = (stop.z, top) if stop.parked else None
        stop = _of_choice(stop.choices[choice], stop.choices, stop.exact, parked)
        if height is not None and abs(stop.choices[choice].z - height) > MEASURED_HEIGHT:
            stop = _on_its_way(stop, stop.choices[choice])
    if height is not None:
        stop = replace(stop, z=height, z_spread=0.0)
    return replace(stop, chosen=height is not None or (choice is not None and stop.z_spread <= 2 * SAME_HEIGHT))


def _on_its_way(stop: Estimate, taken: Choice) -> Estimate:
    """The nozzle was at none of the heights: on its way up or down, before or behind what the layer's other choices tell."""
    near = [c for c in stop.choices if c.layer == taken.layer]
    gap = max(taken.printed - (c.printed - c.gap) for c in near)
    overlap = max(c.printed + c.overlap - taken.printed for c in near)
    earliest, latest = min(c.earliest for c in near), max(c.latest for c in near)
    return replace(stop, earliest=earliest, latest=latest, gap=round(max(gap, 0.0), 3), overlap=round(max(overlap, 0.0), 3))


def _choose_moved(stop: Estimate, choice: int | None, height: float | None) -> Estimate:
    """Both must be known of a nozzle that was moved: in which layer it had stopped, and where it is."""
    low, high = stop.z, stop.z + stop.z_spread
    if choice is not None:
        stop = replace(_of_choice(stop.choices[choice], stop.choices, stop.exact, (low, high)), parked=stop.parked, moved=True)
    if height is not None:
        if not low - BETWEEN <= height <= high + BETWEEN:
            text = f"The nozzle cannot be at {height:g} mm: it was moved to between {low:g} and {high:g} mm."
            raise RecoveryError("height_invalid", text, "Measure again.")
        stop = replace(stop, z=height, z_spread=0.0)
    certain = choice is not None or len(stop.choices) < 2
    return replace(stop, chosen=certain and (height is not None or stop.z_spread <= 2 * SAME_HEIGHT))


def _nearest(stop: Estimate, height: float) -> tuple[Estimate, int]:
    """The choice that a measured height speaks for; one that stands above all of them was moved away after the last."""
    layers = layers_at(height, stop.choices)
    fitting = [n for n, c in enumerate(stop.choices) if not layers or c.layer in layers]
    nearest = min(fitting, key=lambda n: abs(stop.choices[n].z - height))
    if height > stop.choices[-1].z + BETWEEN:
        end = max(stop.choices, key=lambda c: c.latest)
        return replace(stop, choices=(replace(end, at=end.latest, gap=round(end.gap + end.overlap, 3), overlap=0.0),)), 0
    if abs(stop.choices[nearest].z - height) > BETWEEN:
        # On its way up or down, to the next height above or from there.
        nearest = next(n for n, c in enumerate(stop.choices) if c.z > height)
    return stop, nearest


def _of_choice(taken: Choice, choices: tuple[Choice, ...], exact: bool, parked: tuple[float, float] | None = None) -> Estimate:
    low, high = parked or (taken.z, taken.z)
    return Estimate(
        at=taken.at, earliest=taken.earliest, latest=taken.latest, exact=exact, gap=taken.gap, overlap=taken.overlap,
        z=low, z_spread=round(high - low, 4), choices=choices, parked=parked is not None,
    )  # fmt: skip


# -- how far the machine can have come


@dataclass(frozen=True)
class _Line:
    """A line that was sent: where it ends, seconds since it was sent and since its ``ok`` (None: not seen)."""

    offset: int
    sent: float
    answered: float | None


def _lines(record: dict[str, Any]) -> list[_Line]:
    """The record's last lines. Each goes out when the one before was acknowledged; how long that took may be noted, too."""
    rows = record.get("tail") or [[record["sent"], 0.0]]
    found = []
    for row, after in zip(rows, [*rows[1:], None], strict=True):
        sent = float(row[1])
        noted = row[2] if len(row) > 2 else None
        answered = sent - float(noted) if noted is not None else (float(after[1]) if after is not None else None)
        found.append(_Line(int(row[0]), sent, answered))
    return found


def _at_record(window: Window, lines: list[_Line], fresh: bool) -> tuple[float, float]:
    """The least and the most that was made at the moment of the record; ``fresh`` just after a resume."""
    given = window.after_line(lines[-1].offset)
    if window.by_time:
        accepted = [line.offset for line in lines if line.answered is not None]
        made = [window.after_line(offset) for offset in accepted if offset in window.waits]
        least = window.cruised(window.after_line(accepted[-1]), -KLIPPER_AHEAD) if accepted else 0.0
        return max([least, *made]), given
    low, high = 0.0, given
    delay = RESUMED if fresh else FIRST
    answered = [line for line in lines if line.answered is not None]
    for line, following in zip(answered, [*answered[1:], None], strict=False):
        age = max(line.answered or 0.0, 0.0)
        until = max(following.answered or 0.0, 0.0) if following is not None else 0.0
        upto = window.after_line(line.offset)
        high = min(high, upto + age * (1 + TIMING))
        if line.offset in window.waits:
            low, delay = max(low, upto), FIRST
            continue
        blocks = window.blocks_before(line.offset)
        low = max(low, window.block_start(blocks - PLANNER_BLOCKS))
        # Only a line with a block waits for a free place.
        if line.sent - age > WAITED and blocks > window.blocks_before(line.offset - 1):
            high = min(high, window.block_start(blocks - PLANNER_BLOCKS + AHEAD) + age * (1 + TIMING))
        # It worked on until the next line came, or until it had nothing left to do; then it began late.
        worked = (age - until) * (1 - TIMING)
        waited = min(delay, worked)
        worked, delay = worked - waited, delay - waited
        if low + worked >= upto:
            delay = FIRST
        low = min(low + worked, upto) if low < upto else low
    return min(low, given), max(high, low)


def _bounds(window: Window, record: dict[str, Any], outage: Outage, seen: Seen, interval: float) -> _Bounds:
    """Between which moments it stopped."""
    # What was acknowledged after the motors had stopped was not made.
    state = (record.get("cold_anchor") if outage.kind == "supply" else None) or record
    lines = _lines(state)
    last = lines[-1]
    given = window.after_line(last.offset)
    fresh = bool(record.get("resumed")) and len(lines) < TAIL
    if outage.kind == "supply":
        return _without_supply(window, record, state, lines, fresh)
    low, high = _at_record(window, lines, fresh)
    late = max(LATE, 2 * float(record.get("slowest_sync") or 0.0))
    since = max(float(record.get("within") or 0.0), interval) + late
    if outage.kind == "printer" and not window.by_time:
        low, high = _of_silent_printer(window, lines, given, fresh)
        if record.get("reason") != "printer_reset":
            # It did not tell that it began anew: perhaps the connection was lost first, and it made what it had.
            high = given
    if away := _parked(window, state, last, low, given):
        return away
    if state.get("phase") == "paused" or state.get("pause_position"):
        return _Bounds(given if state.get("pause_position") else low, given, given)
    if window.by_time:
        return _of_klipper(window, lines, low, outage, record.get("boot") == seen.boot, since)
    if outage.kind == "restart":
        return _Bounds(given, given, given)
    if outage.kind == "printer":
        return _Bounds(low, high)
    if outage.kind == "cable":
        # A line that was torn in two is not executed.
        before = window.after_line(lines[-2].offset) if len(lines) > 1 else 0.0
        return _Bounds(given if last.answered is not None else before, given, given)
    # Without a new line it cannot have gone further than what it was given; and a new one is recorded soon.
    cut = _Bounds(low, max(min(high + since, given + interval + late), low))
    finished = _without_host(window, lines, low, high, UNSYNCED if record.get("boot") == seen.boot else since, since)
    off = any(offset <= finished.given_to for offset in window.colds)
    target = float(record.get("nozzle_target") or 0.0)
    warm = seen.nozzle is not None and target - RESET_COOLS <= seen.nozzle < target - DOUBT
    if off or warm:
        # The file has switched the heater off, or it has cooled a little: the nozzle does not tell whether there was power.
        return _Bounds(min(cut.earliest, finished.bounds.earliest), max(cut.latest, finished.bounds.latest))
    return finished.bounds if outage.kind == "host" else cut


def _without_supply(window: Window, record: dict[str, Any], state: dict[str, Any], lines: list[_Line], fresh: bool) -> _Bounds:
    """The motors stopped at most ``COOLS`` seconds before the nozzle was last hot, which ``state`` tells of, and before it
    was first seen cooling. A pause of that time proves nothing: a board without motors acknowledges its moves, too."""
    low, high = _at_record(window, lines, fresh)
    given = window.after_line(lines[-1].offset)
    cold = COOLS + (0.0 if state is not record else float(record.get("cold_seconds") or 30.0))
    report = float(record.get("cold_report") or 5.0)
    # What was made for certain when the motors may have stopped: by the lines that had been sent by then.
    early = [_earlier(line, cold) for line in lines if line.sent >= cold]
    sooner = window.cruised(low, -cold) if window.by_time else low - cold
    earliest = max(sooner, _at_record(window, early, fresh)[0] if early else 0.0)
    latest = window.cruised(high, report + KLIPPER_AHEAD) if window.by_time else high + report
    if state.get("phase") == "paused" or state.get("pause_position"):
        latest = max(min(given + report, window.after_line(int(record["sent"]))), given)
    # Moved away when it was last hot, or when it died a little before; or in a pause between that report and the next.
    states = [state, *state.get("before", ()), *([record] if state is not record else [])]
    for moved in states:
        last = _lines(moved)[-1]
        left = window.after_line(last.offset)
        away = _parked(window, moved, last, min(earliest, left), left)
        if away is not None and away.parked is not None:
            # Where the path is not known for certain, it may not have left it yet, or have been on its way back.
            path = [window.point_at(moment)[2] for moment in (earliest, left, latest)] if earliest < latest else []
            return _Bounds(earliest, latest, None, (min(*away.parked, *path), max(*away.parked, *path)), left)
    return _Bounds(earliest, latest)


def _of_klipper(window: Window, lines: list[_Line], low: float, outage: Outage, same_boot: bool, since: float) -> _Bounds:
    """Klipper runs beside OctoPrint, and makes what it was given while their computer runs and its board answers."""
    given = window.after_line(lines[-1].offset)
    if outage.kind in ("printer", "cable"):
        return _Bounds(low, given)
    if outage.kind == "restart":
        return _Bounds(given if same_boot else low, given, given)
    if outage.kind == "host" and same_boot:
        most = window.cruised(given, UNSYNCED + _room(lines))
        for _ in range(2):
            # A line is taken whole when there is room for its beginning, and another is under way.
            most = window.after_line(window.piece_at(most + 1e-9).move.end_offset)
        return _Bounds(window.after_line(lines[-2].offset) if len(lines) > 1 else 0.0, most, given)
    return _Bounds(low, window.cruised(given, since + _room(lines)))


def _room(lines: list[_Line]) -> float:
    """Seconds of moves for which Klipper's queue may have had room: it was full when a line had to wait for its ``ok``, and has
    not lost more since than the time that has passed, which may have been a pause."""
    waited = (
        line.answered for line in lines[-KLIPPER_FULL:] if line.answered is not None and line.sent - line.answered > WAITED
    )
    return min([KLIPPER_AHEAD, *waited])


def _earlier(line: _Line, seconds: float) -> _Line:
    """A line as it was so many seconds ago."""
    answered = line.answered - seconds if line.answered is not None and line.answered >= seconds else None
    return replace(line, sent=line.sent - seconds, answered=answered)


@dataclass(frozen=True)
class _Finished:
    """What a board does that has lost its host: ``bounds``, and the last byte that it may have been given."""

    bounds: _Bounds
    given_to: int


def _without_host(window: Window, lines: list[_Line], low: float, high: float, news: float, since: float) -> _Finished:
    """The board makes all it was given: a line for every block that ran out after the record, too. A line that went out would
    have been recorded ``news`` seconds later, and anything ``since`` seconds later."""
    given = window.after_line(lines[-1].offset)
    least = window.after_line(lines[-2].offset) if len(lines) > 1 else 0.0
    # No line goes out, and none is recorded, before the last one has found its place: an arc's pieces take their time.
    placed = given
    if lines[-1].offset not in window.waits:
        placed = window.block_start(window.blocks_before(lines[-1].offset) - PLANNER_BLOCKS + AHEAD)
    furthest = min(max(high, placed) + news, high + since)
    last = window.piece_at(window.block_start(window.piece_at(furthest).blocks + PLANNER_BLOCKS + AHEAD))
    most = window.after_line(last.move.end_offset)
    usual = window.block_start(window.piece_at((low + high) / 2 + news / 3).blocks + PLANNER_BLOCKS + 1)
    likely = window.after_line(window.piece_at(usual).move.end_offset) if usual >= given else given
    bounds = _Bounds(least, max(most, given + news), likely)
    return _Finished(bounds, max(last.move.end_offset, lines[-1].offset) + LINES_WITHOUT_MOVES)


def _of_silent_printer(window: Window, lines: list[_Line], given: float, fresh: bool) -> tuple[float, float]:
    """The printer stopped while OctoPrint ran: after the last ``ok``, before the next one would have come."""
    last = lines[-1]
    before = [
        _Line(line.offset, line.sent - last.sent, None if line.answered is None else max(line.answered - last.sent, 0.0))
        for line in lines
        if line is not last
    ]
    low, high = _at_record(window, [*before, _Line(last.offset, 0.0, None)], fresh) if before else (0.0, given)
    if last.offset in window.waits or last.answered is not None:
        return low, given
    free = window.block_start(window.blocks_before(last.offset) - PLANNER_BLOCKS + AHEAD)
    return low, min(max(free, high) + WAITED, given)


def _parked(window: Window, record: dict[str, Any], last: _Line, low: float, given: float) -> _Bounds | None:
    """A nozzle that was moved away by a pause script, by hand, or by the firmware for a change of filament."""
    if last.offset in window.parks and last.answered is None:
        # Perhaps it has not even come to that; the height tells.
        z = window.point_at(given)[2]
        return _Bounds(low, given, None, (min(z, window.point_at(low)[2]), z + PARK_RAISE))
    place, path = record.get("parked"), window.point_at(given)[2]
    if moving := record.get("moving"):
        # It can be anywhere between the path and where it is moved to; where that is may not be known.
        heights = moving if isinstance(moving, (list, tuple)) else (path + PARK_RAISE,)
        return _Bounds(given, given, given, (min(path, *heights), max(path, *heights)))
    return _Bounds(given, given, given, (float(place[2]), float(place[2]))) if place else None


def _resumed_at(window: Window, record: dict[str, Any]) -> float:
    """After a resume nothing before its own beginning is printed."""
    resumed = record.get("resumed")
    return window.moment_of(int(resumed[0]), float(resumed[1])) if resumed else 0.0
