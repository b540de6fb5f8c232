"""Small models, one of them sliced once for all tests, and programs that behave as a slicer should not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import trimesh

from octoprint_facesculpt.progress import silent
from octoprint_facesculpt.slicing import SliceRequest, SliceResult, SlicingError, slice_model
from tests.children import descendants


@dataclass
class Sliced:
    """A finished slicing job and what its progress callback heard."""

    result: SliceResult
    progress: list[tuple[float, str]]

    @property
    def text(self) -> str:
        return self.result.gcode.read_text()


@pytest.fixture(scope="session")
def mushroom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plate of 24 x 8 mm on a stem, 15 mm high: it cannot be printed without supports."""
    stem, plate = trimesh.creation.box((6, 6, 12)), trimesh.creation.box((24, 8, 4))
    stem.apply_translation((0, 0, 6))
    plate.apply_translation((0, 0, 13))
    path = tmp_path_factory.mktemp("models") / "mushroom.stl"
    trimesh.boolean.union([stem, plate], engine="manifold").export(path)
    return path


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    path = tmp_path_factory.mktemp("pictures") / "front.png"
    Image.radial_gradient("L").convert("RGB").resize((300, 400)).save(path)
    return path


@pytest.fixture(scope="session")
def sliced(mushroom: Path, picture: Path, tmp_path_factory: pytest.TempPathFactory) -> Sliced:
    """The mushroom, coarse and with its picture."""
    heard: list[tuple[float, str]] = []
    gcode = tmp_path_factory.mktemp("sliced") / "mushroom.gcode"
    request = SliceRequest(profile="bust_028", thumbnail=picture)
    return Sliced(slice_model(mushroom, gcode, request, lambda *told: heard.append(told)), heard)


#: How each engine is asked for its version, what it says, and the option that names its output.
WAYS = {
    "prusaslicer": ("--help", "echo PrusaSlicer-2.5.0", "--output"),
    "curaengine": ("help", "echo Cura_SteamEngine version 4.13.0", "-o"),
}


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., str]:
    """Makes a program that says it is an engine, and runs a shell text when it is asked to slice; ``OUT`` in it is the file
    that the engine should write."""

    def make(slicing: str, helping: str = "", engine: str = "prusaslicer") -> str:
        asked, said, output = WAYS[engine]
        path = tmp_path / "engine"
        find = f'while [ "$1" != {output} ]; do shift; done; OUT=$2'
        path.write_text(f'#!/bin/sh\nif [ "$1" = {asked} ]; then {helping or said}; exit; fi\n{find}\n{slicing}\n')
        path.chmod(0o755)
        return str(path)

    return make


def refused(model: Path, folder: Path, request: SliceRequest, engine: str | None = None) -> SlicingError:
    """The error of a slicing job that must fail, leaving no file and no process behind."""
    gcode, before, running = folder / "out.gcode", set(folder.iterdir()), descendants()
    with pytest.raises(SlicingError) as refusal:
        slice_model(model, gcode, request, silent, engine)
    assert set(folder.iterdir()) == before
    assert descendants(running) == []
    assert refusal.value.message and len(str(refusal.value)) < 3000
    return refusal.value
