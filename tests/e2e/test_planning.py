"""Profiles, plans and layers through the server, and what the dashboard makes of them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Route, expect

from octoprint_facesculpt.slicing import SliceRequest
from octoprint_facesculpt.slicing.profiles import resolve
from octoprint_facesculpt.slicing.vendor_bundle import format_config

from .browser import LATER, SOON, dashboard
from .orders import create, finished, look
from .server import OctoPrintServer

BASE = "/plugin/facesculpt"
PROFILES = f"{BASE}/slicing/profiles"
STOCK = "/api/slicing/facesculpt_prusaslicer/profiles"


@pytest.fixture(scope="module")
def imported(server: OctoPrintServer) -> dict[str, Any]:
    """Somebody's own settings, with a program in them that must not run."""
    config = {**resolve(SliceRequest(profile="bust_028")), "perimeters": "4"}
    text = format_config(config) + "post_process = /bin/false\n"
    answer = server.post(PROFILES, files={"profile": ("My Ender.ini", text.encode())})
    assert answer.status_code == 201, answer.text
    return answer.json()["profile"]


@pytest.fixture(scope="module")
def planned(server: OctoPrintServer, photo: dict[str, Any], imported: dict[str, Any]) -> dict[str, Any]:
    """A sculpture with that profile, as large as half an hour allows."""
    slicing = {"profile": imported["key"], "target": {"kind": "hours", "value": 0.5}, "filament_left_g": 1}
    made = finished(server, create(server, photo, name="Half an hour", settings={}, slicing=slicing))
    assert made["state"] == "ready", made["error"]
    return made


def test_an_imported_profile_is_one_of_octoprints(server: OctoPrintServer, imported: dict[str, Any]) -> None:
    assert (imported["name"], imported["base"], imported["preset"]) == ("My Ender", "bust_028", False)
    assert imported["differences"] == [{"key": "perimeters", "base": "3", "own": "4"}]
    assert [note["code"] for note in imported["imported"]] == ["of_printer", "dropped"]
    assert server.get(STOCK).json()[imported["key"]]["displayName"] == "My Ender"
    assert imported["key"] in [row["key"] for row in server.get(PROFILES).json()["profiles"]]


def test_a_copy_changes_and_a_preset_does_not(server: OctoPrintServer, imported: dict[str, Any]) -> None:
    copy = server.post(f"{PROFILES}/prusaslicer/bust_016/copy", json={"name": "Thick"}).json()["profile"]
    url = f"{PROFILES}/prusaslicer/{copy['key']}"
    changed = server.request("PUT", url, json={"settings": {"perimeters": "6"}}).json()["profile"]
    assert changed["differences"] == [{"key": "perimeters", "base": "3", "own": "6"}]
    back = server.request("PUT", url, json={"name": "Thin", "settings": {"perimeters": None}}).json()["profile"]
    assert back["differences"] == [] and back["name"] == "Thin"
    bad = server.request("PUT", url, json={"settings": {"perimeters": "many"}})
    assert (bad.status_code, bad.json()["error"]["code"]) == (400, "profile_invalid")
    assert server.request("DELETE", url).status_code == 204 and server.get(url).status_code == 404
    for method, key in (("PUT", "bust_016"), ("DELETE", "bust_016")):
        answer = server.request(method, f"{PROFILES}/prusaslicer/{key}", json={"settings": {"perimeters": "6"}})
        assert answer.json()["error"]["code"] == "profile_protected"
    assert server.get(f"{PROFILES}/nothing/bust_016").status_code == 404


def test_a_file_that_is_no_profile_is_refused(server: OctoPrintServer) -> None:
    answer = server.post(PROFILES, files={"profile": ("x.ini", b"\0\1\2")})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "profile_invalid")
    assert server.post(PROFILES, files={"other": ("x.ini", b"a = 1")}).json()["error"]["code"] == "no_file"


