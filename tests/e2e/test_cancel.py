"""Work can be stopped at every moment: nothing goes on behind the user's back, and nothing finished is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .orders import at_stage, create, finished, upload
from .processes import wait_until_gone, workers
from .pushes import Pushes
from .server import OctoPrintServer, wait_for

BASE = "/plugin/facesculpt"


def test_cancel_at_each_stage_and_go_on_from_there(server: OctoPrintServer, photo: dict[str, Any]) -> None:
    """The name is meant for a path, too; it must not become one."""
    sculpture = create(server, photo, name="../../../Ä evil <b>")
    for index, stage in enumerate(("reconstruct", "sculpt", "slice")):
        at_stage(server, sculpture, index)
        if stage == "slice":
            wait_for(lambda: any("prusa-slicer" in p.name() for p in workers(server.base)), 60, "the slicer", pause=0.05)
        wait_for(lambda: workers(server.base), 60, "somebody at work", pause=0.05)
        assert server.post(f"{BASE}/sculptures/{sculpture['id']}/cancel").status_code < 300
        stopped = finished(server, sculpture, timeout=60)
        assert stopped["state"] == "cancelled" and stopped["error"] is None
        states = [s["state"] for s in stopped["stages"]]
        assert states == ["done"] * index + ["cancelled"] * (3 - index)
        wait_until_gone(server.base)
        answer = server.post(f"{BASE}/sculptures/{sculpture['id']}/cancel")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_running")
        assert server.post(f"{BASE}/sculptures/{sculpture['id']}/retry").status_code < 300
    made = finished(server, sculpture)
    assert made["state"] == "ready", made["error"]
    assert made["name"] == "../../../Ä evil <b>"
    stem = "_" * len("../../../Ä ") + "evil__b_"
    assert made["gcode"]["path"] == f"facesculpt/{stem}_{sculpture['id'][:6]}.gcode"
    file = server.base / "uploads" / made["gcode"]["path"]
    assert file.is_file()
    # With the sculpture goes the G-code.
    assert server.request("DELETE", f"{BASE}/sculptures/{sculpture['id']}").status_code == 204
    assert not file.exists()


def test_cancel_before_the_work_begins(server: OctoPrintServer, photo: dict[str, Any]) -> None:
    first, second = create(server, photo), create(server, photo)
    at_stage(server, first, 0)
    for sculpture in (second, first):
        assert server.post(f"{BASE}/sculptures/{sculpture['id']}/cancel").status_code < 300
    for sculpture in (first, second):
        assert finished(server, sculpture, timeout=60)["state"] == "cancelled"
        assert server.request("DELETE", f"{BASE}/sculptures/{sculpture['id']}").status_code == 204
    wait_until_gone(server.base)


def test_delete_while_it_is_worked_on(server: OctoPrintServer, photo: dict[str, Any], pushes: Pushes) -> None:
    sculpture = create(server, photo)
    at_stage(server, sculpture, 0)
    folder = server.base / "data" / "facesculpt" / "sculptures" / sculpture["id"]
    wait_for(folder.is_dir, 30, "the folder to be made")
    # A deletion that is undone leaves it as it was.
    assert server.request("DELETE", f"{BASE}/sculptures/{sculpture['id']}").status_code == 204
    wait_until_gone(server.base)
    assert folder.is_dir()
    assert server.post(f"{BASE}/sculptures/{sculpture['id']}/restore").status_code == 204
    at_stage(server, sculpture, 0)
    lists = len(pushes.plugin("sculptures"))
    assert server.request("DELETE", f"{BASE}/sculptures/{sculpture['id']}?forever=true").status_code == 204
    # What was told before it was deleted may still be on its way: it comes before the message that it is gone.
    wait_for(lambda: len(pushes.plugin("sculptures")) > lists, 30, "the dashboards to be told")
    told = len(pushes.plugin("sculpture"))
    assert server.get(f"{BASE}/sculptures/{sculpture['id']}").status_code == 404
    wait_until_gone(server.base)
    wait_for(lambda: not folder.exists(), 30, "the folder to go")
    # The next one is worked on, and no dashboard is told of the one that is gone.
    following = create(server, photo)
    at_stage(server, following, 0)
    assert sculpture["id"] not in {now["id"] for now in pushes.plugin("sculpture")[told:]}
    assert server.request("DELETE", f"{BASE}/sculptures/{following['id']}").status_code == 204
    wait_until_gone(server.base)


def test_delete_a_photo_while_it_is_checked_or_its_sculpture_made(server: OctoPrintServer, astronaut: Path) -> None:
    with astronaut.open("rb") as source:
        fresh = server.post(f"{BASE}/photos", files={"photo": ("a.jpg", source)}).json()["photo"]
    folder = server.base / "data" / "facesculpt" / "photos" / fresh["id"]
    wait_for(lambda: workers(server.base), 30, "the check", pause=0.05)
    assert server.request("DELETE", f"{BASE}/photos/{fresh['id']}?forever=true").status_code == 204
    wait_until_gone(server.base)
    wait_for(lambda: not folder.exists(), 30, "the folder to go")

    photo = upload(server, astronaut)
    sculpture = create(server, photo)
    at_stage(server, sculpture, 0)
    assert server.request("DELETE", f"{BASE}/photos/{photo['id']}?forever=true").status_code == 204
    for path in (f"/photos/{photo['id']}", f"/photos/{photo['id']}/image", f"/sculptures/{sculpture['id']}"):
        assert server.get(BASE + path).status_code == 404
    wait_until_gone(server.base)
    for kind, identifier in (("photos", photo["id"]), ("sculptures", sculpture["id"])):
        left = server.base / "data" / "facesculpt" / kind / identifier
        wait_for(lambda left=left: not left.exists(), 30, f"{left} to go")
