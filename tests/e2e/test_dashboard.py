"""The FaceSculpt tab in a real browser, against a real server and the simulated printer."""

from __future__ import annotations

import base64
import shutil
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, expect

from tests.printer.fixture import SimulatedPrinter

from .browser import FILES, LATER, SOON, Dashboard, dashboard
from .orders import look
from .server import OctoPrintServer, wait_for

#: Lets the page ask for the plugin's state, and does not wait for what comes of it.
ASK_AGAIN = "() => { ko.dataFor($('#facesculpt_overview')[0]).refresh(); }"
PHOTOS, QUEUE = "/plugin/facesculpt/photos", "/plugin/facesculpt/queue"


def drop(tab: Dashboard, file: Path) -> None:
    """Drag a file from the desktop over the page and drop it there, and see whose drop target answers."""
    data = tab.page.evaluate_handle(
        """([name, content]) => {
            const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], name, {type: "image/jpeg"}));
            return data;
        }""",
        [file.name, base64.b64encode(file.read_bytes()).decode()],
    )
    target = tab.find("drop")
    for event in ("dragenter", "dragover"):
        target.dispatch_event(event, {"dataTransfer": data})
    expect(target).to_have_class("facesculpt-drop facesculpt-drop-over")
    expect(tab.page.locator("#drop_overlay")).not_to_have_class("in")
    target.dispatch_event("drop", {"dataTransfer": data})
    expect(target).to_have_class("facesculpt-drop")


def order(tab: Dashboard, name: str) -> None:
    """Fill in the form of the selected photo: the smallest and coarsest sculpture."""
    expect(tab.find("new")).to_be_visible(timeout=LATER)
    tab.page.fill("#facesculpt_name", name)
    tab.page.fill("#facesculpt_height", "10")
    expect(tab.find("create")).to_be_disabled()
    tab.page.fill("#facesculpt_height", "20")
    tab.page.select_option("#facesculpt_profile", label="Preview (0.28 mm)")
    tab.find("create").click()
    expect(tab.find("new")).to_have_count(0)


def queued(server: OctoPrintServer) -> list[dict[str, Any]]:
    return server.get(QUEUE).json()["queue"]


def hold_first_answer(tab: Dashboard, path: str) -> list[tuple[Any, Any]]:
    """The first request of a list and its answer, once it was asked for; the page waits for it."""
    held: list[tuple[Any, Any]] = []

    def hold(route: Any) -> None:
        if route.request.method == "GET" and not held:
            held.append((route, route.fetch()))
        else:
            route.continue_()

    tab.page.route(f"**{path}", hold)
    return held


