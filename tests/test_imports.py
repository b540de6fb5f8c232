"""The server process stays light: what OctoPrint imports of the plugin pulls in none of the heavy libraries."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "cv2", "trimesh", "skimage", "scipy", "manifold3d"}


@pytest.mark.parametrize(
    "module", ["octoprint_facesculpt", "octoprint_facesculpt.cli", "octoprint_facesculpt.plugin", "octoprint_facesculpt.assets"]
)
def test_nothing_heavy_is_imported_by(module: str) -> None:
    program = f"import json, sys, {module}; print(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    imported = set(json.loads(run.stdout.splitlines()[-1]))
    assert "octoprint_facesculpt" in imported
    assert not imported & HEAVY


def test_the_heavy_libraries_go_by_these_names() -> None:
    assert [name for name in sorted(HEAVY) if importlib.util.find_spec(name) is None] == []


@pytest.mark.parametrize(
    "room", ["portrait", "reconstruction", "sculpture", "slicing", "slicing.prusaslicer", "slicing.curaengine"]
)
def test_the_library_rooms_import_no_octoprint(room: str) -> None:
    program = f"import json, sys, octoprint_facesculpt.{room}; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert not set(json.loads(run.stdout)) & {"octoprint", "flask"}


def test_a_slicing_child_loads_one_engine_and_no_recovery() -> None:
    """Every slice pays for what is loaded at its start."""
    program = (
        "import json, sys, octoprint_facesculpt.cli; from octoprint_facesculpt.slicing import engine; engine('prusaslicer');"
        "print(json.dumps([name for name in sys.modules if name.startswith('octoprint_facesculpt')]))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(json.loads(run.stdout))
    assert "octoprint_facesculpt.slicing.prusaslicer" in loaded
    rooms = ("slicing.curaengine", "slicing.cura_definitions", "recovery.journal", "recovery.machine", "assets")
    assert not loaded & {f"octoprint_facesculpt.{room}" for room in rooms}


def test_a_photo_is_looked_at_before_anything_waits_for_torch(tmp_path: Path) -> None:
    """What is wrong with it is said a second or two earlier."""
    (tmp_path / "photo.jpg").write_bytes(b"no picture")
    program = (
        "import sys",
        "from octoprint_facesculpt.cli import commands",
        "try: commands(['reconstruct', 'photo.jpg', 'photo.jpg', '-o', 'head.stl'], standalone_mode=False)",
        "except SystemExit as error: print(error.code, 'torch' in sys.modules)",
    )
    run = subprocess.run([sys.executable, "-c", "\n".join(program)], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert run.stdout.splitlines()[-1] == "2 False", run
