"""Lines that are held back, and the deliberate way past."""

from __future__ import annotations

import pytest

from octoprint_facesculpt.desk.guard import KEPT, LineGuard
from octoprint_facesculpt.recovery.errors import RecoveryError

from .conftest import wait_for


class Heard:
    def __init__(self) -> None:
        self.sent: list[str] = []
        self.logged: list[str] = []
        self.told = 0
        self.guard = LineGuard(self.sent.append, self.logged.append, self.tell)

    def tell(self) -> None:
        self.told += 1


def test_line_is_held_explained_and_sent_when_somebody_insists():
    heard = Heard()
    assert heard.guard.hold("G28 Z") and not heard.guard.hold("G28 X Y") and not heard.guard.hold("M105")
    wait_for(lambda: heard.logged and heard.told, "the explanation")
    assert "G28 Z" in heard.logged[0] and "@facesculpt allow G28 Z" in heard.logged[0]
    with pytest.raises(RecoveryError) as refused:
        heard.guard.allow("G28 Z", confirmed=False)
    assert refused.value.code == "not_confirmed"
    with pytest.raises(RecoveryError) as refused:
        heard.guard.allow("G29", confirmed=True)
    assert refused.value.code == "not_held" and heard.sent == []
    heard.guard.allow("G28 Z", confirmed=True)
    assert heard.sent == ["G28 Z"] and heard.guard.held == []


@pytest.mark.parametrize(
    ("name", "parameters", "tags", "sent"),
    [
        ("facesculpt", "allow G28", {"source:api", "api:printer.command"}, ["G28"]),
        ("FaceSculpt", "Allow G28", {"source:api"}, ["G28"]),
        # Not from files or scripts, not another's command, not a line that was never held back.
        ("facesculpt", "allow G28", {"source:file"}, []),
        ("facesculpt", "allow G28", {"source:script"}, []),
        ("facesculpt", "allow G28", None, []),
        ("octolapse", "allow G28", {"source:api"}, []),
        ("facesculpt", "G28", {"source:api"}, []),
        ("facesculpt", "allow G30", {"source:api"}, []),
    ],
)
def test_terminal_command(name: str, parameters: str, tags: set[str] | None, sent: list[str]):
    heard = Heard()
    heard.guard.hold("G28")
    wait_for(lambda: heard.told, "the explanation")
    heard.guard.on_at_command(name, parameters, tags)
    if sent or "G30" in parameters:
        wait_for(lambda: heard.sent or len(heard.logged) > 1, "an answer")
    assert heard.sent == sent


def test_only_the_last_lines_are_kept_each_once():
    heard = Heard()
    for number in range(2 * KEPT):
        heard.guard.hold(f"G29 P{number}")
        heard.guard.hold("G28")
    assert len(heard.guard.held) == KEPT
    assert heard.guard.held[-1] == "G28" and heard.guard.held.count("G28") == 1
