"""The plugin: OctoPrint's mixins, each method one call into a room."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import octoprint.plugin
from octoprint.access.permissions import Permissions
from octoprint.events import Events
from octoprint.server.util.flask import permission_validator
from octoprint.server.util.tornado import access_validation_factory
from octoprint.util import RepeatedTimer

from . import assets, leftovers, settings
from .api import FaceSculptApi
from .deletions import Deletions
from .desk.alone import Wish
from .desk.connection import ConnectionKeeper
from .desk.desk import RecoveryDesk
from .desk.drill import Drill
from .desk.estimate import estimator
from .desk.hooks import LineHooks
from .desk.ports import Surroundings
from .downloads import Download, DownloadHandler
from .fetching import AssetFetch
from .host import Host, analysis_of, pause_place
from .jobs.layers import LayerPictures
from .jobs.pipeline import OUTPUTS, Pipeline, Workshop
from .printing.queue import INTERRUPTED, PrintQueue
from .reconstruction import MAX_PHOTOS
from .recovery.errors import RecoveryError
from .slicers import Slicers
from .slicing import ENGINES
from .slicing.importing import LIMITS
from .slicing.plugin import FaceSculptSlicer
from .slicing.presets import TREE
from .slicing.profiles import PROFILES
from .slicing.shelf import Shelf
from .slicing.targets import experience
from .store import ClosedStore, Photo, Sculpture, Store, StoreError
from .views import photo_json, queue_json, sculpture_json

MOVED = (Events.FILE_MOVED, Events.FOLDER_MOVED)
#: Seconds between two looks for what was deleted and has had its time.
CLEARING_SECONDS = 60
FOLLOWED = (Events.PRINT_PAUSED, Events.PRINT_RESUMED, Events.PRINT_DONE, Events.PRINT_FAILED)


class FaceSculptPlugin(
    # First, because OctoPrint's mixins do not pass __init__ on.
    FaceSculptSlicer,
    octoprint.plugin.SettingsPlugin,
    octoprint.plugin.TemplatePlugin,
    octoprint.plugin.AssetPlugin,
    octoprint.plugin.StartupPlugin,
    octoprint.plugin.ShutdownPlugin,
    octoprint.plugin.EventHandlerPlugin,
    octoprint.plugin.WizardPlugin,
    FaceSculptApi,
):
    """Wiring only; the parts are built in :meth:`initialize`."""

    store: Store
    host: Host
    queue: PrintQueue
    workshop: Workshop
    pipeline: Pipeline
    layers: LayerPictures
    #: Of the lines that are sent and received; OctoPrint takes its hooks before :meth:`initialize`.
    line_hooks = LineHooks()

    def initialize(self) -> None:
        data = Path(self.get_plugin_data_folder())
        self.store = self._open_store(data / "facesculpt.db")
        self.host = Host(self._printer, self._file_manager, self._printer_profile_manager)
        self.queue = PrintQueue(self.store, self.host, self.publish, lambda: self.recovery.pending)
        self.workshop = Workshop(
            data, self._hold, self.publish, self._add_gcode, self._options, self._printing, self._in_use, self.host.remove_gcode
        )
        self.layers = LayerPictures()
        self.pipeline = Pipeline(self.store, self.workshop, self._logger)
        self._closed = isinstance(self.store, ClosedStore)
        self.deletions = Deletions(self.store, self.workshop, self.pipeline.drop, self._has_room)
        self._clearing = RepeatedTimer(CLEARING_SECONDS, self._clear)
        ours = () if self._closed else (self._model_of, self._job_of, self.queue.resumed)
        around = Surroundings(self.publish, self._wish, *ours)
        self.recovery = RecoveryDesk(data / "recovery", self.host, around)
        self.line_hooks.connect(self.recovery)
        self.host.follow_terminal(self.line_hooks.logged)
        self.connection = ConnectionKeeper(self.host, lambda: self.recovery.pending)
        self.drill = Drill(data / "recovery-drill", self.host, around)
        self._fetch = AssetFetch(data / "assets", lambda told: self.publish("assets", told), self._check_photos_again)
        self._slicers = Slicers(lambda name: self._settings.get([settings.PATHS[name]]), self._profile_folder)
        self._leftovers = leftovers.Leftovers() if self._closed else leftovers.find(data)
        #: File and seconds of a resumed print whose entry in OctoPrint's statistics is being made.
        self._whole_time: tuple[str, float] | None = None

    # -- start, end, events

    def _open_store(self, file: Path) -> Store:
        try:
            return Store(file)
        except StoreError as error:
            # OctoPrint would go on without this plugin, and nothing would keep Z out of an interrupted print.
            self._logger.error("photos, sculptures and queue cannot be had: %s", error)
            return ClosedStore(error)

    def on_after_startup(self) -> None:
        if not self._closed:
            self.queue.recover()
            self.deletions.open()
            self._clearing.start()
            self.pipeline.start()
        self.recovery.open()
        self.connection.start()

    def on_shutdown(self) -> None:
        self.connection.stop()
        self._clearing.cancel()
        self.recovery.close()
        self.drill.end()
        self.pipeline.close()
        self.store.close()

    def on_event(self, event: str, payload: dict | None) -> None:
        payload = payload or {}
        resumed = self.recovery.resumed
        self.recovery.on_event(event, payload)
        if event in FOLLOWED and not self._closed:
            if event == Events.PRINT_FAILED and self.recovery.pending:
                # OctoPrint calls it cancelled when the printer starts anew.
                payload = {**payload, "reason": INTERRUPTED}
            self.queue.on_event(event, payload)
            self.pipeline.wake()
        elif event in MOVED and payload.get("storage") == "local" and not self._closed:
            self._follow(str(payload.get("source_path")), str(payload.get("destination_path")))
        if event == Events.PRINT_DONE and resumed is not None:
            self._whole_time = (str(payload.get("path")), self.recovery.watch.seconds)
        elif event == Events.METADATA_STATISTICS_UPDATED and self._whole_time is not None:
            (path, seconds), self._whole_time = self._whole_time, None
            if payload.get("path") == path:
                self.host.correct_print_time(path, seconds)

    def _follow(self, source: str, destination: str) -> None:
        """Somebody has renamed or moved a file of the uploads, or a folder: sculptures keep to their G-code."""
        for sculpture in self.store.moved(source, destination):
            self.publish("sculpture", sculpture)
        self.publish("queue", None)

    # -- hooks of the printer's connection; they run on its threads and only remember

    def on_script(self, comm, kind, name, *_args, **_kwargs):
        return self.recovery.on_script(kind, name, pause_place(comm))

    def on_temperatures(self, _comm, parsed, *_args, **_kwargs):
        self.recovery.on_temperatures(parsed)
        return parsed

    def on_at_command(self, _comm, _phase, command, parameters, tags=None, *_args, **_kwargs):
        self.recovery.guard.on_at_command(command, parameters, tags)

    def estimator(self) -> type:
        return estimator(lambda: self.recovery.resumed)

    def on_firmware(self, _comm, name, *_args, **_kwargs):
        self.recovery.on_firmware(name)

    # -- what is given out without Flask

    def routes(self, *_args: Any, **_kwargs: Any) -> list[tuple[str, type, dict[str, Any]]]:
        # OctoPrint makes it when it starts to serve.
        from octoprint.server import app

        def route(address: str, permission: Any, find: Callable[..., Download]) -> tuple[str, type, dict[str, Any]]:
            admit = access_validation_factory(app, permission_validator, permission)
            return address, DownloadHandler, {"admit": admit, "find": find}

        return [
            route(r"sculptures/([^/]+)/files/([^/]+)", Permissions.PLUGIN_FACESCULPT_VIEW, self.sculpture_file),
            route(r"recovery/resume\.gcode", Permissions.PLUGIN_FACESCULPT_RECOVER, self.resume_file),
        ]

    # -- settings, templates, assets, wizard

    def get_settings_defaults(self) -> dict[str, Any]:
        return dict(settings.DEFAULTS)

    def get_settings_version(self) -> int:
        return settings.VERSION

    def get_settings_restricted_paths(self) -> dict[str, list]:
        return settings.RESTRICTED

    def on_settings_save(self, data):
        saved = octoprint.plugin.SettingsPlugin.on_settings_save(self, data)
        self._slicers.forget()
        return saved

    def is_template_autoescaped(self) -> bool:
        return True

    def get_template_configs(self) -> list[dict[str, Any]]:
        return [
            {"type": "tab", "name": "FaceSculpt", "template": "facesculpt_tab.jinja2", "custom_bindings": True},
            {"type": "settings", "template": "facesculpt_settings.jinja2", "custom_bindings": False},
            {"type": "wizard", "name": "FaceSculpt", "template": "facesculpt_wizard.jinja2", "custom_bindings": True},
        ]

    def get_template_vars(self) -> dict[str, Any]:
        # Branching supports are for those who choose them: not every engine has them.
        return {"profiles": [profile for profile in PROFILES.values() if not profile.key.endswith(TREE)]}

    def get_assets(self) -> dict[str, list[str]]:
        return {
            "js": [
                "js/facesculpt_texts.js",
                "js/facesculpt_errors.js",
                "js/facesculpt.js",
                "js/facesculpt_deleted.js",
                "js/facesculpt_photos.js",
                "js/facesculpt_queue.js",
                "js/facesculpt_recovery_texts.js",
                "js/facesculpt_recovery.js",
                "js/facesculpt_plan.js",
                "js/facesculpt_profiles.js",
                "js/facesculpt_layers.js",
                "js/facesculpt_sculptures.js",
                "js/facesculpt_new.js",
            ],
            "clientjs": ["clientjs/facesculpt.js"],
            "css": ["css/facesculpt.css"],
        }

    def is_wizard_required(self) -> bool:
        return not all(row["present"] for row in assets.status(self._fetch.folder))

    def get_wizard_version(self) -> int:
        return 1

    # -- what the API asks for

    def photo_bytes(self) -> int:
        return settings.number(self._settings, "photo_megabytes") << 20

    def default_height(self) -> int:
        return settings.number(self._settings, "height_mm")

    def default_profile(self) -> str:
        profile = self._settings.get(["profile"])
        return profile if profile in PROFILES else settings.DEFAULTS["profile"]

    def status(self) -> dict[str, Any]:
        """What the dashboard must know before anything is tried."""
        slicers = self.slicers()
        return {
            "version": self._plugin_version,
            "assets": assets.status(self._fetch.folder),
            "fetching": self._fetch.running,
            "slicer": slicers[0],
            "slicers": slicers,
            "printer": {
                "operational": self.host.operational(),
                "ready": self.host.ready(),
                "printing": self.host.printing(),
            },
            "limits": {"photo_bytes": self.photo_bytes(), "photos": MAX_PHOTOS},
            "experience": {name: _experience(self.store.experience(name, self.host.profile())) for name in ENGINES},
            "defaults": {"height_mm": self.default_height(), "profile": self.default_profile()},
            "jobs_wait_for_print": not self._settings.get_boolean(["jobs_while_printing"]),
            "leftovers": self._leftovers.to_json(),
        }

    def slicers(self) -> list[dict[str, Any]]:
        return self._slicers.all()

    def shelves(self) -> dict[str, Shelf]:
        return self._slicers.shelves()

    def fetch_assets(self) -> None:
        self._fetch.begin()

    def restore_leftovers(self) -> None:
        """Take back photos that the database had lost."""
        leftovers.restore(self._leftovers)
        self._leftovers = leftovers.find(self.workshop.data, self._leftovers)
        self.publish("photos", None)
        self.pipeline.wake()

    def delete_leftovers(self) -> None:
        """Remove the files of which the database knows nothing."""
        leftovers.delete(self._leftovers)
        self._leftovers = leftovers.find(self.workshop.data, self._leftovers)

    def publish_deleted(self, *kinds: str) -> None:
        for kind in kinds:
            self.publish(kind, None)
        self.publish("deleted", self.deletions.rows())
        self.pipeline.wake()

    def begin_drill(self) -> None:
        """Rehearse an outage with the file that is selected, or else with the newest sculpture's."""
        if self.host.printing():
            raise RecoveryError("busy", "A print is running.", "Rehearse when it has ended.")
        if self.recovery.pending:
            raise RecoveryError("to_be_recovered", "A real print waits for its recovery.", "See to that one first.")
        path = self.host.selected()
        if path is None:
            ready = Sculpture.select().where(Sculpture.gcode_path.is_null(False)).order_by(Sculpture.created.desc())
            path = next((s.gcode_path for s in ready if s.gcode_path and self.host.has_gcode(s.gcode_path)), None)
        if path is None:
            raise RecoveryError("file_missing", "There is no G-code to rehearse with.", "Select a file first.")
        sculpture = Sculpture.get_or_none(Sculpture.gcode_path == path)
        self.drill.begin(path, sculpture.name if sculpture else path.rpartition("/")[2])

    def _check_photos_again(self) -> None:
        # What could not be checked for want of the files can be now.
        for photo in Photo.select().where(Photo.state == "failed"):
            if (photo.error or {}).get("code") == "asset_missing":
                photo.state, photo.error = "checking", None
                photo.save()
                self.publish("photo", photo)
        self.store.close()
        self.pipeline.wake()

    def publish(self, kind: str, what: Any) -> None:
        """Tell the dashboards of those who may see portraits."""
        if isinstance(what, Photo):
            what = photo_json(what)
        elif isinstance(what, Sculpture):
            what = sculpture_json(what, self.workshop.folder(what))
        elif kind == "queue":
            what = self.queue_rows()
        self._plugin_manager.send_plugin_message(
            self._identifier, {"type": kind, "data": what}, permissions=[Permissions.PLUGIN_FACESCULPT_VIEW]
        )

    def queue_rows(self) -> list[dict[str, Any]]:
        """The queue for the dashboard; a print that goes on counts the seconds before its interruption, too."""
        return queue_json(self.host, self.recovery.resumed[0] if self.recovery.resumed else 0.0)

    # -- what the rooms ask for

    def _profile_folder(self, slicer: str) -> str:
        return self._slicing_manager.get_slicer_profile_path(slicer)

    def _wish(self) -> Wish:
        minutes = settings.number(self._settings, "resume_alone_minutes")
        return Wish(self._settings.get_boolean(["resume_alone"]), 60.0 * minutes)

    def _model_of(self, path: str) -> Path | None:
        sculpture = Sculpture.get_or_none(Sculpture.gcode_path == path)
        file = self.workshop.folder(sculpture) / OUTPUTS["sculpt"] if sculpture else None
        self.store.close()
        return file if file is not None and file.is_file() else None

    def _job_of(self, path: str) -> dict[str, Any]:
        item = self.queue.active()
        ours = item is not None and item.sculpture.gcode_path == path
        return {"item": item.id, "name": item.sculpture.name} if item is not None and ours else {}

    def _hold(self) -> bool:
        return self.host.printing() and not self._settings.get_boolean(["jobs_while_printing"])

    def _in_use(self, path: str) -> bool:
        return self.host.prints(path) or self.recovery.needs(path)

    def _has_room(self) -> bool:
        """Whether the disk has as much room as OctoPrint itself wants there to be."""
        return shutil.disk_usage(self.workshop.data).free > self._settings.global_get_int(["server", "diskspace", "warning"])

    def _clear(self) -> None:
        try:
            if self.deletions.clear():
                self.publish_deleted()
        except Exception:  # or it would never be looked again
            self._logger.exception("what was deleted cannot be removed")
        self.store.close()

    def _options(self) -> dict[str, Any]:
        return {
            "threads": settings.number(self._settings, "threads"),
            "time_limit_seconds": 60.0 * settings.number(self._settings, "time_limit_minutes"),
            "slicer_paths": {name: self._settings.get([path]) for name, path in settings.PATHS.items()},
            "bed": self.host.bed(),
        }

    def _printing(self, sculpture: Sculpture) -> list[str]:
        """Arguments of a sculpture's slicing: its printer, the file of an own profile, and what earlier prints taught."""
        slicing = sculpture.slicing
        printer = self.host.printer(slicing.get("printer") or None)
        arguments = ["--bed", printer["bed"], "--nozzle", f"{printer['nozzle']:g}"]
        file = self.shelves()[slicing["engine"]].file(slicing["profile"])
        if file is not None:
            arguments += ["--profile-file", str(file)]
        correction, prints = experience(self.store.experience(slicing["engine"], printer["key"]))
        return [*arguments, "--correction", f"{correction:.4f}", "--prints", str(prints)]

    def _add_gcode(self, sculpture: Sculpture, file: Path, result: dict[str, Any]) -> str:
        # The identifier keeps two sculptures of one name apart.
        stem = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in sculpture.name)[:40]
        return self.host.add_gcode(file, f"{stem}_{sculpture.id[:6]}", str(sculpture.name), analysis_of(result))


def _experience(prints: list[tuple[float, float]]) -> dict[str, Any]:
    correction, count = experience(prints)
    return {"correction": round(correction, 3), "prints": count}


def body_size(_current: list, *_args: Any, **_kwargs: Any) -> list[tuple[str, str, int]]:
    """OctoPrint cuts requests at 100 kB unless it is told better; the exact limit is the settings'."""
    photos = ("POST", r"/photos", (settings.RANGES["photo_megabytes"][1] + 1) << 20)
    return [photos, ("POST", r"/slicing/profiles", LIMITS["file"] + (1 << 20))]


def backup_excludes(_excludes: list, *_args: Any, **_kwargs: Any) -> list[str]:
    """Portraits do not travel in backups, nor do files that can be fetched or made again, nor what is on the bed now."""
    return ["photos", "sculptures", "assets", "recovery", "recovery-drill"]
