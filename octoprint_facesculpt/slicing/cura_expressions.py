"""Cura's ``value`` formulas, evaluated without ever running foreign text.

Cura compiles them with Python's ``eval``. Here a formula is parsed, every node of it must be on a short list, and a small
interpreter walks the tree: no attributes but ``math``'s, no loops, and limits on depth and on the size of all that comes out.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

#: The longest formula in Cura 4.13's definitions has 1483 characters; the deepest is 21 levels.
MAX_CHARACTERS, MAX_NODES, MAX_DEPTH = 4000, 1500, 60
#: Numbers beyond this are a mistake; it also keeps whole numbers from growing without bound.
MAX_NUMBER = 1e30
#: What a value may hold, as :func:`size_of` counts it: a setting made of others that are made of others would grow as fast as
#: a power. The largest in Cura 4.13's definitions is a text of 1167 characters.
MAX_SIZE = 4000

Lookup = Callable[[str], Any]


class FormulaError(Exception):
    """A formula that is not allowed, or has no value. The text says why, for people."""


_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip
_UNARY: dict[type, Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_}
_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip
_MATH = (
    "acos", "asin", "atan", "atan2", "ceil", "cos", "degrees", "exp", "floor", "log", "log10", "radians", "sin", "sqrt",
    "tan",
)  # fmt: skip


def _power(base: float, exponent: float) -> float:
    # math.pow overflows where ** would begin to fill the memory.
    power = math.pow(_number(base), _number(exponent))
    whole = isinstance(base, int) and isinstance(exponent, int) and exponent >= 0 and abs(power) < 2**53
    return int(power) if whole else power


def _round(value: float, digits: int = 0) -> float:
    # Python takes minutes to round to a billion digits.
    if not -15 <= digits <= 15:
        raise FormulaError("it rounds to too many digits")
    return round(_number(value), digits) if digits else round(_number(value))


def _convert(kind: type) -> Callable[[Any], Any]:
    def convert(value: Any = 0) -> Any:
        # int() of a long text takes a time that grows with its square.
        if isinstance(value, str) and len(value) > 40:
            raise FormulaError("it makes a number of a long text")
        return kind(value)

    return convert


def _map(function: Callable[[Any], Any], values: list) -> list:
    return [_small(function(value)) for value in values]


def size_of(value: Any) -> int:
    """The size of a value: characters of text, digits of whole numbers, and elements of lists with all that these hold, each
    time they hold it. What is larger than ``MAX_SIZE`` is not counted to its end."""
    size, rest = 0, [value]
    while rest and size <= MAX_SIZE:
        one = rest.pop()
        if isinstance(one, (str, list, dict)):
            size += len(one)
            rest += [] if isinstance(one, str) else one
            rest += one.values() if isinstance(one, dict) else []
        else:
            # Three digits have ten bits.
            size += 1 + (one.bit_length() * 3 // 10 if isinstance(one, int) else 0)
    return size


def _small(value: Any) -> Any:
    """``value``, if it is not too large; a number alone is small enough as long as ``MAX_NUMBER`` bounds it."""
    if not isinstance(value, (int, float)) and size_of(value) > MAX_SIZE:
        raise FormulaError("it makes too long a text or list")
    return value


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs, "all": all, "any": any, "bool": bool, "len": len, "max": max, "min": min, "sum": sum,
    "round": _round, "int": _convert(int), "float": _convert(float), "str": str, "map": _map, "pow": _power,
}  # fmt: skip
_NODES = (
    ast.Expression, ast.Constant, ast.Name, ast.Load, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.And, ast.Or, ast.Compare,
    ast.IfExp, ast.Call, ast.Attribute, ast.List, ast.Tuple, ast.Subscript, ast.Pow, *_BINARY, *_UNARY, *_COMPARE,
)  # fmt: skip


def evaluate(formula: str, lookup: Lookup, functions: Mapping[str, Callable[..., Any]]) -> Any:
    """The value of a formula; :class:`FormulaError` when it is not allowed or cannot be computed.

    Parameters
    ----------
    formula : Python expression of names, numbers, texts, lists, operators and calls
    lookup : gives the value of a name; may raise :class:`FormulaError`
    functions : what may be called besides the usual arithmetic
    """
    return _Interpreter(lookup, functions).visit(parse(formula))


@lru_cache(maxsize=4096)
def parse(formula: str) -> ast.expr:
    """The checked syntax tree of a formula; :class:`FormulaError`."""
    if len(formula) > MAX_CHARACTERS:
        raise FormulaError("the formula is too long")
    try:
        tree = ast.parse(formula.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FormulaError("it is not a formula") from error
    _require_allowed(tree)
    return tree.body


def _require_allowed(tree: ast.AST) -> None:
    """Walk level by level, so that no nesting can exhaust the stack before it has been measured."""
    level, nodes, depth = [tree], 0, 0
    while level:
        depth, nodes = depth + 1, nodes + len(level)
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            raise FormulaError("the formula is too complicated")
        for node in level:
            if not isinstance(node, _NODES):
                raise FormulaError(f"{type(node).__name__} is not allowed in a formula")
            if isinstance(node, ast.Constant) and not isinstance(node.value, (bool, int, float, str)):
                raise FormulaError(f"{type(node.value).__name__} is not allowed in a formula")
            if isinstance(node, ast.Call) and node.keywords:
                raise FormulaError("named arguments are not allowed in a formula")
        level = [child for node in level for child in ast.iter_child_nodes(node)]


class _Interpreter(ast.NodeVisitor):
    def __init__(self, lookup: Lookup, functions: Mapping[str, Callable[..., Any]]) -> None:
        self._lookup, self._functions = lookup, {**_FUNCTIONS, **functions}

    def visit(self, node: ast.AST) -> Any:
        try:
            value = _small(super().visit(node))
        except (ArithmeticError, TypeError, ValueError, LookupError) as error:
            raise FormulaError(f"{ast.unparse(node)[:80]} has no value: {error}") from error
        # The infinity of "no limit" is meant; not a number never is.
        if isinstance(value, (int, float)) and not (abs(value) <= MAX_NUMBER or value in (math.inf, -math.inf)):
            raise FormulaError(f"{ast.unparse(node)[:80]} is not a sensible number")
        return value

    def visit_Constant(self, node: ast.Constant) -> Any:
        return node.value

    def visit_Name(self, node: ast.Name) -> Any:
        return self._lookup(node.id)

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        left, right = self.visit(node.left), self.visit(node.right)
        if isinstance(node.op, ast.Add) and isinstance(left, str) and isinstance(right, str):
            return left + right
        left, right = _number(left), _number(right)
        return _power(left, right) if isinstance(node.op, ast.Pow) else _BINARY[type(node.op)](left, right)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        value = self.visit(node.operand)
        return _UNARY[type(node.op)](value if isinstance(node.op, ast.Not) else _number(value))

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        value: Any = None
        for part in node.values:
            value = self.visit(part)
            if bool(value) is isinstance(node.op, ast.Or):
                break
        return value

    def visit_Compare(self, node: ast.Compare) -> bool:
        left = self.visit(node.left)
        for kind, part in zip(node.ops, node.comparators, strict=True):
            right = self.visit(part)
            if not _COMPARE[type(kind)](left, right):
                return False
            left = right
        return True

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        return self.visit(node.body if self.visit(node.test) else node.orelse)

    def visit_List(self, node: ast.List) -> list:
        return [self.visit(element) for element in node.elts]

    def visit_Tuple(self, node: ast.Tuple) -> list:
        return [self.visit(element) for element in node.elts]

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        values = self.visit(node.value)
        if not isinstance(values, list):
            raise FormulaError(f"{ast.unparse(node.value)[:80]} is not a list")
        return values[int(self.visit(node.slice))]

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        if isinstance(node.value, ast.Name) and node.value.id == "math" and node.attr in ("pi", "e"):
            return getattr(math, node.attr)
        raise FormulaError(f"{ast.unparse(node)[:80]} is not allowed in a formula")

    def visit_Call(self, node: ast.Call) -> Any:
        function = self._function(node.func)
        if function is _map and node.args:
            # The one function that takes another.
            return _map(self._function(node.args[0]), *(self.visit(argument) for argument in node.args[1:]))
        return function(*(self.visit(argument) for argument in node.args))

    def _function(self, node: ast.expr) -> Callable[..., Any]:
        if isinstance(node, ast.Name) and node.id in self._functions:
            return self._functions[node.id]
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "math" and node.attr in _MATH:
            return getattr(math, node.attr)
        raise FormulaError(f"{ast.unparse(node)[:80]} cannot be called in a formula")


def _number(value: Any) -> Any:
    """``value`` if it can be computed with: text and lists could be multiplied until the memory is full."""
    if not isinstance(value, (bool, int, float)):
        raise FormulaError(f"'{str(value)[:40]}' is not a number")
    return value
