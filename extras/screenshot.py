"""Take the picture of the tab for the README: python extras/screenshot.py PHOTO OUT.png

A real OctoPrint with a simulated Ender 3; the model files must have been fetched (``python -m octoprint_facesculpt assets
fetch``).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from octoprint_facesculpt import assets
from tests.e2e.browser import LATER, Dashboard, chromium, dashboard
from tests.e2e.orders import create, finished, upload
from tests.e2e.server import OctoPrintServer, wait_for
from tests.printer.fixture import SimulatedPrinter

#: What is compared in the picture.
SCULPTURES = (
    {"name": "For the shelf", "settings": {"height_mm": 160}, "slicing": {"profile": "bust_016"}},
    {"name": "First try", "settings": {"height_mm": 60}, "slicing": {"profile": "bust_028"}},
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("photo", type=Path)
    arguments.add_argument("output", type=Path)
    given = arguments.parse_args()
    models = assets.asset_path("face_detector").parent
    with (
        tempfile.TemporaryDirectory() as folder,
        SimulatedPrinter(Path(folder, "printer"), speed=1000) as printer,
        OctoPrintServer(Path(folder, "octoprint"), str(printer.link), models, offline=True) as server,
    ):
        wait_for(lambda: server.get("/plugin/facesculpt/status").json()["printer"]["ready"], 60, "the printer")
        photo = upload(server, given.photo)
        for order in reversed(SCULPTURES):
            made = finished(server, create(server, photo, **order), timeout=1800)
            if made["state"] != "ready":
                raise SystemExit(f"{order['name']}: {made['error']}")
        server.post("/plugin/facesculpt/queue", json={"sculpture": made["id"]}).raise_for_status()
        with chromium() as browser, dashboard(browser, server.url) as tab:
            save(tab, given.output)


def save(tab: Dashboard, path: Path) -> None:
    """The whole page, with both sculptures seen from three quarters."""
    tab.find("queue").locator("li").wait_for(timeout=LATER)
    tab.page.evaluate("Promise.all(Array.from(document.querySelectorAll('.facesculpt img'), (i) => i.decode()))")
    picture = Image.open(BytesIO(tab.page.screenshot(full_page=True))).convert("RGB")
    picture.save(path, optimize=True)


if __name__ == "__main__":
    main()
