"""PrusaSlicer's vendor bundles: reading them, and resolving a preset's inheritance to a flat configuration.

The rules are those of PrusaSlicer's ``PresetBundle::flatten_configbundle_hierarchy``: parents first, a later parent over
an earlier one, own keys over all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .engine import SlicingError

#: Keys that say where a preset fits and comes from; they mean nothing in a flat configuration.
ABOUT_THE_PRESET = re.compile(r"(compatible_|inherits|renamed_from|alias$|custom_parameters_)")
MAX_BYTES, MAX_CONFIG_BYTES = 16 * 1024 * 1024, 1024 * 1024
#: Generations of presets; the vendor's own have at most five.
MAX_DEPTH = 50


@dataclass(frozen=True)
class Bundle:
    """Sections of a bundle: group (``print``, ``filament``, ``printer``) -> preset name -> its own keys."""

    groups: Mapping[str, Mapping[str, Mapping[str, str]]]

    def flatten(self, group: str, name: str, missing: list[str] | None = None) -> dict[str, str]:
        """All keys of a preset with its parents' resolved; :class:`SlicingError` ``profile_unknown`` for a preset that is
        not there, ``profile_invalid`` for a cycle or a missing parent. With a list ``missing``, parents are found by their
        old names too, and those that are not there are added to it and left out."""
        found = self._found(group, name)
        if found is None:
            raise SlicingError("profile_unknown", f"There is no {group} preset '{name}'.", "Choose another profile.")
        return {k: v for k, v in self._resolve(group, found, (), {}, missing).items() if not ABOUT_THE_PRESET.match(k)}

    def _found(self, group: str, name: str) -> str | None:
        """What a preset is called now."""
        presets = self.groups.get(group, {})
        if name in presets:
            return name
        return next((new for new, keys in presets.items() if name in _names(keys.get("renamed_from", ""))), None)

    def _resolve(
        self,
        group: str,
        name: str,
        children: tuple[str, ...],
        resolved: dict[str, dict[str, str]],
        missing: list[str] | None,
    ) -> dict[str, str]:
        """Keys of a preset; ``resolved`` remembers parents, which a bundle may name more often than could be walked."""
        if name in resolved:
            return resolved[name]
        if name in children:
            raise SlicingError("profile_invalid", f"The {group} preset '{name}' inherits from itself.")
        if len(children) >= MAX_DEPTH:
            raise SlicingError("profile_invalid", f"The {group} preset '{children[0]}' has too many parents.")
        own = self.groups[group].get(name)
        if own is None:
            raise SlicingError("profile_invalid", f"'{children[-1]}' inherits from '{name}', which does not exist.")
        keys: dict[str, str] = {}
        for parent in _names(own.get("inherits", "")):
            known = parent if missing is None else self._found(group, parent)
            if known is not None:
                keys.update(self._resolve(group, known, (*children, name), resolved, missing))
            elif missing is not None and parent not in missing:
                missing.append(parent)
        resolved[name] = {**keys, **own}
        return resolved[name]


def read_bundle(path: Path) -> Bundle:
    """Read a vendor bundle; :class:`SlicingError` ``profile_invalid`` when it cannot be."""
    bundle = parse_bundle(_text(path, MAX_BYTES))
    if not bundle.groups:
        raise SlicingError("profile_invalid", f"{path.name} is not a vendor bundle.", "Install prusa-slicer again.")
    return bundle


def read_config(path: Path) -> dict[str, str]:
    """Read a flat configuration; :class:`SlicingError` ``profile_invalid`` when it cannot be."""
    return parse_config(_text(path, MAX_CONFIG_BYTES))


def _text(path: Path, limit: int) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise SlicingError("profile_invalid", f"{path} cannot be read.", "Choose another profile.") from error
    if len(data) > limit:
        raise SlicingError("profile_invalid", f"{path.name} is too large for a profile.", "Choose another profile.")
    return data.decode("utf-8", errors="replace")


def parse_bundle(text: str) -> Bundle:
    """Parse a bundle's text. Values are kept as they stand; a repeated key counts with its last value."""
    groups: dict[str, dict[str, dict[str, str]]] = {}
    section: dict[str, str] | None = None
    for raw in text.split("\n"):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            group, colon, name = line[1:-1].partition(":")
            section = groups.setdefault(group, {}).setdefault(name, {}) if colon else None
        elif section is not None and "=" in line:
            key, _, value = line.partition("=")
            section[key.strip()] = value.strip()
    return Bundle(groups)


def parse_config(text: str) -> dict[str, str]:
    """A flat configuration (``key = value`` lines); :class:`SlicingError` ``profile_invalid`` when it holds none."""
    config: dict[str, str] = {}
    for raw in text.split("\n"):
        line = raw.strip()
        if line and line[0] not in "#;[" and "=" in line:
            key, _, value = line.partition("=")
            config[key.strip()] = value.strip()
    if not config or any(not re.fullmatch(r"[a-z][a-z0-9_]*", key) for key in config):
        raise SlicingError("profile_invalid", "This is not a slicing profile.", "Choose another profile.")
    return config


def format_config(config: Mapping[str, str]) -> str:
    """The text of a flat configuration."""
    return "".join(f"{key} = {value}\n" for key, value in sorted(config.items()))


def _names(value: str) -> list[str]:
    """A ``;`` list of preset names, possibly in double quotes with C escapes."""
    names = re.findall(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^;]+))\s*(?:;|$)', value)
    return [re.sub(r"\\(.)", r"\1", quoted) if quoted else plain.strip() for quoted, plain in names if quoted or plain.strip()]
