"""What clients see of a sculpture's folder, whatever lies in it, and of the queue."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from octoprint_facesculpt.store import Photo, QueueItem, Sculpture, Store
from octoprint_facesculpt.views import ORIENTATIONS, RECENT, forget_poses, queue_json, sculpture_json


@pytest.fixture
def sculpture(tmp_path: Path) -> Iterator[Sculpture]:
    store = Store(tmp_path / "facesculpt.db")
    yield store.add_sculpture(Photo.create(name="a.jpg"), "a", 0, {}, {})
    store.close()


def test_poses_are_shown_with_their_pictures(sculpture: Sculpture, tmp_path: Path) -> None:
    rows = [{"pose": "tilt_10", "cost": 0.1}, {"pose": "upright", "cost": 0.2}, {"pose": "lying", "cost": 0.3}]
    (tmp_path / ORIENTATIONS).write_text(json.dumps({"orientations": rows}))
    for pose in ("tilt_10", "upright"):
        (tmp_path / f"pose_{pose}.png").write_bytes(b"picture")
    shown = sculpture_json(sculpture, tmp_path)["poses"]
    assert [(pose["pose"], pose["cost"]) for pose in shown] == [("tilt_10", 0.1), ("upright", 0.2)]
    assert shown[0]["url"].partition("?")[0].endswith(f"/sculptures/{sculpture.id}/files/pose_tilt_10.png")


def test_a_file_that_was_made_anew_has_another_address(sculpture: Sculpture, tmp_path: Path) -> None:
    """Or a browser would go on showing, and downloading, the one that it has kept."""
    (tmp_path / "bust.gcode").write_text("G28")
    before = sculpture_json(sculpture, tmp_path)["files"]
    assert before == sculpture_json(sculpture, tmp_path)["files"]
    (tmp_path / "anew").write_text("G28 X")
    os.utime(tmp_path / "anew", ns=(1, 1))
    (tmp_path / "anew").replace(tmp_path / "bust.gcode")
    after = sculpture_json(sculpture, tmp_path)["files"]
    assert before.keys() == after.keys() == {"gcode"} and before != after
    assert {url.partition("?")[0] for url in (before["gcode"], after["gcode"])} == {
        f"plugin/facesculpt/sculptures/{sculpture.id}/files/bust.gcode"
    }


def test_poses_of_another_shape_are_forgotten(sculpture: Sculpture, tmp_path: Path) -> None:
    (tmp_path / ORIENTATIONS).write_text(json.dumps({"orientations": [{"pose": "upright"}]}))
    for name in ("pose_upright.png", "front.png"):
        (tmp_path / name).write_bytes(b"picture")
    assert sculpture_json(sculpture, tmp_path)["poses"]
    forget_poses(tmp_path)
    assert sculpture_json(sculpture, tmp_path)["poses"] == []
    assert {path.name for path in tmp_path.glob("*.png")} == {"front.png"}


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"orientations": 5}', '{"orientations": [{"pose": "../x"}]}', '{"orientations": [1]}', "[" * 9999],
)
def test_figures_that_are_none_are_left_out(content: str, sculpture: Sculpture, tmp_path: Path) -> None:
    (tmp_path / ORIENTATIONS).write_text(content)
    assert sculpture_json(sculpture, tmp_path)["poses"] == []


@pytest.mark.parametrize("figure", ["NaN", "-Infinity", "1e999", "9" * 400, '"5"', "null", "true", "{}", "[[]]"])
def test_only_figures_are_shown_of_a_pose(figure: str, sculpture: Sculpture, tmp_path: Path) -> None:
    """No browser reads NaN, and none that is not there can be put into a sentence: one such file hid all sculptures."""
    rows = f'[{{"pose": "tilt_10", "tilt_deg": {figure}, "url": "http://elsewhere", "cost": 0.1}}, null, {{"pose": null}}]'
    (tmp_path / ORIENTATIONS).write_text(f'{{"orientations": {rows}}}')
    (tmp_path / "pose_tilt_10.png").write_bytes(b"picture")
    (pose,) = sculpture_json(sculpture, tmp_path)["poses"]
    assert (pose["pose"], pose["cost"]) == ("tilt_10", 0.1) and pose.keys() == {"pose", "cost", "url"}
    assert pose["url"].startswith("plugin/facesculpt/")


def test_files_too_large_to_be_figures_are_not_read(sculpture: Sculpture, tmp_path: Path) -> None:
    (tmp_path / "pose_upright.png").write_bytes(b"picture")
    for more, shown in (("y" * 1000, ["upright"]), ("y" * 100_000, [])):
        (tmp_path / ORIENTATIONS).write_text(json.dumps({"orientations": [{"pose": "upright"}], "x": more}))
        assert [pose["pose"] for pose in sculpture_json(sculpture, tmp_path)["poses"]] == shown


class Printing:
    """A host that has been printing for 100 s since the resume."""

    def progress(self) -> dict[str, float | None]:
        return {"progress": 0.25, "print_seconds": 100.0, "print_seconds_left": 300.0}


def test_the_queue_shows_what_prints_what_waits_and_what_ended_lately(sculpture: Sculpture) -> None:
    ended = [QueueItem.create(sculpture=sculpture, state="done", position=0) for _ in range(RECENT + 3)]
    later = QueueItem.create(sculpture=sculpture, position=1)
    next_ = QueueItem.create(sculpture=sculpture, position=0)
    paused = QueueItem.create(sculpture=sculpture, state="paused", position=0)
    rows = queue_json(Printing(), seconds_before=40.0)
    assert [row["id"] for row in rows] == [paused.id, next_.id, later.id, *(item.id for item in ended[: -RECENT - 1 : -1])]
    assert [row["progress"] for row in rows[:4]] == [0.25, 0.0, 0.0, 1.0]


def test_a_print_that_goes_on_counts_the_time_before_its_interruption(sculpture: Sculpture) -> None:
    QueueItem.create(sculpture=sculpture, state="printing", position=0)
    QueueItem.create(sculpture=sculpture, position=0)
    running, waiting = queue_json(Printing(), seconds_before=40.0)
    assert (running["print_seconds"], running["print_seconds_left"], running["seconds_before"]) == (140.0, 300.0, 40.0)
    assert (waiting["print_seconds"], waiting["seconds_before"]) == (None, 0.0)


def test_what_was_printed_keeps_its_own_plan(sculpture: Sculpture) -> None:
    sculpture.estimates = {"seconds": 7200}
    sculpture.save()
    QueueItem.create(sculpture=sculpture, position=0)
    QueueItem.create(sculpture=sculpture, state="done", position=0, plan={"seconds": 3600})
    assert [row["seconds"] for row in queue_json(Printing())] == [7200, 3600]
