"""How a stage tells its caller how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called by a stage with the done fraction (0..1, never falling) and a short English message.

    The callback may raise :class:`octoprint_facesculpt.errors.Cancelled` to stop the stage.
    """

    def __call__(self, fraction: float, message: str = "") -> None: ...


def silent(fraction: float, message: str = "") -> None:
    """The progress callback of a caller that does not want to know."""
