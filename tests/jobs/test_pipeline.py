"""The line of work with its real stages: order, cancel, restart after a crash, and what is left behind."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from octoprint_facesculpt.jobs.pipeline import OUTPUTS, WAITING_FOR_PRINT, Pipeline
from octoprint_facesculpt.store import STAGES, Photo, Sculpture, Stage

from .shop import TIMEOUT, Shop, new_shop


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, astronaut: Path, assets_folder: Path) -> Iterator[Any]:
    """Everything once: a photo checked, and a sculpture of it that went through all stages."""
    shop = new_shop(tmp_path_factory.mktemp("made"), assets_folder)
    photo = shop.photo(astronaut, "checking")
    shop.pipeline.start()
    shop.wait(lambda: Photo.get_by_id(photo.id).state != "checking")
    sculpture = shop.sculpture(photo)
    shop.pipeline.wake()
    sculpture = shop.wait_state(sculpture, "ready", "failed")
    shop.close()
    outcome = {"photo": Photo.get_by_id(photo.id), "sculpture": sculpture, "states": shop.states(sculpture)}
    outcome |= {"folder": shop.workshop.folder(sculpture), "history": shop.history, "added": shop.added, "data": shop.data}
    outcome["seconds"] = [stage.seconds for stage in sculpture.stages]
    shop.store.close()
    return outcome


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def no_leftovers(folder: Path) -> bool:
    return not [path for path in folder.iterdir() if path.name.startswith(".") or path.suffix == ".part"]


def test_a_photo_is_checked(made) -> None:
    photo = made["photo"]
    assert photo.state == "ready" and photo.error is None and len(photo.faces) == 1
    assert (photo.width, photo.height) == (512, 512)
    assert (made["data"] / "photos" / photo.id / "preview.jpg").is_file()


def test_the_stages_run_in_order_and_leave_their_files(made) -> None:
    assert made["sculpture"].state == "ready" and made["states"] == ["done"] * 3
    assert made["history"] == [
        ["running", "waiting", "waiting"], ["done", "waiting", "waiting"], ["done", "running", "waiting"],
        ["done", "done", "waiting"], ["done", "done", "running"], ["done", "done", "done"],
    ]  # fmt: skip
    for name in (*OUTPUTS.values(), "bust.3mf", "front.png", "viewer.html", "report.json"):
        assert (made["folder"] / name).stat().st_size > 0, name
    ages = [(made["folder"] / name).stat().st_mtime_ns for name in OUTPUTS.values()]
    assert ages == sorted(ages) and all(seconds > 0 for seconds in made["seconds"])
    assert no_leftovers(made["folder"])


def test_the_g_code_is_handed_over_with_its_estimates(made) -> None:
    sculpture = made["sculpture"]
    assert made["added"] == [sculpture.id] and sculpture.gcode_path == "uploads/Eileen.gcode"
    assert "fill_density = 5%" in (made["data"] / sculpture.gcode_path).read_text()
    estimates = sculpture.estimates
    assert estimates["seconds"] > 60 and estimates["layers"] > 90 and estimates["filament_g"] > 0.5
    assert estimates["height_mm"] == pytest.approx(30, abs=0.3)


@pytest.mark.parametrize("stage", STAGES)
def test_cancel_stops_each_stage_and_a_retry_finishes_it(stage: str, shop: Shop, made, astronaut: Path) -> None:
    sculpture = shop.sculpture(shop.photo(astronaut), made["folder"], before=stage)
    shop.on_progress(stage, lambda: shop.pipeline.cancel(sculpture))
    shop.pipeline.start()
    shop.wait_state(sculpture, "cancelled", "ready", "failed")
    done = STAGES.index(stage)
    assert shop.states(sculpture) == ["done"] * done + ["cancelled"] * (3 - done)
    folder = shop.workshop.folder(sculpture)
    # The worker clears up after it has let go of the work.
    shop.wait(lambda: shop.pipeline._current is None and no_leftovers(folder))
    assert not (folder / OUTPUTS[stage]).exists() and shop.added == []
    if stage == "slice":
        shop.pipeline.retry(Sculpture.get_by_id(sculpture.id))
        assert shop.wait_state(sculpture, "ready", "failed").state == "ready"
        assert shop.states(sculpture) == ["done"] * 3 and shop.added == [sculpture.id]


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_g_code_that_is_being_printed_is_not_replaced(shop: Shop, made, astronaut: Path, when: str) -> None:
    sculpture = shop.sculpture(shop.photo(astronaut), made["folder"], before="slice")
    sculpture.gcode_path = "uploads/Eileen.gcode"
    sculpture.save()
    if when == "before":
        shop.used.add(sculpture.gcode_path)
    else:
        shop.on_progress("slice", lambda: shop.used.add("uploads/Eileen.gcode"))
    shop.pipeline.start()
    waits = Stage.select().where(Stage.sculpture == sculpture, Stage.message == WAITING_FOR_PRINT, Stage.state == "waiting")
    shop.wait(waits.exists)
    assert shop.added == [] and Sculpture.get_by_id(sculpture.id).state == "waiting"
    shop.used.clear()
    shop.pipeline.wake()
    assert shop.wait_state(sculpture, "ready", "failed").state == "ready" and shop.added == [sculpture.id]


def test_a_stage_is_done_together_with_what_it_found(
    shop: Shop, made, astronaut: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that ends between the two must not leave a finished sculpture without its G-code."""
    sculpture = shop.sculpture(shop.photo(astronaut), made["folder"], before="slice")
    save, ended = Sculpture.save, []

    def ends(self: Sculpture, *arguments: Any, **options: Any) -> Any:
        if self.gcode_path and not ended:
            ended.append(True)
            raise OSError("the power is gone")
        return save(self, *arguments, **options)

    monkeypatch.setattr(Sculpture, "save", ends)
    shop.react = lambda kind, _what: time.sleep(2) if ended and kind == "sculpture" and len(shop.added) == 1 else None
    shop.pipeline.start()
    shop.wait(lambda: ended)
    assert shop.states(sculpture)[2] != "done"
    assert shop.wait_state(sculpture, "ready", "failed").gcode_path


