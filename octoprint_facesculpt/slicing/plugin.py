"""PrusaSlicer in OctoPrint's own slicing dialog. The work is done by the same child process as everywhere else."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import octoprint.plugin
from octoprint.slicing import SlicingCancelled, SlicingProfile
from octoprint.util import atomic_write

from ..errors import Cancelled, FaceSculptError
from ..host import analysis_of
from ..jobs.runner import run
from .engine import SliceRequest, SlicingError
from .profiles import DEFAULT, PROFILES, resolve
from .prusaslicer import PrusaSlicer
from .vendor_bundle import format_config, read_config

SLICER = "facesculpt_prusaslicer"


class FaceSculptSlicer(octoprint.plugin.SlicerPlugin):
    """One slicer type, PrusaSlicer, with the bust profiles."""

    def __init__(self) -> None:
        super().__init__()
        self._slicing: dict[str, threading.Event] = {}
        self._configured: bool | None = None

    def is_slicer_configured(self) -> bool:
        if self._configured is None:
            try:
                PrusaSlicer(self._settings.get(["slicer_path"])).detect()
                self._configured = True
            except SlicingError:
                self._configured = False
        return self._configured

    def get_slicer_properties(self) -> dict:
        return {
            "type": SLICER,
            "name": "PrusaSlicer (FaceSculpt)",
            "same_device": True,
            "progress_report": True,
            "source_file_types": ["model"],
            "destination_extensions": ["gcode", "gco", "g"],
        }

    def get_slicer_default_profile(self) -> SlicingProfile:
        return self._preset(DEFAULT)

    def get_slicer_profiles(self, profile_path: str) -> dict[str, SlicingProfile]:
        folder = Path(profile_path)
        for key in PROFILES:
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
        preset = PROFILES.get(file.stem)
        return SlicingProfile(
            SLICER, file.stem, config, display_name=title, description=preset.description if preset else None,
            default=file.stem == DEFAULT,
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
        command += ["--bed", self.host.bed()]
        if profile:
            command += ["--profile-file", profile]
        if position:
            command += ["--center", f"{float(position['x']):g},{float(position['y']):g}"]
        if self._settings.get(["slicer_path"]):
            command += ["--slicer-path", self._settings.get(["slicer_path"])]

        def progress(fraction: float, _message: str) -> None:
            if on_progress is not None:
                on_progress(*(args or ()), **{**(kwargs or {}), "_progress": fraction})

        try:
            result = run(
                command,
                log=Path(self.get_plugin_data_folder(), "slicing.log"),
                on_progress=progress,
                cancelled=cancelled,
                time_limit_seconds=60.0 * self._settings.get_int(["time_limit_minutes"]),
            )
        finally:
            self._slicing.pop(target, None)
        return analysis_of(result)

    def _preset(self, key: str) -> SlicingProfile:
        profile = PROFILES[key]
        try:
            data = resolve(SliceRequest(profile=key))
        except SlicingError:
            data = {}
        return SlicingProfile(
            SLICER, key, data, display_name=profile.name, description=profile.description, default=key == DEFAULT
        )
