"""What a printer's firmware remembers while it reads G-code, and the moves it makes of it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any

#: What a Marlin of the Ender 3 wakes up with, mm/min.
FIRST_FEED = 1500.0
Point = tuple[float, float, float]


@dataclass(slots=True)
class MachineState:
    """The state after ``offset`` bytes of a file. Lengths in mm, feeds in mm/min, temperatures in degrees Celsius.

    ``position`` is what the G-code means by X, Y, Z; ``shift`` is how far G92 has moved these from the homed axes. ``e`` is
    the extruder as G92 E counts it, ``filament`` all that was ever pushed, ``filament_top`` its highest value: the
    difference is what is retracted now. ``e_relative`` is M83, or in Marlin 2 also G91. ``printed`` is the length of path on
    which plastic was put; ``low`` and ``high`` bound these paths since the first layer began.
    """

    offset: int = 0
    position: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    shift: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    homed: list[bool] = field(default_factory=lambda: [False, False, False])
    relative: bool = False
    e_relative: bool = False
    inches: bool = False
    e: float = 0.0
    filament: float = 0.0
    filament_top: float = 0.0
    feed: float = FIRST_FEED
    tool: int = 0
    nozzle: dict[str, float] = field(default_factory=dict)
    bed: float = 0.0
    fans: dict[str, float] = field(default_factory=dict)
    feed_percent: float = 100.0
    flow_percent: dict[str, float] = field(default_factory=dict)
    #: M201, M203, M204, M205: the words each was last given.
    limits: dict[str, dict[str, float]] = field(default_factory=dict)
    linear_advance: float | None = None
    babystep: float = 0.0
    leveling: bool | None = None
    fade_height: float | None = None
    #: Whether G10 holds, and how much higher than ``position`` the nozzle is then, mm (M207 Z).
    firmware_retracted: bool = False
    hop: float = 0.0
    #: Whether the firmware makes G10 and G11 of moves of the extruder alone (M209).
    auto_retract: bool = False
    motors_off: bool = False
    layer: int = 0
    layer_z: float | None = None
    #: Whether the file says itself where layers begin.
    layer_comments: bool = False
    printed: float = 0.0
    low: list[float] | None = None
    high: list[float] | None = None
    #: Whether heights have come to mean something else since the first of these paths.
    z_shifted: bool = False

    @property
    def unit(self) -> float:
        return 25.4 if self.inches else 1.0

    @property
    def retracted(self) -> float:
        """Filament that was pulled back and not yet pushed forward again."""
        return max(0.0, self.filament_top - self.filament)

    def copy(self) -> MachineState:
        return deepcopy(self)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> MachineState:
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Move:
    """One line's motion. ``offset`` and ``end_offset`` are the bytes where the line begins and ends; ``points`` are the
    corners of its path after ``start``: one, or the pieces of an arc, as high as the nozzle is. ``filament`` is mm pushed on
    the way, ``feed`` mm/min; ``by_itself`` when the firmware makes it for G10 or G11."""

    offset: int
    end_offset: int
    start: Point
    points: tuple[Point, ...]
    filament: float
    feed: float
    layer: int = 0
    by_itself: bool = False

    @property
    def end(self) -> Point:
        return self.points[-1]

    @property
    def prints(self) -> bool:
        return self.filament > 0 and any(p[0] != self.start[0] or p[1] != self.start[1] for p in self.points)


@dataclass(slots=True)
class Layer:
    """Where a layer begins: ``offset`` of its first line, ``z`` of its first printed path (none yet: None), ``printed``
    path before it."""

    offset: int
    printed: float
    z: float | None = None