def test_a_print_is_as_large_as_its_time_allows(server: OctoPrintServer, planned: dict[str, Any]) -> None:
    plan = planned["estimates"]["plan"]
    assert plan["target"]["reached"] == pytest.approx(0.5, rel=0.05) and plan["seconds"] == planned["estimates"]["seconds"]
    assert planned["settings"]["height_mm"] == pytest.approx(plan["height_mm"], abs=0.3)
    assert "filament_short" in [warning["code"] for warning in plan["warnings"]]
    gcode = server.get(f"/downloads/files/local/{planned['gcode']['path']}").text
    assert "; perimeters = 4" in gcode and "post_process = /" not in gcode
    picture = server.get("/" + planned["files"]["contact"]).content
    assert Image.open(BytesIO(picture)).size == (640, 640)


def test_every_layer_has_a_picture(server: OctoPrintServer, planned: dict[str, Any]) -> None:
    url = f"{BASE}/sculptures/{planned['id']}/layers"
    layers = server.get(url).json()["layers"]
    assert layers["z"][-1] == pytest.approx(planned["estimates"]["height_mm"], abs=0.01)
    for number in (0, len(layers["z"]) - 1):
        answer = server.get(f"{url}/{number}.png")
        assert answer.status_code == 200 and Image.open(BytesIO(answer.content)).size == (640, 640)
        assert "private" in answer.headers["Cache-Control"]
    assert server.get(f"{url}/{len(layers['z'])}.png").json()["error"]["code"] == "layer_unknown"
    assert server.get(f"{url}/{10**30}.png").status_code == 404


def test_the_dashboard_shows_layers_and_plans_anew(browser: Browser, server: OctoPrintServer, planned: dict[str, Any]) -> None:
    with dashboard(browser, server.url) as tab:
        card = tab.card("Half an hour")
        expect(card.locator("[data-test-id=facesculpt-warnings] li").first).to_be_visible(timeout=SOON)
        expect(card.locator("[data-test-id=facesculpt-plan]").first).to_contain_text("asked for: 30 min")

        card.locator("[data-test-id=facesculpt-open-layers]").click()
        dialog = tab.page.locator("#facesculpt_layers")
        picture = dialog.locator("[data-test-id=facesculpt-layer]")
        expect(picture).to_be_visible(timeout=LATER)
        before = picture.get_attribute("src")
        caption = dialog.locator("[data-test-id=facesculpt-layer-caption]")
        dialog.locator("[data-test-id=facesculpt-layer-slider]").press("Home")
        expect(caption).to_contain_text("Layer 1 of")
        dialog.locator("[data-test-id=facesculpt-layer-slider]").press("ArrowRight")
        expect(caption).to_contain_text("Layer 2 of")
        expect(picture).not_to_have_attribute("src", before or "", timeout=LATER)
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 640
        dialog.locator(".modal-footer button").click()

        card.locator("[data-test-id=facesculpt-plan-again]").click()
        again = tab.page.locator("#facesculpt_again")
        expect(again.locator("#facesculpt_again_hours")).to_have_value("0.5")
        again.locator("#facesculpt_again_hours").fill("0")
        expect(again.locator("[data-test-id=facesculpt-again-send]")).to_be_disabled()
        again.locator("#facesculpt_again_goal_height").check()
        again.locator("#facesculpt_again_height").fill("22")
        again.locator("#facesculpt_again_pose").select_option("tilt_10")
        expect(again.locator("#facesculpt_again_expression")).to_have_value("1")
        again.locator("#facesculpt_again_expression").select_option(label="None: the face at rest")
        expect(again.locator("#facesculpt_again_detail")).to_have_value("1")
        again.locator("#facesculpt_again_detail").select_option(label="None: a smooth face")
        expect(again.locator("[data-test-id=facesculpt-again-hair]")).to_be_checked()
        again.locator("[data-test-id=facesculpt-again-hair]").uncheck()
        again.locator("[data-test-id=facesculpt-again-send]").click()
        expect(card).not_to_have_attribute("data-state", "ready", timeout=SOON)
        expect(card).to_have_attribute("data-state", "ready", timeout=LATER)
        expect(card).to_contain_text("face at rest, smooth face, without hair")
    now = look(server, planned)
    assert now["settings"]["expression"] == 0 and now["settings"]["detail"] == 0 and now["settings"]["hair"] is False
    assert now["estimates"]["height_mm"] == pytest.approx(22, abs=0.3) and now["estimates"]["plan"]["target"] is None
    assert now["settings"]["orientation"] == "tilt_10"


