"""The stock slicing dialog's way: OctoPrint's own slicing manager with the plugin that OctoPrint's own loader found."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from octoprint_facesculpt.host import bed_of
from octoprint_facesculpt.slicing import SlicingError
from octoprint_facesculpt.slicing.arguments import parse_bed
from octoprint_facesculpt.slicing.gcode_facts import read
from octoprint_facesculpt.slicing.plugin import slicer_type
from tests.children import descendants

SLICER, CURA = slicer_type("prusaslicer"), slicer_type("curaengine")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A slicing manager without a server around it."""
    import octoprint
    import octoprint.events
    import octoprint.plugin
    import octoprint.settings
    from octoprint.printer.profile import PrinterProfileManager
    from octoprint.slicing import SlicingManager

    base = tmp_path_factory.mktemp("octoprint")
    settings = octoprint.settings.settings(init=True, basedir=str(base))
    plugins = octoprint.init_pluginsystem(settings)
    plugins.reload_plugins()
    profiles = PrinterProfileManager()

    def own(name: str, implementation: Any) -> dict[str, Any]:
        folder = base / "data" / name
        folder.mkdir(parents=True, exist_ok=True)
        if name != "facesculpt":
            # As in the server: only a SettingsPlugin is given settings.
            return {"data_folder": str(folder)}
        own_settings = octoprint.plugin.plugin_settings(name, defaults=implementation.get_settings_defaults())
        return {"data_folder": str(folder), "settings": own_settings}

    injects = {"printer_profile_manager": profiles, "printer": None, "file_manager": None, "event_bus": None}
    for name in ("facesculpt", "facesculpt_curaengine"):
        plugins.initialize_implementation_of_plugin(
            name, plugins.get_plugin_info(name), additional_injects=injects, additional_inject_factories=[own]
        )
    slicing = SlicingManager(str(base / "slicingProfiles"), profiles)
    slicing.initialize()
    yield slicing
    plugins.get_plugin_info("facesculpt").implementation.store.close()


@pytest.fixture(autouse=True)
def real_slicer(manager: Any) -> None:
    use(manager, "")


def use(manager: Any, path: str) -> None:
    plugin = manager.get_slicer(SLICER, require_configured=False)
    plugin._settings.set(["slicer_path"], path)


def slice_and_wait(
    manager: Any, model: Path, gcode: Path, profile: str | None, slicer: str = SLICER, **more: Any
) -> dict[str, Any]:
    """What the manager's callback was told in the end."""
    done, told = threading.Event(), {}

    def callback(**outcome: Any) -> None:
        told.update(outcome)
        done.set()

    manager.slice(slicer, str(model), str(gcode), profile, callback, callback_args=(), callback_kwargs={}, **more)
    assert done.wait(120), "the slicing manager never called back"
    return told


def test_the_slicer_is_registered_and_configured(manager: Any) -> None:
    assert SLICER in manager.registered_slicers and SLICER in manager.configured_slicers
    properties = manager.get_slicer(SLICER).get_slicer_properties()
    assert properties["name"] == "PrusaSlicer (FaceSculpt)" and properties["source_file_types"] == ["model"]


def test_without_the_program_it_is_not_configured(manager: Any) -> None:
    use(manager, "/nowhere/prusa-slicer")
    assert SLICER in manager.registered_slicers and SLICER not in manager.configured_slicers


def test_the_profiles_are_listed_with_one_default(manager: Any) -> None:
    profiles = manager.all_profiles(SLICER)
    assert {"bust_012", "bust_016", "bust_020", "bust_028"} <= set(profiles)
    assert [name for name, profile in profiles.items() if profile.default] == ["bust_016"]
    assert profiles["bust_012"].display_name == "Bust, fine 0.12 mm" and profiles["bust_012"].description
    assert profiles["bust_012"].data["layer_height"] == "0.12"
    assert manager.get_slicer(SLICER).get_slicer_default_profile().name == "bust_016"


