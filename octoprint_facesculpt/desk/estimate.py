"""OctoPrint's estimate of the time left, for prints that were begun in the middle of their file.

OctoPrint divides the seconds since the resume by the share of the whole file that is done, and promises the end within
minutes. What is known better: how long the print had taken when it was interrupted, and the slicer's own estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: Share of the file below which what was printed before says too little about the rest.
ENOUGH = 0.05


def seconds_left(progress: float, before: tuple[float, float], now: float, whole: float | None) -> float | None:
    """Seconds until the end. ``progress`` is the share of the file that is done, 0..1; ``before`` the seconds of printing and
    the share done before the resume; ``now`` seconds since it; ``whole`` the estimate for the whole print, if there is one."""
    seconds, share = before
    if whole is None and share >= ENOUGH and seconds > 0:
        whole = (seconds + now) / max(progress, share)
    return max(whole * (1.0 - progress), 0.0) if whole is not None else None


def estimator(resumed: Callable[[], tuple[float, float] | None]) -> type:
    """The class for OctoPrint's hook ``octoprint.printer.estimation.factory``."""
    from octoprint.printer.estimation import PrintTimeEstimator

    class ResumedPrintTimeEstimator(PrintTimeEstimator):
        def estimate(
            self,
            progress: float | None,
            printTime: float | None,
            cleanedPrintTime: float | None,
            statisticalTotalPrintTime: float | None,
            statisticalTotalPrintTimeType: str | None,
        ) -> tuple[Any, Any]:
            before = resumed()
            if before is not None and progress and printTime is not None:
                left = seconds_left(progress, before, printTime, statisticalTotalPrintTime)
                return left, (statisticalTotalPrintTimeType or "estimate") if left is not None else None
            return super().estimate(
                progress, printTime, cleanedPrintTime, statisticalTotalPrintTime, statisticalTotalPrintTimeType
            )

    return ResumedPrintTimeEstimator