def test_the_dashboard_offers_a_mask_with_its_own_poses_and_profile(
    browser: Browser, server: OctoPrintServer, photo: dict[str, Any]
) -> None:
    with dashboard(browser, server.url) as tab:
        tab.page.locator("#facesculpt_photos li button").first.click()
        pose, profile = tab.page.locator("#facesculpt_pose"), tab.page.locator("#facesculpt_profile")
        before = profile.input_value(timeout=LATER)
        pose.select_option("tilt_10")
        tab.page.locator("input[name=facesculpt_style][value=mask]").check()
        expect(profile).to_have_value("mask")
        expect(pose).to_have_value("auto")
        assert pose.locator("option").evaluate_all("all => all.map(one => one.value)") == ["auto", "lying", "upright"]
        tab.page.locator("input[name=facesculpt_style][value=bust]").check()
        expect(profile).to_have_value(before)
        expect(pose.locator("option")).to_have_count(5)


def test_the_dashboard_copies_a_profile_and_changes_it(
    browser: Browser, server: OctoPrintServer, photo: dict[str, Any], astronaut: Path
) -> None:
    with dashboard(browser, server.url) as tab:
        tab.page.locator("#facesculpt_photos li button").first.click()
        tab.find("open-profiles").click()
        dialog = tab.page.locator("#facesculpt_profiles")
        expect(dialog.locator("[data-test-id=facesculpt-profile]")).to_contain_text("it stays as it is", timeout=SOON)
        dialog.locator("[data-test-id=facesculpt-profile-copy]").click()
        expect(dialog.locator("#facesculpt_profile_name")).to_have_value("Bust (0.16 mm) (copy)", timeout=SOON)
        dialog.locator("[data-test-id=facesculpt-setting-name]").fill("perimeters")
        expect(dialog.locator("[data-test-id=facesculpt-setting-value]")).to_have_value("3")
        dialog.locator("[data-test-id=facesculpt-setting-value]").fill("5")
        dialog.locator("[data-test-id=facesculpt-setting-set]").click()
        row = dialog.locator("[data-test-id=facesculpt-differences] tbody tr")
        expect(row).to_have_count(1, timeout=SOON)
        expect(row).to_contain_text("perimeters")
        row.locator("button").click()
        expect(row).to_have_count(0, timeout=SOON)


def test_a_profile_is_renamed_and_what_is_typed_outlives_answers(
    browser: Browser, server: OctoPrintServer, photo: dict[str, Any]
) -> None:
    """A slow server's answers about the profile on show leave the fields below it alone."""
    late: list[Route] = []

    def hold(route: Route) -> None:
        if route.request.method == "GET":
            late.append(route)
        else:
            route.fallback()

    with dashboard(browser, server.url) as tab:
        tab.page.locator("#facesculpt_photos li button").first.click()
        tab.find("open-profiles").click()
        dialog = tab.page.locator("#facesculpt_profiles")
        expect(dialog.locator("[data-test-id=facesculpt-profile]")).to_contain_text("it stays as it is", timeout=SOON)
        tab.page.route(f"**{PROFILES}/*/*", hold)
        dialog.locator("[data-test-id=facesculpt-profile-copy]").click()
        name, key = dialog.locator("#facesculpt_profile_name"), dialog.locator("[data-test-id=facesculpt-setting-name]")
        expect(name).to_have_value("Bust (0.16 mm) (copy)", timeout=SOON)
        key.fill("perimeters")
        for route in late:
            with tab.page.expect_response(route.request.url):
                route.fallback()
        name.fill("Another name")
        key.press("End")
        expect(dialog.locator("#facesculpt_profiles_chosen option", has_text="Another name")).to_have_count(1, timeout=SOON)
        expect(key).to_have_value("perimeters")
        # Why something is refused is said as the server says it.
        key.fill("layer_hight")
        dialog.locator("[data-test-id=facesculpt-setting-value]").fill("0.2")
        dialog.locator("[data-test-id=facesculpt-setting-set]").click()
        expect(dialog.get_by_role("alert")).to_contain_text("PrusaSlicer has no setting 'layer_hight'.", timeout=SOON)
        assert ["400 (BAD REQUEST)" in complaint for complaint in tab.complaints] == [True]
        tab.complaints.clear()


