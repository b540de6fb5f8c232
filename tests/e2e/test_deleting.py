"""What is deleted in the tab, and had back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from .browser import FILES, LATER, Dashboard
from .server import OctoPrintServer

PHOTOS = "/plugin/facesculpt/photos"


def test_a_long_name_stays_within_its_notice(tab: Dashboard, tmp_path: Path) -> None:
    name = "n" * 76 + ".jpg"
    (tmp_path / name).write_text("Dear grandma")
    tab.page.set_input_files(FILES, [tmp_path / name])
    tab.page.get_by_role("button", name=f"Delete photo: {name}").click(timeout=LATER)
    notice = tab.page.locator(".ui-pnotify-container", has_text=name)
    expect(notice).to_be_visible()
    assert notice.evaluate("(notice) => notice.scrollWidth <= notice.clientWidth")


def test_what_is_deleted_leaves_the_keyboard_where_it_was(tab: Dashboard, tmp_path: Path) -> None:
    (tmp_path / "note.jpg").write_text("Dear grandma")
    tab.page.set_input_files(FILES, [tmp_path / "note.jpg"])
    photo = tab.find("photos").locator("li", has_text="note.jpg")
    tab.page.get_by_role("button", name="Delete photo: note.jpg").press("Enter", timeout=LATER)
    expect(photo).to_have_count(0)
    expect(tab.page.locator("#facesculpt_photos")).to_be_focused()
    expect(tab.page.locator("#facesculpt_overview [role=status]")).to_contain_text("“note.jpg” was deleted.")
    # Without a mouse, and after the notice has gone, it is had back from the list; also by somebody who looks only now.
    tab.reload()
    tab.page.get_by_role("button", name="Undo the deletion: Photo “note.jpg”").press("Enter")
    expect(photo).to_have_count(1)
    expect(tab.find("deleted").locator("li", has_text="note.jpg")).to_have_count(0)
    expect(tab.page.locator("#facesculpt_deleted")).to_be_focused()
    tab.page.get_by_role("button", name="Delete photo: note.jpg").click()
    expect(photo).to_have_count(0)


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
