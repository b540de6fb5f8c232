"""Whose fault a refusal is, by its HTTP status."""

from __future__ import annotations

import errno
import logging

import flask
import pytest
from peewee import OperationalError

from octoprint_facesculpt.api import FaceSculptApi
from octoprint_facesculpt.assets import AssetError
from octoprint_facesculpt.bodies import RequestError
from octoprint_facesculpt.errors import FaceSculptError
from octoprint_facesculpt.jobs.runner import JobError
from octoprint_facesculpt.printing.queue import QueueError
from octoprint_facesculpt.recovery.errors import RecoveryError
from octoprint_facesculpt.refusals import status_of
from octoprint_facesculpt.slicing.engine import BAD_INPUT, SlicingError
from octoprint_facesculpt.store import StoreError


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        (StoreError, "database_unreadable", 503), (StoreError, "database_newer", 503),
        (SlicingError, "engine_missing", 503), (SlicingError, "engine_version", 503), (SlicingError, "disk_full", 507),
        (SlicingError, "output_unwritable", 507), (SlicingError, "gcode_too_hot", 500), (SlicingError, "slicer_failed", 500),
        (AssetError, "asset_missing", 503), (AssetError, "disk_full", 507),
        (JobError, "crashed", 500), (JobError, "timed_out", 503), (JobError, "out_of_memory", 503),
        (JobError, "layers_busy", 503), (JobError, "internal_error", 500),
        (SlicingError, "profile_invalid", 400), (SlicingError, "profile_unknown", 404),
        (SlicingError, "profile_protected", 409),
        (JobError, "layer_unknown", 404), (SlicingError, "index_invalid", 409),
        (QueueError, "busy", 409), (RecoveryError, "state_changed", 409), (RequestError, "bad_request", 400),
    ],
)  # fmt: skip
def test_every_code_says_whose_fault_it_is(kind: type[FaceSculptError], code: str, status: int) -> None:
    assert status_of(kind(code, "It is so.")) == status


@pytest.mark.parametrize("code", sorted(BAD_INPUT - {"output_unwritable"}))
def test_what_a_client_did_wrong_is_not_the_machines_fault(code: str) -> None:
    assert status_of(SlicingError(code, "It is so.")) < 500


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 507, "disk_full"),
        (PermissionError(errno.EACCES, "Permission denied"), 507, "output_unwritable"),
        (OperationalError("database or disk is full"), 507, "disk_full"),
        (OperationalError("database is locked"), 503, "database_unreadable"),
        (LookupError("a fault of ours"), 500, "internal_error"),
        (StoreError("database_newer", "It is newer."), 503, "database_newer"),
    ],
)
def test_what_nobody_expected_is_answered_in_json_and_logged(
    fault: Exception, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    api = FaceSculptApi()
    api._logger = logging.getLogger("api")
    with flask.Flask("test").test_request_context("/queue", method="POST"):
        answer = api.on_fault(fault)
    assert (answer.status_code, answer.json["error"]["code"]) == (status, code) and answer.json["error"]["hint"] is not None
    assert "POST /queue" in caplog.text
    if code == "internal_error":
        assert "a fault of ours" not in answer.get_data(as_text=True) and "a fault of ours" in caplog.text
