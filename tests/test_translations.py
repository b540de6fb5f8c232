"""Every text of the dashboard is extracted and translated, and every refusal of the server has a text there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.frontend import CommandLineInterface
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "octoprint_facesculpt"
SOURCE = ROOT / "translations" / "de" / "LC_MESSAGES"
BUNDLED = PACKAGE / "translations" / "de" / "LC_MESSAGES"
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]")
#: Codes that only commands and other clients of the REST interface meet, or whose sentences themselves are translated.
NOT_IN_DASHBOARD = {
    "asset_unknown", "bad_request", "engine_unknown", "expression_impossible", "format_unknown", "fusion_impossible",
    "journal_empty", "network_unknown", "not_recoverable", "orientation_unknown", "output_is_gcode", "photo_or_head",
    "style_unavailable", "thumbnail_invalid", "triangles_out_of_range",
}  # fmt: skip


def read(file: Path) -> Catalog:
    with file.open("rb") as source:
        return read_po(source, locale="de")


@pytest.fixture(scope="module")
def german() -> Catalog:
    return read(SOURCE / "messages.po")


@pytest.fixture
def extracted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What the documented command finds in the sources now."""
    monkeypatch.chdir(ROOT)
    pot = tmp_path / "messages.pot"
    CommandLineInterface().run(["pybabel", "--quiet", "extract", "-F", "babel.cfg", "-o", str(pot), "."])
    return {message.id for message in read(pot) if message.id}


def test_the_german_catalogue_has_what_the_sources_say_and_nothing_else(german: Catalog, extracted: set[str]) -> None:
    assert len(extracted) > 200
    assert {message.id for message in german if message.id} == extracted


def test_every_entry_is_translated_with_its_placeholders(german: Catalog) -> None:
    for message in german:
        if message.id:
            assert message.string and not message.fuzzy, message.id
            assert sorted(PLACEHOLDER.findall(message.string)) == sorted(PLACEHOLDER.findall(message.id)), message.id


def test_the_packaged_catalogue_is_the_same_and_compiled(german: Catalog) -> None:
    assert (BUNDLED / "messages.po").read_bytes() == (SOURCE / "messages.po").read_bytes()
    with (BUNDLED / "messages.mo").open("rb") as source:
        compiled = read_mo(source)
    assert {m.id: m.string for m in compiled if m.id} == {m.id: m.string for m in german if m.id}


def calls(pattern: str) -> Iterator[str]:
    """The first argument, when it is a text, of all calls in the package to something of that name."""
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if re.fullmatch(pattern, name) and isinstance(node.args[0].value, str):
                    yield node.args[0].value


def texts(ending: str) -> set[str]:
    """Keys of the dashboard's tables of texts whose values begin so."""
    folder = PACKAGE / "static" / "js"
    source = "".join((folder / f"facesculpt_{name}.js").read_text(encoding="utf-8") for name in ("texts", "errors"))
    return set(re.findall(rf"^\s+(\w+): {ending}", source, re.MULTILINE))


def test_every_refusal_has_a_text_in_the_dashboard() -> None:
    codes = {code for code in calls(r"\w*Error") if re.fullmatch(r"[a-z]+(_[a-z]+)+|busy|crashed|queued", code)}
    assert {"no_face", "busy", "crashed", "queued", "asset_missing", "slicer_failed"} <= codes
    # One text serves all that is wrong with G-code.
    one_for_all = {code for code in codes if code.startswith("gcode_")}
    assert codes - one_for_all - NOT_IN_DASHBOARD - texts(r"\[") == set()
    assert "gcode" in texts(r"\[")


def test_every_quality_note_has_a_text_in_the_dashboard() -> None:
    codes = set(calls("QualityNote"))
    assert "occluded" in codes
    assert codes - texts(r"gettext\(") == set()
