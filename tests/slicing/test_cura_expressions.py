"""Formulas mean what Python means by them, and can do nothing else."""

from __future__ import annotations

import builtins
import math
import tracemalloc
from typing import Any

import pytest

from octoprint_facesculpt.slicing.cura_expressions import MAX_SIZE, FormulaError, evaluate, size_of

NAMES: dict[str, Any] = {
    "layer_height": 0.2, "line_width": 0.4, "walls": 3, "pattern": "cubic", "on": True, "off": False, "shape": [[1, 2], [3, 4]],
}  # fmt: skip
FUNCTIONS = {"extruderValue": lambda nr, key: NAMES[key], "extruderValues": lambda key: [NAMES[key]]}


def lookup(name: str) -> Any:
    if name not in NAMES:
        raise FormulaError(f"there is no {name}")
    return NAMES[name]


def value(formula: str) -> Any:
    return evaluate(formula, lookup, FUNCTIONS)


@pytest.mark.parametrize(
    "formula",
    [
        "1 + 2 * 3 - 4 / 5", "-layer_height * 100 % 7", "2 ** 3", "7 // 2", "not on", "on and walls", "off or pattern",
        "off and missing", "on or missing", "1 < walls <= 3", "1 < walls < 3", "'cub' in pattern",
        "pattern not in ('grid', 'lines')",
        "'a' if pattern == 'cubic' else 'b'", "missing if off else 1", "math.ceil(round(0.8 / layer_height, 4))", "round(2.5)",
        "round(1.23456, 2)", "math.floor(math.degrees(math.atan(line_width/2.0/layer_height)))", "math.pi", "math.sqrt(walls)",
        "max(1, walls, layer_height)", "min([walls, 2])", "sum(map(int, [1.5, 2.5]))", "any([off, on])", "all([off, on])",
        "len(shape)", "shape[1][0]", "shape[-1]", "str(walls) + ' walls'", "int('12') + float('0.5')", "float('inf')",
        "abs(-3)",
        "bool(0)", "\n  walls  \n",
    ],
)  # fmt: skip
def test_a_formula_has_the_value_python_gives_it(formula: str) -> None:
    allowed = ("abs", "all", "any", "bool", "float", "int", "len", "map", "max", "min", "round", "str", "sum")
    safe = {"math": math, **{name: getattr(builtins, name) for name in allowed}}
    expected = eval(formula.strip(), {"__builtins__": {}}, {**safe, **NAMES})
    assert value(formula) == expected and type(value(formula)) is type(expected)


def test_functions_of_the_caller_are_called() -> None:
    assert value("extruderValue(0, 'walls') + max(extruderValues('layer_height'))") == 3.2


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os').system('reboot')", "open('/etc/passwd')", "().__class__.__bases__", "pattern.upper()",
        "math.__loader__", "math.factorial(100000)", "math.comb(10**6, 10**5)",
        "[x for x in shape]", "{x for x in shape}", "any(x for x in shape)",
        "lambda: 1", "(lambda: 1)()", "f'{walls}'", "pattern[0:2]", "pattern[0]", "b'a'", "1j", "...", "None", "{'a': 1}",
        "walls := 3", "*shape", "max(*shape)", "max(shape, key=len)", "map(pattern, [1])", "map()", "walls << 60", "walls | 1",
        "~walls", "await walls", "eval('1')", "getattr(math, 'pi')", "max", "math", "shape is shape", "walls; walls", "",
        "walls = 3", "(" * 300 + "1" + ")" * 300, "missing", "extruderValue(0)", "'2' + 1",
    ],
)  # fmt: skip
def test_anything_else_is_refused(formula: str) -> None:
    with pytest.raises(FormulaError):
        value(formula)


@pytest.mark.parametrize(
    "formula",
    [
        "'a' * 10**9", "[1] * 10**9", "10 ** 10 ** 10", "9 ** 9999", "pow(9, 9999)", "(" + "*".join(["9" * 400] * 9) + ")",
        "round(5, -10**9)", "int('9' * 50)", "int('" + "9" * 3000 + "')", "'%1000000000d' % 1", "math.exp(1000)",
        "+".join(["1"] * 3000), "-" * 200 + "1", "not " * 200 + "1", "[" * 90 + "]" * 90, "1" * 5000, "1e400 * 0",
        "1 / 0", "1 % 0", "math.sqrt(-1)", "math.log(0)", "max([])", "shape[9]", "int('a')", "sum(pattern)", "len(walls)",
    ],
)  # fmt: skip
def test_what_has_no_value_or_grows_is_refused_at_once(formula: str) -> None:
    with pytest.raises(FormulaError) as refusal:
        value(formula)
    assert len(str(refusal.value)) < 300


def bomb(begin: str, around: str, times: int) -> str:
    for _ in range(times):
        begin = around.format(begin)
    return begin


@pytest.mark.parametrize(
    "formula",
    [
        # Each text within a list has its strokes doubled.
        bomb(r"'\\'", "str([{}])", 28), bomb("long", "str([{0}])", 28), bomb("long", "({0} + {0})", 6), "long + long + long",
        "len(long + long + long)", "[long, long, long]", "str(map(str, many))", "map(extruderValues, many)",
        "[many, many, many]", "str(digits)", "[digits[0], digits[0]]", "huge",
    ],
)  # fmt: skip
def test_what_grows_is_refused_before_it_is_large(formula: str) -> None:
    names = {"long": "a\\" * (MAX_SIZE // 5), "many": [1000.5] * (MAX_SIZE // 3), "digits": [10**4000] * 50, "huge": "a" * 5000}
    functions = {"extruderValues": lambda key: ["a" * 1_000_000]}
    tracemalloc.start()
    try:
        with pytest.raises(FormulaError) as refusal:
            evaluate(formula, names.__getitem__, functions)
        assert tracemalloc.get_traced_memory()[1] < 1_500_000
    finally:
        tracemalloc.stop()
    assert len(str(refusal.value)) < 300


def test_a_value_is_as_large_as_all_that_it_holds() -> None:
    twice = ["ab", 1.5]
    assert size_of("abc") == 3 and size_of([]) == 0 and size_of(twice) == 2 + 2 + 1 and size_of([twice, twice]) == 2 + 2 * 5
    assert size_of({"ab": [1]}) == 1 + 2 + 1 + 1 and size_of(None) == size_of(True) == 1
    assert size_of(10**1000) == pytest.approx(1000, rel=0.01)
    endless = [0]
    for _ in range(100):
        endless = [endless, endless]
    assert MAX_SIZE < size_of(endless) < 2 * MAX_SIZE and size_of("a" * MAX_SIZE) == MAX_SIZE
