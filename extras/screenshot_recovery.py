"""Take the pictures of a power cut for the README: python extras/screenshot_recovery.py PHOTO FOLDER

A real OctoPrint with a simulated Ender 3 prints a bust of the photo, loses its power, and goes on; the model files must have
been fetched (``python -m octoprint_facesculpt assets fetch``).
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
from tests.e2e.cuts import cut, planned, print_up_to, printer_ready, status, walk_to
from tests.e2e.orders import create, finished, upload
from tests.e2e.server import OctoPrintServer, wait_for
from tests.printer.fixture import SimulatedPrinter

ORDER = {"name": "Eileen", "settings": {"height_mm": 60}, "slicing": {"profile": "bust_028"}}
#: Height at which the power goes, mm.
HEIGHT = 33.0


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("photo", type=Path)
    arguments.add_argument("folder", type=Path)
    given = arguments.parse_args()
    models = assets.asset_path("face_detector").parent
    with (
        tempfile.TemporaryDirectory() as folder,
        SimulatedPrinter(Path(folder, "printer"), speed=1000) as printer,
        chromium() as browser,
    ):
        first = OctoPrintServer(Path(folder, "octoprint"), str(printer.link), models, offline=True)
        with first:
            printer_ready(first)
            made = finished(first, create(first, upload(first, given.photo), **ORDER), timeout=1800)
            print_up_to(first, printer, made["id"], HEIGHT)
            cut(first, printer)
        printer.order(do="speed", factor=4)
        with first, dashboard(browser, first.url) as tab:
            story(tab, first, given.folder, planned(first)["plan"]["stop"]["z"], printer)


def story(tab: Dashboard, server: OctoPrintServer, folder: Path, z: float, printer: SimulatedPrinter) -> None:
    """Walk through the recovery, and take a picture of each scene."""
    wait_for(lambda: status(server)["pictures"].get("cut"), 300, "the sculpture's picture")
    walk_to(tab, "intro")
    save(tab, folder / "power-cut.png", whole=True)
    tab.find("recovery-begin").click()
    tab.find("step-look").wait_for(timeout=LATER)
    for box in tab.find("step-look").locator("input[type=checkbox]").all():
        box.check()
    tab.find("looked").click()
    walk_to(tab, "point")
    save(tab, folder / "power-cut-place.png")
    tab.find("accept").click()
    tab.page.fill("#facesculpt_measured", f"{z - 4.3:.1f}")
    tab.find("measure").click()
    tab.find("height-wrong").wait_for(timeout=LATER)
    save(tab, folder / "power-cut-height.png")
    tab.page.fill("#facesculpt_measured", f"{z + 0.1:.1f}")
    tab.find("measure").click()
    tab.find("heat").click(timeout=LATER)
    tab.confirm()
    tab.find("step-heating").wait_for(timeout=LATER)
    wait_for(lambda: (status(server)["heating"] or {}).get("hot"), 300, "the heaters")
    printer.order(do="speed", factor=100)
    tab.find("lift").click(timeout=LATER)
    tab.confirm()
    tab.find("step-cleaning").wait_for(timeout=LATER)
    tab.find("recovery-resume").click()
    tab.page.get_by_text("The print goes on.").wait_for(timeout=LATER)


def save(tab: Dashboard, path: Path, whole: bool = False) -> None:
    """The panel, or the whole page as it is first seen."""
    tab.page.evaluate("Promise.all(Array.from(document.querySelectorAll('#facesculpt_recovery img[src]'), (i) => i.decode()))")
    tab.page.evaluate("document.activeElement.blur()")
    shot = tab.page.screenshot() if whole else tab.page.locator("#facesculpt_recovery").screenshot()
    Image.open(BytesIO(shot)).convert("RGB").save(path, optimize=True)


if __name__ == "__main__":
    main()
