"""Layers of a print, gathered from its extruding moves as they come.

Slicers mark layers, but not all marks are layers of the model: what counts is plastic at a new height.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .gcode_blocks import refusal
from .gcode_index import MAX_LAYERS, GcodeIndex, Layer
from .gcode_moves import Moves
from .motion import Clock

#: Features that are not part of the model: priming, start and end code.
NOT_MODEL = ("", "Custom")
#: Layers differ by more than this in height, mm.
_SAME_Z = 1e-4


def is_support(feature: str) -> bool:
    """Whether a slicer means supports by the name of a feature."""
    return feature.lower().startswith("support")


class _Start(NamedTuple):
    """A place between two moves: byte of the file, the clock's mark, and what a reader must know who starts there."""

    offset: int
    mark: int
    x: float = 0.0
    y: float = 0.0
    below: float = 0.0
    e: float = 0.0
    relative_e: bool = False
    feed_mm_min: float = 1500.0
    feature: str = ""


@dataclass
class _Open:
    """A layer and what has been put into it so far; ``box``: left, front, -right, -back."""

    start: _Start
    z: float
    filament: float
    support: float
    box: np.ndarray

    def closed(self, seconds: float) -> Layer:
        start, (left, front, right, back) = self.start, self.box.tolist()
        return Layer(
            start.offset, self.z, seconds, self.filament, self.support, left, front, -right, -back,
            start.x, start.y, start.below, start.e, start.relative_e, start.feed_mm_min, start.feature,
        )  # fmt: skip


class Layers:
    """All layers so far. ``low`` and ``high`` (x, y, z) bound the model's plastic, ``moves`` counts what put it there."""

    def __init__(self, clock: Clock) -> None:
        self.low, self.high, self.moves = [math.inf] * 3, [-math.inf] * 3, 0
        self._clock = clock
        self._filament: np.ndarray = np.zeros(0)
        self._layers: list[_Open] = []
        self._rest = _Start(0, clock.mark(0))

    def filament(self, features: list[str]) -> dict[str, float]:
        """mm of filament by feature."""
        return dict(zip(features, self._filament.tolist(), strict=False))

    def add(
        self, moves: Moves, extruding: np.ndarray, supporting: np.ndarray, told: np.ndarray, features: list[str]
    ) -> None:  # fmt: skip
        """Take the ``extruding`` ones (indices, at least one) of some moves, of which the mask ``supporting`` are supports;
        ``told`` are those that the clock is about to be told, and ``features`` the names of all features."""
        feature, step = moves.feature.take(extruding), moves.step.take(extruding)
        before, self._filament = self._filament, np.asarray(np.bincount(feature, step, len(features)), np.float64)
        self._filament[: len(before)] += before
        model = np.array([name not in NOT_MODEL for name in features]).take(feature)
        # Positions, among the extruding moves, of those of the model, and of those that begin a layer.
        of_model = model.nonzero()[0]
        modelling = extruding if len(of_model) == len(extruding) else extruding.take(of_model)
        heights = moves.after[2].take(modelling)
        begun = of_model.take(_rising(heights, self._height()))
        first = [self._rest] if len(begun) and begun[0] == 0 else []
        behind = np.append(begun[len(first) :], len(extruding)) - 1
        *starts, rest = self._starts(moves, extruding.take(behind), told, features)
        self._gather(moves, extruding, model, begun, first + starts, step, step * supporting)
        if len(modelling):
            self.moves += len(modelling)
            for z in (heights, moves.before[2].take(modelling)):
                self.low[2], self.high[2] = min(self.low[2], float(z.min())), max(self.high[2], float(z.max()))
        self._rest = rest

    def finish(self, size: int) -> GcodeIndex:
        """The index of a file of ``size`` bytes; the clock has been told everything."""
        times = self._clock.finish()
        layers = tuple(layer.closed(times[layer.start.mark]) for layer in self._layers)
        return GcodeIndex(size, self._rest.offset, times[self._rest.mark], self._clock.seconds, layers)

    def _height(self) -> float:
        return self._layers[-1].z if self._layers else math.nan

    def _starts(self, moves: Moves, ahead: np.ndarray, told: np.ndarray, features: list[str]) -> list[_Start]:
        """The places behind the moves ``ahead`` (indices)."""
        marks = (self._clock.told + np.searchsorted(told, ahead + 1)).tolist()
        columns = (moves.ends, *moves.after, moves.extruder, moves.feed, moves.feature)
        return [
            _Start(offset, self._clock.mark(mark), x, y, z, e, moves.relative_e, 60 * feed, features[feature])
            for mark, offset, x, y, z, e, feed, feature in zip(
                marks, *(column.take(ahead).tolist() for column in columns), strict=True
            )
        ]

    def _gather(
        self, moves: Moves, extruding: np.ndarray, model: np.ndarray, begun: np.ndarray, starts: list[_Start],
        step: np.ndarray, support: np.ndarray,
    ) -> None:  # fmt: skip
        """Add what was extruded to the layer that is open and to those that have begun."""
        if len(self._layers) + len(starts) > MAX_LAYERS:
            raise refusal("too_many_layers", f"It has more than {MAX_LAYERS} layers")
        heights = moves.after[2][extruding[begun]].tolist()
        cuts = begun if len(begun) and begun[0] == 0 else np.concatenate([[0], begun])
        sums, supports = np.add.reduceat(step, cuts).tolist(), np.add.reduceat(support, cuts).tolist()
        boxes = _boxes(moves, extruding, model, cuts)
        parts = list(zip(sums, supports, boxes, strict=True))
        if len(cuts) > len(begun):
            if self._layers:
                layer, (more, more_support, box) = self._layers[-1], parts[0]
                layer.filament, layer.support = layer.filament + more, layer.support + more_support
                layer.box = np.minimum(layer.box, box)
            parts = parts[1:]
        self._layers += [_Open(start, z, *part) for start, z, part in zip(starts, heights, parts, strict=True)]
        left, front, right, back = boxes.min(0).tolist()
        self.low[0], self.low[1] = min(self.low[0], left), min(self.low[1], front)
        self.high[0], self.high[1] = max(self.high[0], -right), max(self.high[1], -back)


def _rising(heights: np.ndarray, before: float) -> np.ndarray:
    """Which of the ``heights`` (N,) are others than those before them."""
    # Most are just the same, and only few have to be looked at closely.
    changed = np.append(0, (heights[1:] != heights[:-1]).nonzero()[0] + 1)[: len(heights)]
    there = heights.take(changed)
    return changed[~(np.abs(np.diff(there, prepend=before)) <= _SAME_Z)]


def _boxes(moves: Moves, extruding: np.ndarray, model: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """Left, front, -right and -back of what is of the model in the parts (P, 4) that begin at ``cuts``; far away where there
    is nothing."""
    boxes = np.empty((len(cuts), 4))
    other = np.flatnonzero(~model)
    for axis in range(2):
        here, there = moves.before[axis].take(extruding), moves.after[axis].take(extruding)
        low, high = np.minimum(here, there), np.maximum(here, there)
        low[other], high[other] = np.inf, -np.inf
        boxes[:, axis], boxes[:, axis + 2] = np.minimum.reduceat(low, cuts), -np.maximum.reduceat(high, cuts)
    return boxes
