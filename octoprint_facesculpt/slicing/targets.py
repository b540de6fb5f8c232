"""What to print when the time or the plastic is given: which size, and which layers.

Nobody can tell a print's time without slicing it, but how it grows with size is nearly a power law: walls grow with the
square, infill with the cube. So a size is guessed, really sliced, and the law refined by what came out; the last slice is the
one that will be printed, and its figures are what is promised.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .engine import SlicingError

HOURS, GRAMS = "hours", "grams"
RANGES = {HOURS: (0.25, 500.0), GRAMS: (1.0, 20_000.0)}
#: A slice this near to the target is good enough, and so many slices may be made to get there.
TOLERANCE, MAX_SLICES = 0.02, 4
#: What does not fit on the bed is tried so much smaller, and so often.
SMALLER, MAX_REFUSED = 0.95, 3
#: Seconds in which an Ender 3 heats nozzle and bed before a print.
HEATING = 200.0
#: How time and plastic grow with size before anything is known, and how far that may be wrong.
POWER, POWERS = 2.5, (1.5, 3.2)
#: How time falls with thicker layers.
LAYER_POWER = 0.8
#: A bust of this height in layers of 0.16 mm, and what it takes: the first guess.
KNOWN_HEIGHT, KNOWN_LAYER, KNOWN = 160.0, 0.16, {HOURS: 23.15, GRAMS: 195.0}


@dataclass(frozen=True)
class Target:
    """A print that takes ``value`` hours or grams (``kind``)."""

    kind: str
    value: float

    def __post_init__(self) -> None:
        low, high = RANGES[self.kind]
        if not low <= self.value <= high:
            raise SlicingError(
                "target_impossible", f"{self.value:g} {self.kind} are not possible.", f"Choose {low:g} to {high:g}."
            )

    def reached(self, tried: Tried) -> float:
        """What a slice comes to, in the target's unit."""
        return tried.seconds / 3600 if self.kind == HOURS else tried.grams


@dataclass(frozen=True)
class Wishes:
    """What a print should be like.

    ``target`` is None when the height decides; with ``fixed_height`` a target decides the layers instead of the size.
    ``correction`` is how much longer this printer takes than is estimated, by ``prints`` earlier prints; ``filament_left_g``
    what is on the spool.
    """

    target: Target | None = None
    fixed_height: bool = False
    correction: float = 1.0
    prints: int = 0
    filament_left_g: float | None = None


@dataclass(frozen=True)
class Tried:
    """A real slice: the sculpture's height in mm, its layers in mm, the seconds it takes to print, and its grams."""

    height_mm: float
    layer_mm: float
    seconds: float
    grams: float


def first_height(target: Target, layer_mm: float) -> float:
    """A height in mm to begin with."""
    known = KNOWN[target.kind]
    if target.kind == HOURS:
        known *= (KNOWN_LAYER / layer_mm) ** LAYER_POWER
    return KNOWN_HEIGHT * (target.value / known) ** (1 / POWER)


def solve_height(
    target: Target, first: float, limits: tuple[float, float], slice_at: Callable[[float], Tried], slices: int = MAX_SLICES
) -> list[Tried]:
    """Slice at one height after another until the target is met, best last; ``limits`` are the least and the greatest.

    At most ``slices`` are made; the last one may miss the target when a limit keeps it from it. A height that proves
    ``too_large`` lowers the limit.
    """
    low, high = limits
    tried: list[Tried] = []
    height, refused = min(max(first, low), high), 0
    # One is kept back, to slice again what came nearest, unless the last is that and the next lies between two that were made.
    while len(tried) < slices - 1 or (len(tried) < slices and _closing_in(target, tried, height)):
        try:
            tried.append(slice_at(height))
        except SlicingError as error:
            # How far brim and supports reach beyond a sculpture is known when it is sliced, not before.
            if error.code != "too_large" or height <= low or refused == MAX_REFUSED:
                raise
            refused += 1
            height = high = round(max(SMALLER * height, low, *(one.height_mm for one in tried)), 1)
            if any(abs(height - other.height_mm) < 0.05 for other in tried):
                break
            continue
        ratio = target.value / target.reached(tried[-1])
        if abs(ratio - 1) <= TOLERANCE:
            break
        following = round(min(max(height * ratio ** (1 / _power(target, tried)), low), high), 1)
        if any(abs(following - other.height_mm) < 0.05 for other in tried):
            break
        height = following
    best = min(tried, key=lambda one: abs(target.reached(one) / target.value - 1))
    if best is not tried[-1]:
        # What is printed is the slice that was made last.
        tried.append(slice_at(best.height_mm))
    return tried


def _closing_in(target: Target, tried: list[Tried], height: float) -> bool:
    """Whether the last slice is the nearest and ``height`` lies between it and one on the other side of the target."""
    off = [target.reached(one) / target.value - 1 for one in tried]
    if abs(off[-1]) > min(map(abs, off)):
        return False
    between = (sorted((one.height_mm, tried[-1].height_mm)) for one, by in zip(tried, off, strict=True) if by * off[-1] < 0)
    return any(low < height < high for low, high in between)


def solve_layers(target: Target, layers: Sequence[float], first: float, slice_with: Callable[[float], Tried]) -> list[Tried]:
    """Slice with one of ``layers`` mm after another until the finest is found that keeps within the target, that one last."""
    made = {first: slice_with(first)}
    order, last = [first], first
    while True:
        known = made[last]
        fits = [
            layer
            for layer in sorted(layers)
            if target.reached(made[layer] if layer in made else _with_layers(known, layer)) <= target.value * (1 + TOLERANCE)
        ]
        wanted = fits[0] if fits else max(layers)
        if wanted == last:
            return [made[layer] for layer in order]
        repeated = wanted in made
        made[wanted], last = slice_with(wanted), wanted
        order = [layer for layer in order if layer != wanted] + [wanted]
        if repeated:
            return [made[layer] for layer in order]


def _with_layers(known: Tried, layer: float) -> Tried:
    """What a slice with other layers would come to: its time; its plastic stays."""
    factor = (known.layer_mm / layer) ** LAYER_POWER
    return Tried(known.height_mm, layer, known.seconds * factor, known.grams)


def _power(target: Target, tried: list[Tried]) -> float:
    """How the target's figure grows with height, by the two slices that are nearest to it."""
    if len(tried) < 2:
        return POWER
    a, b = sorted(tried, key=lambda one: abs(math.log(target.reached(one) / target.value)))[:2]
    if abs(a.height_mm / b.height_mm - 1) < 0.002:
        return POWER
    power = math.log(target.reached(a) / target.reached(b)) / math.log(a.height_mm / b.height_mm)
    return min(max(power, POWERS[0]), POWERS[1])


def experience(prints: Sequence[tuple[float, float]]) -> tuple[float, int]:
    """By what factor prints take longer than was estimated, and how many say so.

    ``prints`` are (estimated, real) seconds of finished prints, newest first. The real ones hold the time in which the printer
    heated up, which is no share of the estimate: ``HEATING`` of it. Few prints move the factor little: it is
    their mean drawn towards 1, as if two prints had kept to their estimates. What is off by more than a factor of two was
    not the print's doing.
    """
    ratios = [max(real - HEATING, min(real, estimated)) / estimated for estimated, real in prints[:20] if estimated > 0]
    logs = [math.log(ratio) for ratio in ratios if 0.5 <= ratio <= 2]
    return math.exp(sum(logs) / (len(logs) + 2)), len(logs)