def test_only_what_is_whole_becomes_ready(shop: Shop, made, astronaut: Path) -> None:
    sculpture = shop.sculpture(shop.photo(astronaut), made["folder"], before="slice")
    Stage.update(state="failed").where(Stage.sculpture == sculpture, Stage.stage == "slice").execute()
    shop.pipeline.start()
    assert shop.wait_state(sculpture, "ready", "failed").state == "failed"


def test_cancel_of_waiting_work_and_between_two_stages_is_not_lost(shop: Shop, made, astronaut: Path) -> None:
    photo = shop.photo(astronaut)
    first = shop.sculpture(photo, made["folder"], before="sculpt")
    second = shop.sculpture(photo, made["folder"], before="slice")
    shop.pipeline.cancel(second)
    assert shop.states(second) == ["done", "done", "cancelled"]

    def react(kind: str, what: Any) -> None:
        if kind == "sculpture" and what.id == first.id and shop.states(first)[1] == "done":
            shop.pipeline.cancel(first)

    shop.react = react
    shop.pipeline.start()
    shop.wait_state(first, "cancelled", "ready", "failed")
    assert shop.states(first) == ["done", "done", "cancelled"]
    assert Sculpture.get_by_id(second.id).state == "cancelled" and shop.added == []


SERVER = """
import os, signal, sys, time
from pathlib import Path
import psutil
sys.path.insert(0, sys.argv[2])
from tests.jobs.shop import Shop
shop = Shop(Path(sys.argv[1]))

def die():
    print(*(child.pid for child in psutil.Process().children(recursive=True)), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

shop.on_progress(sys.argv[3], die)
shop.pipeline.start()
time.sleep(1000)
"""


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_server_loses_nothing(stage: str, shop: Shop, made, astronaut: Path) -> None:
    """SIGKILL in the middle of a stage: its child dies, and the next server goes on behind the last finished stage."""
    sculpture = shop.sculpture(shop.photo(astronaut), made["folder"], before=stage)
    here = str(Path(__file__).parents[2])
    # By its own hand, so that it is surely in the middle of the stage.
    command = [sys.executable, "-c", SERVER, str(shop.data), here, stage]
    server = subprocess.run(command, cwd=shop.data, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT, check=False)
    family = [int(pid) for pid in server.stdout.split()]
    assert family and server.returncode == -signal.SIGKILL
    shop.wait(lambda: not any(map(lives, family)))
    assert shop.states(sculpture)[STAGES.index(stage)] == "running"
    folder = shop.workshop.folder(sculpture)
    finished = [folder / OUTPUTS[earlier] for earlier in STAGES[: STAGES.index(stage)]]
    made_at = [path.stat().st_mtime_ns for path in finished]
    again: list[bool] = []
    shop.on_progress(stage, lambda: again.append(True))
    shop.pipeline.start()
    shop.wait(lambda: again)
    assert [path.stat().st_mtime_ns for path in finished] == made_at
    if stage == "slice":
        assert shop.wait_state(sculpture, "ready", "failed").state == "ready"
    else:
        shop.pipeline.cancel(sculpture)
        shop.wait_state(sculpture, "cancelled")
    # The worker clears up after it has let go of the work.
    shop.pipeline.close()
    assert no_leftovers(folder)


