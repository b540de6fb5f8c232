"""Cura's description of printers as files: definitions, quality, variant and material containers.

What a key *means* in a stack of them is the business of :mod:`.cura_stack`. Debian's ``cura`` package has the printers,
``fdm-materials`` the materials; neither comes with ``cura-engine``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..folders import default_folder, user_folder
from .engine import SlicingError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

#: Folders of Cura's resources that are looked into.
FOLDERS = ("definitions", "extruders", "materials", "quality", "variants")
MAX_BYTES, MAX_PARENTS = 4 * 1024 * 1024, 20
#: The printer a container is made for stands at its top.
_MADE_FOR, _HEAD_BYTES = re.compile(rb"^definition[ \t]*=[ \t]*(\S+)\s*$", re.MULTILINE), 1000
_ID = re.compile(r"[\w.+-][\w.+ #-]*")
#: Names of a material's settings where they differ from Cura's keys (Cura's XmlMaterialProfile).
_MATERIAL_KEYS = {
    "print temperature": "default_material_print_temperature",
    "heated bed temperature": "default_material_bed_temperature",
    "standby temperature": "material_standby_temperature",
    "print cooling": "cool_fan_speed",
    "retraction amount": "retraction_amount",
    "retraction speed": "retraction_speed",
    "adhesion tendency": "material_adhesion_tendency",
    "surface energy": "material_surface_energy",
    "shrinkage percentage": "material_shrinkage_percentage",
    "build volume temperature": "build_volume_temperature",
    "anti ooze retract position": "material_anti_ooze_retracted_position",
    "anti ooze retract speed": "material_anti_ooze_retraction_speed",
    "break preparation position": "material_break_preparation_retracted_position",
    "break preparation speed": "material_break_preparation_speed",
    "break preparation temperature": "material_break_preparation_temperature",
    "break position": "material_break_retracted_position",
    "break speed": "material_break_speed",
    "break temperature": "material_break_temperature",
    "flush purge speed": "material_flush_purge_speed",
    "flush purge length": "material_flush_purge_length",
    "end of filament purge speed": "material_end_of_filament_purge_speed",
    "end of filament purge length": "material_end_of_filament_purge_length",
    "maximum park duration": "material_maximum_park_duration",
    "no load move factor": "material_no_load_move_factor",
}


@dataclass(frozen=True)
class Definition:
    """A printer or an extruder with its parents' settings and overrides merged: key -> properties."""

    name: str
    metadata: dict[str, Any]
    settings: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Container:
    """Values that lie on top of a definition. A text that starts with ``=`` is a formula."""

    name: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)


def default_roots() -> tuple[Path, ...]:
    """Where Cura's resources may lie: unpacked beside our model files, or installed."""
    # A child of the server has the plugin's own folder of model files, a person's commands that of the user.
    own = dict.fromkeys((default_folder(), user_folder()))
    unpacked = [folder / "cura" / "usr" / "share" / "cura" / "resources" for folder in own]
    return (*unpacked, Path("/usr/local/share/cura/resources"), Path("/usr/share/cura/resources"))


class Library:
    """Cura's resource folders, searched in the order given. ``used`` are the files that were read."""

    def __init__(self, roots: Sequence[Path] | None = None) -> None:
        self.roots = tuple(roots) if roots is not None else default_roots()
        self.used: list[Path] = []

    def folders(self) -> list[Path]:
        """All folders in which anything is looked for, whether they are there or not."""
        tops = [root / name for root in self.roots for name in FOLDERS]
        return [*tops, *(Path(place, name) for top in tops for place, names, _ in os.walk(top) for name in names)]

    def require(self) -> None:
        """:class:`SlicingError` ``definitions_missing`` unless the base of all printers is there."""
        if self._find("definitions", "fdmprinter.def.json") is None:
            raise SlicingError(
                "definitions_missing",
                "CuraEngine's printer definitions are missing: Debian keeps them in the package cura.",
                "Install cura and fdm-materials, or unpack the package only: apt-get download cura && "
                f"dpkg -x cura_*.deb {user_folder() / 'cura'}",
            )

    def machines(self) -> list[str]:
        """Names of all printers and their bases."""
        found = (path.name for root in self.roots for path in (root / "definitions").glob("*.def.json"))
        return sorted({name.removesuffix(".def.json") for name in found})

    def machine(self, name: str) -> Definition:
        """A printer; :class:`SlicingError` ``profile_unknown`` or ``profile_invalid``."""
        return self._definition("definitions", name, 0)

    def extruder(self, name: str) -> Definition:
        """An extruder train."""
        return self._definition("extruders", name, 0)

    def quality(self, machine: Definition, quality: str, variant: str, material: str) -> tuple[Container, Container]:
        """The extruder's and the global container of a quality such as ``standard``.

        Some printers have no quality of their own for a nozzle and material: the extruder's container is then empty.
        """
        owner = machine.metadata.get("quality_definition") or machine.name
        named, extruder, whole = set(), None, None
        for container in self._containers("quality", owner if machine.metadata.get("has_machine_quality") else "fdmprinter"):
            about = container.metadata
            if about.get("type") != "quality":
                continue
            kind = about.get("quality_type", "")
            named.add(kind)
            if kind != quality:
                continue
            if about.get("global_quality", "").lower() == "true":
                whole = container
            elif about.get("material", material) != material or about.get("variant", variant) != variant:
                continue
            elif extruder is None or len(about) > len(extruder.metadata):
                # One made for this nozzle or material beats one for all.
                extruder = container
        if whole is None and extruder is None:
            raise SlicingError(
                "profile_unknown", f"{machine.name} has no quality '{quality}'.", f"Choose one of {', '.join(sorted(named))}."
            )
        return extruder or Container(), whole or Container()

    def variant(self, machine: Definition, name: str) -> Container | None:
        """A nozzle of a printer; None when the printer does not know it."""
        for container in self._containers("variants", machine.name):
            if container.name == name and container.metadata.get("hardware_type", "nozzle") == "nozzle":
                return container
        return None

    def material(self, machine: Definition, name: str, variant: str, diameter: float) -> Container:
        """A material as a printer prints it: general values, then the printer's, then the nozzle's."""
        from xml.etree import ElementTree

        candidates = [f"{name}_175", name] if round(diameter) == 2 else [name]
        path = next((p for stem in candidates if (p := self._find("materials", f"{stem}.xml.fdm_material"))), None)
        if path is None:
            raise SlicingError(
                "definitions_missing", f"Cura's material {name} is missing.", "Install it with: sudo apt install fdm-materials"
            )
        try:
            root = ElementTree.fromstring(self._read(path))
        except ElementTree.ParseError as error:
            raise SlicingError("profile_invalid", f"{path.name} is not a material.") from error
        return _material(root, name, machine.name, variant)

    def _find(self, folder: str, file: str) -> Path | None:
        return next((path for root in self.roots if (path := root / folder / file).is_file()), None)

    def _definition(self, folder: str, name: str, depth: int) -> Definition:
        if not isinstance(name, str) or not _ID.fullmatch(name):
            raise SlicingError("profile_invalid", f"'{str(name)[:80]}' is not the name of a printer.")
        if depth > MAX_PARENTS:
            raise SlicingError("profile_invalid", f"The printer {name} inherits from itself.")
        # The extruders' common base lies among the printers.
        path = self._find(folder, f"{name}.def.json") or self._find("definitions", f"{name}.def.json")
        if path is None:
            raise SlicingError("profile_unknown", f"There is no printer definition '{name}'.", "Choose another printer.")
        try:
            own = json.loads(self._read(path))
            parent = own.get("inherits")
            base = self._definition(folder, parent, depth + 1) if parent else Definition("", {}, {})
            settings = {key: dict(properties) for key, properties in base.settings.items()}
            settings |= dict(_leaves(own.get("settings", {})))
            for key, properties in own.get("overrides", {}).items():
                settings.setdefault(key, {}).update(properties)
            return Definition(name, {**base.metadata, **own.get("metadata", {})}, settings)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise SlicingError("profile_invalid", f"{path.name} is not a printer definition.") from error

    def _containers(self, folder: str, definition: str) -> Iterator[Container]:
        """All containers made for a definition, in the order of their names."""
        for root in self.roots:
            for name in _made_for(root / folder).get(definition, ()):
                yield _container(self._read(Path(name)), Path(name))

    def _read(self, path: Path) -> str:
        self.used.append(path)
        return _read(path)


