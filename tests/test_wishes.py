"""What becomes of a sculpture's earlier wishes when somebody has others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from octoprint_facesculpt.api import FaceSculptApi
from octoprint_facesculpt.slicing.profiles import PROFILES

HOURS = {"kind": "hours", "value": 26, "fixed_height": False}
LAYERS = {**HOURS, "fixed_height": True}


def target(body: dict[str, Any], before: dict[str, Any]) -> dict[str, Any] | None:
    """The target of a sculpture with the wishes ``before`` after a request."""
    api = SimpleNamespace(
        slicers=lambda: [{"key": "prusaslicer"}],
        shelves=lambda: {"prusaslicer": SimpleNamespace(names=lambda: list(PROFILES), presets=PROFILES)},
        default_profile=lambda: "bust_016",
        host=SimpleNamespace(printers=lambda: []),
    )
    return FaceSculptApi._slicing_of(api, body, before, "bust")["target"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "before", "detail"),
    [
        ({}, {}, 1.0),
        ({"settings": {"detail": 0.5}}, {}, 0.5),
        ({}, {"height_mm": 100, "detail": 1.5}, 1.5),
        # Made before there was detail, and to be left as it is.
        ({"settings": {"height_mm": 80}}, {"height_mm": 100}, 0.0),
    ],
)
def test_a_sculpture_has_detail_unless_it_is_older_than_that(body, before, detail) -> None:
    api = SimpleNamespace(default_height=lambda: 160.0)
    assert FaceSculptApi._settings_of(api, body, before)["detail"] == detail  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "before", "hair"),
    [
        ({}, {}, True),
        ({"settings": {"hair": False}}, {}, False),
        ({}, {"height_mm": 100, "hair": True}, True),
        ({"settings": {"hair": True}}, {"height_mm": 100}, True),
        ({"settings": {"height_mm": 80}}, {"height_mm": 100, "detail": 1.0}, False),
    ],
)
def test_a_sculpture_has_hair_unless_it_is_older_than_that(body, before, hair) -> None:
    api = SimpleNamespace(default_height=lambda: 160.0)
    assert FaceSculptApi._settings_of(api, body, before)["hair"] is hair  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "before", "kept"),
    [
        ({"settings": {"height_mm": 80}}, HOURS, None),
        ({"settings": {"height_mm": 80}}, LAYERS, LAYERS),
        ({"settings": {"expression": 0}}, HOURS, HOURS),
        ({"settings": {"height_mm": 80}, "slicing": {"target": HOURS}}, None, HOURS),
        ({"slicing": {"profile": "bust_020"}}, HOURS, HOURS),
        ({"slicing": {"target": None}}, HOURS, None),
    ],
)
def test_a_new_height_decides_against_the_target_of_before(body, before, kept) -> None:
    assert target(body, {"profile": "bust_016", "target": before}) == kept


def test_a_preset_aims_at_its_time_unless_a_height_is_asked_for() -> None:
    aimed = {"slicing": {"profile": "bust_26h"}}
    assert target(aimed, {}) == HOURS
    assert target({**aimed, "settings": {"height_mm": 80}}, {}) is None
