"""What clients send is taken within its bounds, and refused one step beyond them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
import pytest

from octoprint_facesculpt.bodies import (
    NAME_LIMIT,
    OVERRIDE_LIMIT,
    SETTING_LIMIT,
    RequestError,
    choice,
    flag,
    json_body,
    number,
    objects,
    overrides,
    part,
    print_target,
    setting_changes,
    text,
)


def settings(count: int) -> dict[str, str]:
    return {f"key_{number}": "1" for number in range(count)}


ACCEPTED: list[tuple[Callable[[dict[str, Any]], Any], Any, Any]] = [
    (lambda body: text(body, "x"), " Mum ", "Mum"),
    (lambda body: text(body, "x"), "m" * NAME_LIMIT, "m" * NAME_LIMIT),
    # Persian words and emoji of several parts hold characters that join; what is copied from elsewhere brings odd spaces.
    (lambda body: text(body, "x"), "👩\u200d🦰 می\u200cخواهم", "👩\u200d🦰 می\u200cخواهم"),
    (lambda body: text(body, "x"), "\u200eMum\u00a0and\u2009Dad\u200f", "Mum and Dad"),
    (lambda body: number(body, "x", 0, 20, 400), 20, 20),
    (lambda body: number(body, "x", 0, 20, 400), 400.0, 400.0),
    (lambda body: number(body, "x", 0, 20, 400, whole=True), 21, 21),
    (lambda body: flag(body, "x"), True, True),
    (lambda body: choice(body, "x", ("bust", "mask")), "mask", "mask"),
    (lambda body: part(body, "x", {"a"}), {"a": 1}, {"a": 1}),
    (lambda body: objects(body, "x", {"a"}, 2), [{"a": 1}, {}], [{"a": 1}, {}]),
    (
        lambda body: overrides({"overrides": body["x"]}),
        {"perimeters": 3, "seam": "x" * 200},
        {"perimeters": "3", "seam": "x" * 200},
    ),
    (lambda body: overrides({"overrides": body["x"]}), settings(OVERRIDE_LIMIT), settings(OVERRIDE_LIMIT)),
    (lambda body: setting_changes({"settings": body["x"]}), {"perimeters": None}, {"perimeters": None}),
    (lambda body: setting_changes({"settings": body["x"]}), settings(SETTING_LIMIT), settings(SETTING_LIMIT)),
    (lambda body: print_target({"target": body["x"]}), None, None),
    (
        lambda body: print_target({"target": body["x"]}),
        {"kind": "grams", "value": 20_000, "fixed_height": True},
        {"kind": "grams", "value": 20_000, "fixed_height": True},
    ),
]
REFUSED: list[tuple[Callable[[dict[str, Any]], Any], list[Any]]] = [
    (lambda body: text(body, "x"), ["", "  ", "\u200d", "m" * (NAME_LIMIT + 1), "a\nb", "a\u202egpj", 5, None]),
    (lambda body: number(body, "x", 0, 20, 400), [19.9, 401, float("nan"), float("inf"), "160", None, True, [160]]),
    (lambda body: number(body, "x", 0, 0, 1), [True, False]),
    (lambda body: number(body, "x", 0, 20, 400, whole=True), [20.5, 21.0]),
    (lambda body: flag(body, "x"), [1, 0, "true", None]),
    (lambda body: choice(body, "x", ("bust", "mask")), ["relief", None, 1, ["bust"]]),
    (lambda body: part(body, "x", {"a"}), [[], "a", {"b": 1}, None]),
    (lambda body: objects(body, "x", {"a"}, 2), [{}, [{}, {}, {}], [1], [{"b": 1}]]),
    (
        lambda body: overrides({"overrides": body["x"]}),
        [[], settings(OVERRIDE_LIMIT + 1), {"A": 1}, {"a b": 1}, {"": 1}, {"a" * 81: 1}, {"a": "x" * 201}, {"a": "x\ny"},
         {"a": True}, {"a": None}, {"a": 1e10}, {"a": float("nan")}, {"a": [1]}],
    ),
    (
        lambda body: setting_changes({"settings": body["x"]}),
        [[], settings(SETTING_LIMIT + 1), {"A": "1"}, {"a" * 81: "1"}, {"a": "x" * 20_001}, {"a": "x\ny"}, {"a": 1},
         {"a": True}],
    ),
    (
        lambda body: print_target({"target": body["x"]}),
        [5, {"kind": "metres", "value": 5}, {"kind": "hours"}, {"kind": "hours", "value": 501}, {"kind": "grams", "value": 0.5},
         {"kind": "hours", "value": 26, "more": 1}, {"kind": "hours", "value": 26, "fixed_height": 1}],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("read", "given", "taken"), ACCEPTED)
def test_what_is_possible_is_taken(read: Callable[[dict[str, Any]], Any], given: Any, taken: Any) -> None:
    assert read({"x": given}) == taken


@pytest.mark.parametrize(("read", "given"), [(read, given) for read, all_given in REFUSED for given in all_given])
def test_what_is_not_is_refused(read: Callable[[dict[str, Any]], Any], given: Any) -> None:
    with pytest.raises(RequestError) as refused:
        read({"x": given})
    assert (refused.value.code, refused.value.status) == ("bad_request", 400) and refused.value.message


@pytest.mark.parametrize("sent", ["", "5", "[]", "null", "{", "[" * 100_000, '{"unknown": 1}'])
def test_a_body_is_an_object_with_known_fields(sent: str) -> None:
    app = flask.Flask(__name__)
    sends = app.test_request_context("/", method="POST", data=sent, content_type="application/json")
    with sends, pytest.raises(RequestError, match="bad_request"):
        json_body({"known"})
    with app.test_request_context("/", method="POST", json={"known": 1}):
        assert json_body({"known"}) == {"known": 1}