def test_a_chosen_profile_is_used_not_the_default(manager: Any, mushroom: Path, tmp_path: Path) -> None:
    heard: list[float] = []
    told = slice_and_wait(
        manager, mushroom, tmp_path / "out.gco", "bust_028", overrides={"fill_density": "30%"},
        position={"x": 100, "y": 90}, on_progress=lambda *_, _progress: heard.append(_progress), on_progress_args=("x",),
        on_progress_kwargs={},
    )  # fmt: skip
    facts = read(tmp_path / "out.gco")
    assert facts.config["layer_height"] == "0.28" and facts.config["fill_density"] == "30%"
    assert facts.support_share > 0.1
    assert facts.low[0] + facts.high[0] == pytest.approx(200, abs=1)
    assert facts.low[1] + facts.high[1] == pytest.approx(180, abs=1)
    assert heard == sorted(heard) and heard[-1] == 1.0 and len(heard) > 4
    analysis = told["_analysis"]
    assert analysis["estimatedPrintTime"] == pytest.approx(facts.seconds, abs=0.1)
    assert analysis["filament"]["tool0"]["length"] == pytest.approx(facts.filament_mm, abs=0.1)
    assert analysis["printingArea"]["maxZ"] == pytest.approx(15, abs=0.3)
    assert "_error" not in told


def test_supports_can_be_switched_off_for_one_job(manager: Any, mushroom: Path, tmp_path: Path) -> None:
    overrides = {"support_material": "0"}
    told = slice_and_wait(manager, mushroom, tmp_path / "out.gco", "bust_028", overrides=overrides)
    assert "_error" not in told and read(tmp_path / "out.gco").support_share == 0


def test_an_own_profile_is_saved_listed_used_and_deleted(manager: Any, mushroom: Path, tmp_path: Path) -> None:
    data = {**manager.all_profiles(SLICER)["bust_028"].data, "perimeters": "5"}
    manager.save_profile(SLICER, "thick", data, display_name="Thick\nwalls = 1")
    listed = manager.all_profiles(SLICER)["thick"]
    assert listed.display_name == "Thick walls = 1" and listed.data == data and not listed.default
    slice_and_wait(manager, mushroom, tmp_path / "out.gco", "thick")
    assert read(tmp_path / "out.gco").config["perimeters"] == "5"
    manager.delete_profile(SLICER, "thick")
    assert "thick" not in manager.all_profiles(SLICER)


def test_a_preset_is_read_only_whoever_writes(manager: Any) -> None:
    folder = Path(manager.get_slicer_profile_path(SLICER))
    before = manager.all_profiles(SLICER)["bust_016"].data
    with pytest.raises(SlicingError, match="profile_protected"):
        manager.save_profile(SLICER, "bust_016", {**before, "perimeters": "1"})
    (folder / "bust_016.profile").write_text("# Mine\nperimeters = 1\n")
    manager.delete_profile(SLICER, "bust_020")
    profiles = manager.all_profiles(SLICER)
    assert profiles["bust_016"].data == before and profiles["bust_016"].display_name == "Bust, 0.16 mm"
    assert "bust_020" in profiles and "bust_016_tree" not in profiles


def test_an_own_profile_keeps_what_it_comes_from(manager: Any) -> None:
    shelf = manager.get_slicer(SLICER).shelf(Path(manager.get_slicer_profile_path(SLICER)))
    key = shelf.copy("bust_012", "Mine")
    manager.save_profile(SLICER, key, manager.load_profile(SLICER, key), overrides={"perimeters": 4})
    assert [row["own"] for row in shelf.details(key)["differences"]] == ["4"] and shelf.details(key)["base"] == "bust_012"
    manager.delete_profile(SLICER, key)


def test_the_printer_that_is_asked_for_decides_about_the_bed(manager: Any, mushroom: Path, tmp_path: Path) -> None:
    profiles = manager._printer_profile_manager
    small = {**profiles.get_default(), "id": "small", "name": "Small"}
    small["volume"] = {**small["volume"], "width": 180, "depth": 170}
    profiles.save(small)
    told = slice_and_wait(manager, mushroom, tmp_path / "out.gco", "bust_028", printer_profile_id="small")
    profiles.remove("small")
    assert "_error" not in told, told
    facts = read(tmp_path / "out.gco")
    assert facts.low[0] + facts.high[0] == pytest.approx(180, abs=1)
    assert facts.config["bed_shape"] == "0x0,180x0,180x170,0x170"


@pytest.mark.parametrize(
    ("volume", "bed"),
    [
        ({}, "200x180x190@0,0"),
        ({"origin": "center"}, "200x180x190@-100,-90"),
        # The largest square in the circle.
        ({"origin": "center", "formFactor": "circular", "depth": 200}, "141.421x141.421x190@-70.7107,-70.7107"),
    ],
)
def test_every_printer_has_a_bed(volume: dict[str, Any], bed: str) -> None:
    shape = {"width": 200, "depth": 180, "height": 190, "origin": "lowerleft", "formFactor": "rectangular", **volume}
    assert bed_of({"volume": shape}) == bed
    parse_bed(bed)