def test_everybody_in_a_group_is_shown_closely(tab: Dashboard, astronaut: Path, tmp_path: Path) -> None:
    """In the picture of a group nobody can be made out, and a number would cover the face."""
    pixels = np.asarray(Image.open(astronaut))
    group = np.concatenate([pixels, pixels[:, ::-1], pixels], 1)
    Image.fromarray(group).save(tmp_path / "group.png")
    tab.page.set_input_files(FILES, [tmp_path / "group.png"])
    faces = tab.find("faces").get_by_role("button")
    expect(faces).to_have_count(3, timeout=LATER)
    expect(tab.page.locator(".facesculpt-picture .facesculpt-face span:visible")).to_have_count(0)
    faces.nth(1).click()
    expect(faces.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(tab.page.locator(".facesculpt-picture .facesculpt-face-chosen")).to_have_attribute("title", "Face 2 of 3")
    boxes = tab.page.locator(".facesculpt-picture .facesculpt-face")
    for number in range(3):
        left = float(boxes.nth(number).evaluate("(box) => box.style.left").rstrip("%")) / 100 * group.shape[1]
        x, y = round(left) - 45, 33
        shown = Image.open(BytesIO(faces.nth(number).screenshot())).convert("L").resize((32, 32))
        expected = Image.fromarray(group[y : y + 183, max(x, 0) : x + 183]).convert("L").resize((32, 32))
        assert np.corrcoef(np.asarray(shown).ravel(), np.asarray(expected).ravel())[0, 1] > 0.85
    tab.page.get_by_role("button", name="Delete photo: group.png").click()


def test_a_list_that_was_overtaken_takes_no_photo_away(tab: Dashboard, astronaut: Path) -> None:
    """It was asked for before the photo was dropped, and its answer comes after that."""
    held = hold_first_answer(tab, PHOTOS)
    tab.page.evaluate("() => { OctoPrint.coreui.viewmodels.facesculptPhotosViewModel.refresh(); }")
    drop(tab, astronaut)
    expect(tab.find("new")).to_be_visible(timeout=LATER)
    assert held, "nothing was asked for"
    route, answer = held[0]
    # It is asked for once more: what was just told of may also have been deleted.
    with tab.page.expect_request(lambda request: request.method == "GET" and request.url.endswith(PHOTOS)):
        route.fulfill(response=answer)
    expect(tab.find("new")).to_be_visible()
    tab.page.unroute(f"**{PHOTOS}")


def test_a_list_on_a_slow_line_is_shown_however_much_is_told_meanwhile(tab: Dashboard, astronaut: Path) -> None:
    """A sculpture that is being made is told of twice a second; an answer that takes longer must not be asked for for ever."""
    drop(tab, astronaut)
    expect(tab.find("new")).to_be_visible(timeout=LATER)
    held = hold_first_answer(tab, PHOTOS)
    model = "OctoPrint.coreui.viewmodels.facesculptPhotosViewModel"
    tab.page.evaluate(f"() => {{ {model}.refresh(); }}")
    deadline = time.monotonic() + SOON / 1000
    while not held and time.monotonic() < deadline:
        tab.page.wait_for_timeout(50)
    route, answer = held[0]
    photos = answer.json()["photos"]
    message = {"plugin": "facesculpt", "data": {"type": "photo", "data": {**photos[0], "name": "told meanwhile"}}}
    tab.page.evaluate(f"(told) => {model}.onDataUpdaterPluginMessage(told.plugin, told.data)", message)
    other = {**photos[0], "id": "0" * 32, "name": "from the list"}
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url) if request.url.endswith(PHOTOS) else None)
    route.fulfill(response=answer, json={"photos": [*photos, other]})
    names = tab.find("photos").locator("li")
    expect(names.filter(has_text="from the list")).to_have_count(1)
    expect(names.filter(has_text="told meanwhile")).to_have_count(1)
    assert asked == []
    tab.page.unroute(f"**{PHOTOS}")
    tab.page.evaluate(f"() => {{ {model}.refresh(); }}")
    expect(names.filter(has_text="from the list")).to_have_count(0)


def test_a_queue_that_was_overtaken_takes_nothing_away(tab: Dashboard, sculpture: dict[str, Any]) -> None:
    """It was asked for before something was queued, and its answer comes after that."""
    waiting = tab.find("queue").locator("li")
    held = hold_first_answer(tab, QUEUE)
    tab.page.evaluate("() => { OctoPrint.coreui.viewmodels.facesculptQueueViewModel.refresh(); }")
    tab.card(sculpture["name"]).locator("[data-test-id=facesculpt-enqueue]").click()
    expect(waiting).to_have_count(1, timeout=SOON)
    assert held, "nothing was asked for"
    route, answer = held[0]
    with tab.page.expect_response(lambda got: got.request.method == "GET" and got.url.endswith(QUEUE)):
        route.fulfill(response=answer)
    tab.page.evaluate("() => OctoPrint.plugins.facesculpt.status().then(() => true)")
    expect(waiting).to_have_count(1)
    tab.page.unroute(f"**{QUEUE}")
    waiting.first.locator("[data-test-id=facesculpt-queue-remove]").click()
    expect(waiting).to_have_count(0)


