"""Ready-made profiles for a bust on an Ender 3, on top of the presets that PrusaSlicer ships for it."""

from __future__ import annotations

from pathlib import Path

from .engine import Bed, Profile, SliceRequest, SlicingError
from .vendor_bundle import read_bundle

BUNDLE = Path("/usr/share/PrusaSlicer/profiles/Creality.ini")
PRINTER = "Creality Ender-3 (0.4 mm nozzle)"
FILAMENT = "Creality PLA @CREALITY"
DEFAULT = "bust_016"

#: What every bust needs, whatever the layers: the seam at the back of the head; supports only where it overhangs by more
#: than 55 degrees; nothing that only a newer engine or another firmware understands.
BUST = {
    "seam_position": "rear",
    "support_material_threshold": "35",
    "support_material_contact_distance": "0.2",
    "gcode_comments": "0",
    "gcode_label_objects": "1",
    "remaining_times": "1",
    "brim_width": "3",
    "fill_density": "12%",
    "resolution": "0.0125",
}

PROFILES = {
    profile.key: profile
    for profile in (
        Profile("bust_012", "Bust, fine 0.12 mm", "Finest layers; about a third longer than 0.16 mm.",
                "0.12 mm DETAIL (0.4 mm nozzle) @CREALITY", BUST),
        Profile("bust_016", "Bust, 0.16 mm", "The balance of detail and time: a 16 cm bust takes about a day.",
                "0.16 mm OPTIMAL (0.4 mm nozzle) @CREALITY", BUST),
        Profile("bust_020", "Bust, 0.20 mm", "Faster, with layers that can be felt.",
                "0.20 mm NORMAL (0.4 mm nozzle) @CREALITY", BUST),
        Profile("bust_028", "Preview, 0.28 mm", "Quick and coarse, to judge the size before the real print.",
                "0.28 mm SUPERDRAFT (0.4 mm nozzle) @CREALITY", {**BUST, "fill_density": "6%"}),
    )
}  # fmt: skip

#: Settings that run programs or write files where we do not expect them.
FORBIDDEN = frozenset({"post_process", "output_filename_format", "binary_gcode"})


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
    config |= _bed_settings(request.bed)
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


def _bed_settings(bed: Bed) -> dict[str, str]:
    right, back = bed.left + bed.width, bed.front + bed.depth
    corners = ((bed.left, bed.front), (right, bed.front), (right, back), (bed.left, back))
    return {
        "bed_shape": ",".join(f"{x:g}x{y:g}" for x, y in corners),
        "max_print_height": f"{bed.height:g}",
    }
