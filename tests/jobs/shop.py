"""A pipeline over a folder, for the tests of the line of work."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trimesh

from octoprint_facesculpt.jobs.pipeline import OUTPUTS, Pipeline, Workshop
from octoprint_facesculpt.store import STAGES, Photo, Sculpture, Stage, Store
from tests.children import descendants

SETTINGS = {"height_mm": 30, "style": "bust"}
SLICING = {"engine": "prusaslicer", "profile": "bust_028", "overrides": {"fill_density": "5%"}}
#: Seconds in which a whole sculpture is made.
TIMEOUT = 300


class Shop:
    """A pipeline over a folder, and what it tells. ``react`` is called in the worker's thread with everything it tells."""

    def __init__(self, data: Path) -> None:
        self.data, self.told, self.added = data, [], []
        self.history: list[list[str]] = []
        self.held = False
        #: G-code that is being printed, and what was removed.
        self.used: set[str] = set()
        self.removed: list[str] = []
        self.running = descendants()
        self.react: Callable[[str, Any], None] = lambda *_: None
        self.store = Store(data / "facesculpt.db")
        options = {"threads": 2, "time_limit_seconds": 600.0, "slicer_paths": {}, "bed": "235x235x250@0,0"}
        self.workshop = Workshop(
            data, lambda: self.held, self._publish, self.add, lambda: options, lambda _: [],
            lambda path: path in self.used, self.removed.append,
        )  # fmt: skip
        self.pipeline = Pipeline(self.store, self.workshop, logging.getLogger("test"))

    def _publish(self, kind: str, what: Any) -> None:
        self.told.append((kind, what))
        if kind == "sculpture" and self.states(what) not in self.history:
            self.history.append(self.states(what))
        self.react(kind, what)

    def add(self, sculpture: Sculpture, file: Path, result: dict[str, Any]) -> str:
        self.added.append(sculpture.id)
        target = self.data / "uploads" / f"{sculpture.name}.gcode"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(file, target)
        return str(target.relative_to(self.data))

    def photo(self, file: Path, state: str = "ready") -> Photo:
        photo = Photo.create(name=file.name, state=state)
        target = self.workshop.photo_file(photo)
        target.parent.mkdir(parents=True)
        shutil.copy(file, target)
        return photo

    def sculpture(self, photo: Photo, made: Path | None = None, before: str = "reconstruct") -> Sculpture:
        """A new sculpture; with ``made``, the stages before ``before`` are done and their files are there."""
        sculpture = self.store.add_sculpture(photo, "Eileen", 0, SETTINGS, SLICING)
        if made is not None:
            folder = self.workshop.folder(sculpture)
            folder.mkdir(parents=True)
            for stage in STAGES[: STAGES.index(before)]:
                shutil.copy(made / OUTPUTS[stage], folder)
                Stage.update(state="done").where(Stage.sculpture == sculpture, Stage.stage == stage).execute()
            if before == "slice":
                # The real picture, but a model that slices in a second.
                shutil.copy(made / "front.png", folder)
                trimesh.creation.box((15, 15, 15)).export(folder / "bust.stl")
        return sculpture

    def states(self, sculpture: Sculpture) -> list[str]:
        return [stage.state for stage in Stage.select().where(Stage.sculpture == sculpture).order_by(Stage.id)]

    def wait(self, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            if answer := condition():
                return answer
            time.sleep(0.05)
        raise TimeoutError([str(entry) for entry in self.told[-5:]])

    def wait_state(self, sculpture: Sculpture, *states: str) -> Sculpture:
        return self.wait(lambda: Sculpture.get_or_none(Sculpture.id == sculpture.id, Sculpture.state.in_(states)))

    def on_progress(self, stage: str, action: Callable[[], None]) -> None:
        """Do something once, as soon as a stage's child has told of its progress."""
        seen: list[str] = []

        def react(kind: str, what: Any) -> None:
            running = kind == "sculpture" and what.stages.where(Stage.stage == stage, Stage.state == "running").first()
            if running and running.progress > 0 and not seen:
                seen.append(stage)
                action()

        self.react = react

    def close(self) -> None:
        self.pipeline.close()
        self.store.close()
        assert descendants(self.running) == []


def new_shop(data: Path, assets_folder: Path) -> Shop:
    if not (data / "assets").exists():
        (data / "assets").symlink_to(assets_folder)
    return Shop(data)
