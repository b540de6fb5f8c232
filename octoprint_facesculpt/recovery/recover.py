"""From a journal to a plan: what the command, the dashboard and the tests ask for."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from .errors import RecoveryError
from .estimate import Estimate, choose, estimate, moved_by
from .held import held_by_board, lifted_unseen
from .identity import identity_of
from .journal import Reading
from .outage import Outage, Seen, classify
from .plan import Plan, make_plan
from .printer import PrinterFacts
from .replay import GcodeIndex, build_index, state_at
from .resuming import recovering
from .shift import SAME, Shifted, floor_of, shift
from .window import BEFORE, Window, read_window

#: Bytes read before the place when the board went on for a while after its motors had stopped.
SUPPLY_BEFORE = 400_000
#: Layer height where a file does not tell, mm.
USUAL_LAYER = 0.2
#: Shift of Z by the file, mm, beyond which it is more than a correction of where the bed is.
SHIFTED = 0.5
#: Path, mm, below which nothing counts as printed or left to print.
NOTHING = 0.01


@dataclass(frozen=True)
class Chosen:
    """What somebody who looked has answered: which of the choices, how high the nozzle was measured to be (mm), the byte at
    which the line begins that printing shall go on with, and how many ``layers`` and ``moves`` from there."""

    choice: int | None = None
    height: float | None = None
    line: int | None = None
    layers: int = 0
    moves: int = 0


@dataclass(frozen=True)
class View:
    """What a drawing of the place needs: the file's index, the likeliest place with its bounds in ``window``, and the place
    that was taken."""

    index: GcodeIndex
    window: Window
    stop: Estimate
    taken: Shifted


@dataclass(frozen=True)
class Recovery:
    """Everything about an interrupted print. ``kind``: ``resume``, ``finish`` (all plastic is down, only the file's end is
    left), or ``restart`` (nothing of the model was printed: the file begins anew on a clear bed). ``layer`` counts from 1,
    ``layers`` are all of the file."""

    outage: Outage
    stop: Estimate
    plan: Plan
    layer: int
    layers: int
    percent: float
    window_offset: int
    kind: str = "resume"
    #: The way around the place: byte at which a line begins, X, Y, Z of its end, whether it prints.
    path: tuple[tuple[int, float, float, float, bool], ...] = ()
    resumed: tuple[int, float] = (0, 0.0)
    #: Temperatures of the print, degrees.
    nozzle: float = 0.0
    bed: float = 0.0
    layer_height: float = USUAL_LAYER
    #: How far layers and moves may be shifted: lowest, highest.
    layers_range: tuple[int, int] = (0, 0)
    moves_range: tuple[int, int] = (0, 0)
    #: Bytes before ``window_offset`` at which the window begins.
    window_before: int = BEFORE
    #: Part of an earlier plan in which that was interrupted, and why; None when there was none.
    again: tuple[str, str | None] | None = None
    view: View | None = None

    def record(self, step: int) -> dict[str, Any]:
        """What the journal must know while step ``step`` of the plan is made, so that an outage in it is recoverable."""
        return recovering(self.to_json(), step)

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": 1, "kind": self.kind, "outage": asdict(self.outage), "stop": asdict(self.stop),
            "asks": self.stop.asks, "plan": self.plan.to_json(), "window_offset": self.window_offset, "path": self.path,
            "resumed": self.resumed, "layer": self.layer, "layers": self.layers, "percent": round(self.percent, 2),
            "targets": {"nozzle": self.nozzle, "bed": self.bed}, "layer_height": self.layer_height,
            "window_before": self.window_before, "layers_range": self.layers_range,
            "moves_range": self.moves_range, "again": self.again,
        }  # fmt: skip


def recover(
    reading: Reading | None,
    seen: Seen,
    gcode: Path,
    facts: PrinterFacts,
    index_file: Path | None = None,
    chosen: Chosen | None = None,
) -> Recovery:
    """What happened to the print of ``gcode``, where it stands, and how it goes on.

    :class:`RecoveryError`: ``journal_empty``, ``nothing_to_recover``, ``file_missing``, ``file_changed``,
    ``not_recoverable``, ``choice_invalid``, ``height_invalid``, ``line_invalid``, ``point_unsafe``.
    """
    if reading is None:
        raise RecoveryError(
            "journal_empty", "The journal holds no print.", "Nothing was being printed, or it is of another folder."
        )
    outage = classify(reading, seen)
    if outage.kind in ("none", "cancelled"):
        raise RecoveryError("nothing_to_recover", outage.reasons[0], "Start a print as usual.")
    if reading.job.get("identity") != identity_of(gcode):
        raise RecoveryError("file_changed", f"{gcode.name} is not the file that was being printed.", "Give the same file.")
    index = _index(gcode, facts, index_file)
    record = reading.record
    again = record.get("resume") if record.get("phase") == "recovering" else None
    anchor = record.get("cold_anchor") if outage.kind == "supply" else None
    place = int(again["window"] if again else (anchor or record)["sent"])
    if place > gcode.stat().st_size:
        raise RecoveryError("file_changed", f"The journal tells of a place behind {gcode.name}'s end.", "Give the same file.")
    before = SUPPLY_BEFORE if outage.kind == "supply" else BEFORE
    if again:
        # Its moments count from where that window began.
        before = int(again.get("before") or before)
    window = read_window(gcode, place, index, facts.firmware, record.get("feed_percent"), before=before)
    layers = len(index.layers)
    if again:
        # A resume was interrupted before it reached the file: the same place, at the height that it had come to.
        low, high = float(record["z_low"]), float(record["z_high"])
        stop = Estimate.from_json(again["stop"], z=low, z_spread=round(high - low, 4), chosen=False, choices=(), moved=False)
        if record.get("going"):
            # The rest of the interrupted line may have been printed.
            rest = window.printed_at(window.after_line(window.piece_at(stop.at).move.end_offset)) - window.printed_at(stop.at)
            stop = replace(stop, overlap=round(stop.overlap + rest, 3))
    elif not window.pieces:
        return _restart(outage, layers, place)
    else:
        stop = estimate(window, record, outage, seen)
        if _untouched(window, stop, index):
            return _restart(outage, layers, place)
    told = seen.position is not None and facts.firmware != "klipper" and window.retracts
    if not told and not again:
        stop = lifted_unseen(window, stop)
    if seen.moved is not None:
        stop = moved_by(stop, seen.moved, facts.height)
    if chosen is not None:
        stop = choose(stop, chosen.choice, chosen.height)
        if chosen.line is not None:
            stop = _at_line(window, stop, chosen.line)
    if told:
        stop = held_by_board(window, stop, record if again else None)
    elif not again and not (chosen and chosen.height is not None):
        stop = lifted_unseen(window, stop)
    finishing = index.end.printed - (window.start.printed + window.printed_at(stop.earliest)) < NOTHING
    by = (chosen.layers, chosen.moves) if chosen else (0, 0)
    taken = shift(Shifted(window, place, before, stop), *by, gcode, index, record.get("feed_percent"))
    view = View(index, window, stop, taken)
    window, place, stop = taken.window, taken.offset, taken.stop
    _require_heights(view, gcode, facts)
    piece = window.piece_at(stop.at)
    after = state_at(gcode, piece.move.end_offset, index, facts.firmware)
    printed = window.start.printed + window.printed_at(stop.at)
    plan = make_plan(window, stop, after, facts, record, finishing)
    percent = 100.0 * printed / index.end.printed if index.end.printed else 0.0
    return Recovery(
        outage, stop, plan, after.layer, layers, percent, place, "finish" if finishing else "resume", _path(window, stop),
        window.share_at(stop.at), nozzle=float(record.get("nozzle_target") or after.nozzle.get(str(after.tool), 0.0)),
        bed=float(record.get("bed_target") or after.bed), layer_height=_layer_height(index, after.layer),
        window_before=taken.before, layers_range=taken.layers, moves_range=taken.moves, view=view,
        again=(str(record.get("step_phase") or "heat"), record.get("reason")) if again else None,
    )  # fmt: skip


def _require_heights(view: View, gcode: Path, facts: PrinterFacts) -> None:
    """:class:`RecoveryError` ``not_recoverable`` where one height may mean two things: the file has shifted Z (G92 Z) just
    where it stopped, or so far that nobody knows from where a height is measured."""
    stop, window = view.stop, view.window
    times = (min([stop.earliest, *(c.earliest for c in stop.choices)]), max([stop.latest, *(c.latest for c in stop.choices)]))
    if not (view.index.end.z_shifted or stop.moved):
        return
    ends = [window.piece_at(at).move.end_offset for at in times]
    shifts = [state_at(gcode, end, view.index, facts.firmware).shift[2] for end in ends]
    if abs(shifts[-1] - shifts[0]) > SAME or (stop.moved and abs(shifts[0]) > SHIFTED):
        text = "The file shifts its heights (G92 Z): how high the nozzle is for it cannot be known for certain."
        raise RecoveryError("not_recoverable", text, "Finish this print by hand.")


def _layer_height(index: GcodeIndex, layer: int) -> float:
    heights = [one.z for one in index.layers[max(layer - 2, 0) : layer] if one.z is not None]
    step = round(heights[-1] - heights[0], 3) if len(heights) > 1 else 0.0
    return step if 0.0 < step < 2.0 else USUAL_LAYER


def _index(gcode: Path, facts: PrinterFacts, index_file: Path | None) -> GcodeIndex:
    index = GcodeIndex.load(index_file, gcode, facts.firmware) if index_file else None
    if index is None:
        index = build_index(gcode, facts.firmware)
        if index_file:
            index.save(index_file)
    return index


def _untouched(window: Window, stop: Estimate, index: GcodeIndex) -> bool:
    """Whether it is possible that nothing of the model was printed. At most the first seconds of the first layer are lost when
    the print begins anew, on a bed that was cleared."""
    first = index.layers[0].printed if index.layers else index.end.printed
    return window.start.printed + window.printed_at(stop.earliest) <= first + NOTHING


def _restart(outage: Outage, layers: int, place: int) -> Recovery:
    stop = Estimate(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, exact=True)
    risk = {"code": "bed_clear", "message": "The print begins anew: the bed must be clear."}
    return Recovery(outage, stop, Plan([], 0, (0.0, 0.0, 0.0), 0, 0.0, 0.0, [risk]), 0, layers, 0.0, place, "restart")


def _at_line(window: Window, stop: Estimate, line: int) -> Estimate:
    """Go on with the line that begins at a byte, chosen by somebody who looked; nowhere lower than it stopped."""
    same = [piece for piece in window.pieces if piece.move.offset == line]
    if not same:
        raise RecoveryError("line_invalid", f"No move near the place begins at byte {line}.", "Take one of the path's.")
    if min(same[0].start[2], same[-1].end[2]) < floor_of(window, stop) - SAME:
        raise RecoveryError("point_unsafe", "That line lies below where the print stopped.", "Choose a later one.")
    gap = window.printed_at(same[0].at) - window.printed_at(stop.earliest)
    overlap = window.printed_at(stop.latest) - window.printed_at(same[0].at)
    return replace(stop, at=same[0].at, gap=round(max(gap, 0.0), 3), overlap=round(max(overlap, 0.0), 3))


def _path(window: Window, stop: Estimate, around: float = 2.0) -> tuple[tuple[int, float, float, float, bool], ...]:
    """The moves within ``around`` seconds of the bounds."""
    low = min((c.earliest for c in stop.choices), default=stop.earliest) - around
    high = max((c.latest for c in stop.choices), default=stop.latest) + around
    near = [piece for piece in window.pieces if piece.until >= low and piece.at <= high]
    return tuple((p.move.offset, *(round(v, 3) for v in p.end), p.prints) for p in near[:2000])  # type: ignore[misc]


def resume_gcode(recovery: Recovery, gcode: Path, output: Path) -> None:
    """Write a file that holds the plan, its reasons as comments, and the rest of the print."""
    half = output.with_name(output.name + ".part")
    with gcode.open("rb") as rest, half.open("wb") as file:
        file.write(f"; Resumes {gcode.name.encode('ascii', 'replace').decode()} in layer {recovery.layer}\n".encode())
        for step in recovery.plan.steps:
            file.write(f"{step.line} ; {step.reason}\n".encode())
        rest.seek(recovery.plan.offset)
        while data := rest.read(1 << 20):
            file.write(data)
    half.replace(output)
