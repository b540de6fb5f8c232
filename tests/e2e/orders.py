"""What a client of the REST interface does: upload a photo, order a sculpture, wait for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import requests

from .server import OctoPrintServer, wait_for

#: The smallest and coarsest order: what is tested is the way, not the bust.
ORDER = {"settings": {"height_mm": 40, "style": "bust"}, "slicing": {"profile": "bust_028"}}


def upload(server: OctoPrintServer, file: Path) -> dict[str, Any]:
    """Upload a photo and wait until it is checked."""
    with file.open("rb") as source:
        answer = server.post("/plugin/facesculpt/photos", files={"photo": (file.name, source)})
    assert answer.status_code == 201, answer.text
    return checked(server, answer.json()["photo"]["id"])


def checked(server: OctoPrintServer, identifier: str) -> dict[str, Any]:
    """A photo once it is not being checked any more."""

    def done() -> dict[str, Any] | None:
        photo = server.get(f"/plugin/facesculpt/photos/{identifier}").json()["photo"]
        return None if photo["state"] == "checking" else photo

    return wait_for(done, 300, "the photo's check")


def create(server: OctoPrintServer, photo: dict[str, Any], **order: Any) -> dict[str, Any]:
    """Order a small sculpture of a photo."""
    answer = server.post("/plugin/facesculpt/sculptures", json={"photo": photo["id"], **ORDER, **order})
    assert answer.status_code == 202, answer.text
    return answer.json()["sculpture"]


def look(server: OctoPrintServer, sculpture: dict[str, Any]) -> dict[str, Any]:
    """A sculpture as it is now."""
    return server.get(f"/plugin/facesculpt/sculptures/{sculpture['id']}").json()["sculpture"]


def finished(server: OctoPrintServer, sculpture: dict[str, Any], timeout: float = 900) -> dict[str, Any]:
    """A sculpture once nothing works on it any more."""

    def done() -> dict[str, Any] | None:
        now = look(server, sculpture)
        return None if now["state"] in ("waiting", "working") else now

    return wait_for(done, timeout, "the sculpture")


def at_stage(server: OctoPrintServer, sculpture: dict[str, Any], index: int) -> dict[str, Any]:
    """A sculpture as soon as its stage of this index is running."""

    def running() -> dict[str, Any] | None:
        now = look(server, sculpture)
        assert now["state"] in ("waiting", "working"), now
        return now if now["stages"][index]["state"] == "running" else None

    return wait_for(running, 900, f"stage {index} to run", pause=0.05)


def refusal(answer: requests.Response) -> tuple[int, str]:
    """Status and code of a refusal, which always has a message, too."""
    assert answer.headers["Content-Type"].startswith("application/json"), answer.text[:200]
    error = answer.json()["error"]
    assert error.keys() == {"code", "message", "hint"} and error["message"]
    assert "Traceback" not in answer.text
    return answer.status_code, error["code"]
