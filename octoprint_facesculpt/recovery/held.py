"""What G10 does to the height of the nozzle that the file's coordinates do not tell.

A firmware that retracts lifts the nozzle by M207 Z, tells its place without that, and lowers it again with the next G11. On a
board that was not started anew, a plan that took the nozzle's true height for what the coordinates mean would have it lowered
into the print; so it says G11 first, which does nothing on a board that holds nothing. From then on the nozzle is where the
board says to be. Where the board was started anew and the file does not say M207 Z, nobody knows how high it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .estimate import Estimate
from .window import Window

#: Seconds of the window around where it stopped in which G10 and G11 count.
AROUND = 1.0
#: What a firmware may lift by whose settings are not in the file, mm.
UNSTATED = 2.0
#: Moments nearer than this are the same, s.
SAME = 1e-6


def held_by_board(window: Window, stop: Estimate, resuming: dict[str, Any] | None) -> Estimate:
    """``stop`` as it is once a board that kept its power has said G11: ``z`` without what it may hold, which ``held`` tells.
    ``resuming`` is the journal's record if an earlier resume was interrupted."""
    near = [p for p in window.pieces if p.until >= stop.earliest - AROUND and p.at <= stop.latest + AROUND]
    held = max((UNSTATED if piece.unstated else piece.hop for piece in near), default=0.0)
    doubt = max((p.hop for p in near if p.until >= stop.earliest and p.at <= stop.latest), default=0.0)
    if resuming is not None:
        interrupted = window.piece_at(stop.at).number
        own = next(piece.hop for piece in reversed(window.pieces) if piece.number == interrupted)
        # Once the plan has moved, only its own G10 holds anything.
        doubt = own if resuming.get("pulled") else doubt if resuming.get("step_phase") == "heat" else 0.0
    z, spread, known = stop.z, stop.z_spread, False
    if stop.moved or stop.parked or stop.chosen or (resuming is None and not stop.exact):
        # Whether it holds any is not known: rather above the print than in it.
        z -= doubt
    elif resuming is None:
        # Places that only a lift tells apart are the same to the board.
        z, spread, known = min(p.end[2] - p.hop for p in near if abs(p.until - stop.latest) < SAME), 0.0, True
    elif resuming.get("pulled"):
        z, spread = z + spread - doubt, 0.0
    elif resuming.get("step_phase") == "heat":
        spread = 0.0
    return replace(stop, z=round(max(z, 0.0), 4), z_spread=spread, held=held, chosen=stop.chosen or known)


def lifted_unseen(window: Window, stop: Estimate) -> Estimate:
    """``stop`` where the firmware may have lifted the nozzle by what only its own settings say: it must be measured."""
    spans = [(c.earliest, c.latest) for c in stop.choices] or [(stop.earliest, stop.latest)]
    low, high = min(first for first, _ in spans), max(last for _, last in spans)
    if stop.parked or stop.moved or not any(p.unstated and p.until > low and p.at <= high for p in window.pieces):
        return stop
    choices = tuple(replace(choice, top=round(max(choice.top, choice.z + UNSTATED), 4)) for choice in stop.choices)
    return replace(stop, z_spread=max(stop.z_spread, UNSTATED), choices=choices, chosen=False)
