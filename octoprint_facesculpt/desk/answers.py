"""What the user has answered on the way to resuming a print: kept on disk, so that nothing is asked twice after a restart."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..recovery.checksum import summed, unsummed
from ..recovery.errors import RecoveryError
from ..recovery.estimate import Estimate
from ..recovery.heights import layers_near
from ..recovery.measure import CALIPER, Verdict, judge

_logger = logging.getLogger(__name__)
#: Questions before anything is heated, in their order.
QUESTIONS = ("intro", "look", "point", "height", "heat")
#: Heights that may be given beyond the bounds of where the nozzle can be, mm.
BEYOND = 1.0
#: Farther than any nozzle can be moved, mm.
ANYWHERE = 1000.0
#: Kinds of a measured height that leave its question open.
OPEN = ("disagrees", "undecided")


@dataclass(frozen=True)
class Wanted:
    """How the plan shall be made: see :class:`octoprint_facesculpt.recovery.recover.Chosen`."""

    choice: int | None = None
    height: float | None = None
    line: int | None = None
    layers: int = 0
    moves: int = 0

    def arguments(self) -> list[str]:
        """Options of the command ``recover``."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return [word for name, value in given.items() for word in (f"--{name}", str(value))]


@dataclass(frozen=True)
class Answers:
    """``question`` is the one that is open. ``height`` is what was found out about the nozzle's height: ``kind`` (trusted,
    chosen, agrees, decides, undecided, disagrees) and, when it was measured, ``measured``, ``expected`` and ``off``;
    when it is undecided, the ``layers`` that it fits."""

    question: str = "intro"
    looked: bool = False
    wanted: Wanted = field(default_factory=Wanted)
    height: dict[str, Any] | None = None
    #: How far down (below 0) and up, mm, the nozzle may have been moved since the print was interrupted.
    moved: tuple[float, float] | None = None
    #: The printer that somebody has looked at, if it is another than the print was begun with.
    printer: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def arguments(self) -> list[str]:
        """Options of the command ``recover``."""
        moved = ["--moved", "{:g},{:g}".format(*self.moved)] if self.moved else []
        return [*self.wanted.arguments(), *moved]

    def moves(self, down: float, up: float) -> Answers:
        """The nozzle was moved by so much at most: whatever was found out about its height before holds no more."""
        low, high = self.moved or (0.0, 0.0)
        moved = (max(low + down, -ANYWHERE), min(high + up, ANYWHERE))
        question = min(self.question, "height", key=QUESTIONS.index)
        return replace(self, moved=moved, height=None, wanted=replace(self.wanted, height=None), question=question)

    @property
    def complete(self) -> bool:
        """Whether everything was answered that must be before the printer heats up."""
        return self.looked and self.height is not None and self.height["kind"] not in OPEN

    def back(self) -> Answers:
        """To the question before."""
        return replace(self, question=QUESTIONS[max(QUESTIONS.index(self.question) - 1, 0)])

    def begin(self) -> Answers:
        return replace(self, question="look")

    def look(self, printer: str | None = None) -> Answers:
        """The user has looked at the printer; which one, if it has changed."""
        return replace(self, looked=True, question="point", printer=printer)

    def look_again(self) -> Answers:
        """There is another printer than the user has looked at."""
        return replace(self, looked=False, question=min(self.question, "look", key=QUESTIONS.index))

    def point(self, layers: int, moves: int) -> Answers:
        """Another point; what was measured before holds for where it stopped, not for where it goes on."""
        return replace(self, wanted=replace(self.wanted, layers=layers, moves=moves), question="point")

    def accept_point(self) -> Answers:
        return replace(self, question="height")

    def trust(self) -> Answers:
        """The journal's height is taken as it is, unless the nozzle was moved since."""
        if self.moved:
            return replace(self, height=None, wanted=replace(self.wanted, height=None), question="height")
        return replace(self, height={"kind": "trusted"}, wanted=replace(self.wanted, height=None, choice=None), question="heat")

    def choose(self, choice: int) -> Answers:
        """The user sees in which of several layers it stopped."""
        wanted = replace(self.wanted, choice=choice)
        if self.moved and self.wanted.height is None:
            # It tells where the print stands, but not where the nozzle is.
            return replace(self, height=None, wanted=wanted, question="height")
        return replace(self, height={"kind": "chosen"}, wanted=wanted, question="heat")

    def measure(self, height: float, plan: dict[str, Any]) -> Answers:
        """The user has measured the nozzle's height, mm. A measurement that is more than about a layer off is kept, too: then
        the question stays open."""
        stop = Estimate.from_json(plan["stop"])
        low, high = stop.z, stop.z + stop.z_spread
        heights = [one.z for one in stop.choices] or [low]
        wanted = self.wanted
        possible = layers_near(height, stop.choices, max(plan["layer_height"], CALIPER))
        if stop.moved:
            possible = {one.layer for one in stop.choices}
            verdict = self._of_moved(height, low, high, len(stop.choices))
            wanted = replace(wanted, height=height)
        elif plan["asks"] and wanted.choice is None and len(possible) > 1:
            # Lifted within a layer it can have come to the height of the next: which it was must be seen on the print.
            verdict = replace(judge(height, heights, plan["layer_height"]), kind="undecided")
            wanted = replace(wanted, height=height)
        elif plan["asks"] and (len(stop.choices) < 2 or wanted.choice is not None or stop.parked):
            # It can be anywhere in between: then the measurement is all there is.
            fits = low - BEYOND <= height <= high + BEYOND
            expected = min(max(height, low), high)
            verdict = Verdict("decides" if fits else "disagrees", expected, round(height - expected, 3))
            wanted = replace(wanted, height=height)
        else:
            verdict = judge(height, heights, plan["layer_height"])
            if verdict.kind == "decides":
                wanted = replace(wanted, choice=heights.index(verdict.expected))
        found = {**asdict(verdict), "measured": height, **({"moved": True} if stop.moved else {})}
        if verdict.kind == "undecided":
            found["layers"] = sorted(possible)
        if verdict.kind == "disagrees":
            return replace(self, height=found, wanted=replace(self.wanted, height=None), question="height")
        return replace(self, height=found, wanted=wanted, question="height" if verdict.kind == "undecided" else "heat")

    def _of_moved(self, height: float, low: float, high: float, choices: int) -> Verdict:
        expected = min(max(height, low), high)
        fits = "undecided" if choices > 1 and self.wanted.choice is None else "decides"
        kind = fits if abs(height - expected) <= BEYOND else "disagrees"
        return Verdict(kind, expected, round(height - expected, 3))


