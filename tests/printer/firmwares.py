"""The firmwares that the simulated printer can run."""

from __future__ import annotations

from collections.abc import Callable

from .firmware import VERSIONS as MARLINS
from .firmware import Firmware
from .klipper import Klipper
from .machine import Machine
from .planner import Block

KLIPPER = "klipper"
VERSIONS = (*MARLINS, KLIPPER)


def make_firmware(
    machine: Machine, say: Callable[[str], None], executed: Callable[[Block], None], raise_mm: float, version: str = "2.1"
) -> Firmware:
    """One boot of a firmware: a version of Marlin, or ``klipper``."""
    return (Klipper if version == KLIPPER else Firmware)(machine, say, executed, raise_mm, version)