def test_an_orderly_end_of_the_server_keeps_the_work(shop: Shop, made, astronaut: Path) -> None:
    sculpture = shop.sculpture(shop.photo(astronaut), made["folder"], before="slice")
    began: list[bool] = []

    def hold() -> None:
        # The worker hears of nothing else, and so not of the end, until the server ends.
        began.append(True)
        shop.pipeline._closed.wait(TIMEOUT)

    shop.on_progress("slice", hold)
    shop.pipeline.start()
    shop.wait(lambda: began)
    shop.pipeline.close()
    assert shop.states(sculpture)[2] in ("running", "waiting") and Sculpture.get_by_id(sculpture.id).state == "working"
    assert no_leftovers(shop.workshop.folder(sculpture))
    again = Pipeline(shop.store, shop.workshop, logging.getLogger("test"))
    again.start()
    assert shop.wait_state(sculpture, "ready", "failed").state == "ready"
    again.close()


@pytest.mark.parametrize(
    ("before", "spoil", "code"),
    [
        ("reconstruct", lambda shop, s: shop.workshop.photo_file(s.photo).unlink(), None),
        ("sculpt", lambda shop, s: (shop.workshop.folder(s) / "head.npz").unlink(), "empty_head"),
        ("sculpt", lambda shop, s: (shop.workshop.folder(s) / "head.npz").write_bytes(b"PK\3\4"), "empty_head"),
        ("slice", lambda shop, s: (shop.workshop.folder(s) / "bust.stl").unlink(), "model_invalid"),
        ("slice", lambda shop, s: (shop.workshop.folder(s) / "bust.stl").write_bytes(b""), "model_empty"),
    ],
    ids=["photo gone", "head gone", "head broken", "bust gone", "bust empty"],
)
def test_work_that_cannot_go_on_fails_clearly(before, spoil, code, shop: Shop, made, astronaut: Path) -> None:
    sculpture = shop.sculpture(shop.photo(astronaut), made["folder"], before=before)
    spoil(shop, sculpture)
    shop.pipeline.start()
    failed = shop.wait_state(sculpture, "ready", "failed")
    assert failed.state == "failed" and failed.error["message"] and failed.error["code"] not in ("crashed", "internal_error")
    assert code is None or failed.error["code"] == code
    position = STAGES.index(before)
    assert shop.states(sculpture) == ["done"] * position + ["failed"] + ["waiting"] * (2 - position)


def test_an_unexpected_fault_fails_the_stage_and_the_worker_goes_on(shop: Shop, made, astronaut: Path) -> None:
    photo = shop.photo(astronaut)
    first = shop.sculpture(photo, made["folder"], before="slice")
    add, calls = shop.add, []

    def fail_once(*arguments: Any) -> str:
        calls.append(arguments)
        if len(calls) == 1:
            raise LookupError("the uploads are gone")
        return add(*arguments)

    object.__setattr__(shop.workshop, "add_gcode", fail_once)
    shop.pipeline.start()
    failed = shop.wait_state(first, "ready", "failed")
    assert failed.state == "failed" and failed.error["code"] == "crashed"
    shop.pipeline.retry(failed)
    assert shop.wait_state(first, "ready").gcode_path == "uploads/Eileen.gcode"


def test_work_waits_while_a_print_runs(shop: Shop, made, astronaut: Path) -> None:
    shop.held = True
    sculpture = shop.sculpture(shop.photo(astronaut), made["folder"], before="slice")
    shop.pipeline.start()
    shop.wait(lambda: Stage.select().where(Stage.message == WAITING_FOR_PRINT).count())
    assert shop.states(sculpture)[2] == "waiting"
    shop.held = False
    shop.pipeline.wake()
    assert shop.wait_state(sculpture, "ready", "failed").state == "ready"


def test_a_retry_begins_where_files_are_missing(shop: Shop, made, astronaut: Path) -> None:
    """As after a restored backup: the database is back, what the stages made is not."""
    sculpture = shop.sculpture(shop.photo(astronaut), made["folder"], before="slice")
    (shop.workshop.folder(sculpture) / OUTPUTS["sculpt"]).unlink()
    Sculpture.update(state="failed").where(Sculpture.id == sculpture.id).execute()
    shop.pipeline.retry(Sculpture.get_by_id(sculpture.id))
    assert shop.states(sculpture) == ["done", "waiting", "waiting"]
    (shop.workshop.folder(sculpture) / OUTPUTS["reconstruct"]).unlink()
    shop.pipeline.retry(Sculpture.get_by_id(sculpture.id))
    assert shop.states(sculpture) == ["waiting", "waiting", "waiting"]


def test_photos_without_a_face_or_a_picture_fail_with_a_code(shop: Shop, tmp_path: Path) -> None:
    grey = tmp_path / "grey.jpg"
    Image.new("RGB", (400, 400), "grey").save(grey)
    text = tmp_path / "text.jpg"
    text.write_text("no picture")
    photos = [shop.photo(grey, "checking"), shop.photo(text, "checking")]
    shop.pipeline.start()
    shop.wait(lambda: not Photo.select().where(Photo.state == "checking").count())
    first, second = (Photo.get_by_id(photo.id) for photo in photos)
    assert first.state == second.state == "failed"
    assert first.error["code"] == "no_face" and second.error["code"] not in ("crashed", "internal_error")


# -- what the slicing stage is told
