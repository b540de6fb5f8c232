"""The line of work: photos are checked, sculptures go through their stages, one child process at a time.

Every stage writes its files into the sculpture's folder and is marked done only then, so after a crash the work goes on
behind the last finished stage.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import Cancelled, FaceSculptError
from ..store import Photo, Sculpture, Stage, Store, now
from .runner import JobError, run

#: Seconds between two looks for work when nobody calls.
IDLE_SECONDS = 2.0
WAITING_FOR_PRINT = "Waits until the print is finished"


@dataclass(frozen=True)
class Workshop:
    """Where and how stages run.

    ``data`` is the plugin's folder; ``hold`` says whether work must wait (a print is running); ``publish(type, object)``
    tells the dashboards; ``add_gcode(sculpture, file, result)`` stores finished G-code and returns its path; ``options()``
    gives ``threads``, ``time_limit_seconds``, ``slicer_path``, ``bed``.
    """

    data: Path
    hold: Callable[[], bool]
    publish: Callable[[str, Any], None]
    add_gcode: Callable[[Sculpture, Path, dict[str, Any]], str]
    options: Callable[[], dict[str, Any]]

    def photo_file(self, photo: Photo) -> Path:
        return self.data / "photos" / photo.id / "original"

    def photo_preview(self, photo: Photo) -> Path:
        return self.data / "photos" / photo.id / "preview.jpg"

    def folder(self, sculpture: Sculpture) -> Path:
        return self.data / "sculptures" / sculpture.id


class Pipeline:
    """One worker thread that takes the oldest work first."""

    def __init__(self, store: Store, workshop: Workshop, logger: logging.Logger) -> None:
        self._store, self._shop, self._logger = store, workshop, logger
        self._wake, self._closed, self._cancel = threading.Event(), threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._current: str | None = None
        self._thread = threading.Thread(target=self._work, name="facesculpt-jobs", daemon=True)

    def start(self) -> None:
        """Take up what an earlier server left, and begin."""
        Stage.update(state="waiting", progress=0.0, message="").where(Stage.state == "running").execute()
        Sculpture.update(state="waiting").where(Sculpture.state == "working").execute()
        self._thread.start()

    def close(self) -> None:
        """Stop the running child; its stage is taken up again by the next server."""
        self._closed.set()
        self._wake.set()
        self._cancel.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def wake(self) -> None:
        """There is new work."""
        self._wake.set()

    def cancel(self, sculpture: Sculpture) -> None:
        """Stop a sculpture's work, running or waiting."""
        with self._lock:
            if self._current == sculpture.id:
                self._cancel.set()
                return
        self._mark_cancelled(sculpture)

    def retry(self, sculpture: Sculpture) -> None:
        """Let a failed or cancelled sculpture go on behind its last finished stage."""
        Stage.update(state="waiting", progress=0.0, message="").where(
            Stage.sculpture == sculpture, Stage.state != "done"
        ).execute()
        sculpture.state, sculpture.error = "waiting", None
        sculpture.save()
        self._shop.publish("sculpture", sculpture)
        self.wake()

    def _work(self) -> None:
        while not self._closed.is_set():
            self._wake.clear()
            try:
                if not self._step():
                    self._wake.wait(IDLE_SECONDS)
            except Exception:
                # The worker must outlive any fault of one job; the job's own errors are handled below.
                self._logger.exception("the job worker failed; it goes on")
                self._wake.wait(IDLE_SECONDS)
        self._store.close()

    def _step(self) -> bool:
        """Do one piece of work; False when there was none."""
        photo = Photo.select().where(Photo.state == "checking").order_by(Photo.created).first()
        if photo is not None:
            self._check_photo(photo)
            return True
        sculpture = (
            Sculpture.select().where(Sculpture.state.in_(("waiting", "working"))).order_by(Sculpture.created).first()
        )
        if sculpture is None:
            return False
        stage = (
            Stage.select().where(Stage.sculpture == sculpture, Stage.state == "waiting").order_by(Stage.id).first()
        )
        if stage is None:
            sculpture.state = "ready"
            sculpture.save()
            self._shop.publish("sculpture", sculpture)
            return True
        if self._shop.hold():
            if stage.message != WAITING_FOR_PRINT:
                stage.message = WAITING_FOR_PRINT
                stage.save()
                self._shop.publish("sculpture", sculpture)
            return False
        self._run_stage(sculpture, stage)
        return True

    def _check_photo(self, photo: Photo) -> None:
        file, preview = self._shop.photo_file(photo), self._shop.photo_preview(photo)
        try:
            data = self._child(
                photo.id, ["portrait", str(file), "-o", str(preview)], file.with_name("check.log"), lambda *_: None
            )
            photo.width, photo.height = int(data["width"]), int(data["height"])
            photo.faces, photo.notes, photo.state = data["faces"], data["notes"], "ready"
        except (FaceSculptError, KeyError, TypeError, ValueError) as error:
            if self._closed.is_set():
                return
            photo.state, photo.error = "failed", _as_json(error)
        photo.save()
        self._shop.publish("photo", photo)

    def _run_stage(self, sculpture: Sculpture, stage: Stage) -> None:
        sculpture.state, stage.state, stage.started, stage.progress = "working", "running", now(), 0.0
        sculpture.save()
        stage.save()
        self._shop.publish("sculpture", sculpture)
        start, told = time.monotonic(), 0.0

        def progress(fraction: float, message: str) -> None:
            nonlocal told
            stage.progress, stage.message = fraction, message
            if time.monotonic() - told > 0.5 or fraction >= 1:
                told = time.monotonic()
                stage.save()
                self._shop.publish("sculpture", sculpture)

        folder = self._shop.folder(sculpture)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            data = self._child(sculpture.id, self._arguments(sculpture, stage), folder / f"{stage.stage}.log", progress)
            self._finish(sculpture, stage, data)
        except Cancelled:
            if self._closed.is_set():
                return
            self._mark_cancelled(sculpture)
            return
        except (FaceSculptError, KeyError, TypeError, ValueError, OSError) as error:
            stage.state, sculpture.state, sculpture.error = "failed", "failed", _as_json(error)
            self._logger.warning("%s of sculpture %s failed: %s", stage.stage, sculpture.id, error)
        stage.seconds = round(time.monotonic() - start, 2)
        stage.save()
        sculpture.save()
        self._shop.publish("sculpture", sculpture)

    def _arguments(self, sculpture: Sculpture, stage: Stage) -> list[str]:
        folder, options = self._shop.folder(sculpture), self._shop.options()
        if stage.stage == "reconstruct":
            photo = str(self._shop.photo_file(sculpture.photo))
            return [
                "reconstruct", photo, "-o", str(folder / "head.npz"), "--face", str(sculpture.face),
                "--report", str(folder / "report.json"),
            ]  # fmt: skip
        if stage.stage == "sculpt":
            settings = sculpture.settings
            return [
                "sculpt", "--head", str(folder / "head.npz"), "-o", str(folder / "bust.stl"), "--folder", str(folder),
                "--height-mm", str(settings["height_mm"]), "--style", settings["style"],
            ]  # fmt: skip
        slicing = sculpture.slicing
        arguments = [
            "slice", str(folder / "bust.stl"), "-o", str(folder / "bust.gcode"), "--engine", slicing["engine"],
            "--profile", slicing["profile"], "--bed", options["bed"], "--thumbnail", str(folder / "front.png"),
            "--report", str(folder / "slice.json"),
        ]  # fmt: skip
        if options.get("slicer_path"):
            arguments += ["--slicer-path", options["slicer_path"]]
        for key, value in slicing.get("overrides", {}).items():
            arguments += ["--set", f"{key}={value}"]
        return arguments

    def _finish(self, sculpture: Sculpture, stage: Stage, data: dict[str, Any]) -> None:
        if stage.stage == "reconstruct":
            sculpture.notes = data["quality"]["notes"]
        elif stage.stage == "slice":
            keys = ("filament_mm", "filament_g", "layers", "height_mm")
            sculpture.estimates = {"seconds": data["estimated_seconds"], **{key: data[key] for key in keys}}
            sculpture.gcode_path = self._shop.add_gcode(sculpture, self._shop.folder(sculpture) / "bust.gcode", data)
        stage.state, stage.progress, stage.message = "done", 1.0, ""

    def _child(self, owner: str, arguments: list[str], log: Path, progress) -> dict[str, Any]:
        options = self._shop.options()
        with self._lock:
            self._current = owner
            if not self._closed.is_set():
                self._cancel.clear()
        command = [sys.executable, "-m", "octoprint_facesculpt", *arguments, "--json"]
        command += ["--threads", str(options["threads"])]
        try:
            return run(
                command,
                log=log,
                on_progress=progress,
                cancelled=self._cancel,
                time_limit_seconds=options["time_limit_seconds"],
                environment={"FACESCULPT_ASSETS": str(self._shop.data / "assets")},
            )
        finally:
            with self._lock:
                self._current = None

    def _mark_cancelled(self, sculpture: Sculpture) -> None:
        Stage.update(state="cancelled", message="").where(
            Stage.sculpture == sculpture, Stage.state.in_(("waiting", "running"))
        ).execute()
        Sculpture.update(state="cancelled").where(Sculpture.id == sculpture.id).execute()
        self._shop.publish("sculpture", Sculpture.get_by_id(sculpture.id))


def _as_json(error: BaseException) -> dict[str, str]:
    if isinstance(error, FaceSculptError):
        return {"code": error.code, "message": error.message, "hint": error.hint}
    return _as_json(JobError("crashed", f"The work gave an impossible answer ({type(error).__name__}).", "Try again."))
