"""Profiles from elsewhere: PrusaSlicer's ``.ini``, Cura's ``.curaprofile``, and the settings that both write into their
G-code and 3MF files.

A file from the internet may hold anything. It is read in bounded pieces, never unpacked to the disk, and what runs programs,
names files or holds passwords is left out, with a note.
"""

from __future__ import annotations

import configparser
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .engine import SlicingError
from .presets import DEFAULT
from .profiles import BUNDLE, FORBIDDEN
from .program import CommandLineEngine
from .vendor_bundle import ABOUT_THE_PRESET, Bundle, parse_bundle, parse_config, read_bundle

#: Bytes of a file, of an archive's entry, and of a G-code file's beginning and end; an archive's entries, and those read.
LIMITS = {"file": 200 << 20, "entry": 2 << 20, "head": 64 << 10, "tail": 2 << 20, "entries": 2000, "read": 60}
MAX_KEYS, MAX_VALUE = 1500, 20_000
_KEY = re.compile(r"[a-z][a-z0-9_]{0,79}")
_CONFIG_BEGIN, _CONFIG_END = re.compile(rb"^; \w+_config = begin\r?$", re.M), re.compile(rb"^; \w+_config = end\r?$", re.M)
_SETTING = re.compile(rb"^; ([a-z][a-z0-9_]{0,79}) = (.*?)\r?$", re.M)
_CURA_LINE = re.compile(rb"^;SETTING_3 (.*?)\r?$", re.M)
#: Start and end code with these writes the printer's memory, its card or its firmware.
_LASTING = re.compile(r"(?<![A-Z])(M500|M502|M504|M28|M30|M997)(?!\d)")
_GCODE_KEYS = re.compile(r".*_gcode(_\w+)?|machine_extruder_(start|end)_code")
#: Settings that the printer profile decides about.
OF_PRINTER = frozenset({"bed_shape", "max_print_height", "machine_width", "machine_depth", "machine_height"})
#: A whole configuration of PrusaSlicer has these; a print preset alone has not.
WHOLE = ("nozzle_diameter", "temperature", "layer_height")