def test_one_broken_profile_does_not_hide_the_others(manager: Any) -> None:
    broken = Path(manager.get_slicer_profile_path(SLICER), "broken.profile")
    broken.write_bytes(b"\x00\xff" * 100)
    try:
        profiles = manager.all_profiles(SLICER)
    finally:
        broken.unlink()
    assert "broken" not in profiles and "bust_016" in profiles


def test_bad_input_and_bad_engines_end_in_a_sentence(
    manager: Any, script: Callable[[str], str], mushroom: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model.stl"
    model.write_text("no mesh")
    told = slice_and_wait(manager, model, tmp_path / "out.gco", "bust_028")
    assert told["_error"] == "model.stl is not a mesh file. Use STL, 3MF or OBJ."
    use(manager, script("kill -SEGV $$"))
    told = slice_and_wait(manager, mushroom, tmp_path / "out.gco", "bust_028")
    assert "signal 11" in told["_error"] and "_analysis" not in told
    assert not (tmp_path / "out.gco").exists()


def test_cancel_ends_the_slicer_and_says_so(manager: Any, script: Callable[[str], str], mushroom: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    use(manager, script("echo '10 => Processing triangulated mesh'; exec sleep 1000"))
    gcode, seen, running = folder / "out.gco", [], descendants()

    def cancel(*_: Any, _progress: float) -> None:
        seen.extend(p for p in descendants(running) if "sleep" in p.name())
        manager.cancel_slicing(SLICER, str(mushroom), str(gcode))

    told = slice_and_wait(manager, mushroom, gcode, "bust_028", on_progress=cancel, on_progress_args=(), on_progress_kwargs={})
    assert told == {"_cancelled": True}
    _, alive = psutil.wait_procs(seen, timeout=30)
    assert alive == [] and list(folder.iterdir()) == []


def test_a_folder_of_profiles_that_is_gone_comes_back(manager: Any) -> None:
    shutil.rmtree(manager.get_slicer_profile_path(SLICER))
    assert "bust_020" in manager.all_profiles(SLICER)
    assert Path(manager.get_slicer_profile_path(SLICER), "bust_020.profile").is_file()


# -- the second slicer


def test_both_slicers_are_offered_side_by_side(manager: Any) -> None:
    assert {SLICER, CURA} <= set(manager.registered_slicers) & set(manager.configured_slicers)
    assert manager.get_slicer(CURA).get_slicer_properties()["name"] == "CuraEngine (FaceSculpt)"
    profiles = manager.all_profiles(CURA)
    assert [name for name, profile in profiles.items() if profile.default] == ["bust_016"]
    assert profiles["bust_012"].data["quality"] == "super" and profiles["bust_012"].data["support_enable"] == "True"


def test_curaengine_uses_the_chosen_profile_and_overrides(manager: Any, mushroom: Path, tmp_path: Path) -> None:
    told = slice_and_wait(
        manager, mushroom, tmp_path / "out.gco", "bust_028", CURA, overrides={"support_enable": "False"},
        position={"x": 100, "y": 90},
    )  # fmt: skip
    facts = read(tmp_path / "out.gco")
    assert ";Layer height: 0.28\n" in (tmp_path / "out.gco").read_text() and facts.support_share == 0
    assert facts.low[0] + facts.high[0] == pytest.approx(200, abs=1)
    assert "_error" not in told and told["_analysis"]["estimatedPrintTime"] == pytest.approx(facts.seconds, abs=0.1)


def test_the_path_of_curaengine_is_the_main_plugins_setting(manager: Any) -> None:
    main = manager.get_slicer(SLICER)
    main._settings.set(["curaengine_path"], "/nowhere/CuraEngine")
    assert CURA not in manager.configured_slicers and SLICER in manager.configured_slicers
    main._settings.set(["curaengine_path"], "")
    assert CURA in manager.configured_slicers


def test_a_wrong_setting_in_a_profile_is_named(manager: Any, mushroom: Path, tmp_path: Path) -> None:
    manager.save_profile(CURA, "odd", {"quality": "standard", "no_such_setting": "1"})
    told = slice_and_wait(manager, mushroom, tmp_path / "out.gco", "odd", CURA)
    assert "no setting 'no_such_setting'" in told["_error"] and not (tmp_path / "out.gco").exists()
    manager.delete_profile(CURA, "odd")
