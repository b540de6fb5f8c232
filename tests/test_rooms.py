"""The large rooms have a map, by which a newcomer finds every module."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module

import pytest


@pytest.mark.parametrize("room", ["reconstruction", "slicing", "recovery", "desk"])
def test_a_map_names_all_modules_of_its_room_and_no_others(room: str) -> None:
    package = import_module(f"octoprint_facesculpt.{room}")
    named = re.findall(r":mod:`(\w+)`", package.__doc__ or "")
    assert sorted(named) == sorted(module.name for module in pkgutil.iter_modules(package.__path__))