def test_a_chosen_goal_outlives_a_new_list_of_profiles(
    browser: Browser, server: OctoPrintServer, photo: dict[str, Any]
) -> None:
    """A preset for a time brings that along when it is chosen, and not again when profiles are fetched anew."""
    with dashboard(browser, server.url) as tab:
        tab.page.locator("#facesculpt_photos li button").first.click()
        hours, height = tab.page.locator("#facesculpt_goal_hours"), tab.page.locator("#facesculpt_goal_height")
        expect(height).to_be_checked(timeout=SOON)
        tab.page.locator("#facesculpt_profile").select_option("bust_26h")
        expect(hours).to_be_checked()
        height.check()
        tab.page.evaluate("() => OctoPrint.coreui.viewmodels.facesculptPlanViewModel.refresh().then(() => true)")
        expect(height).to_be_checked()
        tab.page.locator("#facesculpt_profile").select_option("bust_016")
        tab.page.locator("#facesculpt_profile").select_option("bust_26h")
        expect(hours).to_be_checked()


def test_late_layers_of_another_sculpture_are_not_shown(
    browser: Browser, server: OctoPrintServer, planned: dict[str, Any], sculpture: dict[str, Any]
) -> None:
    held: list[Route] = []
    with dashboard(browser, server.url) as tab:
        tab.page.route(f"**{BASE}/sculptures/{planned['id']}/layers", lambda route: held.append(route))
        dialog = tab.page.locator("#facesculpt_layers")
        caption = dialog.locator("[data-test-id=facesculpt-layer-caption]")

        def open_layers(name: str) -> None:
            card = tab.card(name)
            card.locator("[data-test-id=facesculpt-open-layers]").click()
            expect(dialog).to_be_visible()

        open_layers(planned["name"])
        dialog.locator(".modal-footer button").click()
        expect(dialog).to_be_hidden()
        open_layers(sculpture["name"])
        expect(caption).to_contain_text("Layer", timeout=SOON)
        mine = caption.inner_text()
        with tab.page.expect_response(held[0].request.url):
            held[0].fallback()
        # The next answer comes after all that the late one did.
        tab.page.evaluate("() => OctoPrint.plugins.facesculpt.status().then(() => true)")
        expect(caption).to_have_text(mine)


def test_the_slider_stands_at_its_layer_when_it_is_opened_again(
    browser: Browser, server: OctoPrintServer, sculpture: dict[str, Any]
) -> None:
    """In a print of more than 200 layers: a slider that is not told otherwise ends at 100."""
    url = f"{BASE}/sculptures/{sculpture['id']}/layers"
    layers, picture = server.get(url).json()["layers"], server.get(f"{url}/0.png").content
    layers |= {"z": [0.2 * number for number in range(1, 261)], "seconds": [9.0 * number for number in range(260)]}
    layers["supports_alone"] = [131, 200]
    with dashboard(browser, server.url) as tab:
        tab.page.route(f"**{url}", lambda route: route.fulfill(json={"layers": layers}))
        tab.page.route(f"**{url}/*.png*", lambda route: route.fulfill(body=picture, content_type="image/png"))
        dialog = tab.page.locator("#facesculpt_layers")
        slider = dialog.locator("[data-test-id=facesculpt-layer-slider]")
        for _ in range(2):
            card = tab.card(sculpture["name"])
            card.locator("[data-test-id=facesculpt-open-layers]").click()
            expect(slider).to_have_value("130", timeout=SOON)
            dialog.locator(".modal-footer button").click()
            expect(dialog).to_be_hidden()
        card.locator("[data-test-id=facesculpt-open-layers]").click()
        slider.press("ArrowRight")
        expect(dialog.locator("[data-test-id=facesculpt-layer-caption]")).to_contain_text("Layer 132 of 260")
        # The card counts the sculpture's own layers.
        expect(dialog.locator("[data-test-id=facesculpt-layer-caption]")).to_contain_text("supports alone")
        told = dialog.locator("[data-test-id=facesculpt-layer-supports]")
        expect(told).to_have_text("2 of them hold supports alone; the sculpture itself has 258 layers.")
        slider.press("ArrowRight")
        expect(dialog.locator("[data-test-id=facesculpt-layer-caption]")).not_to_contain_text("supports alone")