def test_a_photo_becomes_a_print(
    tab: Dashboard, server: OctoPrintServer, printer: SimulatedPrinter, sculpture: dict[str, Any], astronaut: Path
) -> None:
    drop(tab, astronaut)
    order(tab, "Eileen")
    mine = tab.card("Eileen")
    expect(mine.locator("[data-stage-state=running] [role=progressbar]")).to_be_visible(timeout=LATER)
    expect(mine).to_have_attribute("data-state", "ready", timeout=LATER)
    expect(mine.locator("dt")).to_have_text(["Print time", "Filament", "Layers", "Supports", "Height of the print"])
    expect(mine.locator("dd").last).to_have_text("20 mm")

    # The views of all sculptures turn together, so that like is compared with like.
    tab.card(sculpture["name"]).locator("[data-view=profile]").click()
    picture = mine.locator(".facesculpt-main img")
    expect(picture).to_have_attribute("src", mine.locator("[data-view=profile] img").get_attribute("src") or "")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") >= 320

    sees_the_sculpture_turn(tab, mine)

    mine.locator("[data-test-id=facesculpt-enqueue]").click()
    tab.card(sculpture["name"]).locator("[data-test-id=facesculpt-enqueue]").click()
    waiting = tab.find("queue").locator("li")
    expect(waiting).to_have_count(2)
    waiting.last.locator("[data-test-id=facesculpt-queue-up]").click()
    expect(waiting.first).to_contain_text(sculpture["name"])
    assert [item["name"] for item in queued(server) if item["state"] == "queued"] == [sculpture["name"], "Eileen"]
    # What is deleted leaves the queue, too, and comes back with its place and its G-code.
    mine.locator("[data-test-id=facesculpt-delete]").click()
    expect(mine).to_have_count(0)
    expect(waiting).to_have_count(1)
    tab.undo("“Eileen” was deleted.")
    expect(mine).to_have_attribute("data-state", "ready")
    expect(waiting.last).to_contain_text("Eileen")
    waiting.first.locator("[data-test-id=facesculpt-queue-remove]").click()
    expect(waiting).to_have_count(1)

    moves = len(printer.moves())
    mine.locator("[data-test-id=facesculpt-print]").click()
    tab.confirm()
    expect(tab.find("running")).to_have_attribute("data-state", "printing", timeout=SOON)
    expect(mine.locator("[data-test-id=facesculpt-print]")).to_be_disabled()
    tab.reload()
    expect(tab.find("running")).to_contain_text("Eileen", timeout=SOON)
    expect(tab.find("ended").locator("li").first).to_have_attribute("data-state", "done", timeout=LATER)
    expect(tab.page.locator("#facesculpt_overview [role=status]")).to_contain_text("Eileen: ")
    expect(tab.find("queue").locator("li")).to_have_count(0)
    assert max(move["to"][2] for move in printer.moves()[moves:]) > 19


def test_without_a_mouse_every_dialog_takes_the_keyboard_and_gives_it_back(tab: Dashboard, sculpture: dict[str, Any]) -> None:
    mine = tab.card(sculpture["name"])
    for name in ("view", "open-layers", "plan-again"):
        opener = mine.locator(f"[data-test-id=facesculpt-{name}]")
        opener.press("Enter")
        dialog = tab.page.locator(".modal.in")
        expect(dialog).to_have_count(1)
        tab.page.wait_for_function("document.activeElement.closest('.modal.in')")
        tab.page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(opener).to_be_focused()
    start = mine.locator("[data-test-id=facesculpt-print]")
    start.press("Enter")
    expect(tab.page.get_by_role("dialog", name=f"Print “{sculpture['name']}” now?")).to_be_visible()
    expect(tab.page.get_by_role("button", name="Not now")).to_be_focused()
    tab.page.keyboard.press("Escape")
    expect(tab.page.locator(".modal.in")).to_have_count(0)
    expect(start).to_be_focused()


