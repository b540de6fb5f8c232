"""What the line of work asks its child processes to do: commands that the command line really has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from octoprint_facesculpt.cli import commands
from octoprint_facesculpt.jobs.pipeline import OUTPUTS
from octoprint_facesculpt.store import Sculpture, Stage

from .shop import SLICING, Shop


@pytest.mark.parametrize(
    ("slicing", "command", "options"),
    [
        ({}, "slice", {"profile": "bust_028", "face_care": "spare", "target_hours": None}),
        ({"target": None, "face_care": "free", "filament_left_g": 240}, "slice", {"face_care": "free", "filament_left": 240.0}),
        (
            {"target": {"kind": "hours", "value": 26, "fixed_height": False}},
            "sculpt",
            {"target_hours": 26.0, "height_mm": None, "target_grams": None},
        ),
        (
            {"target": {"kind": "grams", "value": 240.5, "fixed_height": True}},
            "sculpt",
            {"target_grams": 240.5, "height_mm": 30.0, "style": "bust"},
        ),
    ],
)
def test_the_command_understands_what_was_wished(
    slicing: dict[str, Any], command: str, options: dict[str, Any], tmp_path: Path, astronaut: Path
) -> None:
    shop = Shop(tmp_path)
    sculpture = shop.sculpture(shop.photo(astronaut))
    sculpture.slicing = {**SLICING, **slicing}
    stage = Stage.get(Stage.sculpture == sculpture, Stage.stage == "slice")
    name, *arguments = shop.pipeline._arguments(sculpture, stage)
    # Every option is one that the command really has.
    parsed = commands.commands[name].make_context(name, [*arguments, "--json", "--threads", "1"]).params
    assert name == command and {key: parsed[key] for key in options} == options
    assert parsed["output"] == shop.workshop.folder(sculpture) / OUTPUTS["slice"]
    assert parsed["settings"] == ("fill_density=5%",) and parsed["bed"] == "235x235x250@0,0"
    assert parsed["index"].name == "bust.index.json"
    shop.close()


def test_what_is_known_of_the_surface_goes_to_the_slice(tmp_path: Path, astronaut: Path) -> None:
    shop = Shop(tmp_path)
    sculpture = shop.sculpture(shop.photo(astronaut))
    stage = Stage.get(Stage.sculpture == sculpture, Stage.stage == "slice")
    folder = shop.workshop.folder(sculpture)
    folder.mkdir(parents=True)
    for files in ((), ("face.json",), ("face.json", "surface.npz")):
        for name in files:
            (folder / name).touch()
        name, *arguments = shop.pipeline._arguments(sculpture, stage)
        parsed = commands.commands[name].make_context(name, arguments).params
        known = [parsed[option].name for option in ("face", "surface") if parsed[option] is not None]
        assert known == list(files) and parsed["contact"].name == "contact.png"
    shop.close()


def test_all_photos_go_to_the_command_with_their_faces(tmp_path: Path, astronaut: Path) -> None:
    shop = Shop(tmp_path)
    front, side, back = (shop.photo(astronaut) for _ in range(3))
    sculpture = shop.store.add_sculpture(
        front, "three", 1, {}, SLICING, [{"photo": side.id, "face": 0}, {"photo": back.id, "face": 2}]
    )
    stage = Stage.get(Stage.sculpture == sculpture, Stage.stage == "reconstruct")
    name, *arguments = shop.pipeline._arguments(Sculpture.get_by_id(sculpture.id), stage)
    parsed = commands.commands[name].make_context(name, arguments).params
    assert parsed["photos"] == tuple(shop.workshop.photo_file(photo) for photo in (front, side, back))
    assert parsed["faces"] == (1, 0, 2)
    assert [s.id for s in shop.store.made_from(back)] == [sculpture.id]
    shop.close()


def test_what_the_host_adds_goes_to_the_command(tmp_path: Path, astronaut: Path) -> None:
    shop = Shop(tmp_path)
    more = [
        "--bed",
        "120x120x120@0,0",
        "--nozzle",
        "0.6",
        "--correction",
        "1.1",
        "--prints",
        "4",
        "--profile-file",
        "own.profile",
    ]
    shop.pipeline._shop = replace(shop.workshop, printing=lambda _sculpture: more)
    sculpture = shop.sculpture(shop.photo(astronaut))
    stage = Stage.get(Stage.sculpture == sculpture, Stage.stage == "slice")
    name, *arguments = shop.pipeline._arguments(sculpture, stage)
    parsed = commands.commands[name].make_context(name, arguments).params
    assert (parsed["bed"], parsed["nozzle"], parsed["correction"], parsed["prints"]) == ("120x120x120@0,0", 0.6, 1.1, 4)
    assert parsed["profile_file"] == Path("own.profile")
    shop.close()
