"""The dashboard in headless Chromium, as a user opens it; every complaint of the page is kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright

from .server import PASSWORD, USER

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
#: No sandbox, so that it runs as root in a container; nothing that asks the internet.
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
#: Where photos are chosen.
FILES = "#facesculpt_photo_files"
#: Milliseconds for what takes the server a moment, and for what takes it a while.
SOON, LATER = 20_000, 240_000
# Playwright's own 5 s are for pages; what is shown here is often the answer of a server that is busy.
expect.set_options(timeout=SOON)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise RuntimeError(f"none of {', '.join(PROGRAMS)} is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Dashboard:
    """One user's page, open at the FaceSculpt tab."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def find(self, name: str) -> Locator:
        """A part of the tab by its ``data-test-id``."""
        return self.page.locator(f"#tab_plugin_facesculpt [data-test-id='facesculpt-{name}']")

    def card(self, name: str) -> Locator:
        """A sculpture of this name."""
        return self.page.get_by_role("article", name=name, exact=True)

    def undo(self, title: str) -> None:
        """Press the button of the notice that something was deleted."""
        notice = self.page.locator(".ui-pnotify-container", has_text=title)
        expect(notice.get_by_role("button")).to_have_text(["Undo", "Close"])
        notice.get_by_role("button", name="Undo").click()

    def confirm(self) -> None:
        """Say yes to OctoPrint's confirmation dialog."""
        self.page.locator(".modal.in .modal-footer .btn-primary:visible").click()
        expect(self.page.locator(".modal.in")).to_have_count(0, timeout=SOON)

    def reload(self) -> None:
        self.page.reload()
        self.started()

    def started(self) -> None:
        self.page.wait_for_function("window.OctoPrint && OctoPrint.coreui && OctoPrint.coreui.startedUp", timeout=LATER)

    def heard(self, message: ConsoleMessage) -> None:
        """Keep what the console complains about, but for things of OctoPrint's that it could not load."""
        address = message.location.get("url", "")
        foreign = message.text.startswith("Failed to load resource") and "plugin/facesculpt" not in address
        if message.type == "error" and not foreign:
            self.complaints.append(f"{message.text} ({address})")


@contextmanager
def dashboard(
    browser: Browser, url: str, user: str | None = USER, password: str = PASSWORD, locale: str = "en-US"
) -> Iterator[Dashboard]:
    """The tab as a user who has logged in opens it, or nobody when ``user`` is None. At the end it must not have complained."""
    # Without a graphics card every step of a spinner costs what the server under test should have.
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, locale=locale, reduced_motion="reduce")
    # A button may be disabled for a while: on a busy machine a plan takes its time.
    context.set_default_timeout(LATER / 2)
    opened = Dashboard(context.new_page())
    opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.page.on("console", opened.heard)
    if user is not None:
        context.add_cookies(cookies(browser, url, user, password))
    # A tab that is named in the address is opened, also when there is no room for its title.
    opened.page.goto(f"{url}/#tab_plugin_facesculpt")
    opened.started()
    # Now and then OctoPrint opens the first tab after that.
    opened.page.evaluate("$('#tab_plugin_facesculpt_link a').tab('show')")
    yield opened
    context.close()
    assert not opened.complaints, opened.complaints


@cache
def cookies(browser: Browser, url: str, user: str, password: str) -> list:
    """What a browser keeps of a user who logs in to stay, also when the server is started anew."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{url}/login/")
    page.fill("#login-user", user)
    page.fill("#login-password", password)
    page.check("#login-remember")
    # The dashboard that follows is not waited for.
    with page.expect_navigation(timeout=LATER, wait_until="commit"):
        page.click("#login-button")
    kept = context.cookies()
    context.close()
    return kept
