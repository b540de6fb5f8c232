"""The FaceSculpt tab in a real browser, against a real server and the simulated printer."""

from __future__ import annotations

import base64
import shutil
import socket
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from playwright.sync_api import Browser, Locator, expect

from tests.printer.fixture import SimulatedPrinter

from .browser import LATER, SOON, Dashboard, chromium, dashboard
from .orders import look
from .server import OctoPrintServer, wait_for

FILES = "#facesculpt_photo_files"
#: Lets the page ask for the plugin's state, and does not wait for what comes of it.
ASK_AGAIN = "() => { ko.dataFor($('#facesculpt_overview')[0]).refresh(); }"
PHOTOS, QUEUE = "/plugin/facesculpt/photos", "/plugin/facesculpt/queue"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def tab(browser: Browser, server: OctoPrintServer) -> Iterator[Dashboard]:
    with dashboard(browser, server.url) as opened:
        yield opened


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


def undo(tab: Dashboard, title: str) -> None:
    """Press the button of the notice that something was deleted."""
    notice = tab.page.locator(".ui-pnotify-container", has_text=title)
    expect(notice.get_by_role("button")).to_have_text(["Undo", "Close"])
    notice.get_by_role("button", name="Undo").click()


def card(tab: Dashboard, name: str) -> Locator:
    return tab.page.get_by_role("article", name=name, exact=True)


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
    card(tab, sculpture["name"]).locator("[data-test-id=facesculpt-enqueue]").click()
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
    mine = card(tab, "Eileen")
    expect(mine.locator("[data-stage-state=running] [role=progressbar]")).to_be_visible(timeout=LATER)
    expect(mine).to_have_attribute("data-state", "ready", timeout=LATER)
    expect(mine.locator("dt")).to_have_text(["Print time", "Filament", "Layers", "Supports", "Height of the print"])
    expect(mine.locator("dd").last).to_have_text("20 mm")

    # The views of all sculptures turn together, so that like is compared with like.
    card(tab, sculpture["name"]).locator("[data-view=profile]").click()
    picture = mine.locator(".facesculpt-main img")
    expect(picture).to_have_attribute("src", mine.locator("[data-view=profile] img").get_attribute("src") or "")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") >= 320

    sees_the_sculpture_turn(tab, mine)

    mine.locator("[data-test-id=facesculpt-enqueue]").click()
    card(tab, sculpture["name"]).locator("[data-test-id=facesculpt-enqueue]").click()
    waiting = tab.find("queue").locator("li")
    expect(waiting).to_have_count(2)
    waiting.last.locator("[data-test-id=facesculpt-queue-up]").click()
    expect(waiting.first).to_contain_text(sculpture["name"])
    assert [item["name"] for item in queued(server) if item["state"] == "queued"] == [sculpture["name"], "Eileen"]
    # What is deleted leaves the queue, too, and comes back with its place and its G-code.
    mine.locator("[data-test-id=facesculpt-delete]").click()
    expect(mine).to_have_count(0)
    expect(waiting).to_have_count(1)
    undo(tab, "“Eileen” was deleted.")
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
    mine = card(tab, sculpture["name"])
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


def test_a_long_name_stays_within_its_notice(tab: Dashboard, tmp_path: Path) -> None:
    name = "n" * 76 + ".jpg"
    (tmp_path / name).write_text("Dear grandma")
    tab.page.set_input_files(FILES, [tmp_path / name])
    tab.page.get_by_role("button", name=f"Delete photo: {name}").click(timeout=LATER)
    notice = tab.page.locator(".ui-pnotify-container", has_text=name)
    expect(notice).to_be_visible()
    assert notice.evaluate("(notice) => notice.scrollWidth <= notice.clientWidth")


def test_what_is_deleted_leaves_the_keyboard_where_it_was(tab: Dashboard, tmp_path: Path) -> None:
    (tmp_path / "letter.jpg").write_text("Dear grandma")
    tab.page.set_input_files(FILES, [tmp_path / "letter.jpg"])
    photo = tab.find("photos").locator("li", has_text="letter.jpg")
    tab.page.get_by_role("button", name="Delete photo: letter.jpg").press("Enter", timeout=LATER)
    expect(photo).to_have_count(0)
    expect(tab.page.locator("#facesculpt_photos")).to_be_focused()
    expect(tab.page.locator("#facesculpt_overview [role=status]")).to_contain_text("“letter.jpg” was deleted.")
    # Without a mouse, and after the notice has gone, it is had back from the list; also by somebody who looks only now.
    tab.reload()
    tab.page.get_by_role("button", name="Undo the deletion: Photo “letter.jpg”").press("Enter")
    expect(photo).to_have_count(1)
    expect(tab.find("deleted").locator("li", has_text="letter.jpg")).to_have_count(0)
    expect(tab.page.locator("#facesculpt_deleted")).to_be_focused()