@pytest.mark.parametrize(
    ("share", "contact", "face", "said"),
    [
        (0.2, 500.0, 40.0, ["20 %, 18 g", "touch 0.4 cm² of the face"]),
        # Specks of support, as under the nostrils of a mask on its back.
        (0.0003, 70.0, 60.0, ["hardly any", "touch 0.6 cm² of the face"]),
        (0.0, 70.0, 60.0, ["hardly any", "touch 0.6 cm² of the face"]),
        (0.0, 0.0, 0.0, ["none", ""]),
    ],
)
def test_supports_are_none_only_where_nothing_is_touched(
    tab: Dashboard, share: float, contact: float, face: float, said: list[str]
) -> None:
    plan = {"support_share": share, "support_g": 90 * share, "contact_mm2": contact, "face_contact_mm2": face}
    rows = tab.page.evaluate("(plan) => OctoPrint.coreui.viewmodels.facesculptTextsViewModel.estimates({plan: plan})", plan)
    assert [[row["value"], row["detail"]] for row in rows if row["name"] == "Supports"] == [said]


def test_hundreds_come_into_a_list_at_once(tab: Dashboard) -> None:
    """Each change of a list draws it anew; one by one they took seconds."""
    counted = tab.page.evaluate(
        """() => {
            const shared = OctoPrint.coreui.viewmodels.facesculptViewModel;
            const list = shared.keyedList((data) => ({data: data}), shared.newestFirst);
            let changes = 0;
            list.entries.subscribe(() => (changes += 1));
            list.replace(Array.from({length: 300}, (_, number) => ({id: String(number), created: String(number)})));
            return [list.entries().length, changes];
        }"""
    )
    assert counted == [300, 1]


def sees_the_sculpture_turn(tab: Dashboard, mine: Locator) -> None:
    """The 3-D view shows something, and something else once it is dragged."""
    mine.locator("[data-test-id=facesculpt-view]").click()
    # OctoPrint moves a dialog out of its tab when it opens.
    viewer = tab.page.locator("#facesculpt_viewer")
    frame = viewer.locator("iframe")
    frame.content_frame.locator("canvas").wait_for(timeout=SOON)

    def shown() -> np.ndarray:
        return np.asarray(Image.open(BytesIO(frame.screenshot())).convert("L"), float)

    wait_for(lambda: shown().std() > 10, 60, "the 3-D view")
    front = shown()
    box = frame.bounding_box()
    tab.page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    tab.page.mouse.down()
    tab.page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.5, steps=5)
    tab.page.mouse.up()
    wait_for(lambda: np.abs(shown() - front).mean() > 1, 60, "the view to turn")
    viewer.locator(".modal-footer button").click()
    expect(frame).to_have_count(0)


