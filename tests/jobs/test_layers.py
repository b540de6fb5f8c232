"""Pictures of layers: drawn by a child, kept, never more than a bounded number, and never of an older slicing."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import trimesh
from PIL import Image

from octoprint_facesculpt.errors import FaceSculptError
from octoprint_facesculpt.jobs import layers as module
from octoprint_facesculpt.jobs.layers import BATCH, PLACES, LayerPictures
from octoprint_facesculpt.jobs.pipeline import INDEX, OUTPUTS
from octoprint_facesculpt.jobs.runner import WAITED_FOR, run
from octoprint_facesculpt.slicing import SliceRequest, slice_model


@pytest.fixture(scope="module")
def sliced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sliced")
    trimesh.creation.box((12, 12, 8)).export(folder / "box.stl")
    slice_model(folder / "box.stl", folder / OUTPUTS["slice"], SliceRequest(profile="bust_028", index=folder / INDEX))
    return folder


@pytest.fixture
def folder(sliced: Path, tmp_path: Path) -> Path:
    for name in (OUTPUTS["slice"], INDEX):
        (tmp_path / name).write_bytes((sliced / name).read_bytes())
    return tmp_path


class Children:
    """Real children, counted."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.niceness: set[int] = set()

    def __call__(self, command: list[str], **more: Any) -> dict[str, Any]:
        self.commands.append(command)
        self.niceness.add(more["niceness"])
        return run(command, **more)


def test_neighbours_are_drawn_with_a_layer_and_kept(folder: Path) -> None:
    children = Children()
    pictures = LayerPictures(children)
    about = pictures.about(folder)
    assert len(about["z"]) == len(about["seconds"]) == 29 and about["z"][-1] == pytest.approx(8, abs=0.2)
    assert about["supports_alone"] == []
    picture = pictures.picture(folder, 5)
    assert Image.open(picture).size == (640, 640) and len(children.commands) == 1
    assert [pictures.picture(folder, number).name for number in range(BATCH)] == [f"{n}.png" for n in range(BATCH)]
    assert len(children.commands) == 1
    pictures.picture(folder, BATCH)
    assert len(children.commands) == 2 and children.niceness == {WAITED_FOR}


def test_a_new_slicing_has_new_pictures(folder: Path) -> None:
    pictures = LayerPictures()
    old, version = pictures.picture(folder, 0), pictures.about(folder)["version"]
    os.utime(folder / OUTPUTS["slice"], (1, 1))
    new = pictures.picture(folder, 0)
    assert new != old and not old.exists() and pictures.about(folder)["version"] != version


def test_only_so_many_are_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", BATCH)
    pictures = LayerPictures()
    for number in (0, BATCH, 2 * BATCH):
        last = pictures.picture(folder, number)
    assert 0 < len(list(last.parent.glob("*.png"))) <= BATCH


def test_many_who_ask_for_one_layer_start_one_child(folder: Path) -> None:
    children = Children()
    pictures = LayerPictures(children)
    threads = [threading.Thread(target=pictures.picture, args=(folder, 3)) for _ in range(PLACES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(children.commands) == 1


def test_only_so_many_wait_and_the_others_are_told_at_once(folder: Path) -> None:
    """OctoPrint answers all requests with a handful of threads; moving the slider must not take them all."""
    going, done = threading.Event(), threading.Event()

    def slow(command: list[str], **more: Any) -> dict[str, Any]:
        going.set()
        done.wait(60)
        return run(command, **more)

    pictures = LayerPictures(slow)
    answers: list[str] = []

    def ask(number: int) -> None:
        try:
            answers.append(pictures.picture(folder, number).name)
        except FaceSculptError as error:
            answers.append(error.code)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(PLACES + 6)]
    threads[0].start()
    going.wait(30)
    for thread in threads[1:]:
        thread.start()
    deadline = time.monotonic() + 10
    while len(answers) < 6 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert answers == ["layers_busy"] * 6
    done.set()
    for thread in threads:
        thread.join(60)
    assert len(answers) == len(threads) and answers[6:].count("layers_busy") == 0
    # Who was refused has it when asking again.
    answers.clear()
    ask(PLACES + 5)
    assert answers == [f"{PLACES + 5}.png"]


def test_who_waits_too_long_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.05)
    going, done = threading.Event(), threading.Event()

    def slow(*_: Any, **__: Any) -> dict[str, Any]:
        going.set()
        done.wait(30)
        return {}

    pictures = LayerPictures(slow)

    def ask() -> None:
        with pytest.raises(FaceSculptError):
            pictures.picture(folder, 0)

    first = threading.Thread(target=ask)
    first.start()
    going.wait(30)
    start = time.monotonic()
    with pytest.raises(FaceSculptError) as error:
        pictures.picture(folder, 1)
    assert error.value.code == "layers_busy" and time.monotonic() - start < 5
    done.set()
    first.join(30)


def test_what_cannot_be_drawn_is_told(folder: Path, tmp_path: Path) -> None:
    pictures = LayerPictures()
    with pytest.raises(FaceSculptError) as error:
        pictures.picture(folder, 10_000)
    assert error.value.code == "layer_unknown"
    (folder / INDEX).unlink()
    with pytest.raises(FaceSculptError) as error:
        pictures.about(folder)
    assert error.value.code == "index_invalid"
    (folder / OUTPUTS["slice"]).unlink()
    with pytest.raises(FaceSculptError) as error:
        pictures.picture(folder, 0)
    assert error.value.code == "layer_unknown"