def test_a_late_answer_to_a_plan_is_for_the_sculpture_that_was_planned(
    browser: Browser, server: OctoPrintServer, planned: dict[str, Any], sculpture: dict[str, Any]
) -> None:
    """Somebody closes the dialog before it is answered, and opens it for another sculpture."""
    held: list[Route] = []
    with dashboard(browser, server.url) as tab:
        again = tab.page.locator("#facesculpt_again")
        send, error = again.locator("[data-test-id=facesculpt-again-send]"), again.locator("[role=alert]")
        path = f"**{BASE}/sculptures/{planned['id']}/plan"
        card = tab.card(planned["name"])
        other = tab.card(sculpture["name"])

        tab.page.route(path, lambda route: route.abort())
        card.locator("[data-test-id=facesculpt-plan-again]").click()
        send.click()
        expect(error).to_be_visible()
        # The browser says so, too.
        assert ["ERR_FAILED" in complaint for complaint in tab.complaints] == [True]
        tab.complaints.clear()
        tab.page.unroute(path)

        tab.page.route(path, lambda route: held.append(route))
        send.click()
        expect(error).to_be_hidden()
        again.get_by_role("button", name="Close").last.click()
        expect(again).to_be_hidden()
        other.locator("[data-test-id=facesculpt-plan-again]").click()
        expect(again).to_be_visible()
        expect(send).to_be_disabled()
        held[0].fulfill(json={"sculpture": look(server, planned)})
        expect(send).to_be_enabled()
        expect(again).to_be_visible()
        expect(card).to_have_count(1)
        expect(other).to_have_count(1)


def test_a_profile_is_imported_chosen_and_deleted(
    browser: Browser, server: OctoPrintServer, photo: dict[str, Any], tmp_path: Path
) -> None:
    config = {**resolve(SliceRequest(profile="bust_028")), "perimeters": "4"}
    file = tmp_path / "Somebody's.ini"
    file.write_text(format_config(config) + "post_process = /bin/false\n", encoding="utf-8")
    with dashboard(browser, server.url) as tab:
        tab.page.locator("#facesculpt_photos li button").first.click()
        form = tab.page.locator("#facesculpt_profile")
        usual = form.input_value(timeout=LATER)
        tab.find("open-profiles").click()
        dialog = tab.page.locator("#facesculpt_profiles")
        dialog.locator("#facesculpt_profile_file").set_input_files(file)
        expect(dialog.locator("#facesculpt_profile_name")).to_have_value("Somebody's", timeout=SOON)
        expect(dialog.locator("[data-test-id=facesculpt-profile-notes] li")).to_have_count(2)
        dialog.locator(".modal-footer button").click()
        expect(dialog).to_be_hidden()
        form.select_option(label="Somebody's")
        tab.find("open-profiles").click()
        dialog.get_by_role("button", name="Delete profile").click()
        tab.confirm()
        expect(form.locator("option", has_text="Somebody's")).to_have_count(0, timeout=SOON)
        expect(form).to_have_value(usual)


def test_settings_that_are_saved_are_those_of_the_open_tab(
    browser: Browser, server: OctoPrintServer, photo: dict[str, Any]
) -> None:
    def save(**changes: Any) -> None:
        server.post("/api/settings", json={"plugins": {"facesculpt": changes}}).raise_for_status()

    with dashboard(browser, server.url) as tab:
        missing = tab.find("slicer")
        expect(missing).to_be_hidden()
        try:
            save(height_mm=123, slicer_path="/nowhere/prusa-slicer", curaengine_path="/nowhere/CuraEngine")
            expect(missing).to_be_visible(timeout=SOON)
            save(slicer_path="", curaengine_path="")
            expect(missing).to_be_hidden(timeout=SOON)
            tab.page.locator("#facesculpt_photos li button").first.click()
            expect(tab.page.locator("#facesculpt_height")).to_have_value("123", timeout=SOON)
        finally:
            save(height_mm=160, slicer_path="", curaengine_path="")
