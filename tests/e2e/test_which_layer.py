"""The dashboard asks for the layer when the height that somebody measured does not tell it, in Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import pytest
from playwright.sync_api import expect

from octoprint_facesculpt.recovery.identity import identity_of
from octoprint_facesculpt.recovery.journal import Journal
from tests.recovery.programs import hopping_file

from .browser import SOON, chromium, dashboard
from .cuts import status, until, walk_to
from .server import OctoPrintServer

#: As high as the fourth layer's nozzle on its way to a hop, and as the fifth's that prints.
MEASURED = 0.93


@pytest.fixture
def interrupted(tmp_path: Path) -> Iterator[OctoPrintServer]:
    """A print with Klipper, which queues seconds of moves, has lost its power at the beginning of its fifth layer."""
    server = OctoPrintServer(tmp_path, offline=True, lean=True)
    gcode = tmp_path / "uploads" / "hops.gcode"
    gcode.parent.mkdir(exist_ok=True)
    gcode.write_bytes(text := hopping_file())
    fifth = text.index(b";Z:1.00")
    kept = Journal(tmp_path / "data" / "facesculpt" / "recovery", boot_id="another boot").open()
    facts = {"firmware": "klipper", "bed": [0.0, 0.0, 235.0, 235.0], "height": 250.0}
    job = {"path": "hops.gcode", "file": str(gcode), "identity": identity_of(gcode), "printer": facts}
    kept.begin(job, phase="printing", nozzle_target=205.0, bed_target=60.0)
    for offset in accumulate(map(len, text.splitlines(keepends=True))):
        if offset < fifth + 200:
            kept.note(offset)
    kept.close()
    with server:
        yield server


def test_a_height_within_two_layers_is_asked_about_until_somebody_names_the_layer(interrupted: OctoPrintServer) -> None:
    server = interrupted
    until(server, "ready")
    with chromium() as browser, dashboard(browser, server.url) as tab:
        tab.find("recovery-begin").click()
        walk_to(tab, "look")
        for box in tab.find("step-look").locator("input[type=checkbox]").all():
            box.check()
        tab.find("looked").click()
        walk_to(tab, "point")
        tab.find("accept").click()
        walk_to(tab, "height")
        # As long as nothing is measured, each height is a choice of its own, and some layers have two.
        expect(tab.find("recovery")).to_contain_text("measure, or say in which layer it stopped")
        offered = tab.find("choose-layer").all_inner_texts()
        assert len(offered) > len({text.partition(",")[0] for text in offered}), offered

        tab.page.fill("#facesculpt_measured", f"{MEASURED}")
        tab.find("measure").click()
        expect(tab.find("recovery")).to_contain_text(
            f"At {MEASURED:.2f} mm it can have stopped in more than one layer", timeout=SOON
        )
        walk_to(tab, "height")
        # The second layer's nozzle was never so high.
        layers = tab.find("choose-layer")
        assert [text.strip() for text in layers.all_inner_texts()] == [f"Layer {n}" for n in (3, 4, 5)]
        assert status(server)["answers"]["height"]["kind"] == "undecided"
        # Nothing is decided by leaving the page.
        tab.reload()
        expect(layers.filter(has_text="Layer 4")).to_be_enabled(timeout=SOON)
        layers.filter(has_text="Layer 4").click()
        walk_to(tab, "heat")
        found = until(server, "ready")
        assert (found["plan"]["layer"], found["plan"]["stop"]["z"], found["plan"]["asks"]) == (4, MEASURED, False)
