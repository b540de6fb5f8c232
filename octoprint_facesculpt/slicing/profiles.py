"""Ready-made profiles for a bust on an Ender 3, on top of the presets that PrusaSlicer ships for it."""

from __future__ import annotations

import re
from pathlib import Path

from .engine import Bed, SliceRequest, SlicingError
from .presets import DEFAULT, THICKEST, presets
from .start_code import fits, moved
from .vendor_bundle import read_bundle

__all__ = ["DEFAULT", "PROFILES", "resolve"]

BUNDLE = Path("/usr/share/PrusaSlicer/profiles/Creality.ini")
PRINTER = "Creality Ender-3 (0.4 mm nozzle)"
PRESET_NOZZLE = 0.4
_WIDTH = re.compile(r"\w*extrusion_width")
FILAMENT = "Creality PLA @CREALITY"
CODES = ("start_gcode", "end_gcode")

#: What every bust needs, whatever the layers: the seam at the back of the head; supports only where it overhangs by more
#: than 55 degrees; nothing that only a newer engine or another firmware understands.
BUST = {
    "seam_position": "rear",
    "support_material_threshold": "35",
    "support_material_contact_distance": "0.2",
    # Beside the skin a whole line away, so that only what holds it from below touches it; and three dense layers there.
    "support_material_xy_spacing": "100%",
    "support_material_interface_layers": "3",
    # What overhangs without support is printed slowly and cooled.
    "overhangs": "1",
    "gcode_comments": "0",
    "gcode_label_objects": "1",
    "remaining_times": "1",
    "brim_width": "3",
    "fill_density": "12%",
    "resolution": "0.0125",
}

#: Branching supports came with 2.6.
PROFILES = presets(
    layers={
        "0.12": "0.12 mm DETAIL (0.4 mm nozzle) @CREALITY",
        "0.16": "0.16 mm OPTIMAL (0.4 mm nozzle) @CREALITY",
        "0.20": "0.20 mm NORMAL (0.4 mm nozzle) @CREALITY",
        "0.28": "0.28 mm SUPERDRAFT (0.4 mm nozzle) @CREALITY",
    },
    bust=BUST,
    special={"bust_028": {"fill_density": "6%"}, "mask": {"perimeters": "4", "brim_width": "6", "fill_density": "20%"}},
    tree={"support_material_style": "organic"},
    tree_since=(2, 6),
)

#: Settings that run programs or write files where we do not expect them.
FORBIDDEN = frozenset({
    "post_process", "output_filename_format", "binary_gcode", "bed_custom_model", "bed_custom_texture", "print_host",
    "printhost_apikey", "printhost_cafile", "printhost_password", "printhost_port", "printhost_user", "host_type",
})  # fmt: skip


def resolve(request: SliceRequest, bundle: Path = BUNDLE) -> dict[str, str]:
    """The flat configuration of a request: vendor presets, then the profile, the bed, and the request's own overrides.

    :class:`SlicingError` ``profile_unknown`` or ``profile_invalid``.
    """
    supports = {"support_material": "1", "support_material_auto": "1"}
    if request.config is not None:
        # A configuration from elsewhere decides itself about supports.
        config = {**supports, **request.config}
    else:
        config = {**_preset(request.profile, bundle), **supports}
        config |= _nozzle_settings(config, request.nozzle_mm)
    config |= _bed_settings(request.bed) | _codes(config, request.bed, bundle)
    for key, value in request.overrides.items():
        if not value.isprintable() or not key.replace("_", "").isalnum():
            raise SlicingError("profile_invalid", f"The setting '{key}' has an impossible name or value.")
        config[key] = value
    if not request.supports:
        config["support_material"] = "0"
    return {key: value for key, value in config.items() if key not in FORBIDDEN}


def _preset(key: str, bundle: Path) -> dict[str, str]:
    if key not in PROFILES:
        raise SlicingError("profile_unknown", f"There is no profile '{key}'.", f"Choose one of {', '.join(PROFILES)}.")
    profile, presets = PROFILES[key], read_bundle(bundle)
    return {
        **presets.flatten("print", profile.print_preset),
        **presets.flatten("filament", FILAMENT),
        **presets.flatten("printer", PRINTER),
        "print_settings_id": profile.print_preset,
        "filament_settings_id": f'"{FILAMENT}"',
        "printer_settings_id": PRINTER,
        **profile.overrides,
    }


def _nozzle_settings(config: dict[str, str], nozzle_mm: float) -> dict[str, str]:
    """What another nozzle than the presets' changes: lines grow with it, and layers may not be thicker than three quarters."""
    if nozzle_mm == PRESET_NOZZLE:
        return {}
    share = nozzle_mm / PRESET_NOZZLE
    widths = {key: f"{float(value) * share:.3g}" for key, value in config.items() if _WIDTH.fullmatch(key) and _is_mm(value)}
    thickest = THICKEST * nozzle_mm
    heights = {key: f"{min(float(config[key]), thickest):.3g}" for key in ("layer_height", "first_layer_height")}
    return {**widths, **heights, "nozzle_diameter": f"{nozzle_mm:g}", "max_layer_height": f"{thickest:.3g}"}


def _is_mm(value: str) -> bool:
    return value.replace(".", "", 1).isdigit()


def _codes(config: dict[str, str], bed: Bed, bundle: Path) -> dict[str, str]:
    """The vendor's start and end code where they do not fit the bed; code of somebody's own stays as it is."""
    if fits(bed) or not bundle.is_file():
        return {}
    printer = read_bundle(bundle).flatten("printer", PRINTER)
    return {key: moved(printer[key], bed, "\\n") for key in CODES if config.get(key) == printer.get(key, "")}


def _bed_settings(bed: Bed) -> dict[str, str]:
    right, back = bed.left + bed.width, bed.front + bed.depth
    corners = ((bed.left, bed.front), (right, bed.front), (right, back), (bed.left, back))
    return {
        "bed_shape": ",".join(f"{x:g}x{y:g}" for x, y in corners),
        "max_print_height": f"{bed.height:g}",
    }
