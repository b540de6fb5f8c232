"""What the dashboard and other clients see of stored things, as JSON values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .jobs.pipeline import INDEX
from .printing.queue import ACTIVE
from .store import Photo, QueueItem, Sculpture, Stage

#: Files of a sculpture that may be asked for.
FILES = {
    "front": "front.png",
    "three_quarter": "three_quarter.png",
    "profile": "profile.png",
    "viewer": "viewer.html",
    "stl": "bust.stl",
    "3mf": "bust.3mf",
    "glb": "bust.glb",
    "gcode": "bust.gcode",
    "report": "report.json",
    "contact": "contact.png",
    "index": INDEX,
}
BASE = "plugin/facesculpt"
#: Finished items of the queue that are still shown.
RECENT = 10
#: Pictures of the poses that were compared, and the file of their figures.
POSE, ORIENTATIONS, ORIENTATIONS_BYTES = re.compile(r"pose_[a-z0-9_]{1,40}\.png"), "orientations.json", 64 * 1024
#: No figure of a pose is as large as this.
FIGURE_LIMIT = 1e12


def photo_json(photo: Photo) -> dict[str, Any]:
    """A photo, with the address of its picture."""
    url = f"{BASE}/photos/{photo.id}/image" if photo.width else None
    keys = ("id", "name", "created", "width", "height", "state", "faces", "notes", "error")
    return {**{key: getattr(photo, key) for key in keys}, "url": {"image": url}}


def sculpture_json(sculpture: Sculpture, folder: Path, stages: Iterable[Stage] | None = None) -> dict[str, Any]:
    """A sculpture with its stages, estimates and the addresses of the files that exist. ``stages``: if they have been read."""
    keys = ("id", "name", "created", "state", "face", "others", "settings", "slicing", "error", "notes", "estimates")
    if stages is None:
        stages = Stage.select().where(Stage.sculpture == sculpture).order_by(Stage.id)
    return {
        **{key: getattr(sculpture, key) for key in keys},
        "photo": sculpture.photo_id,
        "stages": [
            {key: getattr(stage, key) for key in ("stage", "state", "progress", "message", "seconds")} for stage in stages
        ],
        "files": {kind: url for kind, name in FILES.items() if (url := _address(sculpture, folder / name))},
        "poses": _poses(sculpture, folder),
        "gcode": {"origin": "local", "path": sculpture.gcode_path} if sculpture.gcode_path else None,
    }


def _poses(sculpture: Sculpture, folder: Path) -> list[dict[str, Any]]:
    """The poses that were compared, best first, with their figures and the address of their picture. What a crash or a stranger
    made of the file is left out."""
    file = folder / ORIENTATIONS
    try:
        if file.stat().st_size > ORIENTATIONS_BYTES:
            return []
        found = json.loads(file.read_bytes())["orientations"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    poses = []
    for pose in found if isinstance(found, list) else []:
        key = pose.get("pose") if isinstance(pose, dict) else None
        if isinstance(key, str) and POSE.fullmatch(name := f"pose_{key}.png") and (url := _address(sculpture, folder / name)):
            poses.append({**_figures(pose), "pose": key, "url": url})
    return poses


def _figures(values: dict[str, Any]) -> dict[str, float]:
    """What of a file's values is a number that a browser can read: of NaN and infinity it can make nothing."""
    numbers = ((key, value) for key, value in values.items() if isinstance(value, (int, float)) and not isinstance(value, bool))
    return {key: value for key, value in numbers if -FIGURE_LIMIT < value < FIGURE_LIMIT}


def _address(sculpture: Sculpture, file: Path) -> str | None:
    """The address of a sculpture's file, another one when the file has become another; None when there is no such file."""
    try:
        made = file.stat().st_mtime_ns
    except OSError:
        return None
    return f"{BASE}/sculptures/{sculpture.id}/files/{file.name}?v={made:x}"


def forget_poses(folder: Path) -> None:
    """Remove the poses that were compared of a sculpture that becomes another one."""
    (folder / ORIENTATIONS).unlink(missing_ok=True)
    for picture in folder.glob("pose_*.png"):
        picture.unlink(missing_ok=True)


def queue_json(host, seconds_before: float = 0.0) -> list[dict[str, Any]]:
    """The running print, what waits in order, and what ended lately. ``seconds_before`` is how long the running print had been
    printing before it was interrupted and resumed."""
    active = QueueItem.select().where(QueueItem.state.in_(ACTIVE))
    waiting = QueueItem.select().where(QueueItem.state == "queued").order_by(QueueItem.position, QueueItem.id)
    ended = QueueItem.select().where(QueueItem.state.in_(("done", "failed", "cancelled")))
    rows = [*active, *waiting, *ended.order_by(QueueItem.id.desc()).limit(RECENT)]
    return [_item_json(item, host, seconds_before) for item in rows]


def _item_json(item: QueueItem, host, seconds_before: float) -> dict[str, Any]:
    keys = ("id", "state", "position", "added", "started", "ended", "reason")
    running = item.state in ACTIVE
    progress = host.progress() if running else {}
    if progress.get("print_seconds") is not None:
        progress["print_seconds"] += seconds_before
    nothing = {"progress": 1.0 if item.state == "done" else 0.0, "print_seconds": None, "print_seconds_left": None}
    return {
        **{key: getattr(item, key) for key in keys},
        "sculpture": item.sculpture_id,
        "name": item.sculpture.name,
        "path": item.sculpture.gcode_path,
        # By the plan that was printed, which may have been made anew since.
        "seconds": (item.plan or item.sculpture.estimates or {}).get("seconds"),
        "thumbnail": f"{BASE}/sculptures/{item.sculpture_id}/files/front.png",
        "seconds_before": seconds_before if running else 0.0,
        **(progress if running else nothing),
    }
