"""The only file that touches OctoPrint's printer and file manager."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from octoprint.filemanager import FileDestinations
from octoprint.filemanager.util import DiskFileWrapper
from octoprint.printer import PrinterCallback
from octoprint.settings import settings
from octoprint.webcams import get_snapshot_webcam

_logger = logging.getLogger(__name__)
FOLDER = "facesculpt"


class Host:
    """OctoPrint's printer, files and printer profile, as far as this plugin needs them."""

    def __init__(self, printer, file_manager, printer_profiles) -> None:
        self._printer, self._files, self._profiles = printer, file_manager, printer_profiles

    def printing(self) -> bool:
        """Whether a print is running, paused, or being started or ended."""
        return bool(self._printer.is_printing() or self._printer.is_paused() or self._printer.is_pausing())

    def prints(self, path: str) -> bool:
        """Whether the running print is of this file of the uploads."""
        job = (self._printer.get_current_job() or {}).get("file") or {}
        return self.printing() and job.get("origin") == FileDestinations.LOCAL and job.get("path") == path

    def ready(self) -> bool:
        """Whether a print could be started now."""
        return bool(self._printer.is_ready())

    def operational(self) -> bool:
        return bool(self._printer.is_operational())

    def opens(self) -> bool:
        """Whether the printer's port is being opened, or could not be: OctoPrint does not tell one from the other."""
        return self._printer.get_state_id() == "OPEN_SERIAL"

    def connect_anew(self) -> None:
        """Let go of the printer's port and connect as OctoPrint does when it starts."""
        self._printer.disconnect()
        self._printer.connect(profile=self._profiles.get_default()["id"])

    def add_gcode(self, file: Path, name: str, title: str, analysis: dict[str, Any]) -> str:
        """Copy G-code into OctoPrint's uploads, as file ``name`` and shown as ``title``; its path there."""
        self._files.add_folder(FileDestinations.LOCAL, FOLDER, ignore_existing=True)
        wanted = self._files.join_path(FileDestinations.LOCAL, FOLDER, f"{name}.gcode")
        wrapper = DiskFileWrapper(f"{name}.gcode", str(file), move=False)
        return self._files.add_file(
            FileDestinations.LOCAL, wanted, wrapper, allow_overwrite=True, analysis=analysis, display=f"{title}.gcode"
        )

    def has_gcode(self, path: str) -> bool:
        return bool(self._files.file_exists(FileDestinations.LOCAL, path))

    def remove_gcode(self, path: str) -> None:
        """Delete G-code from the uploads, unless it is not there any more."""
        if self.has_gcode(path):
            self._files.remove_file(FileDestinations.LOCAL, path)

    def start(self, path: str, user: str | None) -> None:
        """Select a file of the uploads and print it, as the dashboard's own button would."""
        self._printer.select_file(path, False, printAfterSelect=True, user=user)

    def resume(self, path: str, offset: int, user: str | None) -> None:
        """Print a file of the uploads from a byte on; what must come first is for the script hook to send."""
        self._printer.select_file(path, False, printAfterSelect=True, user=user, pos=offset)

    def cancel(self) -> None:
        self._printer.cancel_print()

    def send(self, lines: list[str], tags: set[str]) -> None:
        """Send lines to the printer outside a print."""
        self._printer.commands(list(lines), tags=set(tags))

    def follow_terminal(self, logged: Callable[[str], None]) -> None:
        """Call ``logged`` with each line of the terminal, at once, on the thread that sends or receives it."""
        if self._printer is None:  # OctoPrint's command line has none
            return
        follower = PrinterCallback()
        follower.on_printer_add_log = logged
        self._printer.register_callback(follower)

    def log(self, text: str) -> None:
        """Write a line into the terminal."""
        self._printer.log_lines(text)

    def hold(self) -> bool:
        """Send no more of the file; what is under way still goes out. Whether it is held; never waits."""
        return bool(self._printer.set_job_on_hold(True, blocking=False))

    def release(self) -> None:
        """Send the file on, after the lines that were sent meanwhile."""
        if self._printer.is_operational():
            self._printer.set_job_on_hold(False)

    def ask_position(self) -> None:
        """Ask the printer where it believes to be; the answer comes to the hook for received lines."""
        self._printer.commands("M114", tags={"plugin:facesculpt"})

    def camera(self) -> bool:
        """Whether OctoPrint has a camera that takes snapshots."""
        try:
            webcam = get_snapshot_webcam()
            return bool(webcam and webcam.config.canSnapshot)
        except Exception:  # of somebody else's camera plugin
            _logger.exception("the camera does not tell what it can do")
            return False

    def correct_print_time(self, path: str, seconds: float) -> None:
        """Make the last entry of a file's history that of the whole print: OctoPrint counts from the resume on."""
        storage = self._files._storage(FileDestinations.LOCAL)
        history = (storage.get_metadata(path) or {}).get("history") or []
        if history and history[-1].get("success"):
            storage.update_history(path, len(history) - 1, {"printTime": seconds})

    def selected(self) -> str | None:
        """The file of the uploads that is selected for printing."""
        job = (self._printer.get_current_job() or {}).get("file") or {}
        return job.get("path") if job.get("origin") == FileDestinations.LOCAL else None

    def gcode_on_disk(self, path: str) -> Path:
        return Path(self._files.path_on_disk(FileDestinations.LOCAL, path))

    def bed_corners(self) -> tuple[float, float, float, float]:
        """Left, front, right and back of the bed, mm."""
        size, _, corner = self.bed().partition("@")
        width, depth, _height = map(float, size.split("x"))
        left, front = map(float, corner.split(","))
        return left, front, left + width, front + depth

    def height(self) -> float:
        return float(self._profiles.get_current_or_default()["volume"]["height"])

    def progress(self) -> dict[str, float | None]:
        """Fraction, seconds so far and seconds left of the running print."""
        progress = self._printer.get_current_data().get("progress") or {}
        completion = progress.get("completion")
        return {
            "progress": completion / 100 if completion is not None else 0.0,
            "print_seconds": progress.get("printTime"),
            "print_seconds_left": progress.get("printTimeLeft"),
        }

    def bed(self) -> str:
        """The printer's printable space as :func:`bed_of` writes it."""
        return bed_of(self._profiles.get_current_or_default())

    def profile(self) -> str:
        """The identifier of the current printer profile."""
        return str(self._profiles.get_current_or_default()["id"])

    def printer_profile(self) -> dict[str, Any] | None:
        """Identifier, name, space, nozzle (mm) and number of extruders of the connected printer; None when there is none."""
        profile = self._profiles.get_current()
        if profile is None:
            return None
        extruder = profile["extruder"]
        nozzle, extruders = float(extruder["nozzleDiameter"]), int(extruder["count"])
        return {"key": profile["id"], "name": profile["name"], "bed": bed_of(profile), "nozzle": nozzle, "extruders": extruders}

    def last_safe_mode(self) -> int | None:
        """Names OctoPrint's last start in safe mode, in which this plugin is not loaded; None if there was none."""
        try:
            return (Path(settings().getBaseFolder("data")) / "last_safe_mode").stat().st_mtime_ns
        except OSError:
            return None

    def printed_since(self, moment: float, but: str) -> bool:
        """Whether a print of the uploads, other than of file ``but``, has ended after ``moment`` (seconds since 1970)."""
        try:
            files = self._files.list_files(FileDestinations.LOCAL, recursive=True)[FileDestinations.LOCAL]
            return _printed_since(files, moment, but)
        except Exception:  # of whatever keeps the files
            _logger.exception("it cannot be told whether other files have been printed")
            return True

    def printer(self, key: str | None) -> dict[str, Any]:
        """One of :meth:`printers`; the current one if none is named, or if it is not there any more."""
        known = self.printers()
        return next((one for one in known if one["key"] == key), None) or next(one for one in known if one["current"])

    def printers(self) -> list[dict[str, Any]]:
        """Identifier, name, space and nozzle (mm) of OctoPrint's printer profiles, and which is the current one."""
        current = self._profiles.get_current_or_default()
        return [
            {
                "key": key,
                "name": profile["name"],
                "bed": bed_of(profile),
                "nozzle": float(profile["extruder"]["nozzleDiameter"]),
                "current": key == current["id"],
            }
            for key, profile in sorted({**self._profiles.get_all(), current["id"]: current}.items())
        ]


