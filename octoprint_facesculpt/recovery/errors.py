"""Refusals of this room."""

from __future__ import annotations

from ..errors import FaceSculptError


class RecoveryError(FaceSculptError):
    """Codes: ``file_missing``, ``file_changed``, ``journal_empty``, ``nothing_to_recover``, ``not_recoverable``,
    ``not_confirmed``, ``not_chosen``, ``not_ready``, ``output_is_gcode``, ``bed_invalid``, ``position_invalid``,
    ``choice_invalid``, ``height_invalid``, ``line_invalid``, ``point_unsafe``,
    ``height_disagrees``, ``state_changed``, ``too_cold``, ``not_held``, ``busy``, ``to_be_recovered``,
    ``rehearsal_going_on``, ``printer_changed``, ``output_unwritable``."""
