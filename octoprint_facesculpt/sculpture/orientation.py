"""How a bust should be posed so that it prints best: the head's tilt on its foot, and how the whole lies on the bed.

Turning the whole print back costs half a day and its hold on the bed; turning the head on a level foot costs nothing and
takes the supports off chin, nose and brows, but only some degrees of it look natural. Every pose is judged by its geometry
alone, in seconds; ``extras/benchmark/orientation.py`` compares that with really sliced prints.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..progress import Progress, silent
from ..reconstruction.head import Head
from .costs import Costs, measure
from .settings import SculptureError, SculptureSettings
from .shaping import UPRIGHT, Sculpture, lying_angle, mesh_of, sculpt, solid_of, thinned

#: How far a bust leans that is printed leaning back, degrees.
LEANING = 30.0
#: Triangles are enough to compare by, of the head and of the sculpture; the chosen sculpture is made anew in full.
COMPARED_HEAD, COMPARED_TRIANGLES = 60_000, 40_000
#: What counts beside time, as a share of the print's time: a square centimetre of supports against the face, and one of the
#: face that prints rough, both of a sculpture as high as a hand.
FACE_WEIGHT, ROUGH_WEIGHT = 0.03, 0.01
#: Within so many degrees a face looks straight ahead; what five more are worth.
NATURAL_DEG, GAZE_WEIGHT = 2.0, 0.04
#: A print is safe on the bed from this angle of tipping on, degrees, and with this share of the square of its height on the
#: bed; what standing on nothing is worth.
MIN_TIP_DEG, MIN_BASE, FALL_WEIGHT = 8.0, 0.05, 0.3


@dataclass(frozen=True)
class Pose:
    """A way to pose a bust: the head ``tilt_deg`` back on its foot, the whole turned ``lean_deg`` back on the bed; None lays
    it on the back of its head and its plinth, at whatever angle they have."""

    key: str
    tilt_deg: float = 0.0
    lean_deg: float | None = 0.0


#: What is compared.
POSES = (
    Pose("upright"), *(Pose(f"tilt_{tilt:02.0f}", tilt) for tilt in (5.0, 10.0, 15.0, 20.0)),
    Pose("leaning", lean_deg=LEANING), Pose("lying", lean_deg=None),
)  # fmt: skip
#: What is compared for a mask, which lies on its flat back.
MASK_POSES = (Pose("upright"), Pose("lying", lean_deg=90.0))


@dataclass(frozen=True)
class Candidate:
    """A pose, the coarse sculpture in it, and what that costs; the smallest ``cost`` is best."""

    pose: Pose
    sculpture: Sculpture
    costs: Costs
    cost: float

    @property
    def settings(self) -> tuple[float, float]:
        """``tilt_deg`` and ``lean_deg`` of :class:`SculptureSettings` for this pose."""
        return self.pose.tilt_deg, self.sculpture.settings.lean_deg

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        tilt, lean = self.settings
        whole = {"pose": self.pose.key, "tilt_deg": tilt, "lean_deg": round(lean, 1), "cost": round(self.cost, 4)}
        return {**whole, **{key: round(value, 2) for key, value in asdict(self.costs).items()}}


def poses_of(style: str) -> tuple[Pose, ...]:
    """What is compared for a style."""
    return MASK_POSES if style == "mask" else POSES


def parse_orientation(text: str, style: str = "bust") -> Pose | None:
    """A pose of a style from ``upright``, ``leaning``, ``lying``, degrees of the head's tilt (``10``) or of the whole
    (``leaning:25``); None for ``auto``. :class:`SculptureError` ``orientation_unknown``."""
    if text == "auto":
        return None
    if named := next((pose for pose in poses_of(style) if pose.key == text), None):
        return named
    way, _, degrees = text.rpartition(":")
    try:
        if way in ("", "leaning"):
            return Pose(way, lean_deg=float(degrees)) if way else Pose("", float(degrees))
    except ValueError:
        pass
    message = f"There is no orientation '{text[:40]}'."
    hint = "Use auto, upright, leaning, lying, degrees of the head's tilt, or leaning:DEGREES."
    raise SculptureError("orientation_unknown", message, hint)


def posed(head: Head, settings: SculptureSettings, pose: Pose) -> SculptureSettings:
    """The settings of a sculpture in a pose; :class:`SculptureError` as :func:`.sculpt`."""
    upright = replace(settings, tilt_deg=pose.tilt_deg, lean_deg=0.0)
    if pose.lean_deg is not None:
        return replace(upright, lean_deg=pose.lean_deg)
    coarse = sculpt(_coarse(head, settings), replace(upright, max_triangles=min(settings.max_triangles, COMPARED_TRIANGLES)))
    return replace(upright, lean_deg=lying_angle(coarse.vertices))


def candidates(
    head: Head, settings: SculptureSettings, poses: tuple[Pose, ...] | None = None, progress: Progress = silent
) -> list[Candidate]:
    """Coarse sculptures of a head in several poses (all of its style's), best first; :class:`SculptureError` as
    :func:`.sculpt`."""
    poses = poses or poses_of(settings.style)
    head = _coarse(head, settings)
    settings = replace(settings, max_triangles=min(settings.max_triangles, COMPARED_TRIANGLES))
    found = []
    for number, pose in enumerate(poses):
        progress(number / len(poses), "Comparing poses")
        sculpture = sculpt(head, posed(head, settings, pose))
        found.append((pose, sculpture, measure(sculpture)))
    progress(1.0, "Orientation chosen")
    fastest = min(costs.seconds for _, _, costs in found)
    ranked = [
        Candidate(pose, sculpture, costs, cost(sculpture.settings.height_mm, costs, fastest))
        for pose, sculpture, costs in found
    ]
    return sorted(ranked, key=lambda candidate: candidate.cost)


def cost(height_mm: float, costs: Costs, fastest_seconds: float) -> float:
    """One figure for a pose of a sculpture ``height_mm`` high: the time it takes beyond the fastest one's, as a share, and
    what else counts as much as time."""
    # Scars are weighted as on a sculpture of 160 mm.
    square_cm = (160 / height_mm) ** 2 / 100
    astray = max(abs(costs.gaze_deg) - NATURAL_DEG, 0.0) / 5
    falling = max(1 - costs.tip_deg / MIN_TIP_DEG, 0.0) + max(1 - costs.base_area_mm2 / (MIN_BASE * height_mm**2), 0.0)
    return (
        costs.seconds / fastest_seconds
        - 1
        + FACE_WEIGHT * costs.face_overhang_mm2 * square_cm
        + ROUGH_WEIGHT * costs.face_rough_mm2 * square_cm
        + GAZE_WEIGHT * astray**2
        + FALL_WEIGHT * falling
    )


def _coarse(head: Head, settings: SculptureSettings) -> Head:
    """The head with few triangles, its hair and beard among them, which hold no relief: each pose is cut from it."""
    solid = solid_of(head.vertices.astype(np.float64) @ UPRIGHT.T, head.triangles)
    for mass in (head.hair, head.beard):
        if settings.hair and mass is not None:
            vertices, triangles = mass.mesh()
            solid += solid_of(vertices @ UPRIGHT.T, triangles)
    vertices, triangles = mesh_of(thinned(solid, COMPARED_HEAD))
    vertices = (vertices @ UPRIGHT).astype(head.vertices.dtype)
    return replace(head, vertices=vertices, triangles=triangles, relief=None, hair=None, beard=None)