@dataclass(frozen=True)
class Note:
    """What happened to an imported profile: a stable ``code``, a sentence, and the settings it is about."""

    code: str
    message: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Imported:
    """A profile of an ``engine`` from elsewhere; ``base`` is the key of the preset it resembles most."""

    engine: str
    title: str
    base: str
    config: Mapping[str, str]
    notes: tuple[Note, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        notes = [{"code": note.code, "message": note.message, "keys": list(note.keys)} for note in self.notes]
        return {"engine": self.engine, "title": self.title, "base": self.base, "config": dict(self.config), "notes": notes}


def import_profile(path: Path, title: str = "") -> Imported:
    """Read somebody's settings from a file of any of the known kinds; :class:`SlicingError` ``profile_invalid``."""
    try:
        if path.stat().st_size > LIMITS["file"]:
            raise _invalid("The file is too large for a profile.")
        with path.open("rb") as file:
            magic = file.read(4)
        found = _from_archive(path) if magic == b"PK\x03\x04" else _from_text(path)
    except OSError as error:
        raise _invalid("The file cannot be read.") from error
    engine, base, raw, notes = found
    config, more = check_config(raw)
    notes += more
    return Imported(engine, title or path.stem, base, config, tuple(notes))


def fitted(imported: Imported, engine: CommandLineEngine) -> Imported:
    """An imported profile as its engine takes it: what that does not know is left out, what is missing comes from the
    preset it resembles; :class:`SlicingError` ``profile_invalid`` when the engine refuses it."""
    accepted = engine.accepted(imported.config)
    config, notes = accepted.config, list(imported.notes)
    for code, what, keys in (
        ("unknown", "Left out, because this version of the slicer does not know it", accepted.unknown),
        ("substituted", "Replaced, because this version of the slicer does not know its value", accepted.substituted),
    ):
        if keys:
            notes.append(Note(code, f"{what}: {', '.join(keys)[:500]}.", keys))
    if engine.name == "prusaslicer" and not all(key in config for key in WHOLE):
        config = {**engine.configuration(imported.base), **config}
        told = f"It is not whole; what is missing comes from '{engine.profiles()[imported.base].name}'."
        notes.append(Note("filled_up", told))
    return replace(imported, config=config, notes=tuple(notes))


def check_config(config: Mapping[str, str]) -> tuple[dict[str, str], list[Note]]:
    """The settings of a configuration that are harmless, and notes about the others; :class:`SlicingError`
    ``profile_invalid`` for one that holds impossible names or values."""
    if len(config) > MAX_KEYS:
        raise _invalid(f"It holds {len(config)} settings.")
    kept, dropped, notes = {}, [], []
    for key, value in config.items():
        if not _KEY.fullmatch(key) or len(value) > MAX_VALUE or not _printable(value):
            raise _invalid(f"The setting '{key[:80]}' has an impossible name or value.")
        if key in FORBIDDEN or key.startswith(("printhost_", "print_host")):
            if value.strip(' "'):
                dropped.append(key)
        elif not ABOUT_THE_PRESET.match(key):
            kept[key] = value
    if kept.get("printer_technology", "FFF") != "FFF":
        raise _invalid("It is for a resin printer.")
    if dropped:
        what = "Left out, because it runs programs, names files or holds passwords"
        notes.append(Note("dropped", f"{what}: {', '.join(sorted(dropped))}.", tuple(sorted(dropped))))
    lasting = sorted(key for key, value in kept.items() if _GCODE_KEYS.fullmatch(key) and _LASTING.search(value))
    if lasting:
        what = "Its own G-code changes the printer's memory or card; look at it before you print"
        notes.append(Note("lasting_gcode", f"{what}: {', '.join(lasting)}.", tuple(lasting)))
    return kept, notes


# -- kinds of files


_Found = tuple[str, str, dict[str, str], list[Note]]


def _from_text(path: Path) -> _Found:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(LIMITS["head"])
        file.seek(max(0, size - LIMITS["tail"]))
        tail = file.read()
    if b"\0" in head[:4096]:
        raise _invalid("It is neither text nor an archive.")
    if lines := _CURA_LINE.findall(tail):
        return _from_cura_gcode(b"".join(lines))
    begin = _CONFIG_BEGIN.search(tail)
    if begin or len(_SETTING.findall(tail)) > 50:
        block = tail[begin.end() :] if begin else tail
        end = _CONFIG_END.search(block)
        return _prusa(_commented(block[: end.start()] if end else block))
    if size > LIMITS["tail"]:
        raise _invalid("It holds no settings of PrusaSlicer or Cura.")
    text = tail.decode("utf-8-sig", errors="replace")
    if re.search(r"^\[(print|filament|printer):", text, re.M):
        return _from_bundle(text)
    if re.search(r"^\[general\]", text, re.M):
        return _cura([_container(text)])
    return _prusa(parse_config(text))


def _from_archive(path: Path) -> _Found:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(names) > LIMITS["entries"]:
                raise _invalid("The archive holds too many files.")

            def read(name: str) -> str:
                with archive.open(name) as entry:
                    data = entry.read(LIMITS["entry"] + 1)
                if len(data) > LIMITS["entry"]:
                    raise _invalid(f"'{name[:60]}' in the archive is too large.")
                return data.decode("utf-8", errors="replace")

            if "Metadata/Slic3r_PE.config" in names:
                return _prusa(_commented(read("Metadata/Slic3r_PE.config").encode()))
            if any(name.startswith("Cura/") for name in names):
                wanted = [name for name in names if name.startswith("Cura/") and name.endswith(".inst.cfg")]
            elif "[Content_Types].xml" in names:
                raise _invalid("This 3MF file holds a model, but no settings.")
            else:
                wanted = [name for name in names if not name.endswith("/")]
            return _cura(_containers(wanted, read))
    except (
        zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError,
        ValueError, UnicodeError,
    ) as error:  # fmt: skip
        raise _invalid("The archive is damaged, or of a kind that cannot be read.") from error


def _commented(block: bytes) -> dict[str, str]:
    return {k.decode("ascii"): v.decode("utf-8", errors="replace").strip() for k, v in _SETTING.findall(block)}


def _from_bundle(text: str) -> _Found:
    """A bundle of PrusaSlicer: of its presets, those that were chosen, or else the first of each kind."""
    own, chosen = parse_bundle(text).groups, {}
    if match := re.search(r"^\[presets\]\s*$(.*?)(?=^\[|\Z)", text, re.M | re.S):
        chosen = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in match[1].split("\n"))}
    # The user's presets inherit from the vendor's, which the bundle does not repeat.
    vendor = read_bundle(BUNDLE).groups if BUNDLE.is_file() else {}
    groups = {group: {**vendor.get(group, {}), **own.get(group, {})} for group in ("print", "filament", "printer")}
    config: dict[str, str] = {}
    missing: list[str] = []
    for group in groups:
        wanted = chosen.get(group, "")
        names = [name for name in own.get(group, {}) if not name.startswith("*")]
        name = wanted if wanted in groups[group] else next(iter(names), "")
        if name:
            # PrusaSlicer writes the user's presets whole: they need no parent, and it may be of any vendor or version.
            config |= Bundle(groups).flatten(group, name, missing)
    if not config:
        raise _invalid("The bundle holds no presets.")
    engine, base, config, notes = _prusa(config)
    if missing:
        parents = ", ".join(f"'{name[:80]}'" for name in missing)
        told = f"What it inherits from these presets is left out, because they are not known here: {parents[:500]}."
        notes.append(Note("parent_missing", told, tuple(name[:80] for name in missing)))
    return engine, base, config, notes


