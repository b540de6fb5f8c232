"""Who may wait for a child, and what the others are told."""

from __future__ import annotations

import inspect
import threading
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import flask
import pytest

from octoprint_facesculpt import api_profiles
from octoprint_facesculpt.api_profiles import ProfileRoutes
from octoprint_facesculpt.api_recovery import RecoveryApi
from octoprint_facesculpt.jobs.places import Places
from octoprint_facesculpt.jobs.runner import JobError
from octoprint_facesculpt.refusals import status_of


def test_a_place_is_free_again_whatever_happened_in_it() -> None:
    places = Places(2, "layers_busy", "Busy.")
    with places.taken(), places.taken(), pytest.raises(JobError) as refused, places.taken():
        pass
    assert refused.value.code == "layers_busy" and refused.value.hint and status_of(refused.value) == 503
    with pytest.raises(LookupError), places.taken():
        raise LookupError
    with places.taken(), places.taken():
        pass


class Waiting:
    """Something that takes until it is told to end."""

    def __init__(self) -> None:
        self.going, self.done = threading.Event(), threading.Event()

    def __call__(self, *_: Any, **__: Any) -> Any:
        self.going.set()
        self.done.wait(30)
        raise JobError("crashed", "It has taken long enough.")


def answered(request: Any) -> str:
    with pytest.raises(JobError) as error:
        request()
    assert error.value.code == "crashed" or status_of(error.value) == 503
    return error.value.code


def busy(request: Any, others: tuple[Any, ...], slow: Waiting) -> set[str]:
    """What others are told while a request waits for its child; afterwards it is their turn."""
    told: list[str] = []
    first = threading.Thread(target=lambda: told.append(answered(request)))
    first.start()
    assert slow.going.wait(30)
    codes = {answered(other) for other in (request, *others)}
    slow.done.set()
    first.join(30)
    assert told == [answered(request)] == ["crashed"]
    return codes


def test_one_profile_at_a_time_is_read_or_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An import may take two minutes, and OctoPrint answers all requests with a handful of threads."""
    slow = Waiting()
    monkeypatch.setattr(api_profiles, "run", slow)
    uploaded = tmp_path / "profile.ini"
    uploaded.write_text("")
    routes = MagicMock()
    routes._settings.global_get = lambda path: path[-1].removesuffix("Suffix")
    routes.get_plugin_data_folder = lambda: str(tmp_path)
    routes._read_foreign = lambda *given: ProfileRoutes._read_foreign(routes, *given)
    routes._shelf("prusaslicer").copy = routes._shelf("prusaslicer").change = slow
    app = flask.Flask("test")

    def post() -> Any:
        fields = {"profile.path": str(uploaded), "profile.name": "a.ini"}
        with app.test_request_context(data=fields, method="POST"):
            return inspect.unwrap(ProfileRoutes.api_import_profile)(routes)

    def copy() -> Any:
        with app.test_request_context(json={"name": "a"}, method="POST"):
            return inspect.unwrap(ProfileRoutes.api_copy_profile)(routes, "prusaslicer", "bust_016")

    def change() -> Any:
        with app.test_request_context(json={"settings": {}}, method="PUT"):
            return inspect.unwrap(ProfileRoutes.api_change_profile)(routes, "prusaslicer", "mine")

    assert busy(post, (copy, change), slow) == {"profiles_busy"}


def test_one_resume_at_a_time_is_written() -> None:
    slow = Waiting()
    routes = MagicMock()
    routes.recovery.export = slow
    assert busy(lambda: RecoveryApi.resume_file(routes, versioned=False), (), slow) == {"export_busy"}
