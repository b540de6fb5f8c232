"""Our slicers in OctoPrint's own slicing dialog. The work is done by the same child process as everywhere else."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import octoprint.plugin
import octoprint.settings
from octoprint.slicing import SlicingCancelled, SlicingProfile

from .. import settings
from ..errors import Cancelled, FaceSculptError
from ..host import analysis_of, bed_of
from ..jobs.runner import run
from . import ENGINES
from .engine import SlicingError
from .presets import DEFAULT
from .profile_files import ProfileFile, read_profile, title_of, write_profile
from .program import CommandLineEngine
from .shelf import Shelf


class FaceSculptSlicer(octoprint.plugin.SlicerPlugin):
    """One slicer type with the bust profiles: OctoPrint allows a plugin one, so each engine has a plugin."""

    engine_name = "prusaslicer"

    def __init__(self) -> None:
        super().__init__()
        self._slicing: dict[str, threading.Event] = {}
        #: The path that was found to work, and the program's version there.
        self._working: tuple[str, str] | None = None

    def is_slicer_configured(self) -> bool:
        return self._version() is not None

    def get_slicer_properties(self) -> dict:
        return {
            "type": slicer_type(self.engine_name),
            "name": f"{ENGINES[self.engine_name].title} (FaceSculpt)",
            "same_device": True,
            "progress_report": True,
            "source_file_types": ["model"],
            "destination_extensions": ["gcode", "gco", "g"],
        }

    def get_slicer_default_profile(self) -> SlicingProfile:
        return self._preset(DEFAULT)

    def get_slicer_profiles(self, profile_path: str) -> dict[str, SlicingProfile]:
        folder, profiles = Path(profile_path), {}
        shelf = self.shelf(folder)
        for key in self._engine().profiles():
            # OctoPrint silently slices with the default when a profile that was chosen is not a file. And what is read-only
            # is what this plugin says, whatever somebody wrote into its file.
            file, preset = folder / f"{key}.profile", shelf.presets.get(key)
            if preset is not None:
                self._keep_preset(shelf, key, file)
            else:
                file.unlink(missing_ok=True)
        for key in shelf.names():
            file = folder / f"{key}.profile"
            try:
                profiles[key] = self.get_slicer_profile(str(file))
            except SlicingError as error:
                self._logger.warning("the slicing profile %s is left out: %s", file.name, error)
        return profiles

    def get_slicer_profile(self, path: str) -> SlicingProfile:
        file = Path(path)
        profile, preset = read_profile(file), self._engine().profiles().get(file.stem)
        return SlicingProfile(
            slicer_type(self.engine_name), file.stem, dict(profile.config), display_name=profile.title,
            description=preset.description if preset else None, default=file.stem == DEFAULT,
        )  # fmt: skip

    def save_slicer_profile(self, path: str, profile: SlicingProfile, allow_overwrite=True, overrides=None) -> None:
        file = Path(path)
        if file.exists() and not allow_overwrite:
            raise OSError(f"{path} exists")
        if file.stem in self._engine().profiles():
            raise SlicingError("profile_protected", f"'{file.stem}' is a preset and stays as it is.", "Change a copy of it.")
        config = {**(profile.data or {}), **{key: str(value) for key, value in (overrides or {}).items()}}
        try:
            base = read_profile(file).base
        except SlicingError:
            # A job's own copy of a profile is a new, empty file.
            base = ""
        write_profile(ProfileFile(title_of(profile.display_name or profile.name), base, config), file)

    def shelf(self, folder: Path) -> Shelf:
        """Presets and own profiles of this engine, the latter in OctoPrint's folder of its slicing profiles."""
        return Shelf(self._engine(), folder, self._version())

    def _keep_preset(self, shelf: Shelf, key: str, file: Path) -> None:
        try:
            text = shelf.read(key).text()
            if not file.is_file() or file.read_text(encoding="utf-8", errors="replace") != text:
                write_profile(shelf.read(key), file)
        except SlicingError:
            # Without the engine's own files there is nothing to keep.
            return

    def do_slice(
        self, model_path, printer_profile, machinecode_path=None, profile_path=None, position=None, on_progress=None,
        on_progress_args=None, on_progress_kwargs=None,
    ):  # fmt: skip
        # OctoPrint takes any other exception for a success and keeps an empty file.
        try:
            return True, {"analysis": self._slice(
                model_path, printer_profile, machinecode_path, profile_path, position, on_progress, on_progress_args,
                on_progress_kwargs,
            )}  # fmt: skip
        except Cancelled as error:
            raise SlicingCancelled() from error
        except FaceSculptError as error:
            return False, f"{error.message} {error.hint}".strip()
        except Exception as error:
            self._logger.exception("slicing failed")
            return False, f"{type(error).__name__}: {error}"

    def cancel_slicing(self, machinecode_path: str) -> None:
        event = self._slicing.get(machinecode_path)
        if event is not None:
            event.set()

    def _slice(self, model, printer, machinecode, profile, position, on_progress, args, kwargs) -> dict:
        target = machinecode or str(Path(model).with_suffix(".gcode"))
        cancelled = self._slicing.setdefault(target, threading.Event())
        command = [sys.executable, "-m", "octoprint_facesculpt", "slice", model, "-o", target, "--json"]
        command += ["--bed", bed_of(printer), "--engine", self.engine_name]
        if profile:
            command += ["--profile-file", profile]
        if position:
            command += ["--center", f"{float(position['x']):g},{float(position['y']):g}"]
        if path := self._of_facesculpt(settings.PATHS[self.engine_name]):
            command += ["--slicer-path", path]

        def progress(fraction: float, _message: str) -> None:
            if on_progress is not None:
                on_progress(*(args or ()), **{**(kwargs or {}), "_progress": fraction})

        try:
            result = run(
                command,
                log=Path(self.get_plugin_data_folder(), "slicing.log"),
                on_progress=progress,
                cancelled=cancelled,
                time_limit_seconds=60.0 * float(self._of_facesculpt("time_limit_minutes")),
            )
        finally:
            self._slicing.pop(target, None)
        return analysis_of(result)

    def _preset(self, key: str) -> SlicingProfile:
        profile = self._engine().profiles()[key]
        try:
            data = self._engine().configuration(key)
        except SlicingError:
            data = {}
        return SlicingProfile(
            slicer_type(self.engine_name), key, data, display_name=profile.name, description=profile.description,
            default=key == DEFAULT,
        )  # fmt: skip

    def _version(self) -> str | None:
        """The program's version; None when it cannot be used."""
        path = self._of_facesculpt(settings.PATHS[self.engine_name])
        if self._working is None or self._working[0] != path:
            try:
                self._working = (path, self._engine().detect().version)
            except SlicingError:
                return None
        return self._working[1]

    def _engine(self) -> CommandLineEngine:
        return ENGINES[self.engine_name](self._of_facesculpt(settings.PATHS[self.engine_name]))

    def _of_facesculpt(self, name: str) -> Any:
        """A setting of the main plugin, whichever plugin asks."""
        value = octoprint.settings.settings().get(["plugins", "facesculpt", name])
        return settings.DEFAULTS[name] if value is None else value


def slicer_type(engine: str) -> str:
    """OctoPrint's name of an engine."""
    return f"facesculpt_{engine}"
