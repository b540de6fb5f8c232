"""What the user may choose about a sculpture."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import FaceSculptError

STYLES = ("bust", "head", "mask")
#: Poses by name, the usual one first; what they are, :mod:`.orientation` knows.
ORIENTATIONS = ("upright", "auto", "tilt_05", "tilt_10", "tilt_15", "tilt_20", "leaning", "lying")
MASK_ORIENTATIONS = ("lying", "auto", "upright")
MIN_HEIGHT, MAX_HEIGHT = 20.0, 400.0
MAX_TILT, MAX_LEAN = 25.0, 100.0
#: How much more of a face's relief than its photo shows there can be.
MAX_DETAIL = 1.5


class SculptureError(FaceSculptError):
    """Codes: ``height_out_of_range``, ``detail_out_of_range``, ``orientation_unknown``, ``style_unavailable``,
    ``triangles_out_of_range``, ``empty_head``, ``not_manifold``."""


@dataclass(frozen=True)
class SculptureSettings:
    """Choices of one sculpture; every value is checked on creation.

    Attributes
    ----------
    height_mm : float
        From the bed to the crown, of a mask from its lower to its upper edge, 20..400.
    style : str
        ``bust``: head, neck and chest on a round plinth. ``head``: cut at the neck, standing on it. ``mask``: the face as far
        as the ears, its back flat.
    tilt_deg : float
        How far the head leans back on its upright foot, 0..25: it lifts chin, nose and brows off their supports. A mask has
        no foot.
    lean_deg : float
        How far the finished sculpture is turned back on the bed, 0 (on its foot) to 100; lying on the back of its head it is
        turned by about 90. The height stays that of the upright sculpture.
    detail : float
        How much of the photo's relief (brows, creases, gaze) is carved into the face, 0 (none) to 1.5; 1 is as it was
        found.
    hair : bool
        Whether the head has the hair and the beard that its photo shows.
    max_triangles : int
        The mesh is thinned to this, 2,000..1,000,000; more than 200,000 only slow the printer's serial line.
    """

    height_mm: float = 160.0
    style: str = "bust"
    tilt_deg: float = 0.0
    lean_deg: float = 0.0
    detail: float = 1.0
    hair: bool = True
    max_triangles: int = 200_000

    def __post_init__(self) -> None:
        if not MIN_HEIGHT <= self.height_mm <= MAX_HEIGHT:
            raise SculptureError(
                "height_out_of_range",
                f"A height of {self.height_mm:g} mm is not possible.",
                f"Choose between {MIN_HEIGHT:g} and {MAX_HEIGHT:g} mm.",
            )
        if self.style not in STYLES:
            raise SculptureError(
                "style_unavailable", f"There is no style '{self.style}'.", f"Choose one of {', '.join(STYLES)}."
            )
        if not 0 <= self.tilt_deg <= MAX_TILT:
            raise SculptureError(
                "orientation_unknown", f"A tilt of {self.tilt_deg:g} degrees is not possible.", f"Choose 0 to {MAX_TILT:g}."
            )
        if not 0 <= self.detail <= MAX_DETAIL:
            raise SculptureError(
                "detail_out_of_range",
                f"{self.detail:g} times the photo's detail is not possible.",
                f"Choose between 0 (none) and {MAX_DETAIL:g}.",
            )
        if self.style == "mask" and self.tilt_deg:
            raise SculptureError(
                "orientation_unknown", "A mask has no foot to be tilted on.", f"Choose one of {', '.join(MASK_ORIENTATIONS)}."
            )
        if not 0 <= self.lean_deg <= MAX_LEAN:
            raise SculptureError(
                "orientation_unknown", f"Leaning by {self.lean_deg:g} degrees is not possible.", f"Choose 0 to {MAX_LEAN:g}."
            )
        if not 2_000 <= self.max_triangles <= 1_000_000:
            raise SculptureError(
                "triangles_out_of_range",
                f"A mesh of {self.max_triangles} triangles is not possible.",
                "Choose between 2,000 and 1,000,000.",
            )


def orientations(style: str) -> tuple[str, ...]:
    """Names of the poses of a style, the usual one first."""
    return MASK_ORIENTATIONS if style == "mask" else ORIENTATIONS
