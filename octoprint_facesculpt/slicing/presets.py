"""The ready-made ways to print, the same for all engines: their keys, names, and what is special about each.

A preset's key is for ever: sculptures that were ordered with it name it, and so do other plugins.
"""

from __future__ import annotations

from collections.abc import Mapping

from .engine import Profile

DEFAULT, MASK = "bust_016", "mask"
#: Layers may not be thicker than this share of the nozzle.
THICKEST = 0.75
#: Endings of the keys of presets with supports that branch like trees.
TREE = "_tree"
#: Key, name, description, the layers (as :func:`presets` is told what they are for an engine), and hours to aim at.
_KINDS: tuple[tuple[str, str, str, str, float | None], ...] = (
    ("bust_012", "Bust, fine 0.12 mm", "Finest layers; about a third longer than 0.16 mm.", "0.12", None),
    ("bust_016", "Bust, 0.16 mm", "The balance of detail and time: a 16 cm bust takes about a day.", "0.16", None),
    ("bust_26h", "Bust, 26 h", "As 0.16 mm, and as large as can be printed in 26 hours.", "0.16", 26.0),
    ("bust_020", "Bust, 0.20 mm", "Faster, with layers that can be felt.", "0.20", None),
    ("bust_028", "Bust, fast preview 0.28 mm", "Quick and coarse, to judge the size before the real print.", "0.28", None),
    (MASK, "Mask", "For masks: more walls, a wide brim that holds them flat on the bed, 0.16 mm.", "0.16", None),
)


def presets(
    layers: Mapping[str, str],
    bust: Mapping[str, str],
    special: Mapping[str, Mapping[str, str]],
    tree: Mapping[str, str],
    tree_since: tuple[int, int] = (0, 0),
) -> dict[str, Profile]:
    """All presets of an engine by key.

    Parameters
    ----------
    layers : what the engine's own maker calls each layer height
    bust : settings of every preset
    special : settings of single presets by key
    tree : settings that make supports branch
    tree_since : the first version of the engine that can
    """
    found = {}
    for key, name, description, layer, hours in _KINDS:
        settings = {**bust, **special.get(key, {})}
        found[key] = Profile(key, name, description, layers[layer], settings, target_hours=hours)
        branched = f"{description} Supports branch like trees: they touch less, and take longer to compute."
        found[key + TREE] = Profile(
            key + TREE, f"{name}, tree supports", branched, layers[layer], {**settings, **tree},
            target_hours=hours, since=tree_since,
        )  # fmt: skip
    return found


def usual(style: str) -> str:
    """The preset for a sculpture's style, unless another one is asked for."""
    return MASK if style == "mask" else DEFAULT


def offered(profiles: Mapping[str, Profile], version: str) -> dict[str, Profile]:
    """Those of an engine's presets that its ``version`` can print."""
    number = tuple(int(part) for part in version.split(".")[:2])
    return {key: profile for key, profile in profiles.items() if number >= profile.since}
