"""What a slice needs no longer is given back before more is needed."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from octoprint_facesculpt.slicing import SliceRequest, plan
from octoprint_facesculpt.slicing.gcode_moves import Lines
from octoprint_facesculpt.slicing.targets import Wishes

#: Counts the arenas of the C library while two threads hold memory.
_ARENAS = """
import ctypes, sys, threading
from octoprint_facesculpt.slicing.memory import share_freed
if sys.argv[1] == "shared":
    share_freed()
library = ctypes.CDLL(None)
library.malloc.restype = library.fopen.restype = ctypes.c_void_p
thread = threading.Thread(target=lambda: library.malloc(5000))
thread.start()
thread.join()
file = ctypes.c_void_p(library.fopen(sys.argv[2].encode(), b"w"))
library.malloc_info(0, file)
library.fclose(file)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of GNU's C library")
def test_all_threads_take_memory_from_one_place(tmp_path: Path) -> None:
    counts = {}
    for way in ("shared", "apart"):
        subprocess.run([sys.executable, "-c", _ARENAS, way, str(tmp_path / way)], check=True)
        counts[way] = (tmp_path / way).read_text().count("<heap nr=")
    assert counts["shared"] == 1 < counts["apart"]


@pytest.mark.parametrize("engine", ["prusaslicer", "curaengine"])
def test_lines_of_supports_are_gone_when_the_picture_is_drawn(
    engine: str, mushroom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is kept alive by a ring of references alone would stay: a child that slices never looks for such rings.
    gc.collect()
    gc.disable()
    seen: list[tuple[float, int]] = []

    def show(contact, *_args: object) -> dict[str, float]:
        seen.append((contact.area_mm2, sum(type(thing) is Lines for thing in gc.get_objects())))
        return {"area_mm2": contact.area_mm2}

    monkeypatch.setattr(plan, "show_contact", show)
    try:
        request = SliceRequest(engine, "bust_028", index=tmp_path / "index.json")
        data = plan.plan_model(mushroom, tmp_path / "x.gcode", request, Wishes(), tmp_path / "c.png")
    finally:
        gc.enable()
    [(area, alive)] = seen
    assert area > 10 and alive == 0 and data["plan"]["layers"] > 10
