"""What Cura means by a setting: the first container that has it, formulas, resolving rules, and the limits of its value.

The rules are those of Cura's ``GlobalStack``, ``ExtruderStack``, ``CuraFormulaFunctions`` and ``StartSliceJob`` for a
printer with one extruder in use. CuraEngine itself knows none of them: it would take each setting's default.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from .cura_definitions import Container, Definition, Library
from .cura_expressions import FormulaError, evaluate, size_of
from .cura_resolved import Choice, Resolved
from .engine import SlicingError

EXTRUDER, GLOBAL = "extruder", "global"
#: Formulas that may be computed for one printer (Cura 4.13's Ender 3 needs 1500), and how deep they may refer to others.
MAX_EVALUATIONS, MAX_REFERENCES = 50_000, 40
#: What the values of all formulas may hold together (Cura 4.13's Ender 3: some 2000), and characters of start or end code.
MAX_MADE, MAX_CODE = 1_000_000, 200_000
_TRUE, _FALSE = ("true", "yes", "1", "on"), ("false", "no", "0", "off")
_PLACEHOLDER = re.compile(r"\{\s*(\w+)\s*(?:,\s*(\d+)\s*)?\}")
#: Where start code sets a temperature itself, the engine must not do it before.
_BED_TEMPERATURE = re.compile(r"\{\s*material_bed_temperature(_layer_0)?\s*[,}]")
_PRINT_TEMPERATURE = re.compile(
    r"\{\s*(default_material_print|material_(print|initial_print|final_print|standby))_temperature(_layer_0)?\s*[,}]"
)
#: What it only says of them in comments sets nothing.
_COMMENT = re.compile(r";[^\n]*")
#: Names that mean something else at another time.
_DATED = re.compile(r"\{\s*(time|date|day)\s*[,}]")
_CODES = ("machine_start_gcode", "machine_end_gcode", "machine_extruder_start_code", "machine_extruder_end_code")


def resolve(choice: Choice, overrides: Mapping[str, str], library: Library | None = None) -> Resolved:
    """All settings of a printer as Cura would hand them to its engine.

    :class:`SlicingError` ``definitions_missing``, ``profile_unknown`` or ``profile_invalid``, the latter also for
    overrides of settings that do not exist.
    """
    library = library or Library()
    library.require()
    machine = library.machine(choice.machine)
    trains = machine.metadata.get("machine_extruder_trains")
    if not isinstance(trains, dict) or "0" not in trains:
        raise SlicingError("profile_invalid", f"The printer {choice.machine} has no extruder.")
    extruder = library.extruder(trains["0"])
    variant = choice.variant or machine.metadata.get("preferred_variant_name", "")
    material_name = choice.material or machine.metadata.get("preferred_material", "generic_pla")
    own_quality, quality = library.quality(machine, choice.quality, variant, material_name)
    properties = {**extruder.settings, **machine.settings}
    unknown = sorted(set(overrides) - set(properties))
    if unknown:
        raise SlicingError("profile_invalid", f"Cura has no setting '{unknown[0][:80]}'.", "Look the name up in Cura.")
    diameter = extruder.settings.get("material_diameter", {}).get("default_value", 1.75)
    material = library.material(machine, material_name, variant, float(diameter))
    of_extruder = {key: value for key, value in overrides.items() if properties[key].get("settable_per_extruder", True)}
    nozzle = library.variant(machine, variant)
    if nozzle is None and choice.variant:
        raise SlicingError("profile_unknown", f"{machine.name} has no '{choice.variant}'.", "Choose another nozzle.")
    stack = _Stack(
        machine,
        extruder,
        extruder_layers=(Container("user", values=of_extruder), own_quality, material, nozzle or Container()),
        global_layers=(Container("user", values={k: v for k, v in overrides.items() if k not in of_extruder}), quality),
    )
    return stack.resolved(material)


class _Stack:
    """The two stacks of a printer with one extruder: that one's containers lie on top of the machine's."""

    def __init__(
        self,
        machine: Definition,
        extruder: Definition,
        extruder_layers: tuple[Container, ...],
        global_layers: tuple[Container, ...],
    ) -> None:
        self._machine, self._extruder = machine.settings, extruder.settings
        self._extruder_layers, self._global_layers = extruder_layers, global_layers
        self._known: dict[tuple[str, str, str], Any] = {}
        self._resolving: list[str] = []
        self._evaluations = self._made = self._depth = 0
        self.unresolved: dict[str, str] = {}

    def resolved(self, material: Container) -> Resolved:
        """All values as text, checked as Cura checks them before it slices."""
        values = {GLOBAL: self._all(GLOBAL, self._machine), EXTRUDER: self._all(EXTRUDER, {**self._extruder, **self._machine})}
        values[EXTRUDER] = {k: v for k, v in values[EXTRUDER].items() if self._per_extruder(k)}
        tokens = {**values[GLOBAL], **values[EXTRUDER], **_tokens(values[EXTRUDER], material)}
        for stack in values.values():
            for key in _CODES:
                if key in stack:
                    # Profiles keep each value in one line; in a single line of G-code the first comment would hide the rest.
                    stack[key] = str(stack[key]).replace("\\n", "\n")
        start = _COMMENT.sub("", values[GLOBAL].get("machine_start_gcode", ""))
        values[GLOBAL]["material_bed_temp_prepend"] = not _BED_TEMPERATURE.search(start)
        values[GLOBAL]["material_print_temp_prepend"] = not _PRINT_TEMPERATURE.search(start)
        dated = any(_DATED.search(stack.get(key, "")) for stack in values.values() for key in _CODES)
        for stack in values.values():
            for key in _CODES:
                if key in stack:
                    stack[key] = _fill(stack[key], tokens)
        return Resolved(
            machine={key: _text(value) for key, value in values[GLOBAL].items()},
            extruder={key: _text(value) for key, value in values[EXTRUDER].items()},
            density=float(material.metadata.get("density") or 1.24),
            unresolved=dict(self.unresolved),
            dated=dated,
            invalid={**self._limits(GLOBAL, values[GLOBAL]), **self._limits(EXTRUDER, values[EXTRUDER])},
        )

    def _all(self, stack: str, keys: Mapping[str, Any]) -> dict[str, Any]:
        values = {}
        for key in keys:
            try:
                values[key] = self._property(stack, key, stack)
            except FormulaError as error:
                self.unresolved[key] = str(error)
            except RecursionError:
                self.unresolved[key] = "it refers to too many others"
            self._resolving.clear()
            self._depth = 0
        return values

    def _properties(self, key: str) -> Mapping[str, Any]:
        return self._machine.get(key) or self._extruder.get(key) or {}

    def _per_extruder(self, key: str) -> bool:
        own = self._extruder.get(key, {}).get("settable_per_extruder")
        return bool(own if own is not None else self._machine.get(key, {}).get("settable_per_extruder", True))

    def _property(self, stack: str, key: str, root: str) -> Any:
        """The value of a setting asked of a stack, for a formula that was begun at ``root``."""
        known = (stack, key, root)
        if not self._resolving and known in self._known:
            return self._known[known]
        if self._depth >= MAX_REFERENCES:
            raise FormulaError("it refers to itself")
        self._depth += 1
        value = self._look_up(stack, key, root)
        self._depth -= 1
        if not self._resolving:
            self._known[known] = value
        return value

    def _look_up(self, stack: str, key: str, root: str) -> Any:
        if stack == EXTRUDER:
            return self._raw(EXTRUDER, key, root) if self._per_extruder(key) else self._property(GLOBAL, key, root)
        rule = self._properties(key).get("resolve")
        if rule is not None and key not in self._resolving and key not in self._global_layers[0].values:
            # Inside its own rule a setting has its plain value.
            self._resolving.append(key)
            value = self._formula(rule, root)
            self._resolving.pop()
            return value
        # Where a setting belongs to an extruder, there is only the one.
        if self._properties(key).get("limit_to_extruder") is not None and self._per_extruder(key):
            return self._raw(EXTRUDER, key, root)
        return self._raw(GLOBAL, key, root)

    def _raw(self, stack: str, key: str, root: str) -> Any:
        """The value in the first container that has one."""
        layers = self._extruder_layers + self._global_layers if stack == EXTRUDER else self._global_layers
        for position, container in enumerate(layers):
            if stack == EXTRUDER and position == len(self._extruder_layers) and key in self._extruder:
                break
            if key in container.values:
                text = container.values[key]
                return self._formula(text[1:], root) if text.startswith("=") else _parse(text, key, self._properties(key))
        definition = self._extruder if stack == EXTRUDER and key in self._extruder else self._machine
        if key not in definition:
            raise FormulaError(f"there is no setting '{key[:80]}'")
        properties = definition[key]
        value = properties.get("value", properties.get("default_value"))
        if isinstance(value, str) and "value" in properties:
            return self._formula(value, root)
        if value is None:
            raise FormulaError("it has neither value nor default")
        return _parse(value, key, properties) if isinstance(value, str) else value

    def _formula(self, text: str, root: str) -> Any:
        self._evaluations += 1
        if self._evaluations > MAX_EVALUATIONS:
            raise SlicingError("profile_invalid", "The printer's formulas are too complicated.")
        functions: dict[str, Callable[..., Any]] = {
            "resolveOrValue": lambda key: self._property(GLOBAL, key, root),
            "extruderValue": lambda _position, key: self._extruder_value(key, root),
            "extruderValues": lambda key: [self._raw(EXTRUDER, key, root)],
            "defaultExtruderPosition": lambda: "0",
            "anyExtruderNrWithOrDefault": lambda _key: "0",
            "anyExtruderWithMaterial": lambda _key: "0",
            "valueFromContainer": lambda key, _index: self._property(GLOBAL, key, root),
            "extruderValueFromContainer": lambda _position, key, _index: self._extruder_value(key, root),
        }
        value = evaluate(text, lambda key: self._property(root, key, root), functions)
        self._made += size_of(value)
        if self._made > MAX_MADE:
            raise SlicingError("profile_invalid", "The printer's formulas make too much text.")
        return value

    def _extruder_value(self, key: str, root: str) -> Any:
        value = self._raw(EXTRUDER, key, root)
        return value.lower() if isinstance(value, str) else value

    def _limits(self, stack: str, values: Mapping[str, Any]) -> dict[str, str]:
        """Enabled settings outside their limits, which Cura refuses to slice with."""
        wrong = {}
        for key, value in values.items():
            properties = {**self._machine.get(key, {}), **self._extruder.get(key, {})}
            if properties.get("type") not in ("int", "float"):
                continue
            try:
                if not self._rule(properties.get("enabled", True), stack):
                    continue
                low, high = (self._rule(properties.get(f"{end}_value"), stack) for end in ("minimum", "maximum"))
                if low is not None and value < low - 1e-9:
                    wrong[key] = f"{value:g} is below {low:g}"
                elif high is not None and value > high + 1e-9:
                    wrong[key] = f"{value:g} is above {high:g}"
            except (FormulaError, TypeError, ValueError, OverflowError) as error:
                wrong[key] = f"its limits have no value: {error}"
        return wrong

    def _rule(self, rule: Any, stack: str) -> Any:
        self._depth = 0
        return self._formula(rule, stack) if isinstance(rule, str) else rule


def _parse(text: str, key: str, properties: Mapping[str, Any]) -> Any:
    """A written value as the type of its setting."""
    kind = properties.get("type", "str")
    try:
        if kind == "float":
            return float(text)
        if kind == "int":
            return int(float(text))
        if kind == "bool":
            if text.strip().lower() in _TRUE + _FALSE:
                return text.strip().lower() in _TRUE
            raise ValueError
        if kind in ("polygon", "polygons", "[int]"):
            if not isinstance(value := json.loads(text), list):
                raise ValueError
            return value
        if kind == "enum" and text not in properties.get("options", {text: ""}):
            raise ValueError
    except (ValueError, OverflowError, RecursionError) as error:
        raise SlicingError("profile_invalid", f"'{text[:80]}' is no value for Cura's setting {key}.") from error
    return text


def _text(value: Any) -> str:
    if isinstance(value, float):
        # The engine reads text; 15 digits tell every float of a printer apart.
        return f"{value:.15g}"
    return str(value)


def _tokens(values: Mapping[str, Any], material: Container) -> dict[str, Any]:
    """What start and end code may name besides the settings."""
    now = time.localtime()
    return {
        "print_temperature": values.get("material_print_temperature", ""),
        "print_bed_temperature": values.get("material_bed_temperature", ""),
        "travel_speed": values.get("speed_travel", ""),
        "initial_extruder_nr": "0",
        "material_type": material.metadata.get("type", ""),
        "time": time.strftime("%H:%M:%S", now),
        "date": time.strftime("%d-%m-%Y", now),
        "day": time.strftime("%a", now),
    }


def _fill(code: str, tokens: Mapping[str, Any]) -> str:
    """Start or end code with its placeholders replaced; one that means nothing stays, and is refused after slicing.
    :class:`SlicingError` ``profile_invalid`` when it becomes too long."""
    room = MAX_CODE

    def value(match: re.Match) -> str:
        nonlocal room
        text = _text(tokens[match[1]]) if match[1] in tokens else match[0]
        room -= len(text)
        if room < 0:
            raise SlicingError("profile_invalid", f"Start or end code is filled in with more than {MAX_CODE} characters.")
        return text

    return _PLACEHOLDER.sub(value, code)
