"""What is deleted while it is worked on: nothing of it is left, or all of it if it can still be had back."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from octoprint_facesculpt.deletions import Deletions
from octoprint_facesculpt.jobs.pipeline import OUTPUTS
from octoprint_facesculpt.store import Photo, Sculpture, Stage

from .shop import Shop


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """What the stages before slicing hand on, as far as slicing needs it."""
    folder = tmp_path / "finished"
    folder.mkdir()
    for name in OUTPUTS.values():
        (folder / name).touch()
    Image.new("RGB", (640, 640), "grey").save(folder / "front.png")
    return folder


@pytest.fixture
def photo(shop: Shop, finished: Path) -> Photo:
    """One that is not looked at any more."""
    return shop.photo(finished / "front.png")


def test_a_sculpture_that_is_deleted_while_it_is_told_of_does_not_come_back(shop: Shop, finished: Path, photo: Photo) -> None:
    sculpture = shop.sculpture(photo, finished, before="slice")

    def delete(kind: str, _what: Any) -> None:
        if kind == "sculpture" and Sculpture.delete().where(Sculpture.id == sculpture.id).execute():
            shop.told.append(("deleted", None))

    shop.react = delete
    shop.pipeline.start()
    shop.wait(lambda: ("deleted", None) in shop.told)
    shop.pipeline.close()
    kinds = [kind for kind, _ in shop.told]
    assert "sculptures" in kinds[kinds.index("deleted") :] and kinds[-1] != "sculpture"


def test_a_sculpture_deleted_while_it_is_made_leaves_nothing(shop: Shop, finished: Path, photo: Photo) -> None:
    sculpture = shop.sculpture(photo, finished, before="slice")
    sculpture.gcode_path = "uploads/old.gcode"
    sculpture.save()
    folder = shop.workshop.folder(sculpture)

    def delete() -> None:
        shop.pipeline.cancel(sculpture)
        sculpture.delete_instance(recursive=True)
        shutil.rmtree(folder)

    shop.on_progress("slice", delete)
    shop.pipeline.start()
    shop.wait(lambda: Sculpture.get_or_none(Sculpture.id == sculpture.id) is None and shop.pipeline._current is None)
    # The worker clears up after it has let go of the work.
    shop.pipeline.close()
    assert not folder.exists() and shop.added == [] and Stage.select().count() == 0
    # What may have been stored while it was being deleted, too.
    assert shop.removed == ["uploads/old.gcode"]


@pytest.mark.parametrize("back", [False, True])
def test_a_sculpture_whose_deletion_can_be_undone_waits_with_its_files(
    shop: Shop, finished: Path, photo: Photo, back: bool
) -> None:
    sculpture = shop.sculpture(photo, finished, before="slice")
    deletions = Deletions(shop.store, shop.workshop, shop.pipeline.drop)
    told: list[int] = []

    def delete() -> None:
        deletions.put_aside(sculpture)
        told.append(len(shop.told))

    shop.on_progress("slice", delete)
    shop.pipeline.start()
    shop.wait(lambda: told and shop.states(sculpture) == ["done", "done", "waiting"])
    assert shop.added == []
    assert (shop.workshop.folder(sculpture) / "bust.stl").is_file()
    assert [kind for kind, _ in shop.told[told[0] :]] in ([], ["sculptures"])
    if back:
        deletions.restore("sculptures", sculpture.id)
        shop.pipeline.wake()
        assert shop.wait_state(sculpture, "ready", "failed").state == "ready"


def test_gcode_that_is_finished_while_its_sculpture_is_deleted_is_not_left_in_the_uploads(
    shop: Shop, finished: Path, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    sculpture = shop.sculpture(photo, finished, before="slice")
    deletions = Deletions(shop.store, shop.workshop, shop.pipeline.drop)

    def add(*given: Any) -> str:
        deletions.put_aside(sculpture)
        return "uploads/late.gcode"

    monkeypatch.setattr(shop.pipeline, "_shop", replace(shop.workshop, add_gcode=add))
    shop.pipeline.start()
    shop.wait(lambda: shop.removed)
    assert shop.removed == ["uploads/late.gcode"] and shop.workshop.folder(sculpture).is_dir()


def test_a_photo_deleted_while_it_is_checked_leaves_nothing(shop: Shop, astronaut: Path) -> None:
    photo = shop.photo(astronaut, "checking")
    folder = shop.workshop.photo_file(photo).parent
    shop.pipeline.start()
    shop.wait(lambda: (folder / "check.log").exists())
    photo.delete_instance(recursive=True)
    shop.wait(lambda: not folder.exists())
    assert shop.told == []


def test_a_photo_whose_deletion_can_be_undone_is_not_told_of(shop: Shop, astronaut: Path) -> None:
    photo = shop.photo(astronaut, "checking")
    folder = shop.workshop.photo_file(photo).parent
    shop.pipeline.start()
    shop.wait(lambda: (folder / "check.log").exists())
    Deletions(shop.store, shop.workshop, shop.pipeline.drop).put_aside(photo)
    shop.wait(lambda: Photo.with_deleted().where(Photo.state == "ready").exists() and shop.pipeline._current is None)
    assert shop.told == [] and shop.workshop.photo_file(photo).is_file()


def test_a_sculpture_that_is_had_back_before_its_work_has_ended_goes_on(shop: Shop, finished: Path, photo: Photo) -> None:
    sculpture = shop.sculpture(photo, finished, before="slice")
    deletions = Deletions(shop.store, shop.workshop, shop.pipeline.drop)
    thought: list[int] = []

    def think_again() -> None:
        if not thought:
            thought.append(1)
            deletions.put_aside(sculpture)
            deletions.restore("sculptures", sculpture.id)

    shop.on_progress("slice", think_again)
    shop.pipeline.start()
    assert shop.wait_state(sculpture, "ready", "failed", "cancelled").state == "ready"
