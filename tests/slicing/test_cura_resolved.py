"""Cura's settings are found once, and again when anything has changed that they come from."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from octoprint_facesculpt.slicing import cura_definitions, cura_stack
from octoprint_facesculpt.slicing.cura_definitions import FOLDERS, default_roots
from octoprint_facesculpt.slicing.cura_resolved import MAX_KEPT, Choice, Resolved, resolve

CHOICE, OVERRIDES = Choice(quality="standard"), {"support_enable": "True"}


class Finding:
    """Counts how often the settings are really found."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = 0
        find = cura_stack.resolve

        def counted(*arguments) -> Resolved:
            self.times += 1
            return find(*arguments)

        monkeypatch.setattr(cura_stack, "resolve", counted)

    def again(self, overrides: Mapping[str, str] = OVERRIDES) -> tuple[bool, Resolved]:
        """Whether they were found anew, and what they are."""
        before = self.times
        found = resolve(CHOICE, overrides)
        return self.times > before, found


@pytest.fixture
def resources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Cura's files for one printer, where they may be changed."""
    copy = tmp_path / "cura" / "usr" / "share" / "cura" / "resources"
    for folder in (root / name for root in default_roots() for name in FOLDERS):
        if folder.is_dir() and not (copy / folder.name).is_dir():
            shutil.copytree(folder, copy / folder.name, ignore=lambda _, names: [name for name in names if not _needed(name)])
    monkeypatch.setattr(cura_definitions, "default_roots", lambda: (copy,))
    monkeypatch.setenv("FACESCULPT_ASSETS", str(tmp_path))
    return copy


def _needed(name: str) -> bool:
    return name.startswith(("fdm", "creality", "base", "generic_pla")) or "." not in name


@pytest.fixture
def finding(resources: Path, monkeypatch: pytest.MonkeyPatch) -> Finding:
    return Finding(monkeypatch)


def test_they_are_found_once(finding: Finding, tmp_path: Path) -> None:
    anew, first = finding.again()
    assert anew and len(first.machine) > 200 and not first.unresolved
    anew, second = finding.again()
    assert not anew and second == first
    assert finding.again({**OVERRIDES, "layer_height": "0.3"})[0]
    assert not list((tmp_path / "resolved").glob("*.part"))


def test_a_changed_a_new_and_a_replaced_file_count(finding: Finding, resources: Path) -> None:
    finding.again()
    definition = resources / "definitions" / "creality_ender3.def.json"
    data = json.loads(definition.read_text())
    data["overrides"]["machine_head_with_fans_polygon"] = {"default_value": [[1, 2], [3, 4]]}
    definition.write_text(json.dumps(data))
    anew, found = finding.again()
    assert anew and found.machine["machine_head_with_fans_polygon"] == "[[1, 2], [3, 4]]"
    assert not finding.again()[0]
    quality = resources / "quality" / "creality" / "base" / "base_global_standard.inst.cfg"
    part = quality.with_suffix(".new")
    part.write_text(quality.read_text().replace("layer_height = 0.2", "layer_height = 0.21"))
    os.utime(part, ns=(quality.stat().st_mtime_ns, quality.stat().st_mtime_ns))
    part.replace(quality)
    anew, found = finding.again()
    assert anew and found.machine["layer_height"] == "0.21"
    (resources / "variants" / "mine.inst.cfg").write_text("[general]\n")
    assert finding.again()[0] and not finding.again()[0]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"folders": {}, "files": {}, "resolved": {"machine": 1}}', b"[" * 99999]
)
def test_what_is_not_sound_is_found_anew(content: bytes, finding: Finding, tmp_path: Path) -> None:
    _, found = finding.again()
    (file,) = (tmp_path / "resolved").iterdir()
    file.write_bytes(content)
    assert finding.again() == (True, found) and finding.again() == (False, found)


def test_start_code_that_tells_the_time_is_not_kept(finding: Finding) -> None:
    overrides = {**OVERRIDES, "machine_start_gcode": "M117 {time}"}
    assert finding.again(overrides)[0] and finding.again(overrides)[0]


def test_they_are_kept_in_bounds_and_need_no_room(finding: Finding, tmp_path: Path) -> None:
    folder = tmp_path / "resolved"
    folder.mkdir()
    for number in range(MAX_KEPT + 5):
        (folder / f"{number}.json").touch()
    finding.again()
    assert len(list(folder.iterdir())) == MAX_KEPT and not finding.again()[0]
    shutil.rmtree(folder)
    folder.touch()
    assert finding.again()[0] and finding.again()[0]