@cache
def _made_for(folder: Path) -> dict[str, list[str]]:
    """The container files in a folder by the definition they are made for.

    There are thousands: each is looked at once, and parsed only when it can be meant.
    """
    index: dict[str, list[str]] = {}
    paths = [f"{place}/{name}" for place, _, names in os.walk(folder) for name in names if name.endswith(".inst.cfg")]
    for path in sorted(paths):
        if match := _MADE_FOR.search(_head(path)):
            index.setdefault(match[1].decode("utf-8", errors="replace"), []).append(path)
    return index


def _head(path: str) -> bytes:
    """The first bytes of a file, without what a file object costs."""
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, _HEAD_BYTES)
    finally:
        os.close(file)


def _leaves(settings: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """All settings of a tree of categories and settings."""
    for key, properties in settings.items():
        if properties.get("type") != "category":
            yield key, {name: value for name, value in properties.items() if name != "children"}
        yield from _leaves(properties.get("children", {}))


def _container(text: str, path: Path) -> Container:
    import configparser

    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), strict=False)
    try:
        parser.read_string(text)
        sections = {name: dict(parser[name]) for name in parser.sections()}
    except configparser.Error as error:
        raise SlicingError("profile_invalid", f"{path.name} is not one of Cura's profiles.") from error
    return Container(sections.get("general", {}).get("name", ""), sections.get("metadata", {}), sections.get("values", {}))


def _material(root: Element, name: str, machine: str, variant: str) -> Container:
    space = {"m": "http://www.ultimaker.com/material", "cura": "http://www.ultimaker.com/cura"}
    values: dict[str, str] = {}

    def take(element: Element) -> None:
        for setting in element.findall("m:setting", space):
            key = _MATERIAL_KEYS.get(setting.get("key", ""))
            if key and setting.text:
                values[key] = setting.text.strip()
        for setting in element.findall("cura:setting", space):
            if setting.get("key") and setting.text:
                values[setting.get("key", "")] = setting.text.strip()

    diameter = root.findtext("m:properties/m:diameter", namespaces=space)
    if diameter:
        values["material_diameter"] = diameter.strip()
    guid = root.findtext("m:metadata/m:GUID", namespaces=space)
    if guid:
        values["material_guid"] = guid.strip()
    for settings in root.findall("m:settings", space):
        take(settings)
        for own in settings.findall("m:machine", space):
            if any(identifier.get("product") == machine for identifier in own.findall("m:machine_identifier", space)):
                take(own)
                for hotend in own.findall("m:hotend", space):
                    if hotend.get("id") == variant:
                        take(hotend)
    about = {
        "type": root.findtext("m:metadata/m:name/m:material", "", space).strip(),
        "density": root.findtext("m:properties/m:density", "", space).strip(),
    }
    return Container(name, about, values)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SlicingError("profile_invalid", f"{path} cannot be read.", "Install cura again.") from error
    if len(data) > MAX_BYTES:
        raise SlicingError("profile_invalid", f"{path.name} is too large for one of Cura's files.")
    return data.decode("utf-8", errors="replace")