def test_the_user_chooses_a_face_cancels_and_clears_up(
    tab: Dashboard, server: OctoPrintServer, astronaut: Path, tmp_path: Path
) -> None:
    pixels = np.asarray(Image.open(astronaut))
    two_faces, letter = tmp_path / "two_friends.jpg", tmp_path / "letter.jpg"
    Image.fromarray(np.concatenate([pixels, pixels[:, ::-1]], 1)).save(two_faces)
    letter.write_text("Dear grandma")
    side = tmp_path / "from_the_side.jpg"
    shutil.copy(astronaut, side)
    tab.page.set_input_files(FILES, [two_faces, letter, side])

    refused = tab.find("photos").locator("li", has_text="letter.jpg")
    expect(refused).to_contain_text("This is not a picture", timeout=LATER)
    expect(refused).to_contain_text("Use a JPEG, PNG, HEIC, WebP or TIFF file.")

    expect(tab.find("new")).to_contain_text("There are several faces", timeout=LATER)
    tab.page.get_by_role("button", name="Face 2 of 2").click()
    further = tab.find("further").get_by_title("from_the_side.jpg")
    further.click(timeout=LATER)
    expect(further).to_have_attribute("aria-pressed", "true")
    further.click()
    expect(further).to_have_attribute("aria-pressed", "false")
    further.click()
    beside = further.get_attribute("data-photo")
    detail = tab.page.locator("#facesculpt_detail")
    expect(detail.locator("option:checked")).to_have_text("As in the photo")
    detail.select_option(label="Half as strong")
    expect(tab.find("hair")).to_be_checked()
    tab.find("hair").uncheck()
    order(tab, "The other one")
    mine = tab.card("The other one")
    mine.locator("[data-test-id=facesculpt-cancel]").press("Enter")
    expect(mine).to_have_attribute("data-state", "cancelled", timeout=SOON)
    # The button is gone; its card has the keyboard now, and tells of it.
    expect(mine).to_be_focused()
    expect(tab.page.locator("#facesculpt_overview [role=status]")).to_have_text("The other one: Cancelled")
    rows = server.get("/plugin/facesculpt/sculptures").json()["sculptures"]
    ordered = next(row for row in rows if row["name"] == "The other one")
    assert (ordered["state"], ordered["face"]) == ("cancelled", 1)
    assert ordered["others"] == [{"photo": beside, "face": 0}]
    assert ordered["settings"]["detail"] == 0.5
    assert ordered["settings"]["hair"] is False
    expect(mine).to_contain_text("soft detail, without hair")
    mine.locator("[data-test-id=facesculpt-retry]").press("Enter")
    expect(mine.locator("[data-test-id=facesculpt-cancel]")).to_be_visible(timeout=SOON)
    expect(mine).to_be_focused()
    assert look(server, ordered)["state"] in ("waiting", "working")

    for name in ("from_the_side.jpg", "letter.jpg", "two_friends.jpg"):
        tab.page.get_by_role("button", name=f"Delete photo: {name}").click()
        expect(tab.find("photos").locator("li", has_text=name)).to_have_count(0, timeout=SOON)
        expect(mine).to_have_count(0, timeout=SOON)
    assert server.get(f"/plugin/facesculpt/sculptures/{ordered['id']}").status_code == 404


@pytest.mark.parametrize("may_see", [True, False])
def test_others_see_only_what_they_may(
    browser: Browser, server: OctoPrintServer, sculpture: dict[str, Any], may_see: bool
) -> None:
    permissions = ["STATUS", "SETTINGS_READ", *(["PLUGIN_FACESCULPT_VIEW"] if may_see else [])]
    user = {"name": f"guest_{may_see}", "password": "guest", "active": True, "admin": False}
    answer = server.post("/api/access/users", json={**user, "groups": [], "permissions": permissions})
    assert answer.ok, answer.text
    with dashboard(browser, server.url, user["name"], user["password"]) as tab:
        denied = tab.page.get_by_text("You do not have the permission to see photos and sculptures.")
        if may_see:
            expect(tab.card(sculpture["name"]).locator("[data-test-id=facesculpt-view]")).to_be_visible(timeout=SOON)
            expect(denied).to_be_hidden()
        else:
            expect(denied).to_be_visible(timeout=SOON)
            expect(tab.find("sculpture")).to_have_count(0)
        for name in ("drop", "delete", "enqueue", "print", "cancel", "retry", "queue-remove"):
            expect(tab.find(name).filter(visible=True)).to_have_count(0)


def test_the_tab_speaks_german(browser: Browser, server: OctoPrintServer, sculpture: dict[str, Any]) -> None:
    with dashboard(browser, server.url, locale="de-DE") as tab:
        expect(tab.find("add-photos")).to_have_text("Fotos hinzufügen …")
        mine = tab.card(sculpture["name"])
        expect(mine.locator("dt")).to_have_text(
            ["Druckdauer", "Filament", "Schichten", "Stützen", "Höhe des Drucks"], timeout=SOON
        )
        expect(mine.locator("[data-test-id=facesculpt-print]")).to_have_text("Jetzt drucken")
