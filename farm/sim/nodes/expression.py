"""A calculator for the expressions that people write into a node.

It knows numbers, names, the operators of Python and the functions below, and no number gets out of hand.  What it
does not know it refuses with the words of ``simpleeval``, the library for this task.
"""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from .call import NodeError

__all__ = ["evaluate"]

_LONGEST_EXPRESSION = 4096
_LONGEST_NUMBER_BITS = 4096     # four times what a float can hold
_MOST_DIGITS = 400


def evaluate(expression: str, names: Mapping[str, float]) -> float:
    """The value of an expression.

    :raises ArithmeticError, ValueError, SyntaxError: as Python does.
    :raises NodeError: where it holds what an expression may not hold.
    """
    if not expression.strip():
        raise NodeError("ValueError", "Expression cannot be empty")
    if len(expression) > _LONGEST_EXPRESSION:
        raise MemoryError
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")     # Python's advice about the expression is for its author
        tree = ast.parse(expression.strip(), mode="eval")
    return _Evaluator(expression.strip(), names).value(tree.body)


@dataclass(frozen=True)
class _Evaluator:
    expression: str
    names: Mapping[str, float]

    def value(self, node: ast.expr) -> float:
        match node:
            case ast.Constant(value=bool() | int() | float() as number):
                return number
            case ast.Name(id=name):
                return self._named(name)
            case ast.BinOp(left=left, op=op, right=right):
                return _calculated(op, self.value(left), self.value(right))
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
                return _number(_UNARY[type(op)](self.value(operand)))
            case ast.BoolOp(op=op, values=values):
                return self._all_or_any(op, values)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                return self._compared(left, ops, comparators)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.value(body if self.value(test) else orelse)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._called(name, [self.value(each) for each in arguments])
            case _:
                raise _unavailable(type(node).__name__)

    def _named(self, name: str) -> float:
        value = self.names.get(name, _CONSTANTS.get(name))
        if value is None:
            text = f"'{name}' is not defined for expression '{self.expression}'"
            raise NodeError("simpleeval.NameNotDefined", text)
        return value

    def _all_or_any(self, op: ast.boolop, nodes: list[ast.expr]) -> float:
        """Python's own: the value that decides."""
        value: float = False
        for node in nodes:
            value = self.value(node)
            if bool(value) is isinstance(op, ast.Or):
                break
        return value

    def _compared(self, left: ast.expr, ops: list[ast.cmpop], comparators: list[ast.expr]) -> bool:
        one = self.value(left)
        for op, comparator in zip(ops, comparators, strict=True):
            if type(op) not in _COMPARISONS:
                raise _unavailable(type(op).__name__)
            two = self.value(comparator)
            if not _COMPARISONS[type(op)](one, two):
                return False
            one = two
        return True

    def _called(self, name: str, arguments: list[float]) -> float:
        function = _FUNCTIONS.get(name)
        if function is None:
            text = f"Function '{name}' not defined, for expression '{self.expression}'."
            raise NodeError("simpleeval.FunctionNotDefined", text)
        try:
            return _number(function(*arguments))
        except TypeError as error:
            raise NodeError("TypeError", str(error)) from error


def _calculated(op: ast.operator, one: float, two: float) -> float:
    if isinstance(op, ast.Pow):
        return _power(one, two)
    if type(op) not in _BINARY:
        raise _unavailable(type(op).__name__)
    return _number(_BINARY[type(op)](one, two))


def _power(one: float, two: float) -> float:
    if isinstance(one, int) and isinstance(two, int) and one.bit_length() * two > _LONGEST_NUMBER_BITS:
        raise OverflowError("int too large to convert to float")
    result: Any = one**two
    if isinstance(result, complex):
        raise NodeError("ValueError", f"Expression must evaluate to a numeric result, got complex: {result!r}")
    return _number(result)


def _number(number: float) -> float:
    if isinstance(number, int) and number.bit_length() > _LONGEST_NUMBER_BITS:
        raise OverflowError("int too large to convert to float")
    return number


def _rounded(number: float, digits: float | None = None) -> float:
    """``round`` itself would take for ever at some digits."""
    if digits is None:
        return round(number)
    return round(number, max(-_MOST_DIGITS, min(_MOST_DIGITS, operator.index(cast("int", digits)))))


def _unavailable(what: str) -> NodeError:
    return NodeError("simpleeval.FeatureNotAvailable", f"Sorry, {what} is not available in this evaluator")


_CONSTANTS = {"pi": math.pi, "e": math.e, "True": True, "False": False}

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}

_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
}

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}

_OF_MATH = (
    *("acos", "asin", "atan", "atan2", "ceil", "cos", "degrees", "exp", "fabs", "floor", "fmod"),
    *("hypot", "log", "log10", "log2", "radians", "sin", "sqrt", "tan", "trunc"),
)

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(math, name) for name in _OF_MATH},
    "abs": abs,
    "bool": bool,
    "float": float,
    "int": int,
    "max": max,
    "min": min,
    "pow": _power,
    "round": _rounded,
    "sum": lambda *numbers: math.fsum(numbers) if any(isinstance(each, float) for each in numbers) else sum(numbers),
}
