"""Presets that stay as they are, and the user's own profiles beside them."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from octoprint_facesculpt.slicing import ENGINES, SliceRequest, SlicingError, slice_model
from octoprint_facesculpt.slicing import shelf as shelves
from octoprint_facesculpt.slicing.gcode_check import read
from octoprint_facesculpt.slicing.importing import Imported, Note
from octoprint_facesculpt.slicing.profile_files import ProfileFile, differences, read_profile, write_profile
from octoprint_facesculpt.slicing.shelf import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(ENGINES["prusaslicer"](), tmp_path, "2.5.0")


@pytest.fixture
def cura(tmp_path: Path) -> Shelf:
    return Shelf(ENGINES["curaengine"](), tmp_path, "4.13.0")


def refused(code: str, action, *arguments) -> None:
    with pytest.raises(SlicingError) as error:
        action(*arguments)
    assert error.value.code == code and error.value.hint


def test_an_engine_offers_only_what_it_can(tmp_path: Path) -> None:
    old, new = (Shelf(ENGINES["prusaslicer"](), tmp_path, version).names() for version in ("2.5.0", "2.6.1"))
    assert "bust_016" in old and "bust_016_tree" not in old and "bust_016_tree" in new
    assert {"bust_012_tree", "bust_26h_tree", "mask_tree"} <= set(Shelf(ENGINES["curaengine"](), tmp_path, "4.13.0").names())


def test_an_engine_that_cannot_branch_is_not_asked_to(mushroom: Path, tmp_path: Path) -> None:
    with pytest.raises(SlicingError) as error:
        slice_model(mushroom, tmp_path / "x.gcode", SliceRequest(profile="bust_028_tree"))
    version = tuple(int(part) for part in ENGINES["prusaslicer"]().detect().version.split(".")[:2])
    assert version < (2, 6) and error.value.code == "profile_unknown" and "2.6" in error.value.message


def test_a_copy_can_be_changed_and_tells_its_differences(shelf: Shelf) -> None:
    key = shelf.copy("bust_020", "For  Grandma\n")
    shelf.change(key, None, {"fill_density": "25%", "layer_height": "0.20"})
    about = shelf.details(key)
    assert (about["name"], about["base"], about["preset"]) == ("For Grandma", "bust_020", False)
    # 0.20 is only another way to write 0.2.
    assert about["differences"] == [{"key": "fill_density", "base": "12%", "own": "25%"}]
    shelf.change(key, "Grandma", {"fill_density": None})
    assert shelf.details(key)["differences"] == [] and shelf.details(key)["name"] == "Grandma"


def test_a_copy_of_a_copy_still_knows_its_preset(shelf: Shelf) -> None:
    second = shelf.copy(shelf.copy("bust_012", "Mine"), "Mine")
    assert second == "mine_2" and shelf.details(second)["base"] == "bust_012"


def test_a_preset_is_read_only(shelf: Shelf) -> None:
    refused("profile_protected", shelf.change, "bust_016", None, {"perimeters": "1"})
    refused("profile_protected", shelf.delete, "bust_016")
    refused("profile_protected", shelf.delete, "bust_016_tree")


def test_a_file_under_a_presets_name_does_not_replace_it(shelf: Shelf, tmp_path: Path) -> None:
    write_profile(ProfileFile("Fake", "", {"layer_height": "9"}), tmp_path / "bust_016.profile")
    assert shelf.read("bust_016").config["layer_height"] == "0.16" and shelf.names().count("bust_016") == 1


@pytest.mark.parametrize(
    "settings",
    [{"fill_density": "much"}, {"seam_position": "inside"}, {"no_such_setting": "1"}, {"a b": "1"}, {"notes": "a\nb"}],
)
def test_what_the_slicer_would_not_take_is_not_kept(shelf: Shelf, settings: dict[str, str]) -> None:
    key = shelf.copy("bust_028", "Mine")
    before = shelf.read(key)
    refused("profile_invalid", shelf.change, key, None, settings)
    assert shelf.read(key) == before


def test_programs_do_not_get_in_by_editing(shelf: Shelf) -> None:
    key = shelf.copy("bust_028", "Mine", {"post_process": "/bin/true"})
    assert "post_process" not in shelf.read(key).config


@pytest.mark.parametrize("key", ["nothing", "../bust", "..", "a/b", "", "x" * 200])
def test_an_unknown_profile_is_named(shelf: Shelf, key: str) -> None:
    refused("profile_unknown", shelf.details, key)
    refused("profile_unknown", shelf.delete, key)


def test_curas_limits_are_kept(cura: Shelf) -> None:
    key = cura.copy("bust_020_tree", "Trees")
    assert cura.details(key)["differences"] == []
    refused("profile_invalid", cura.change, key, None, {"layer_height": "-1"})
    cura.change(key, None, {"wall_line_count": "5"})
    assert cura.details(key)["differences"] == [{"key": "wall_line_count", "base": None, "own": "5"}]


def test_a_title_and_notes_survive_their_file(tmp_path: Path) -> None:
    profile = ProfileFile("Büste = 1", "bust_016", {"layer_height": "0.2", "start_gcode": "G28\\n; x"}, ("Left out: a.", "b"))
    write_profile(profile, tmp_path / "p.profile")
    assert read_profile(tmp_path / "p.profile") == profile


def test_a_note_cannot_smuggle_in_a_setting(shelf: Shelf) -> None:
    config = dict(shelf.read("bust_028").config)
    key = shelf.add(Imported("prusaslicer", "x", "bust_028", config, (Note("x", "a\nperimeters = 9"),)), "x")
    assert shelf.read(key).config["perimeters"] == config["perimeters"]


def test_an_own_profile_slices(shelf: Shelf, mushroom: Path, tmp_path: Path) -> None:
    key = shelf.copy("bust_028", "Mine", {"perimeters": "5"})
    config = dict(read_profile(shelf.file(key)).config)
    slice_model(mushroom, tmp_path / "x.gcode", SliceRequest(config=config))
    assert read(tmp_path / "x.gcode").config["perimeters"] == "5"
    shelf.delete(key)
    assert key not in shelf.names()


def test_two_spellings_of_a_number_are_no_difference() -> None:
    assert differences({"a": "0.20", "b": "50%", "c": "1,2"}, {"a": "0.2", "b": "50", "c": "1,3"}) == [
        {"key": "b", "base": "50", "own": "50%"},
        {"key": "c", "base": "1,3", "own": "1,2"},
    ]


def test_a_profile_that_many_write_at_once_is_always_whole(tmp_path: Path) -> None:
    """OctoPrint answers requests in threads, and the first ones all find the presets missing."""
    path = tmp_path / "mask.profile"
    profile = ProfileFile("Mask", "mask", {f"setting_{number}": "1" * 50 for number in range(400)})
    write_profile(profile, path)

    def work(number: int) -> None:
        for _ in range(20):
            if number % 2:
                write_profile(profile, path)
            else:
                assert read_profile(path) == profile

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_changes_at_the_same_time_are_all_kept(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request has a shelf of its own."""
    key, checked = shelf.copy("bust_020", "Mine"), Shelf._checked

    def slow(self: Shelf, config: Mapping[str, str]) -> dict[str, str]:
        time.sleep(0.05)
        return checked(self, config)

    monkeypatch.setattr(Shelf, "_checked", slow)
    changes = {"fill_density": "25%", "perimeters": "7", "top_solid_layers": "9", "bottom_solid_layers": "8"}
    with ThreadPoolExecutor(4) as pool:
        own = [Shelf(ENGINES["prusaslicer"](), tmp_path, "2.5.0") for _ in changes]
        list(pool.map(lambda one, name: one.change(key, None, {name: changes[name]}), own, changes))
    assert {name: shelf.read(key).config[name] for name in changes} == changes


@pytest.fixture
def writing(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Makes shelves write slowly, and is set when one begins."""
    begun = threading.Event()

    def slow(profile: ProfileFile, path: Path) -> None:
        begun.set()
        time.sleep(0.1)
        write_profile(profile, path)

    monkeypatch.setattr(shelves, "write_profile", slow)
    return begun


def test_copies_at_the_same_time_are_all_kept(shelf: Shelf, writing: threading.Event) -> None:
    with ThreadPoolExecutor(4) as pool:
        keys = list(pool.map(lambda _: shelf.copy("bust_020", "Mine"), range(4)))
    assert sorted(keys) == ["mine", "mine_2", "mine_3", "mine_4"] and set(keys) < set(shelf.names())


def test_what_is_deleted_while_it_is_changed_stays_away(shelf: Shelf, writing: threading.Event) -> None:
    key = shelf.copy("bust_020", "Mine")
    writing.clear()
    with ThreadPoolExecutor(1) as pool:
        change = pool.submit(shelf.change, key, None, {"perimeters": "7"})
        assert writing.wait(10)
        shelf.delete(key)
        change.result()
    assert key not in shelf.names()
