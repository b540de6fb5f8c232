"""From a sculpture to the print that was asked for, and the truth about it before anything heats up."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..progress import Progress, silent
from .contact import mark_contact, measure_contact, show_contact
from .engine import Bed, SliceRequest, SliceResult, SlicingError
from .face import find_surface, surface_of
from .model_file import RIM
from .presets import MASK, THICKEST, TREE
from .targets import Tried, Wishes, first_height, solve_height, solve_layers

if TYPE_CHECKING:
    from ..sculpture.shaping import Sculpture
    from ..sculpture.surface import Surface

#: Sculptures are not made lower than this to save time or plastic, mm.
LOWEST = 20.0
#: Presets by their layers in mm, from which a print of a given size and time chooses.
BY_LAYERS = {0.12: "bust_012", 0.16: "bust_016", 0.20: "bust_020", 0.28: "bust_028"}
#: The preset that is made for a time; its layers are those of 0.16 mm.
AIMED = "bust_26h"
#: The layers of every preset.
LAYERS = {**{key: layer for layer, key in BY_LAYERS.items()}, AIMED: 0.16, MASK: 0.16}
#: A foot smaller than this share of the square of the height, or from which a sculpture tips when it leans by this angle in
#: degrees, is a risk; and so are supports that touch more of the face than this share of the square of the height.
MIN_FOOT, MIN_TIP_DEG, MAX_SCAR = 0.03, 8.0, 0.0025
#: A target that is missed by more is told.
MISSED = 0.05


def plan_print(
    sculpture: Sculpture,
    gcode: Path,
    request: SliceRequest,
    wishes: Wishes,
    progress: Progress,
    slicer_path: str | None = None,
    picture: Path | None = None,
) -> tuple[Sculpture, dict[str, Any]]:
    """Slice a sculpture so that it meets the wishes: the sculpture as large as it became, and the result of the last slice
    with its ``plan``. ``picture`` (PNG) shows what supports touch, if they touch anything. :class:`SlicingError`, also
    ``target_impossible``."""
    from ..sculpture.export import export_mesh, write_face
    from ..sculpture.preview import save_view
    from ..sculpture.shaping import scaled
    from . import slice_model

    made: dict[str, Any] = {}
    slices = 0

    with tempfile.TemporaryDirectory(prefix=".plan-", dir=gcode.absolute().parent) as name:
        folder = Path(name)
        thumbnail = request.thumbnail or save_view(sculpture.vertices, sculpture.triangles, folder / "front.png")

        def attempt(height: float, profile: str) -> Tried:
            nonlocal slices
            slices += 1
            # Three quarters of the progress for the first, the same of what is left for the next, and so on.
            start, end = 1 - 0.25 ** (slices - 1), 1 - 0.25**slices
            sized = scaled(sculpture, height)
            model = export_mesh(sized.vertices, sized.triangles, folder / "bust.stl")
            face = write_face(sized.landmarks, folder / "face.json")
            asked = replace(
                request, profile=profile, thumbnail=thumbnail, face=request.face or face, index=folder / "index.json",
                keep_supports=True,
            )  # fmt: skip
            what = f"Slicing at {height:g} mm"

            def tell(fraction: float, message: str = "") -> None:
                progress(start + (end - start) * fraction, what if wishes.target else message)

            result = slice_model(model, folder / "bust.gcode", asked, tell, slicer_path)
            made.update(sculpture=sized, request=asked, result=result)
            return Tried(height, layer_of(asked, result), result.estimated_seconds * wishes.correction, result.filament_g)

        tried = _solve(sculpture, request, wishes, attempt)
        result = replace(made["result"], gcode=gcode)
        sized, asked = made["sculpture"], made["request"]
        drawn = picture and folder / "contact.png"
        surface = find_surface(sized.vertices, sized.triangles, asked)
        contact = mark_contact(result.support_lines, surface, asked, drawn)
        plan = describe(result, surface, asked, wishes, contact)
        if picture is not None:
            picture.unlink(missing_ok=True)
            if (folder / "contact.png").is_file():
                shutil.move(folder / "contact.png", picture)
        if request.index is not None:
            shutil.move(folder / "index.json", request.index)
        os.replace(folder / "bust.gcode", gcode)
    plan["tried"] = [{key: round(value, 2) for key, value in asdict(one).items()} for one in tried]
    return sized, {**result.to_json(), "contact": contact, "plan": plan}


def _solve(sculpture: Sculpture, request: SliceRequest, wishes: Wishes, attempt: Callable[[float, str], Tried]) -> list[Tried]:
    height, target = sculpture.settings.height_mm, wishes.target
    if target is None:
        return [attempt(height, request.profile)]
    stem, tree = request.profile.removesuffix(TREE), TREE if request.profile.endswith(TREE) else ""
    # What is thicker than the nozzle can print comes out like the first that is.
    thickest = next((layer for layer in BY_LAYERS if layer >= THICKEST * request.nozzle_mm), max(BY_LAYERS))
    layer = min(LAYERS.get(stem, 0.16), thickest)
    own = request.config is not None or "layer_height" in request.overrides
    if wishes.fixed_height and not own and stem in (*BY_LAYERS.values(), AIMED):
        layers = tuple(one for one in BY_LAYERS if one <= thickest)
        return solve_layers(target, layers, layer, lambda mm: attempt(height, BY_LAYERS[mm] + tree))
    if wishes.fixed_height:
        # Somebody's own layers are not ours to change.
        return [attempt(height, request.profile)]
    limits = (LOWEST, tallest(sculpture, request.bed))
    return solve_height(target, first_height(target, layer), limits, lambda mm: attempt(mm, request.profile))


def tallest(sculpture: Sculpture, bed: Bed) -> float:
    """The height in mm up to which a sculpture fits on a bed; :class:`SlicingError` ``too_large`` when none does."""
    extents = sculpture.vertices.max(0) - sculpture.vertices.min(0)
    room = (bed.width - 2 * RIM, bed.depth - 2 * RIM, bed.height)
    height = float(min(space / extent for space, extent in zip(room, extents, strict=True)) * sculpture.settings.height_mm)
    if height < LOWEST:
        raise SlicingError("too_large", "The printer has no room for a sculpture.", "Check its profile in OctoPrint.")
    # Not to the last tenth: rounding must not make it too large.
    return min(height - 0.2, 400.0)


def layer_of(request: SliceRequest, result: SliceResult) -> float:
    """The height of the layers in mm: as asked for, or, where it is not written, the mean."""
    for settings in (request.overrides, request.config or {}):
        try:
            return float(settings["layer_height"])
        except (KeyError, ValueError):
            continue
    written = LAYERS.get(request.profile.removesuffix(TREE))
    if written is None or request.config is not None:
        return round(result.height_mm / max(result.layers, 1), 3)
    return min(written, round(THICKEST * request.nozzle_mm, 3))


def describe(
    result: SliceResult,
    surface: Surface,
    request: SliceRequest,
    wishes: Wishes,
    contact: dict[str, float],
) -> dict[str, Any]:
    """The plan of a sliced print: figures, checks and warnings, each ``{code, message}``."""
    foot, tip = _standing(surface)
    seconds = result.estimated_seconds * wishes.correction
    tried = Tried(result.height_mm, layer_of(request, result), seconds, result.filament_g)
    plan: dict[str, Any] = {
        "engine": result.engine,
        "version": result.version,
        "profile": request.profile if request.config is None else "",
        "seconds": round(seconds),
        "estimated_seconds": round(result.estimated_seconds),
        "slicer_seconds": round(result.slicer_seconds),
        "correction": round(wishes.correction, 3),
        "prints": wishes.prints,
        "filament_g": result.filament_g,
        "filament_mm": result.filament_mm,
        "layers": result.model_layers or result.layers,
        "layer_mm": tried.layer_mm,
        "height_mm": result.height_mm,
        "support_share": result.support_share,
        "support_g": round(result.support_share * result.filament_g, 1),
        "contact_mm2": contact["area_mm2"],
        "face_contact_mm2": contact.get("face_mm2"),
        "foot_mm2": round(foot, 1),
        "tip_deg": round(tip, 1),
        "target": None,
    }
    if wishes.target is not None:
        plan["target"] = {**asdict(wishes.target), "reached": round(wishes.target.reached(tried), 2)}
    plan["warnings"] = _warnings(plan, wishes)
    return plan


def _standing(surface: Surface) -> tuple[float, float]:
    """mm^2 on the bed, and by how many degrees it can lean before it falls."""
    import numpy as np

    vertices, triangles = surface.vertices, surface.triangles
    on_bed = (vertices[:, 2] < vertices[:, 2].min() + 0.05)[triangles].all(1)
    corners = vertices[triangles[on_bed]]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    tip = surface.tip_deg
    if tip is None:
        from ..sculpture.costs import tipping_angle

        tip = tipping_angle(vertices - [0, 0, vertices[:, 2].min()], triangles)
    return float(areas.sum()), tip


def _warnings(plan: dict[str, Any], wishes: Wishes) -> list[dict[str, str]]:
    found = []

    def warn(code: str, message: str) -> None:
        found.append({"code": code, "message": message})

    left, target = wishes.filament_left_g, plan["target"]
    if left is not None and plan["filament_g"] > left:
        warn("filament_short", f"It takes {plan['filament_g']:.0f} g, and {left:.0f} g are left on the spool.")
    if target is not None and abs(target["reached"] / target["value"] - 1) > MISSED:
        warn("target_missed", f"It takes {target['reached']:g} {target['kind']} instead of {target['value']:g}.")
    if plan["foot_mm2"] < MIN_FOOT * plan["height_mm"] ** 2:
        warn("small_foot", f"Only {plan['foot_mm2'] / 100:.1f} cm2 stand on the bed; use a brim.")
    if plan["tip_deg"] < MIN_TIP_DEG:
        warn("tips_over", f"It tips over when it leans by {plan['tip_deg']:.0f} degrees.")
    if (plan["face_contact_mm2"] or 0) > MAX_SCAR * plan["height_mm"] ** 2:
        warn("face_touched", f"Supports touch {plan['face_contact_mm2'] / 100:.1f} cm2 of the face.")
    return found


def plan_model(
    model: Path,
    gcode: Path,
    request: SliceRequest,
    wishes: Wishes,
    picture: Path | None,
    progress: Progress = silent,
    slicer_path: str | None = None,
) -> dict[str, Any]:
    """Slice a mesh file; the result, with ``contact`` and ``plan``."""
    from . import slice_model

    result = slice_model(model, gcode, replace(request, keep_supports=True), progress, slicer_path)
    surface = surface_of(model, request)
    touched = measure_contact(result.support_lines, surface, request.centre or request.bed.centre)
    # The lines are most of what is in memory, and no longer needed.
    result = replace(result, support_lines=None)
    contact = show_contact(touched, surface, request, picture, model)
    return {
        **result.to_json(),
        "contact": contact,
        "plan": describe(result, surface, request, wishes, contact),
    }
