"""The dashboard when not everything goes well: what cannot be read, a line that breaks, a server that has much to do."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from .browser import FILES, LATER, SOON, Dashboard
from .server import OctoPrintServer

BASE = "/plugin/facesculpt"
PHOTOS, SCULPTURES = f"{BASE}/photos", f"{BASE}/sculptures"


@pytest.mark.parametrize(
    "spoilt",
    [
        {"poses": [None, 5, {"pose": "tilt_05", "tilt_deg": "x", "seconds": {}, "url": "x"}, {"url": "x"}]},
        {"estimates": {"seconds": "long", "filament_mm": {}, "layers": [], "plan": {"prints": "x", "warnings": [None]}}},
        {"estimates": 7, "settings": None, "slicing": None, "notes": [None], "stages": [None], "error": 5},
        {"name": None, "files": 5, "poses": 5, "stages": 5, "notes": 5, "others": 5},
    ],
)
def test_one_sculpture_that_cannot_be_read_hides_no_other(
    tab: Dashboard, sculpture: dict[str, Any], spoilt: dict[str, Any]
) -> None:
    """What it is made of lies in files that a crash or a stranger may have spoilt."""
    other = {**sculpture, "id": "0" * 32, "name": "Spoilt", **spoilt}
    rows = {"sculptures": [other, sculpture]}
    tab.page.route(f"**{SCULPTURES}", lambda route: route.fulfill(json=rows))
    tab.reload()
    expect(tab.find("sculpture")).to_have_count(2)
    mine = tab.card(sculpture["name"])
    expect(mine.locator("[data-test-id=facesculpt-plan] dt")).to_have_count(5)
    expect(mine.locator("[data-test-id=facesculpt-enqueue]")).to_be_visible()
    expect(tab.page.locator("#facesculpt_sculpture_" + other["id"])).not_to_contain_text("NaN")


def test_a_photo_that_did_not_get_through_is_sent_again(tab: Dashboard, astronaut: Path, tmp_path: Path) -> None:
    """It may have been dropped from a folder that nobody finds again."""
    photo = tmp_path / "once_more.jpg"
    shutil.copy(astronaut, photo)
    tab.page.route(f"**{PHOTOS}", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    tab.page.set_input_files(FILES, [photo])
    expect(tab.find("upload-error")).to_contain_text("OctoPrint does not answer.")
    tab.page.unroute(f"**{PHOTOS}")
    tab.find("upload-retry").press("Enter")
    expect(tab.page.locator("#facesculpt_photos")).to_be_focused()
    mine = tab.find("photos").locator("li", has_text="once_more.jpg")
    expect(mine).to_have_attribute("data-state", "ready", timeout=LATER)
    expect(tab.find("upload-error")).to_have_count(0)
    tab.page.get_by_role("button", name="Delete photo: once_more.jpg").click()
    expect(mine).to_have_count(0)
    assert ["ERR_FAILED" in complaint for complaint in tab.complaints] == [True]
    tab.complaints.clear()


def test_one_picture_at_a_time_is_asked_for_and_again_when_others_are_drawn(
    tab: Dashboard, server: OctoPrintServer, sculpture: dict[str, Any]
) -> None:
    """Each that is waited for keeps one of the threads with which OctoPrint answers everybody."""
    url = f"{SCULPTURES}/{sculpture['id']}/layers"
    picture = server.get(f"{url}/0.png").content
    held: list[Route] = []
    tab.page.route(f"**{url}/*.png*", lambda route: held.append(route))
    card = tab.card(sculpture["name"])
    card.locator("[data-test-id=facesculpt-open-layers]").click()
    dialog = tab.page.locator("#facesculpt_layers")
    # PrusaSlicer puts layers of the supports between the others.
    layers = server.get(url).json()["layers"]
    assert len(layers["z"]) - len(layers["supports_alone"]) == sculpture["estimates"]["layers"]
    expect(dialog.locator("[data-test-id=facesculpt-layer-supports]")).to_be_visible(visible=bool(layers["supports_alone"]))
    slider, shown = (dialog.locator(f"[data-test-id=facesculpt-{name}]") for name in ("layer-slider", "layer"))
    expect(slider).to_be_visible()

    def asked(count: int) -> list[str]:
        """The pictures that were asked for, when there are so many, and a while later."""
        deadline = time.monotonic() + SOON / 1000
        while len(held) < count and time.monotonic() < deadline:
            tab.page.wait_for_timeout(50)
        tab.page.wait_for_timeout(300)
        return [route.request.url.partition("?")[0].rsplit("/", 1)[1] for route in held]

    first = asked(1)
    for number in (3, 30, 17):
        slider.fill(str(number))
        assert asked(1) == first
    held[0].fulfill(body=picture, content_type="image/png")
    assert asked(2) == [*first, "17.png"]
    held[1].fulfill(status=503, json={"error": {"code": "layers_busy", "message": "", "hint": ""}})
    assert asked(3) == [*first, "17.png", "17.png"]
    expect(dialog.locator(".facesculpt-layer")).to_have_attribute("aria-busy", "true")
    held[2].fulfill(body=picture, content_type="image/png")
    expect(shown).to_have_attribute("src", held[2].request.url[len(server.url) + 1 :])
    expect(dialog.get_by_role("alert")).to_be_hidden()
    assert ["503" in complaint for complaint in tab.complaints] == [True]
    tab.complaints.clear()


def test_compared_poses_take_as_long_as_the_print_says_and_another_can_be_chosen(
    tab: Dashboard, sculpture: dict[str, Any]
) -> None:
    """Poses are compared by rough times; the chosen one's must not contradict the print time above it."""
    url = sculpture["files"]["front"]
    best_pose = {"pose": "tilt_10", "tilt_deg": 10.0, "seconds": 3000, "url": url}
    poses = [best_pose, {"pose": "upright", "seconds": 4000, "url": url}]
    compared = {"settings": {**sculpture["settings"], "orientation": "auto"}, "poses": poses}
    other = {**sculpture, **compared, "estimates": {**sculpture["estimates"], "seconds": 7200}}
    tab.page.route(f"**{SCULPTURES}", lambda route: route.fulfill(json={"sculptures": [other]}))
    tab.reload()
    told = tab.find("poses")
    told.locator("summary").click()
    best, upright = (told.get_by_role("listitem").nth(number) for number in range(2))
    expect(best).to_contain_text("Head tilted back by 10° about 2 h 0 min")
    expect(best).to_contain_text("Chosen")
    expect(upright).to_contain_text("Upright about 2 h 40 min")
    upright.get_by_role("button").click()
    expect(tab.page.locator("#facesculpt_again_pose")).to_have_value("upright")
