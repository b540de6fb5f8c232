"""The JSON report of a reconstruction (``"schema": 1``)."""

from __future__ import annotations

import resource
from typing import Any

import numpy as np

from ..portrait.portrait import Portrait, QualityNote
from ..portrait.quality import COVERED
from .head import Head
from .shown import HAIR_MISSING


def notes_on(portrait: Portrait, head: Head) -> tuple[QualityNote, ...]:
    """The photo's own notes, one when something covers part of the face, one when hair could not be looked for, and one when
    several photos do not agree on the person."""
    notes = list(portrait.notes)
    if head.details.get("covered") and "occluded" not in {note.code for note in notes}:
        notes.append(COVERED)
    missing = head.details.get(HAIR_MISSING)
    if missing:
        notes.append(QualityNote("no_hair", "warning", f"The head has no hair: {missing}"))
    agreement = head.details.get("agreement", {})
    if agreement.get("same_person_doubtful"):
        message = f"The photos differ by {agreement['largest_mm']:.1f} mm: do they show the same person?"
        notes.append(QualityNote("photos_disagree", "warning", message))
    return tuple(notes)


def report(portrait: Portrait, head: Head, seconds: dict[str, float]) -> dict[str, Any]:
    """Everything measured about a reconstruction; pixels are those of the whole upright photo, millimetres the head frame's."""
    import trimesh

    mesh = trimesh.Trimesh(head.vertices, head.triangles, process=False)
    box = portrait.faces[portrait.face]
    width, height = portrait.size
    landmarks = portrait.landmarks[:, :2] @ portrait.place[:, :2].T + portrait.place[:, 2]
    projection = np.vstack([portrait.place, [0, 0, 1]]) @ head.projection
    return {
        "schema": 1,
        "model": head.model,
        "image": {
            "width": width,
            "height": height,
            "face": {"left": box.left, "top": box.top, "width": box.width, "height": box.height, "score": box.score},
            "decoded": portrait.decoded,
        },
        "landmarks2d": landmarks.round(2).tolist(),
        "landmarks3d": head.landmarks.round(3).tolist(),
        "camera": {
            "model": "perspective",
            "matrix": projection.tolist(),
            "distance_mm": head.details.get("camera_distance_mm"),
        },
        "quality": {
            "score": round(portrait.quality, 3),
            "notes": [{"code": n.code, "severity": n.severity, "message": n.message} for n in notes_on(portrait, head)],
        },
        **({"agreement": head.details["agreement"]} if "agreement" in head.details else {}),
        "mesh": {
            "vertices": len(head.vertices),
            "triangles": len(head.triangles),
            "watertight": bool(mesh.is_watertight),
            "volume_mm3": float(mesh.volume),
            "bounds": mesh.bounds.round(3).tolist(),
        },
        "seconds": {name: round(value, 3) for name, value in {**seconds, **head.seconds}.items()},
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
