"""What can go wrong on the way from a portrait to a head."""

from __future__ import annotations

from ..errors import FaceSculptError


class ReconstructionError(FaceSculptError):
    """The reconstruction cannot be made (codes ``weights_missing``, ``weights_invalid``, ``network_unknown``,
    ``expression_impossible``, ``fusion_impossible``, ``no_surface``)."""