def _printed_since(files: dict[str, Any], moment: float, but: str) -> bool:
    for entry in files.values():
        if entry.get("type") == "folder":
            if _printed_since(entry.get("children") or {}, moment, but):
                return True
        elif entry.get("path") != but and any(
            float(end.get("timestamp") or 0.0) > moment for end in entry.get("history") or ()
        ):
            return True
    return False


def bed_of(profile: dict[str, Any]) -> str:
    """A printer profile's printable space as ``WxDxH@X,Y`` in mm; of a round bed the largest square in it."""
    volume = profile["volume"]
    width, depth, height = (float(volume[key]) for key in ("width", "depth", "height"))
    left, front = (-width / 2, -depth / 2) if volume.get("origin") == "center" else (0.0, 0.0)
    if volume.get("formFactor") == "circular":
        side = width / 2**0.5
        left, front = left + (width - side) / 2, front + (width - side) / 2
        width = depth = side
    return f"{width:g}x{depth:g}x{height:g}@{left:g},{front:g}"


def pause_place(comm: Any) -> tuple[float, float, float] | None:
    """Where the printer said that it stopped for a pause, as OctoPrint's own scripts are given it; None if it did not say."""
    position = getattr(comm, "pause_position", None)
    place = tuple(getattr(position, axis, None) for axis in "xyz")
    return place if all(isinstance(value, (int, float)) for value in place) else None  # type: ignore[return-value]


def analysis_of(result: dict[str, Any]) -> dict[str, Any]:
    """A slicing result (``SliceResult.to_json()``) as OctoPrint's G-code analysis, so that it need not analyse again."""
    low, high = result["bounds"]
    corners = {"min": low, "max": high}
    area = {f"{edge}{axis}": corner[index] for edge, corner in corners.items() for index, axis in enumerate("XYZ")}
    size = {name: high[axis] - low[axis] for axis, name in enumerate(("width", "depth", "height"))}
    return {
        "printingArea": area,
        "dimensions": size,
        "travelArea": area,
        "travelDimensions": size,
        "estimatedPrintTime": result["estimated_seconds"],
        "filament": {"tool0": {"length": result["filament_mm"], "volume": result["filament_mm"] * 2.405e-3}},
    }