def _prusa(config: dict[str, str]) -> _Found:
    if not config:
        raise _invalid("It holds no settings.")
    notes = []
    if moved := sorted(OF_PRINTER & set(config)):
        notes.append(Note("of_printer", "Size and origin of the bed come from OctoPrint's printer profile.", tuple(moved)))
    return "prusaslicer", _nearest(config.get("layer_height", "")), config, notes


def _nearest(layer: str) -> str:
    """The preset whose layers are nearest to a height as it is written."""
    heights = {"bust_012": 0.12, "bust_016": 0.16, "bust_020": 0.20, "bust_028": 0.28}
    try:
        wanted = float(layer)
    except ValueError:
        return DEFAULT
    return min(heights, key=lambda key: abs(heights[key] - wanted))


# -- Cura


def _from_cura_gcode(text: bytes) -> _Found:
    """Cura writes its profiles as JSON into comments, with its own escapes."""
    plain = re.sub(r"\\(.)", lambda m: {"n": "\n", "r": "\r"}.get(m[1], m[1]), text.decode("utf-8", errors="replace"))
    try:
        data = json.loads(plain)
        texts = [data["global_quality"], *data.get("extruder_quality", [])[:1]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _invalid("Cura's settings in this G-code are damaged.") from error
    if not all(isinstance(text, str) for text in texts):
        raise _invalid("Cura's settings in this G-code are damaged.")
    return _cura([_container(text) for text in texts])


def _containers(names: list[str], read: Callable[[str], str]) -> list[configparser.ConfigParser]:
    if len(names) > LIMITS["read"]:
        raise _invalid("The archive holds too many profiles.")
    return [_container(read(name)) for name in names]


def _container(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise _invalid("It is not one of Cura's profiles.") from error
    return parser


def _cura(containers: list[configparser.ConfigParser]) -> _Found:
    """One configuration of Cura's containers: what the user chose, for all and for the first extruder."""
    values: dict[str, str] = {}
    quality, machine, seen = "", "", False
    # The user's changes lie on the profile, and the extruder's own on those for all.
    order = {"quality_changes": 0, "user": 1}
    for parser in sorted(containers, key=lambda p: order.get(p.get("metadata", "type", fallback=""), 2)):
        if parser.get("metadata", "type", fallback="") not in order:
            continue
        if parser.get("metadata", "position", fallback="0") not in ("", "0", "None"):
            continue
        seen = True
        quality = quality or parser.get("metadata", "quality_type", fallback="")
        machine = machine or parser.get("general", "definition", fallback="")
        if parser.has_section("values"):
            values |= {key: value.replace("\n", "\\n") for key, value in parser["values"].items()}
    if not seen:
        raise _invalid("It holds no profile of Cura.")
    from .cura_definitions import Library
    from .cura_stack import Choice

    library, notes = Library(), []
    library.require()
    printer = library.machine(Choice().machine)
    if moved := sorted(OF_PRINTER & set(values)):
        notes.append(Note("of_printer", "Size and origin of the bed come from OctoPrint's printer profile.", tuple(moved)))
    config = {key: value for key, value in values.items() if key not in OF_PRINTER}
    if machine and not machine.startswith("creality"):
        notes.append(Note("other_printer", f"It was made for '{machine[:60]}'; here it is used for the Ender 3."))
    base = {"super": "bust_012", "adaptive": "bust_016", "standard": "bust_020", "low": "bust_028"}.get(quality, "")
    try:
        library.quality(printer, quality, printer.metadata.get("preferred_variant_name", ""), "generic_pla")
    except SlicingError:
        if quality:
            notes.append(Note("other_quality", f"The Ender 3 has no quality '{quality[:60]}'; 'standard' is taken for it."))
        quality = "standard"
    base = base or _nearest(values.get("layer_height", "0.2"))
    return "curaengine", base, {"quality": quality, **config}, notes


def _printable(value: str) -> bool:
    return value.replace("\t", " ").isprintable()


def _invalid(reason: str) -> SlicingError:
    return SlicingError("profile_invalid", f"This is not a slicing profile that can be used: {reason}", "Choose another file.")
