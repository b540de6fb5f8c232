"""The line of work: photos are checked, sculptures go through their stages, one child process at a time.

Every stage writes its files into the sculpture's folder and is marked done only then, so after a crash the work goes on
behind the last finished stage.
"""

from __future__ import annotations

import itertools
import logging
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ..errors import Cancelled, FaceSculptError
from ..store import STAGES, Photo, Sculpture, Stage, Store, now
from .runner import JobError, run

#: Seconds between two looks for work when nobody calls.
IDLE_SECONDS = 2.0
WAITING_FOR_PRINT = "Waits until the print is finished"
#: Share of the machine's memory that a stage may use before it is ended; the server needs the rest.
MEMORY_SHARE = 0.8
#: What each stage hands to the next.
OUTPUTS = {"reconstruct": "head.npz", "sculpt": "bust.stl", "slice": "bust.gcode"}
#: Where each layer of the G-code lies (:mod:`octoprint_facesculpt.slicing.gcode_index`).
INDEX = "bust.index.json"


@dataclass(frozen=True)
class Workshop:
    """Where and how stages run.

    ``data`` is the plugin's folder; ``hold`` says whether work must wait (a print is running); ``publish(type, object)``
    tells the dashboards; ``add_gcode(sculpture, file, result)`` stores finished G-code and returns its path; ``options()``
    gives ``threads``, ``time_limit_seconds``, ``slicer_paths`` by engine, ``bed``; ``printing(sculpture)`` further
    arguments of its slicing, such as its printer's bed and nozzle and the file of a profile of the user's own;
    ``in_use(path)`` whether stored G-code is being printed, or may be gone on with after an interruption;
    ``remove_gcode(path)`` deletes it.
    """

    data: Path
    hold: Callable[[], bool]
    publish: Callable[[str, Any], None]
    add_gcode: Callable[[Sculpture, Path, dict[str, Any]], str]
    options: Callable[[], dict[str, Any]]
    printing: Callable[[Sculpture], list[str]] = lambda _: []
    in_use: Callable[[str], bool] = lambda _: False
    remove_gcode: Callable[[str], None] = lambda _: None

    def photo_file(self, photo: Photo) -> Path:
        return self.data / "photos" / photo.id / "original"

    def photo_preview(self, photo: Photo) -> Path:
        return self.data / "photos" / photo.id / "preview.jpg"

    def folder(self, sculpture: Sculpture) -> Path:
        return self.data / "sculptures" / sculpture.id


class _InUse(Exception):
    """A print of the G-code that would be replaced has begun meanwhile."""


