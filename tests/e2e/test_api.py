"""The REST interface among strangers: what is answered to what makes no sense."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from PIL import Image

from .orders import checked, create, finished, refusal, upload
from .pushes import Pushes
from .server import OctoPrintServer, wait_for

BASE = "/plugin/facesculpt"
NOBODY = "0" * 32


# -- what is uploaded


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (320, 320), (90, 120, 150)).save(buffer, "JPEG")
    return buffer.getvalue()


def bomb() -> bytes:
    """A small PNG of 900 million pixels."""
    buffer = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(buffer, "PNG")
    return buffer.getvalue()


BAD_PHOTOS: dict[str, tuple[Callable[[], bytes], set[str]]] = {
    "empty": (lambda: b"", {"unreadable_image", "unsupported_format"}),
    "text": (lambda: b"#!/bin/sh\necho no\n" * 50, {"unsupported_format"}),
    "svg": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>', {"unsupported_format"}),
    "truncated": (lambda: jpeg()[:700], {"unreadable_image"}),
    "bomb": (bomb, {"image_too_large"}),
    "faceless": (jpeg, {"no_face"}),
}


def test_what_is_no_portrait_fails_with_a_code(server: OctoPrintServer) -> None:
    photos = {}
    for name, (content, _) in BAD_PHOTOS.items():
        answer = server.post(f"{BASE}/photos", files={"photo": (f"{name}.jpg", content())})
        assert answer.status_code == 201, answer.text
        photos[name] = answer.json()["photo"]["id"]
    for name, (_, codes) in BAD_PHOTOS.items():
        photo = checked(server, photos[name])
        assert photo["state"] == "failed" and photo["error"]["code"] in codes, photo
        assert photo["error"]["message"] and photo["error"]["hint"]
        order = server.post(f"{BASE}/sculptures", json={"photo": photos[name]})
        assert refusal(order) == (409, "photo_not_ready")
        assert server.request("DELETE", f"{BASE}/photos/{photos[name]}").status_code == 204


def test_a_photo_above_the_limit_is_refused(server: OctoPrintServer) -> None:
    limit = server.get(f"{BASE}/status").json()["limits"]["photo_bytes"]
    answer = server.post(f"{BASE}/photos", files={"photo": ("big.jpg", bytes(limit + 1))})
    assert refusal(answer) == (413, "photo_too_large")


@pytest.mark.parametrize(("path", "size"), [("/photos", 64 << 20), ("/sculptures", 2 << 20)])
def test_a_body_beyond_all_bounds_is_cut_off(server: OctoPrintServer, path: str, size: int) -> None:
    """OctoPrint ends the connection without reading on; the server lives."""
    try:
        answer = server.post(BASE + path, files={"photo": ("huge.jpg", bytes(size))})
        assert answer.status_code in (400, 413)
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
        pass
    assert server.get(f"{BASE}/status").ok


@pytest.mark.parametrize(
    "arguments",
    [
        {"files": {"other": ("a.jpg", b"x")}},
        {"json": {"photo": "a.jpg"}},
        {"data": {"photo": "a.jpg"}},
    ],
)
def test_a_request_without_a_photo_is_refused(server: OctoPrintServer, arguments: dict[str, Any]) -> None:
    answer = server.request("POST", f"{BASE}/photos", **arguments)
    assert refusal(answer) == (400, "no_file")


@pytest.mark.parametrize("where", ["params", "data"])
def test_no_file_of_the_server_can_be_named_as_the_upload(server: OctoPrintServer, tmp_path: Path, where: str) -> None:
    """OctoPrint hands uploads on as ``photo.path``; a client must not be able to say that itself."""
    treasure = tmp_path / "treasure.jpg"
    treasure.write_bytes(jpeg())
    fields = {"photo.path": str(treasure), "photo.name": "mine.jpg"}
    answer = server.request("POST", f"{BASE}/photos", **{where: fields})
    assert answer.status_code == 400
    assert treasure.read_bytes() == jpeg()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../../../etc/passwd", "passwd"),
        ("/etc/shadow.jpg", "shadow.jpg"),
        ("..", ".."),
        ("Großmutter 1962.jpg", "Großmutter 1962.jpg"),
        (
            "\N{WOMAN}\u200d\N{EMOJI COMPONENT RED HAIR} سيدة\u202egpj.jpg",
            "\N{WOMAN}\u200d\N{EMOJI COMPONENT RED HAIR} سيدةgpj.jpg",
        ),
        ("<img src=x onerror=alert(1)>.jpg", "<img src=x onerror=alert(1)>.jpg"),
        ("n" * 300 + ".jpg", "n" * 80),
    ],
)
def test_a_files_name_is_a_name_and_no_path(server: OctoPrintServer, given: str, kept: str) -> None:
    answer = server.post(f"{BASE}/photos", files={"photo": (given, b"no picture")})
    assert answer.status_code == 201, answer.text
    photo = answer.json()["photo"]
    assert photo["name"] == kept
    folder = server.base / "data" / "facesculpt" / "photos" / photo["id"]
    assert (folder / "original").read_bytes() == b"no picture"
    assert server.request("DELETE", f"{BASE}/photos/{photo['id']}?forever=true").status_code == 204
    wait_for(lambda: not folder.exists(), 30, "the photo's folder to go")


# -- what is asked for

SCULPTURE = "/sculptures"
DEEP = "[" * 40_000 + "]" * 40_000


@pytest.mark.parametrize(
    ("path", "body"),
    [
        *((path, raw) for path in (SCULPTURE, "/queue") for raw in ("", "null", "[]", '"text"', "{", "NaN", DEEP, '{"a": 1}')),
        (SCULPTURE, "{}"),
        (SCULPTURE, '{"photo": 7}'),
        (SCULPTURE, '{"photo": null}'),
        (SCULPTURE, '{"photo": ["a"]}'),
        (SCULPTURE, '{"photo": "\\u0000"}'),
        (SCULPTURE, json.dumps({"photo": "x" * 1000})),
        ("/queue", '{"sculpture": 1}'),
        ("/queue", '{"sculpture": "x", "print": "yes"}'),
        ("/queue", '{"sculpture": "x", "print": true, "bed_clear": 1}'),
    ],
)
def test_a_body_that_makes_no_sense_is_refused(server: OctoPrintServer, path: str, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = server.request("POST", BASE + path, data=body, headers=headers)
    assert refusal(answer) == (400, "bad_request")


@pytest.mark.parametrize(
    "order",
    [
        '"face": -1', '"face": 1', '"face": 0.5', '"face": true', '"face": "0"', '"face": 1e400', '"face": NaN',
        f'"face": {10**400}',
        '"others": {}', '"others": [1]', '"others": [{}]', '"others": [{"photo": 7}]', '"others": [{"photo": "x", "side": 1}]',
        f'"others": {json.dumps([{"photo": "x"}] * 8)}',
        '"name": ""', '"name": "  "', '"name": 5', '"name": null', '"name": "a\\nb"', f'"name": "{"n" * 81}"',
        '"settings": []', '"settings": {"colour": "red"}',
        '"settings": {"height_mm": 19}', '"settings": {"height_mm": 401}', '"settings": {"height_mm": "100"}',
        '"settings": {"detail": 1.6}', '"settings": {"hair": 1}', '"settings": {"hair": "yes"}',
        '"settings": {"expression": 1.01}', '"settings": {"expression": "0"}',
        '"settings": {"height_mm": NaN}', '"settings": {"height_mm": Infinity}', '"settings": {"height_mm": true}',
        f'"settings": {{"height_mm": {10**400}}}',
        '"settings": {"style": "relief"}', '"settings": {"style": 1}', '"settings": {"style": []}',
        '"slicing": "fast"', '"slicing": {"engine": "cura"}', '"slicing": {"engine": ["prusaslicer"]}',
        '"slicing": {"profile": "../../etc/passwd"}', '"slicing": {"profile": {}}', '"slicing": {"speed": 9}',
        '"slicing": {"target": {"kind": "weeks", "value": 1}}', '"slicing": {"target": {"kind": "hours"}}',
        '"slicing": {"target": {"kind": "hours", "value": NaN}}', '"slicing": {"target": {"kind": "grams", "value": -1}}',
        '"slicing": {"target": []}', '"slicing": {"face_care": "much"}', '"slicing": {"printer": "nobody"}',
        '"slicing": {"filament_left_g": -5}', '"slicing": {"filament_left_g": "240"}',
        '"slicing": {"overrides": []}', '"slicing": {"overrides": {"fill density": "5%"}}',
        '"slicing": {"overrides": {"--output": "/x"}}', '"slicing": {"overrides": {"fill_density": null}}',
        '"slicing": {"overrides": {"fill_density": {}}}', '"slicing": {"overrides": {"fill_density": "5%\\nx = 1"}}',
        '"slicing": {"overrides": {"fill_density": NaN}}', '"slicing": {"overrides": {"fill_density": true}}',
        f'"slicing": {{"overrides": {json.dumps({f"key{i}": 1 for i in range(31)})}}}',
    ],
)  # fmt: skip
def test_an_impossible_order_is_refused(server: OctoPrintServer, photo: dict[str, Any], order: str) -> None:
    body = f'{{"photo": "{photo["id"]}", {order}}}'
    headers = {"Content-Type": "application/json"}
    answer = server.request("POST", BASE + SCULPTURE, data=body, headers=headers)
    assert refusal(answer) == (400, "bad_request")


def test_a_mask_lies_and_has_its_own_profile_unless_told(server: OctoPrintServer, photo: dict[str, Any]) -> None:
    def ordered(settings: dict[str, Any], slicing: dict[str, Any]) -> tuple[str, str]:
        made = server.post(BASE + SCULPTURE, json={"photo": photo["id"], "settings": settings, "slicing": slicing})
        order = made.json()["sculpture"]
        server.post(f"{BASE}{SCULPTURE}/{order['id']}/cancel")
        server.request("DELETE", f"{BASE}{SCULPTURE}/{order['id']}")
        return order["settings"]["orientation"], order["slicing"]["profile"]

    assert ordered({"style": "mask"}, {}) == ("lying", "mask")
    assert ordered({"style": "mask", "orientation": "auto"}, {"profile": "bust_028"}) == ("auto", "bust_028")
    tilted = {"photo": photo["id"], "settings": {"style": "mask", "orientation": "tilt_10"}}
    assert refusal(server.post(BASE + SCULPTURE, json=tilted)) == (400, "bad_request")


def test_poses_that_were_compared_of_a_bust_are_not_shown_of_its_mask(server: OctoPrintServer, photo: dict[str, Any]) -> None:
    order = create(server, photo)
    address = f"{BASE}{SCULPTURE}/{order['id']}"
    server.post(f"{address}/cancel")
    assert finished(server, order)["state"] == "cancelled"
    folder = server.base / "data" / "facesculpt" / "sculptures" / order["id"]
    # It may have been cancelled before the work began.
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "orientations.json").write_text('{"orientations": [{"pose": "upright"}]}')
    (folder / "pose_upright.png").write_bytes(b"picture")
    for settings, shown in (({"height_mm": 50}, 1), ({"style": "mask"}, 0)):
        again = server.post(f"{address}/plan", json={"settings": settings})
        assert again.status_code == 202 and len(again.json()["sculpture"]["poses"]) == shown
        server.post(f"{address}/cancel")
        assert finished(server, order)["state"] == "cancelled"
    server.request("DELETE", address)


def test_further_photos_are_there_and_others_than_the_first(server: OctoPrintServer, photo: dict[str, Any]) -> None:
    twice = server.post(BASE + SCULPTURE, json={"photo": photo["id"], "others": [{"photo": photo["id"]}]})
    assert refusal(twice) == (400, "bad_request")
    unknown = server.post(BASE + SCULPTURE, json={"photo": photo["id"], "others": [{"photo": NOBODY}]})
    assert refusal(unknown) == (404, "not_found")


@pytest.mark.parametrize("identifier", [NOBODY, "1", "' OR 1=1 --", "%00", "%2e%2e", "..%2f..", "\N{PILE OF POO}", "x" * 3000])
def test_what_does_not_exist_is_not_found(server: OctoPrintServer, identifier: str) -> None:
    for method, path in (
        ("GET", "/photos/{}"), ("DELETE", "/photos/{}"), ("POST", "/photos/{}/restore"), ("GET", "/photos/{}/image"),
        ("GET", "/sculptures/{}"), ("DELETE", "/sculptures/{}"), ("POST", "/sculptures/{}/restore"),
        ("POST", "/sculptures/{}/cancel"), ("POST", "/sculptures/{}/retry"), ("GET", "/sculptures/{}/files/bust.stl"),
    ):  # fmt: skip
        answer = server.request(method, BASE + path.format(identifier))
        assert answer.status_code == 404 and "error" in answer.json(), path


@pytest.mark.parametrize("number", ["0", "999999", str(2**63), "9" * 400])
def test_a_queues_number_may_be_any(server: OctoPrintServer, number: str) -> None:
    assert refusal(server.post(f"{BASE}/queue/{number}/print", json={"bed_clear": True})) == (404, "not_found")
    assert refusal(server.post(f"{BASE}/queue/{number}/move", json={"position": 0})) == (404, "not_found")
    assert refusal(server.request("DELETE", f"{BASE}/queue/{number}")) == (404, "not_found")
    assert refusal(server.post(f"{BASE}/queue/{number}/restore")) == (404, "not_found")


@pytest.mark.parametrize("number", ["-1", "x", "1.5", "1e3"])
def test_a_queues_number_must_be_one(server: OctoPrintServer, number: str) -> None:
    answer = server.request("DELETE", f"{BASE}/queue/{number}")
    assert answer.status_code == 404 and answer.json()["error"]


def test_what_is_not_there_or_stays_as_it_is_has_its_own_status(server: OctoPrintServer) -> None:
    assert refusal(server.get(f"{BASE}/slicing/profiles/prusaslicer/nobody")) == (404, "profile_unknown")
    assert refusal(server.request("DELETE", f"{BASE}/slicing/profiles/prusaslicer/bust_016")) == (409, "profile_protected")


def test_a_wrong_method_or_path_is_answered_in_json(server: OctoPrintServer) -> None:
    for method, path, status in (("PUT", "/photos", 405), ("GET", "/nowhere", 404), ("DELETE", "/status", 405)):
        answer = server.request(method, BASE + path)
        assert answer.status_code == status and answer.json()["error"]


def test_the_administrator_may_fetch_the_model_files(server: OctoPrintServer, pushes: Pushes) -> None:
    """They are all there, so that there is nothing to fetch, and dashboards are told so."""
    assert server.post(f"{BASE}/assets/fetch").status_code == 202
    last = wait_for(lambda: [told for told in pushes.plugin("assets") if told["done"]], 30, "the fetch")[-1]
    assert last == {"done": True, "error": None, "fraction": 1.0}


# -- files, and the queue's rules


@pytest.mark.parametrize(
    "name", ["head.npz", "slice.log", "..%2fastronaut", "%2e%2e%2f%2e%2e%2ffacesculpt.db", ".", "bust.stl%00.png", "BUST.STL"]
)
def test_only_the_named_files_are_given_out(server: OctoPrintServer, sculpture: dict[str, Any], name: str) -> None:
    answer = server.get(f"{BASE}/sculptures/{sculpture['id']}/files/{name}")
    assert answer.status_code == 404 and "error" in answer.json()


def test_portraits_are_given_out_as_private(server: OctoPrintServer, sculpture: dict[str, Any]) -> None:
    picture = server.get("/" + sculpture["files"]["front"])
    assert picture.headers["Cache-Control"].startswith("private")
    # What an address gives that names no version can become another: a print that was sliced anew.
    unnamed = server.get("/" + sculpture["files"]["front"].partition("?")[0])
    assert unnamed.headers["Cache-Control"] == "private, no-cache" and unnamed.content == picture.content
    assert picture.headers["X-Content-Type-Options"] == "nosniff"
    viewer = server.get("/" + sculpture["files"]["viewer"])
    assert viewer.headers["Content-Security-Policy"].startswith("sandbox allow-scripts; default-src 'none'")
    model = server.get("/" + sculpture["files"]["stl"])
    assert model.headers["Content-Disposition"].startswith('attachment; filename="astronaut.stl"')
    assert "Content-Disposition" not in picture.headers and "Expires" not in picture.headers


def test_a_large_file_is_not_held_in_memory(server: OctoPrintServer, photo: dict[str, Any]) -> None:
    """A small computer has no room for a print's G-code beside all else."""
    order = create(server, photo)
    address = f"{BASE}/sculptures/{order['id']}"
    server.post(f"{address}/cancel")
    assert finished(server, order)["state"] == "cancelled"
    file = server.base / "data" / "facesculpt" / "sculptures" / order["id"] / "bust.gcode"
    file.parent.mkdir(parents=True, exist_ok=True)
    size = 96 << 20
    with file.open("wb") as out:
        out.write(b"G28\n")
        out.truncate(size)
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")  # proc(5): the peak is what there is now

    def resident(kind: str) -> int:
        return int(re.search(rf"{kind}:\s+(\d+) kB", Path(f"/proc/{server.pid}/status").read_text())[1]) << 10

    before = resident("VmRSS")
    with server.get(f"{address}/files/bust.gcode", stream=True) as answer:
        assert sum(map(len, answer.iter_content(1 << 20))) == size == int(answer.headers["Content-Length"])
    assert resident("VmHWM") - before < size / 3
    # What was broken off goes on, and what is there already is not sent again.
    rest = server.get(f"{address}/files/bust.gcode", headers={"Range": f"bytes={size - 7}-"})
    assert (rest.status_code, len(rest.content)) == (206, 7)
    again = server.get(f"{address}/files/bust.gcode", headers={"If-None-Match": answer.headers["Etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert server.request("HEAD", f"{address}/files/bust.gcode").headers["Content-Length"] == str(size)
    assert refusal(server.post(f"{address}/files/bust.gcode"))[0] == 405
    server.request("DELETE", f"{address}?forever=true")


def test_files_are_called_after_people_of_any_script(server: OctoPrintServer, photo: dict[str, Any]) -> None:
    order = create(server, photo, name="Łukasz 李")
    address = f"{BASE}/sculptures/{order['id']}"
    server.post(f"{address}/cancel")
    assert finished(server, order)["state"] == "cancelled"
    folder = server.base / "data" / "facesculpt" / "sculptures" / order["id"]
    # It may have been cancelled before the work began.
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bust.stl").write_bytes(b"solid")
    answer = server.get(f"{address}/files/bust.stl")
    assert answer.content == b"solid"
    assert quote("Łukasz 李.stl") in answer.headers["Content-Disposition"]
    assert answer.headers["Content-Disposition"].startswith("attachment")
    server.request("DELETE", address)


def test_octoprints_own_list_shows_the_sculptures_name(server: OctoPrintServer, sculpture: dict[str, Any]) -> None:
    """Its file is called in ASCII, which leaves nothing of many names."""
    shown = server.get(f"/api/files/local/{sculpture['gcode']['path']}").json()["display"]
    assert shown == f"{sculpture['name']}.gcode"


def test_the_queue_keeps_its_rules(server: OctoPrintServer, sculpture: dict[str, Any]) -> None:
    def waiting() -> list[int]:
        queue = server.get(f"{BASE}/queue").json()["queue"]
        return [item["id"] for item in queue if item["state"] == "queued"]

    start = waiting()
    # A refused order to print at once leaves nothing behind.
    body = {"sculpture": sculpture["id"], "print": True}
    assert refusal(server.post(f"{BASE}/queue", json=body)) == (409, "bed_not_clear")
    assert waiting() == start
    items = [server.post(f"{BASE}/queue", json={"sculpture": sculpture["id"]}).json()["id"] for _ in range(3)]
    assert waiting() == [*start, *items]
    assert refusal(server.post(f"{BASE}/sculptures/{sculpture['id']}/plan", json={})) == (409, "queued")
    for clear in ({}, {"bed_clear": False}):
        assert refusal(server.post(f"{BASE}/queue/{items[0]}/print", json=clear)) == (409, "bed_not_clear")
    for position in (-1, 10_001, "first", 0.5, True, None):
        answer = server.post(f"{BASE}/queue/{items[0]}/move", json={"position": position})
        assert refusal(answer) == (400, "bad_request")
    assert server.post(f"{BASE}/queue/{items[2]}/move", json={"position": len(start)}).ok
    assert waiting() == [*start, items[2], items[0], items[1]]
    for item in items:
        assert server.request("DELETE", f"{BASE}/queue/{item}").status_code == 204
    assert waiting() == start
    # Undone in another order, each in its place.
    for item in (items[0], items[2]):
        assert server.post(f"{BASE}/queue/{item}/restore").status_code == 204
    assert sorted(waiting()) == sorted([*start, items[0], items[2]])
    for item in (items[0], items[2]):
        assert server.request("DELETE", f"{BASE}/queue/{item}").status_code == 204


def test_a_deleted_sculpture_is_gone_everywhere_and_comes_back(server: OctoPrintServer, sculpture: dict[str, Any]) -> None:
    address, gcode = f"{BASE}/sculptures/{sculpture['id']}", f"/api/files/local/{sculpture['gcode']['path']}"
    item = server.post(f"{BASE}/queue", json={"sculpture": sculpture["id"]}).json()["id"]
    analysis = server.get(gcode).json()["gcodeAnalysis"]
    assert server.request("DELETE", address).status_code == 204
    gone = [
        address, f"{address}/files/bust.stl", f"{address}/files/front.png", f"{address}/files/bust.gcode",
        f"{address}/layers", f"{address}/layers/0.png",
    ]  # fmt: skip
    assert [server.get(path).status_code for path in (*gone, gcode)] == [404] * 7
    assert item not in [row["id"] for row in server.get(f"{BASE}/queue").json()["queue"]]
    assert sculpture["id"] not in [row["id"] for row in server.get(f"{BASE}/deleted").json()["deleted"][1:]]
    newest = server.get(f"{BASE}/deleted").json()["deleted"][0]
    assert (newest["kind"], newest["id"], newest["name"]) == ("sculptures", sculpture["id"], sculpture["name"])
    assert refusal(server.post(f"{BASE}/queue/{item}/restore")) == (409, "restore_first")
    for _ in range(2):
        assert server.post(f"{address}/restore").status_code == 204
    assert server.get(address).json()["sculpture"] == sculpture
    # OctoPrint writes that down a moment later.
    wait_for(lambda: server.get(gcode).json().get("gcodeAnalysis") == analysis, 30, "the analysis of the G-code")
    assert item in [row["id"] for row in server.get(f"{BASE}/queue").json()["queue"]]
    assert server.request("DELETE", f"{BASE}/queue/{item}?forever=true").status_code == 204
    assert refusal(server.post(f"{BASE}/queue/{item}/restore")) == (404, "not_found")


def test_nothing_is_cancelled_or_tried_again_that_is_done(server: OctoPrintServer, sculpture: dict[str, Any]) -> None:
    assert refusal(server.post(f"{BASE}/sculptures/{sculpture['id']}/cancel")) == (409, "not_running")
    assert refusal(server.post(f"{BASE}/sculptures/{sculpture['id']}/retry")) == (409, "not_stopped")


def test_the_log_has_no_traceback_of_all_this(server: OctoPrintServer, astronaut: Path) -> None:
    assert upload(server, astronaut)["state"] == "ready"
    assert [record for record in server.complaints() if "Traceback" in record or "Exception" in record] == []


def test_gcode_that_is_moved_in_octoprints_file_manager_is_found_again(
    server: OctoPrintServer, sculpture: dict[str, Any]
) -> None:
    address, path = f"{BASE}/sculptures/{sculpture['id']}", sculpture["gcode"]["path"]

    def move(source: str, destination: str) -> None:
        body = {"command": "move", "destination": destination}
        server.post(f"/api/files/local/{source}", json=body).raise_for_status()

        def followed() -> bool:
            return server.get(address).json()["sculpture"]["gcode"]["path"] == destination

        wait_for(followed, 20, "the sculpture to follow its file")

    move(path, "for_mum.gcode")
    move("for_mum.gcode", path)
