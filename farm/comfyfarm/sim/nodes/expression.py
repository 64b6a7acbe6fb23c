"""Evaluation of the math node's expressions with ``simpleeval``, in bounded time and memory."""

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import simpleeval

from comfyfarm.sim.nodes.call import NodeError

_MAX_EXPRESSION = 4096
_MAX_NUMBER_BITS = 4096         # four times the range of a float
_MAX_DIGITS = 400
# Not all that simpleeval supports (strings, attributes, assignments): '"%999999999d" % 1' would fill the memory.
_SYNTAX = (ast.BinOp, ast.BoolOp, ast.Call, ast.Compare, ast.IfExp, ast.UnaryOp)


def evaluate(expression: str, names: Mapping[str, float]) -> float:
    """Return the value of an expression.

    :raises ArithmeticError, MemoryError, SyntaxError, ValueError: if Python would raise it, or a limit is exceeded.
    :raises NodeError: if the expression is empty or uses unsupported syntax; with the text of ``simpleeval``.
    """
    expression = expression.strip()
    if not expression:
        raise NodeError("ValueError", "Expression cannot be empty")
    if len(expression) > _MAX_EXPRESSION:
        raise MemoryError
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")     # SyntaxWarning concerns the author of the expression
        tree = ast.parse(expression, mode="eval")
    try:
        return _checked(_evaluator(expression, names).eval(expression, tree.body))
    except simpleeval.InvalidExpression as error:
        raise NodeError(f"simpleeval.{type(error).__name__}", str(error)) from error
    except TypeError as error:      # elsewhere it would be a bug in a rule
        raise NodeError("TypeError", str(error)) from error


def _evaluator(expression: str, names: Mapping[str, float]) -> simpleeval.SimpleEval:
    variables = {"pi": math.pi, "e": math.e, **names}

    def name(node: ast.Name) -> float:      # simpleeval's own also returns functions, whose repr is an address
        if node.id not in variables:
            raise simpleeval.NameNotDefined(node.id, expression)
        return variables[node.id]

    evaluator = simpleeval.SimpleEval(_OPERATORS, _FUNCTIONS)
    syntax = {kind: evaluator.nodes[kind] for kind in _SYNTAX}
    evaluator.nodes = {**syntax, ast.Constant: _constant, ast.Name: name}
    return evaluator


def _constant(node: ast.Constant) -> float:
    if not isinstance(node.value, int | float):
        raise simpleeval.FeatureNotAvailable("Sorry, Constant is not available in this evaluator")
    return node.value


def _checked(value: Any) -> float:
    """Return the result of one calculation step, if it is a number of bounded size."""
    if not isinstance(value, int | float):
        kind = type(value).__name__
        raise NodeError("ValueError", f"Expression must evaluate to a numeric result, got {kind}: {value!r}")
    if isinstance(value, int) and value.bit_length() > _MAX_NUMBER_BITS:
        raise OverflowError("int too large to convert to float")
    return value


def _bounded(function: Callable[..., Any]) -> Callable[..., float]:
    return lambda *arguments: _checked(function(*arguments))


def _power(base: float, exponent: float) -> Any:
    # simpleeval limits base and exponent, but not the size of the result.
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * exponent > _MAX_NUMBER_BITS:
        raise OverflowError("int too large to convert to float")
    return base**exponent


def _rounded(number: float, digits: Any = None) -> float:
    if digits is None:
        return round(number)
    # round() takes minutes for some numbers of digits.
    return round(number, max(-_MAX_DIGITS, min(_MAX_DIGITS, operator.index(digits))))


def _sum(*numbers: float) -> float:
    return math.fsum(numbers) if any(isinstance(number, float) for number in numbers) else sum(numbers)


# Matrix multiplication is included for Python's TypeError; simpleeval's own error text contains an address.
_OPERATORS: dict[type[ast.AST], Callable[..., float]] = {
    kind: _bounded(function)
    for kind, function in (simpleeval.DEFAULT_OPERATORS | {ast.Pow: _power, ast.MatMult: operator.matmul}).items()
}
_MATH = (
    *("acos", "asin", "atan", "atan2", "ceil", "cos", "degrees", "exp", "fabs", "floor", "fmod"),
    *("hypot", "log", "log10", "log2", "radians", "sin", "sqrt", "tan", "trunc"),
)
_FUNCTIONS: dict[str, Callable[..., float]] = {
    function.__name__: _bounded(function)
    for function in (abs, bool, float, int, max, min, *(getattr(math, name) for name in _MATH))
} | {"pow": _bounded(_power), "round": _bounded(_rounded), "sum": _bounded(_sum)}
