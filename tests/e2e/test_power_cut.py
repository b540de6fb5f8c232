"""The story of a power cut as the dashboard tells it, in Chromium, with a second one in the middle of the resume."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.printer.fixture import SimulatedPrinter

from .browser import LATER, SOON, dashboard
from .cuts import (
    QUEUE,
    RECOVERY,
    copy_of,
    cut,
    order,
    picture_is_drawn,
    planned,
    print_up_to,
    printer_ready,
    status,
    until,
    walk_to,
)
from .pushes import Pushes
from .server import OctoPrintServer, wait_for


@pytest.fixture(scope="module")
def own_printer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedPrinter]:
    with SimulatedPrinter(tmp_path_factory.mktemp("ender3"), speed=1000) as simulated:
        yield simulated


@pytest.fixture(scope="module")
def standing(
    server: OctoPrintServer,
    sculpture: dict[str, Any],
    own_printer: SimulatedPrinter,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Any]]:
    """The bust is interrupted half way up, and the server has come back."""
    story: dict[str, Any] = {"printer": own_printer, "name": sculpture["name"]}
    first = copy_of(server, tmp_path_factory.mktemp("own") / "octoprint", own_printer)
    with first:
        printer_ready(first)
        story["item"] = print_up_to(first, own_printer, sculpture["id"], 18.0)
        story["stopped"] = cut(first, own_printer)
    own_printer.order(do="speed", factor=100)
    story["moves"] = len(own_printer.moves())
    with OctoPrintServer(first.base, str(own_printer.link), port=first.port, offline=True) as second:
        story["server"] = second
        story["found"] = planned(second)
        yield story


def rows(server: OctoPrintServer) -> dict[int, dict[str, Any]]:
    return {row["id"]: row for row in server.get(QUEUE).json()["queue"]}


def test_the_dashboard_tells_what_happened(standing: dict[str, Any], browser: Browser) -> None:
    server, plan = standing["server"], standing["found"]["plan"]
    assert rows(server)[standing["item"]]["reason"] == "interrupted"
    with dashboard(browser, server.url) as tab:
        panel = tab.find("recovery")
        expect(panel).to_have_attribute("data-state", "ready", timeout=SOON)
        expect(panel).to_contain_text(f"“{standing['name']}” was interrupted")
        expect(tab.find("recovery-what")).to_have_text("The printer lost its power.")
        expect(tab.find("recovery-where")).to_contain_text(f"Layer {plan['layer']} of {plan['layers']}")
        # The computer itself never went off: its monotonic clock knows how long.
        expect(tab.find("recovery-when")).to_contain_text("ago")
        expect(tab.find("recovery-when")).not_to_contain_text("Unknown")
        expect(tab.find("recovery-risks")).to_contain_text("The bed has cooled from 60 °C")
        wait_for(lambda: status(server)["pictures"].get("cut"), 120, "the sculpture's picture")
        expect(tab.find("recovery-picture")).to_have_attribute(
            "alt", f"The sculpture as it stands on the bed, printed up to {plan['plan']['point'][2]:.2f} mm", timeout=SOON
        )
        assert picture_is_drawn(tab, "recovery-picture")
        # A message that was overtaken on its way changes nothing.
        late = {"type": "recovery", "data": {"state": "idle", "held_back": [], "told": [status(server)["told"][0], 0]}}
        tell = "late => OctoPrint.coreui.viewmodels.facesculptRecoveryViewModel.onDataUpdaterPluginMessage('facesculpt', late)"
        tab.page.evaluate(tell, late)
        expect(panel).to_have_attribute("data-state", "ready")
        # On another tab a notice says where to look.
        tab.page.goto(f"{server.url}/#term")
        tab.reload()
        notice = tab.page.locator(".ui-pnotify", has_text="A print was interrupted")
        expect(notice).to_contain_text("Do not home Z.", timeout=SOON)
        notice.get_by_role("button", name="Show it").click()
        expect(panel).to_be_visible()


def test_the_print_and_its_place_stay_as_they_are(standing: dict[str, Any], sculpture: dict[str, Any]) -> None:
    """What would replace or delete its G-code, or print something over it, is refused."""
    server, address = standing["server"], f"/plugin/facesculpt/sculptures/{sculpture['id']}"
    item = server.post(QUEUE, json={"sculpture": sculpture["id"]}).json()["id"]
    refused = [
        server.post(f"{address}/plan", json={"slicing": {"profile": "bust_020"}}),
        server.request("DELETE", address),
        server.post(f"{QUEUE}/{item}/print", json={"bed_clear": True}),
        server.post(RECOVERY, json={"command": "drill", "drill": True}),
    ]
    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in refused] == [(409, "to_be_recovered")] * 4
    assert rows(server)[item]["state"] == "queued"
    assert server.request("DELETE", f"{QUEUE}/{item}").ok


def test_lines_are_held_back_and_sent_only_when_somebody_insists(standing: dict[str, Any], browser: Browser) -> None:
    server = standing["server"]
    with dashboard(browser, server.url) as tab, Pushes(server) as pushes:
        server.post("/api/printer/command", json={"commands": ["G28", "M18 E"]}).raise_for_status()
        held = tab.find("recovery-held")
        expect(held).to_contain_text("G28", timeout=SOON)
        expect(held).to_contain_text("M18 E")

        def said(text: str) -> bool:
            return any(text in line for message in pushes.current() for line in message.get("logs", []))

        wait_for(lambda: said("@facesculpt allow M18 E"), 30, "the explanation in the terminal")
        assert not said("Send: G28")
        # From the terminal, on purpose.
        server.post("/api/printer/command", json={"command": "@facesculpt allow M18 E"}).raise_for_status()
        wait_for(lambda: said("M18 E") and "M18 E" not in status(server)["held_back"], 30, "the line to be sent")
        refused = server.post(RECOVERY, json={"command": "allow", "line": "G28"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_confirmed")
    assert len(standing["printer"].moves()) == standing["moves"], "nothing has moved"


def test_only_those_who_may_recover_can(standing: dict[str, Any], browser: Browser) -> None:
    server = standing["server"]
    permissions = ["STATUS", "SETTINGS_READ", "PLUGIN_FACESCULPT_VIEW"]
    user = {"name": "watcher", "password": "guest", "active": True, "admin": False}
    assert server.post("/api/access/users", json={**user, "groups": [], "permissions": permissions}).ok
    with dashboard(browser, server.url, "watcher", "guest") as tab:
        expect(tab.find("recovery")).to_be_visible(timeout=SOON)
        for name in ("recovery-begin", "recovery-dismiss", "recovery-export"):
            expect(tab.find(name)).to_have_count(0)
        # What the page does not offer the server does not do, nor without the token against forged requests.
        answers = tab.page.evaluate(
            """async (url) => {
                const send = (extra) => fetch(url, {
                    method: "POST",
                    headers: {"Content-Type": "application/json", ...extra},
                    body: JSON.stringify({command: "begin"})
                });
                const token = decodeURIComponent(document.cookie.match(/csrf_token[^=]*=([^;]+)/)[1]);
                return [(await send({})).status, (await send({"X-CSRF-Token": token})).status];
            }""",
            server.url + RECOVERY,
        )
        tab.complaints.clear()
    assert answers == [400, 403]


def test_step_by_step_and_another_cut_in_the_middle(standing: dict[str, Any], browser: Browser, tmp_path: Path) -> None:
    server, printer, found = standing["server"], standing["printer"], standing["found"]
    z = found["plan"]["stop"]["z"]
    with dashboard(browser, server.url) as tab, dashboard(browser, server.url) as other:
        tab.find("recovery-begin").click()
        expect(other.find("recovery")).to_have_attribute("data-question", "look", timeout=SOON)
        expect(tab.find("looked")).to_be_disabled(timeout=SOON)
        for box in tab.find("step-look").locator("input[type=checkbox]").all():
            box.check()
        tab.find("looked").click()
        walk_to(tab, "point")
        assert picture_is_drawn(tab, "layer") and picture_is_drawn(tab, "close")
        tab.find("later").click()
        expect(tab.find("chosen")).to_contain_text("From the likeliest place: moves +1")
        walk_to(tab, "point")
        # The page is left in the middle; nothing is asked again, in no browser.
        tab.reload()
        expect(tab.find("chosen")).to_contain_text("moves +1", timeout=SOON)
        expect(other.find("chosen")).to_contain_text("moves +1")
        stale = {"command": "accept", "revision": found["revision"]}
        refused = server.post(RECOVERY, json=stale)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "state_changed")
        tab.find("accept").click()
        walk_to(tab, "height")
        tab.page.fill("#facesculpt_measured", "12")
        tab.find("measure").click()
        expect(tab.find("height-wrong")).to_contain_text("You measured 12.00 mm")
        assert server.post(RECOVERY, json={"command": "heat", "confirmed": True}).status_code == 409
        measured = round(z + 0.1, 2)
        tab.page.fill("#facesculpt_measured", f"{measured:.2f}")
        tab.find("measure").click()
        judged = lambda: (height := status(server)["answers"]["height"])["measured"] == measured and height  # noqa: E731
        if wait_for(judged, 30, "the measurement")["kind"] == "undecided":
            # It stopped where two layers come to one height.
            walk_to(tab, "height")
            tab.find("choose-layer").filter(has_text=f"Layer {found['plan']['layer']}").click()
        walk_to(tab, "heat")
        tab.find("heat").click()
        tab.confirm()
        expect(tab.find("step-heating")).to_be_visible(timeout=SOON)
        assert len(printer.moves()) == standing["moves"], "nothing has moved"
        expect(tab.find("lift")).to_be_enabled(timeout=LATER)
        tab.find("lift").click()
        tab.confirm()
        expect(tab.find("step-cleaning")).to_be_visible(timeout=LATER)
        expect(other.find("step-cleaning")).to_be_visible(timeout=SOON)
        tab.complaints.clear()
        other.complaints.clear()

        # Again.
        server.kill()
        printer.order(do="power", on=False)
        printer.order(do="power", on=True)
        server.start()
        until(server, "ready")
        printer_ready(server)
        for page in (tab, other):
            page.reload()
            page.complaints.clear()
        expect(tab.find("recovery-again")).to_contain_text("The resume itself was interrupted", timeout=SOON)
        again = planned(server)
        assert again["answers"]["question"] == "intro"
        assert again["plan"]["plan"]["offset"] >= found["plan"]["plan"]["offset"]
        # The nozzle stands where it had been lifted to, and it is known.
        assert again["plan"]["stop"]["z"] == pytest.approx(z + 5, abs=0.3)

        text = server.get(f"{RECOVERY}/resume.gcode")
        assert "resume_" in text.headers["Content-Disposition"] and b"G28 R0 X Y" in text.content
        assert text.content.endswith(b"\n") and len(text.content) > 10_000

        for command in ("begin", "accept", "trust"):
            if command == "accept":
                order(server, "look", confirmed=True)
            order(server, command)
        order(server, "heat", confirmed=True)
        wait_for(lambda: (status(server)["heating"] or {}).get("hot"), 120, "the heaters")
        order(server, "lift", confirmed=True)
        until(server, "cleaning")
        printer.order(do="speed", factor=1000)
        tab.find("recovery-resume").click(timeout=SOON)
        expect(tab.find("running")).to_have_attribute("data-state", "printing", timeout=LATER)
        expect(tab.find("recovery-progress")).to_contain_text("The print goes on", timeout=LATER)
        going = rows(server)[standing["item"]]
        assert (going["state"], going["reason"]) == ("printing", "resumed")
        assert going["seconds_before"] > 0 and going["progress"] > 0.3
    until(server, "idle", timeout=300)
    assert wait_for(lambda: rows(server)[standing["item"]]["state"] == "done", 60, "the queue's entry")

    after = printer.moves()[standing["moves"] :]
    inside = [m for m in after if 95 < m["at"][0] < 140 and 95 < m["at"][1] < 140]
    # Everything is printed as much lower as the height was said to be more than it is; the board rounds to 1 um.
    assert z == pytest.approx(standing["stopped"]["position"][2], abs=0.21)
    too_much = measured - standing["stopped"]["position"][2]
    assert min(m["at"][2] for m in inside) >= found["plan"]["plan"]["point"][2] - too_much - 0.002
    assert max(m["at"][2] for m in after if m["e"] > 0 and m["from"][:2] != m["to"][:2]) > 39
    assert all("Z" not in m["line"] for m in after if m["line"].startswith("G28"))
    bad = [c for c in server.complaints() if "Traceback" in c or "facesculpt" in c.lower()]
    assert all("held back" in c or "on demand" in c for c in bad), bad


def test_a_rehearsal_looks_the_same_and_sends_nothing(standing: dict[str, Any], browser: Browser) -> None:
    server, printer = standing["server"], standing["printer"]
    printer_ready(server)
    lines = printer.order(do="status")["moves"]
    with dashboard(browser, server.url) as tab:
        tab.find("rehearse").click()
        expect(tab.find("recovery")).to_have_attribute("data-drill", "yes", timeout=SOON)
        expect(tab.find("recovery-begin")).to_be_enabled(timeout=LATER)
        tab.find("recovery-begin").click()
        expect(tab.find("step-look")).to_be_visible(timeout=LATER)
        for box in tab.find("step-look").locator("input[type=checkbox]").all():
            box.check()
        tab.find("looked").click()
        tab.find("accept").click(timeout=LATER)
        walk_to(tab, "height")
        if tab.find("choose-layer").count():
            tab.find("choose-layer").first.click()
        else:
            tab.find("trust").click()
        tab.find("heat").click(timeout=LATER)
        tab.confirm()
        expect(tab.find("lift")).to_be_enabled(timeout=LATER)
        tab.find("lift").click()
        tab.confirm()
        tab.find("recovery-resume").click(timeout=LATER)
        verdict = tab.find("drill-verdict")
        expect(verdict).to_contain_text("Nothing was touched.", timeout=LATER)
        expect(tab.find("drill")).to_contain_text("G28 R0 X Y")
        tab.find("recovery-dismiss").click()
        expect(tab.find("recovery")).to_be_hidden(timeout=SOON)
    assert printer.order(do="status")["moves"] == lines
    assert status(server)["state"] == "idle"


def test_the_panel_speaks_german(standing: dict[str, Any], browser: Browser) -> None:
    server = standing["server"]
    order(server, "dismiss", drill=True, confirmed=True)  # of a test before, that failed in the middle
    order(server, "drill", drill=True)
    with dashboard(browser, server.url, locale="de-DE") as tab:
        expect(tab.find("recovery")).to_contain_text("Probe: An den Drucker wird nichts geschickt", timeout=LATER)
        expect(tab.find("recovery-what")).to_have_text("Der Drucker hatte keinen Strom mehr.", timeout=LATER)
        expect(tab.find("recovery-begin")).to_have_text("Diesen Druck fortsetzen …")
    order(server, "dismiss", drill=True, confirmed=True)