def test_what_is_taken_back_elsewhere_takes_the_notice_with_it(tab: Dashboard, server: OctoPrintServer, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.jpg").write_text("Dear grandma")
    tab.page.set_input_files(FILES, [tmp_path / "elsewhere.jpg"])
    delete = tab.page.get_by_role("button", name="Delete photo: elsewhere.jpg")
    delete.click(timeout=LATER)
    notice = tab.page.locator(".ui-pnotify-container", has_text="“elsewhere.jpg” was deleted.")
    expect(notice).to_be_visible()
    (photo,) = (row for row in server.get("/plugin/facesculpt/deleted").json()["deleted"] if row["name"] == "elsewhere.jpg")
    assert server.post(f"{PHOTOS}/{photo['id']}/restore").status_code == 204
    expect(delete).to_be_visible()
    expect(notice).to_have_count(0)


def test_what_cannot_be_kept_is_deleted_only_when_the_user_says_so(tab: Dashboard, tmp_path: Path) -> None:
    (tmp_path / "only.jpg").write_text("Dear grandma")
    tab.page.set_input_files(FILES, [tmp_path / "only.jpg"])
    photo = tab.find("photos").locator("li", has_text="only.jpg")
    error = {"code": "no_room_to_keep", "message": "The disk has no room to keep it.", "hint": ""}

    def full(route: Any) -> None:
        if route.request.method == "DELETE" and "forever" not in route.request.url:
            return route.fulfill(status=507, json={"error": error})
        route.continue_()

    tab.page.route("**/plugin/facesculpt/photos/*", full)
    delete = tab.page.get_by_role("button", name="Delete photo: only.jpg")
    delete.press("Enter", timeout=LATER)
    dialog = tab.page.get_by_role("dialog", name="Delete this for ever?")
    expect(dialog).to_contain_text("“only.jpg” cannot be kept")
    tab.page.get_by_role("button", name="Not now").click()
    expect(dialog).to_have_count(0)
    expect(photo).to_have_count(1)
    delete.press("Enter")
    tab.confirm()
    expect(photo).to_have_count(0)
    expect(tab.find("deleted").locator("li", has_text="only.jpg")).to_have_count(0)
    tab.page.unroute("**/plugin/facesculpt/photos/*")
    # The answer that was put in the server's place.
    tab.complaints.clear()


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
    mine = card(tab, "The other one")
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
            expect(card(tab, sculpture["name"]).locator("[data-test-id=facesculpt-view]")).to_be_visible(timeout=SOON)
            expect(denied).to_be_hidden()
        else:
            expect(denied).to_be_visible(timeout=SOON)
            expect(tab.find("sculpture")).to_have_count(0)
        for name in ("drop", "delete", "enqueue", "print", "cancel", "retry", "queue-remove"):
            expect(tab.find(name).filter(visible=True)).to_have_count(0)


def test_the_tab_speaks_german(browser: Browser, server: OctoPrintServer, sculpture: dict[str, Any]) -> None:
    with dashboard(browser, server.url, locale="de-DE") as tab:
        expect(tab.find("add-photos")).to_have_text("Fotos hinzufügen …")
        mine = card(tab, sculpture["name"])
        expect(mine.locator("dt")).to_have_text(
            ["Druckdauer", "Filament", "Schichten", "Stützen", "Höhe des Drucks"], timeout=SOON
        )
        expect(mine.locator("[data-test-id=facesculpt-print]")).to_have_text("Jetzt drucken")


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """An internet that takes every call and says nothing, until it is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listening.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        yield listening


@pytest.fixture
def bare(tmp_path: Path, silence: socket.socket) -> Iterator[OctoPrintServer]:
    """A server whose owner has not seen the wizard, without model files and without a printer."""
    started = OctoPrintServer(tmp_path / "bare", offline=True)
    config = yaml.safe_load((started.base / "config.yaml").read_text())
    del config["server"]["seenWizards"]["facesculpt"]
    (started.base / "config.yaml").write_text(yaml.safe_dump(config))
    with started:
        yield started


def test_the_first_run_fetches_the_model_files(
    browser: Browser, bare: OctoPrintServer, silence: socket.socket, assets_folder: Path, astronaut: Path
) -> None:
    with dashboard(browser, bare.url) as tab:
        wizard = tab.page.locator("#wizard_plugin_facesculpt")
        expect(wizard.get_by_role("button", name="Fetch the model files")).to_be_enabled(timeout=SOON)
        expect(wizard.locator("[data-test-id=facesculpt-set-up]")).to_be_hidden()
        tab.page.locator("#wizard_dialog button[name=finish]").click()
        expect(tab.page.locator("#wizard_dialog")).to_be_hidden(timeout=SOON)

        expect(tab.find("intro")).to_be_visible()
        # A folder that cannot be had, as on a full disk.
        photos = bare.base / "data" / "facesculpt" / "photos"
        photos.write_text("in the way")
        with astronaut.open("rb") as source:
            refused = bare.post("/plugin/facesculpt/photos", files={"photo": ("a.jpg", source)})
        assert (refused.status_code, refused.json()["error"]["code"]) == (507, "output_unwritable")
        photos.unlink()
        tab.page.set_input_files(FILES, astronaut)
        photo = tab.find("photos").locator("li")
        expect(photo).to_contain_text("A model file is missing.", timeout=LATER)
        expect(tab.find("intro")).to_be_hidden()

        # A page that is opened in the middle of a fetch knows of it.
        tab.find("fetch").click()
        tab.reload()
        expect(tab.find("fetch")).to_be_visible(timeout=SOON)
        expect(tab.find("fetch")).to_be_disabled()
        silence.close()
        expect(tab.find("assets")).to_contain_text("The model files could not be fetched.", timeout=LATER)
        expect(tab.find("fetch")).to_be_enabled()
        # A connection that was lost in the middle of a fetch did not tell how it ended.
        tab.page.evaluate("() => OctoPrint.coreui.viewmodels.facesculptViewModel.fetching(true)")
        expect(tab.find("fetch")).to_be_disabled()
        tab.page.evaluate("() => OctoPrint.coreui.viewmodels.facesculptViewModel.onDataUpdaterReconnect()")
        expect(tab.find("fetch")).to_be_enabled(timeout=SOON)
        # The files come by another way, so that the test needs no internet; the fetch finds and checks them.
        shutil.copytree(assets_folder, bare.base / "data" / "facesculpt" / "assets", dirs_exist_ok=True)
        tab.find("fetch").click()
        expect(tab.find("assets")).to_be_hidden(timeout=SOON)
        expect(photo).to_have_attribute("data-state", "ready", timeout=LATER)

    # Nobody is logged in, but guests may see OctoPrint.
    answer = bare.request("PUT", "/api/access/groups/guests", json={"permissions": ["STATUS", "SETTINGS_READ"]})
    assert answer.ok, answer.text
    with dashboard(browser, bare.url, user=None) as tab:
        expect(tab.page.get_by_text("Please log in, or ask the administrator")).to_be_visible(timeout=SOON)
        expect(tab.find("photos")).to_be_hidden()


def test_why_the_plugin_cannot_be_used_is_told(tab: Dashboard) -> None:
    told = tab.find("unreachable")
    expect(told).to_be_hidden()
    error = {"code": "database_unreadable", "message": "The database facesculpt.db cannot be opened.", "hint": ""}
    answer: dict[str, Any] = {}
    tab.page.route("**/plugin/facesculpt/status", lambda route: route.fulfill(**answer))
    for status, body, text in ((503, {"error": error}, "The database of FaceSculpt"), (500, {}, "FaceSculpt does not answer")):
        answer.update(status=status, json=body)
        tab.page.evaluate(ASK_AGAIN)
        expect(told).to_contain_text(text)
    tab.page.unroute("**/plugin/facesculpt/status")
    tab.page.evaluate(ASK_AGAIN)
    expect(told).to_be_hidden()
    # The answers that were put in the server's place.
    tab.complaints.clear()