class AnswerFile:
    """Answers about one outage, named by its journal's job and last record; those about another are not read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self, job: str, sequence: int) -> Answers:
        try:
            data = json.loads(unsummed(self._path.read_text()))
            if (data.pop("job"), data.pop("sequence")) != (job, sequence) or data["question"] not in QUESTIONS:
                return Answers()
            return Answers(**{**data, "wanted": Wanted(**data["wanted"])})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return Answers()

    def save(self, answers: Answers, job: str, sequence: int) -> None:
        half = self._path.with_name(self._path.name + ".part")
        try:
            with half.open("w") as file:
                file.write(summed(json.dumps({**answers.to_json(), "job": job, "sequence": sequence})))
                file.flush()
                os.fsync(file.fileno())
            half.replace(self._path)
        except OSError as error:
            # The answers can be given again; the print must not wait for a full disk.
            _logger.warning("the recovery's answers cannot be saved: %s", error)

    def forget(self) -> None:
        self._path.unlink(missing_ok=True)


def require_height(answers: Answers, plan: dict[str, Any]) -> None:
    """:class:`RecoveryError` ``height_disagrees`` while a measurement contradicts the journal, ``not_chosen`` while it is not
    certain at which height the nozzle stopped."""
    if answers.height is not None and answers.height["kind"] == "disagrees":
        raise RecoveryError(
            "height_disagrees", "The measured height does not fit what was printed.", "Measure again before going on."
        )
    if plan["asks"]:
        text = "It is not certain at which height the nozzle stopped."
        raise RecoveryError("not_chosen", text, "Look at the printer and choose, or measure the height.")
