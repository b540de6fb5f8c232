"""Our slicers in OctoPrint's own slicing dialog. The work is done by the same child process as everywhere else."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import octoprint.plugin
import octoprint.settings
from octoprint.slicing import SlicingCancelled, SlicingProfile
from octoprint.util import atomic_write

from .. import settings
from ..errors import Cancelled, FaceSculptError
from ..host import Host, analysis_of
from ..jobs.runner import run
from . import ENGINES
from .engine import Profile, SlicingError
from .profiles import DEFAULT
from .program import CommandLineEngine
from .vendor_bundle import format_config, read_config


class FaceSculptSlicer(octoprint.plugin.SlicerPlugin):
    """One slicer type with the bust profiles: OctoPrint allows a plugin one, so each engine has a plugin."""

    engine_name = "prusaslicer"

    def __init__(self) -> None:
        super().__init__()
        self._slicing: dict[str, threading.Event] = {}
        #: The path and program that were found to work.
        self._working: tuple[str, ...] = ()

    def is_slicer_configured(self) -> bool:
        path = self._of_facesculpt(settings.PATHS[self.engine_name])
        if self._working != (path,):
            try:
                self._engine().detect()
                self._working = (path,)
            except SlicingError:
                return False
        return True

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
        folder = Path(profile_path)
        for key in self._profiles():
            # OctoPrint silently slices with the default when a profile that was chosen is not a file.
            file, preset = folder / f"{key}.profile", self._preset(key)
            if preset.data and not file.exists():
                self.save_slicer_profile(str(file), preset)
        profiles = {}
        for file in sorted(folder.glob("*.profile")):
            try:
                profiles[file.stem] = self.get_slicer_profile(str(file))
            except SlicingError as error:
                self._logger.warning("the slicing profile %s is left out: %s", file.name, error)
        return profiles

    def get_slicer_profile(self, path: str) -> SlicingProfile:
        file = Path(path)
        config = read_config(file)
        with file.open(encoding="utf-8", errors="replace") as lines:
            first = lines.readline(200)
        title = first[2:].strip() if first.startswith("# ") else file.stem
        preset = self._profiles().get(file.stem)
        return SlicingProfile(
            slicer_type(self.engine_name), file.stem, config, display_name=title,
            description=preset.description if preset else None, default=file.stem == DEFAULT,
        )  # fmt: skip

    def save_slicer_profile(self, path: str, profile: SlicingProfile, allow_overwrite=True, overrides=None) -> None:
        if Path(path).exists() and not allow_overwrite:
            raise OSError(f"{path} exists")
        config = {**(profile.data or {}), **{key: str(value) for key, value in (overrides or {}).items()}}
        title = " ".join((profile.display_name or profile.name).split())
        with atomic_write(path, mode="wt", max_permissions=0o666) as file:
            file.write(f"# {title}\n{format_config(config)}")

    def do_slice(
        self, model_path, printer_profile, machinecode_path=None, profile_path=None, position=None, on_progress=None,
        on_progress_args=None, on_progress_kwargs=None,
    ):  # fmt: skip
        # OctoPrint takes any other exception for a success and keeps an empty file.
        try:
            return True, {"analysis": self._slice(
                model_path, machinecode_path, profile_path, position, on_progress, on_progress_args, on_progress_kwargs
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

    def _slice(self, model, machinecode, profile, position, on_progress, args, kwargs) -> dict:
        target = machinecode or str(Path(model).with_suffix(".gcode"))
        cancelled = self._slicing.setdefault(target, threading.Event())
        command = [sys.executable, "-m", "octoprint_facesculpt", "slice", model, "-o", target, "--json"]
        host = Host(self._printer, self._file_manager, self._printer_profile_manager)
        command += ["--bed", host.bed(), "--engine", self.engine_name]
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
        profile = self._profiles()[key]
        try:
            data = self._engine().configuration(key)
        except SlicingError:
            data = {}
        return SlicingProfile(
            slicer_type(self.engine_name), key, data, display_name=profile.name, description=profile.description,
            default=key == DEFAULT,
        )  # fmt: skip

    def _engine(self) -> CommandLineEngine:
        return ENGINES[self.engine_name](self._of_facesculpt(settings.PATHS[self.engine_name]))

    def _profiles(self) -> dict[str, Profile]:
        return self._engine().profiles()

    def _of_facesculpt(self, name: str) -> Any:
        """A setting of the main plugin, whichever plugin asks."""
        value = octoprint.settings.settings().get(["plugins", "facesculpt", name])
        return settings.DEFAULTS[name] if value is None else value


def slicer_type(engine: str) -> str:
    """OctoPrint's name of an engine."""
    return f"facesculpt_{engine}"
