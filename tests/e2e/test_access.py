"""The REST interface: who may ask."""

from __future__ import annotations

import pytest
import requests

from .orders import refusal
from .server import PASSWORD, USER, OctoPrintServer

BASE = "/plugin/facesculpt"
NOBODY = "0" * 32
#: Every route, and the permission it asks for.
ROUTES = [
    ("GET", "/status", "VIEW"),
    ("GET", "/photos", "VIEW"),
    ("POST", "/photos", "CREATE"),
    ("GET", f"/photos/{NOBODY}", "VIEW"),
    ("DELETE", f"/photos/{NOBODY}", "CREATE"),
    ("POST", f"/photos/{NOBODY}/restore", "CREATE"),
    ("GET", f"/photos/{NOBODY}/image", "VIEW"),
    ("GET", "/sculptures", "VIEW"),
    ("POST", "/sculptures", "CREATE"),
    ("GET", f"/sculptures/{NOBODY}", "VIEW"),
    ("DELETE", f"/sculptures/{NOBODY}", "CREATE"),
    ("POST", f"/sculptures/{NOBODY}/restore", "CREATE"),
    ("POST", f"/sculptures/{NOBODY}/cancel", "CREATE"),
    ("POST", f"/sculptures/{NOBODY}/retry", "CREATE"),
    ("POST", f"/sculptures/{NOBODY}/plan", "CREATE"),
    ("GET", f"/sculptures/{NOBODY}/files/bust.stl", "VIEW"),
    ("GET", f"/sculptures/{NOBODY}/layers", "VIEW"),
    ("GET", f"/sculptures/{NOBODY}/layers/0.png", "VIEW"),
    ("GET", "/queue", "VIEW"),
    ("POST", "/queue", "PRINT"),
    ("POST", "/queue/1/print", "PRINT"),
    ("POST", "/queue/1/move", "PRINT"),
    ("DELETE", "/queue/1", "PRINT"),
    ("POST", "/queue/1/restore", "PRINT"),
    ("GET", "/deleted", "VIEW"),
    ("GET", "/slicing/profiles", "VIEW"),
    ("POST", "/slicing/profiles", "ADMIN"),
    ("GET", "/slicing/profiles/prusaslicer/bust_016", "VIEW"),
    ("POST", "/slicing/profiles/prusaslicer/bust_016/copy", "ADMIN"),
    ("PUT", "/slicing/profiles/prusaslicer/bust_016", "ADMIN"),
    ("DELETE", "/slicing/profiles/prusaslicer/bust_016", "ADMIN"),
    ("POST", "/assets/fetch", "ADMIN"),
    ("POST", "/leftovers", "CREATE"),
]
CHANGING = [(method, path) for method, path, _ in ROUTES if method != "GET"]


def user_key(server: OctoPrintServer, name: str, permissions: list[str]) -> str:
    """A user with these permissions and no group that has more; the API key."""
    body = {"name": name, "password": PASSWORD, "active": True, "groups": [], "permissions": permissions}
    assert server.post("/api/access/users", json=body).ok
    answer = server.post(f"/api/access/users/{name}/apikey")
    assert answer.ok, answer.text
    return answer.json()["apikey"]


@pytest.fixture(scope="module")
def keys(server: OctoPrintServer) -> dict[str, str]:
    """Users who may do exactly one thing each, and one who may do nothing of ours."""
    answer = server.request("PUT", "/api/access/groups/users", json={"permissions": ["STATUS"]})
    assert answer.ok, answer.text
    may = {name: [f"PLUGIN_FACESCULPT_{name}"] for name in ("VIEW", "CREATE", "PRINT", "ADMIN")}
    return {name: user_key(server, f"only{name.lower()}", permissions) for name, permissions in {**may, "NONE": []}.items()}


@pytest.mark.parametrize(("method", "path", "permission"), ROUTES)
def test_only_who_has_the_permission_gets_in(
    server: OctoPrintServer, keys: dict[str, str], method: str, path: str, permission: str
) -> None:
    for name, key in keys.items():
        answer = server.request(method, BASE + path, headers={"X-Api-Key": key}, json={"x": 1})
        if name != permission:
            assert refusal(answer) == (403, "forbidden"), name
        elif permission != "ADMIN":
            assert answer.status_code != 403, name


@pytest.mark.parametrize(("method", "path", "_permission"), ROUTES)
def test_strangers_get_nothing(server: OctoPrintServer, method: str, path: str, _permission: str) -> None:
    answer = requests.request(method, server.url + BASE + path, json={} if method == "POST" else None, timeout=30)
    # What would change something is refused before it is asked who that is: it has no CSRF token either.
    assert refusal(answer) == ((403, "forbidden") if method == "GET" else (400, "bad_request"))


def test_a_wrong_api_key_gets_nothing(server: OctoPrintServer) -> None:
    assert server.get(f"{BASE}/status", headers={"X-Api-Key": NOBODY}).status_code == 403


def test_an_api_key_works_in_both_headers(server: OctoPrintServer) -> None:
    assert server.get(f"{BASE}/status").ok
    bearer = {"Authorization": f"Bearer {server.api_key}"}
    assert requests.get(f"{server.url}{BASE}/status", headers=bearer, timeout=30).ok


@pytest.mark.parametrize(("method", "path"), CHANGING)
def test_a_browsers_session_needs_the_csrf_token(
    server: OctoPrintServer, session: requests.Session, method: str, path: str
) -> None:
    answer = session.request(method, server.url + BASE + path, json={"x": 1}, timeout=30)
    assert refusal(answer) == (400, "bad_request") and "CSRF" in answer.text


def test_with_the_token_the_session_may(server: OctoPrintServer, session: requests.Session) -> None:
    answer = session.post(f"{server.url}{BASE}/queue", json={"x": 1}, headers=token_of(session), timeout=30)
    assert refusal(answer) == (400, "bad_request") and "Unknown fields: x" in answer.text
    assert session.get(f"{server.url}{BASE}/status", timeout=30).ok


@pytest.fixture(scope="module")
def session(server: OctoPrintServer) -> requests.Session:
    """A browser's session: cookies instead of an API key."""
    session = requests.Session()
    session.get(server.url, timeout=60)
    login = {"user": USER, "pass": PASSWORD}
    answer = session.post(f"{server.url}/api/login", json=login, headers=token_of(session), timeout=30)
    assert answer.ok, answer.text
    return session


def token_of(session: requests.Session) -> dict[str, str]:
    """The header with which OctoPrint's pages prove that a request is theirs."""
    return {"X-CSRF-Token": next(value for name, value in session.cookies.items() if name.startswith("csrf_token"))}