class Pipeline:
    """One worker thread that takes the oldest work first."""

    def __init__(self, store: Store, workshop: Workshop, logger: logging.Logger) -> None:
        self._store, self._shop, self._logger = store, workshop, logger
        self._wake, self._closed, self._cancel = threading.Event(), threading.Event(), threading.Event()
        self._lock = threading.RLock()
        self._current: str | None = None
        #: Whether the running work is stopped because its sculpture was deleted.
        self._dropped = False
        self._thread = threading.Thread(target=self._work, name="facesculpt-jobs", daemon=True)

    def start(self) -> None:
        """Take up what an earlier server left, and begin."""
        Stage.update(state="waiting", progress=0.0, message="").where(Stage.state == "running").execute()
        Sculpture.update(state="waiting").where(Sculpture.state == "working").execute()
        self._thread.start()

    def close(self) -> None:
        """Stop the running child; its stage is taken up again by the next server."""
        with self._lock:
            self._closed.set()
            self._cancel.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def wake(self) -> None:
        """There is new work."""
        self._wake.set()

    def cancel(self, sculpture: Sculpture) -> None:
        """Stop a sculpture's work, running or waiting."""
        with self._lock:
            if self._current == sculpture.id:
                self._dropped = False
                self._cancel.set()
                return
            self._mark_cancelled(sculpture)
        self._publish(sculpture)

    def drop(self, sculpture: Sculpture) -> None:
        """Stop a deleted sculpture's work if it is under way; none is begun any more."""
        with self._lock:
            if self._current == sculpture.id:
                self._dropped = True
                self._cancel.set()

    def retry(self, sculpture: Sculpture) -> None:
        """Let a failed or cancelled sculpture go on behind its last finished stage whose files are there; after a restored
        backup, which leaves them out, none are."""
        there = itertools.takewhile(lambda stage: (self._shop.folder(sculpture) / OUTPUTS[stage]).is_file(), STAGES)
        Stage.update(state="waiting", progress=0.0, message="").where(
            Stage.sculpture == sculpture, (Stage.state != "done") | Stage.stage.not_in(list(there))
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
            if not self._begin(photo.id):
                return False
            try:
                self._check_photo(photo)
            finally:
                self._current = None
            return True
        # Under the lock, so that a cancel comes either before this choice or to the running work.
        with self._lock:
            sculpture, stage = self._next()
            if sculpture is None:
                return False
            held = stage is not None and (self._shop.hold() or (stage.stage == "slice" and self._in_use(sculpture)))
            if stage is not None and not held and not self._begin(sculpture.id):
                return False
        if stage is None:
            # Unless it was cancelled a moment ago.
            unfinished = Sculpture.state.in_(("waiting", "working"))
            whole = not Stage.select().where(Stage.sculpture == sculpture, Stage.state != "done").exists()
            Sculpture.update(state="ready" if whole else "failed").where(Sculpture.id == sculpture.id, unfinished).execute()
            self._publish(sculpture)
            return True
        if held:
            if stage.message != WAITING_FOR_PRINT:
                Stage.update(message=WAITING_FOR_PRINT).where(Stage.id == stage.id).execute()
                self._publish(sculpture)
            return False
        try:
            self._run_stage(sculpture, stage)
        finally:
            with self._lock:
                self._current = None
                late = self._cancel.is_set() and not self._closed.is_set()
                if late and self._dropped:
                    # Whoever takes its deletion back, be it already, finds it as it was.
                    self._mark_waiting(sculpture)
                elif late:
                    self._mark_cancelled(sculpture)
            self._tidy(sculpture)
            self._publish(sculpture)
        return True

    def _begin(self, owner: str) -> bool:
        """Make ``owner`` the running work; False when the server is ending."""
        with self._lock:
            if self._closed.is_set():
                return False
            self._current, self._dropped = owner, False
            self._cancel.clear()
            return True

    @staticmethod
    def _next() -> tuple[Sculpture | None, Stage | None]:
        """The oldest sculpture with work, and its first unfinished stage, if any is left."""
        sculpture = Sculpture.select().where(Sculpture.state.in_(("waiting", "working"))).order_by(Sculpture.created).first()
        if sculpture is None:
            return None, None
        unfinished = Stage.state.in_(("waiting", "running"))
        return sculpture, Stage.select().where(Stage.sculpture == sculpture, unfinished).order_by(Stage.id).first()

    def _check_photo(self, photo: Photo) -> None:
        file, preview = self._shop.photo_file(photo), self._shop.photo_preview(photo)
        try:
            data = self._child(["portrait", str(file), "-o", str(preview)], file.with_name("check.log"), lambda *_: None)
            photo.width, photo.height = int(data["width"]), int(data["height"])
            photo.faces, photo.notes, photo.state = data["faces"], data["notes"], "ready"
        except Exception as error:
            if self._closed.is_set():
                return
            photo.state, photo.error = "failed", self._explain(error)
        photo.save()
        if Photo.get_or_none(Photo.id == photo.id) is not None:
            self._shop.publish("photo", photo)
        elif not Photo.with_deleted().where(Photo.id == photo.id).exists():
            # It was deleted for ever while it was looked at.
            shutil.rmtree(file.parent, ignore_errors=True)

    def _run_stage(self, sculpture: Sculpture, stage: Stage) -> None:
        sculpture.state, stage.state, stage.started, stage.progress = "working", "running", now(), 0.0
        sculpture.save()
        stage.save()
        self._publish(sculpture)
        start, told = time.monotonic(), 0.0

        def progress(fraction: float, message: str) -> None:
            nonlocal told
            stage.progress, stage.message = fraction, message
            if time.monotonic() - told > 0.5 or fraction >= 1:
                told = time.monotonic()
                stage.save()
                self._publish(sculpture)

        folder = self._shop.folder(sculpture)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            data = self._child(self._arguments(sculpture, stage), folder / f"{stage.stage}.log", progress)
            self._finish(sculpture, stage, data)
        except Cancelled:
            # The child may have finished in the moment it was asked to end.
            (folder / OUTPUTS[stage.stage]).unlink(missing_ok=True)
            return
        except _InUse:
            stage.state, stage.progress, stage.message = "waiting", 0.0, WAITING_FOR_PRINT
            sculpture.state = "waiting"
        except Exception as error:
            stage.state, sculpture.state, sculpture.error = "failed", "failed", self._explain(error)
            self._logger.warning("%s of sculpture %s failed: %s", stage.stage, sculpture.id, error)
        stage.seconds = round(time.monotonic() - start, 2)
        with self._store.writing():
            stage.save()
            sculpture.save()

    def _tidy(self, sculpture: Sculpture) -> None:
        """Remove what a stopped child left half made, and of a sculpture that was deleted meanwhile its G-code, or everything
        if that was for ever."""
        folder = self._shop.folder(sculpture)
        if Sculpture.get_or_none(Sculpture.id == sculpture.id) is None:
            if not Sculpture.with_deleted().where(Sculpture.id == sculpture.id).exists():
                shutil.rmtree(folder, ignore_errors=True)
            if sculpture.gcode_path:
                self._shop.remove_gcode(sculpture.gcode_path)
        for rest in (*folder.glob(".slicing-*"), *folder.glob(".plan-*")):
            shutil.rmtree(rest, ignore_errors=True)
        for rest in folder.glob("*.part"):
            rest.unlink(missing_ok=True)

    def _publish(self, sculpture: Sculpture) -> None:
        """Tell the dashboards how a sculpture stands now, unless it is gone."""
        fresh = Sculpture.get_or_none(Sculpture.id == sculpture.id)
        if fresh is not None:
            self._shop.publish("sculpture", fresh)
            if not Sculpture.select().where(Sculpture.id == sculpture.id).exists():
                # It was deleted in between: whoever heard of that first would now show it again.
                self._shop.publish("sculptures", None)

    def _arguments(self, sculpture: Sculpture, stage: Stage) -> list[str]:
        folder, options = self._shop.folder(sculpture), self._shop.options()
        if stage.stage == "reconstruct":
            photos = [sculpture.photo, *(Photo.get_by_id(other["photo"]) for other in sculpture.others)]
            faces = [sculpture.face, *(other["face"] for other in sculpture.others)]
            arguments = ["reconstruct", *(str(self._shop.photo_file(photo)) for photo in photos)]
            for face in faces:
                arguments += ["--face", str(face)]
            arguments += ["--expression", str(sculpture.settings.get("expression", 1.0))]
            return [*arguments, "-o", str(folder / OUTPUTS["reconstruct"]), "--report", str(folder / "report.json")]
        if stage.stage == "sculpt":
            settings = sculpture.settings
            return [
                "sculpt", "--head", str(folder / OUTPUTS["reconstruct"]), "-o", str(folder / OUTPUTS["sculpt"]),
                "--folder", str(folder),
                "--height-mm", str(settings["height_mm"]), "--style", settings["style"],
                *_shape_of(settings),
            ]  # fmt: skip
        slicing, target = sculpture.slicing, sculpture.slicing.get("target")
        gcode = folder / OUTPUTS["slice"]
        if target is None:
            arguments = ["slice", str(folder / OUTPUTS["sculpt"]), "-o", str(gcode), "--thumbnail", str(folder / "front.png")]
            for option, name in (("--face", "face.json"), ("--surface", "surface.npz")):
                arguments += [option, str(folder / name)] if (folder / name).is_file() else []
            arguments += ["--contact", str(folder / "contact.png")]
        else:
            # A size that is chosen by time or filament is found by slicing, so both are one work.
            arguments = ["sculpt", "--head", str(folder / OUTPUTS["reconstruct"]), "-o", str(gcode), "--folder", str(folder)]
            arguments += ["--style", sculpture.settings["style"], f"--target-{target['kind']}", str(target["value"])]
            arguments += _shape_of(sculpture.settings)
            if target.get("fixed_height"):
                arguments += ["--height-mm", str(sculpture.settings["height_mm"])]
        arguments += ["--engine", slicing["engine"], "--profile", slicing["profile"], "--bed", options["bed"]]
        arguments += [
            "--report",
            str(folder / "slice.json"),
            "--index",
            str(folder / INDEX),
            "--face-care",
            slicing.get("face_care", "spare"),
        ]
        if path := options["slicer_paths"].get(slicing["engine"]):
            arguments += ["--slicer-path", path]
        if left := slicing.get("filament_left_g"):
            arguments += ["--filament-left", str(left)]
        for key, value in slicing.get("overrides", {}).items():
            arguments += ["--set", f"{key}={value}"]
        return [*arguments, *self._shop.printing(sculpture)]

    def _finish(self, sculpture: Sculpture, stage: Stage, data: dict[str, Any]) -> None:
        if stage.stage == "reconstruct":
            sculpture.notes = data["quality"]["notes"]
        elif stage.stage == "slice":
            sliced = data.get("slicing", data)
            keys = ("filament_mm", "filament_g", "layers", "height_mm")
            plan = sliced.get("plan") or {}
            seconds = plan.get("seconds", sliced["estimated_seconds"])
            sculpture.estimates = {"seconds": seconds, **{key: plan.get(key, sliced[key]) for key in keys}, "plan": plan}
            if sculpture.slicing.get("target"):
                sculpture.settings = {**sculpture.settings, "height_mm": data["sculpture"]["height_mm"]}
            if self._in_use(sculpture):
                raise _InUse
            sculpture.gcode_path = self._shop.add_gcode(sculpture, self._shop.folder(sculpture) / OUTPUTS["slice"], sliced)
        stage.state, stage.progress, stage.message = "done", 1.0, ""

    def _in_use(self, sculpture: Sculpture) -> bool:
        """Whether the G-code it had must stay as it is."""
        return sculpture.gcode_path is not None and self._shop.in_use(sculpture.gcode_path)

    def _child(self, arguments: list[str], log: Path, progress) -> dict[str, Any]:
        options = self._shop.options()
        command = [sys.executable, "-m", "octoprint_facesculpt", *arguments, "--json"]
        return run(
            [*command, "--threads", str(options["threads"])],
            log=log,
            on_progress=progress,
            cancelled=self._cancel,
            time_limit_seconds=options["time_limit_seconds"],
            memory_limit_bytes=int(psutil.virtual_memory().total * MEMORY_SHARE),
            environment={"FACESCULPT_ASSETS": str(self._shop.data / "assets")},
        )

    def _explain(self, error: Exception) -> dict[str, str]:
        """An error as it is stored; what nobody expected goes to the log, too."""
        if not isinstance(error, FaceSculptError):
            self._logger.error("a stage failed unexpectedly", exc_info=error)
            error = JobError("crashed", f"The work could not be finished ({type(error).__name__}).", "Try again.")
        return {"code": error.code, "message": error.message, "hint": error.hint}

    @staticmethod
    def _mark_waiting(sculpture: Sculpture) -> None:
        Stage.update(state="waiting", progress=0.0, message="").where(
            Stage.sculpture == sculpture, Stage.state == "running"
        ).execute()
        Sculpture.update(state="waiting").where(Sculpture.id == sculpture.id).execute()

    @staticmethod
    def _mark_cancelled(sculpture: Sculpture) -> None:
        Stage.update(state="cancelled", message="").where(
            Stage.sculpture == sculpture, Stage.state.in_(("waiting", "running"))
        ).execute()
        Sculpture.update(state="cancelled").where(Sculpture.id == sculpture.id).execute()


def _shape_of(settings: dict[str, Any]) -> list[str]:
    """The options for a sculpture's pose and for what is carved and set upon its head; older ones know of neither."""
    return [
        "--orientation", settings.get("orientation", "upright"), "--detail", str(settings.get("detail", 0.0)),
        "--hair" if settings.get("hair") else "--no-hair",
    ]  # fmt: skip
