"""Values as Python source, laid out as the usual formatters do."""

import json
from collections.abc import Mapping
from typing import Any

_WIDTH = 100
_INDENT = 4


def python_text(value: Any, indent: int = 0, taken: int = 0) -> str:
    """Return the source of a value: on one line if it fits, else one item a line.

    :param value: of JSON's types.
    :param indent: of the line that it begins in.
    :param taken: the letters that stand in this line before and after it.
    """
    line = _on_one_line(value)
    if not isinstance(value, Mapping | list | tuple) or not value or indent + taken + len(line) <= _WIDTH:
        return line
    inner = indent + _INDENT
    if isinstance(value, Mapping):
        keys = {_on_one_line(key): item for key, item in value.items()}
        items = [f"{key}: {python_text(item, inner, len(key) + 3)}" for key, item in keys.items()]
    else:
        items = [python_text(item, inner, 1) for item in value]
    lines = "".join(f"{' ' * inner}{item},\n" for item in items)
    opening, closing = "{}" if isinstance(value, Mapping) else "[]"
    return f"{opening}\n{lines}{' ' * indent}{closing}"


def arguments_text(arguments: Mapping[str, Any]) -> str:
    """Return the source of keyword arguments, each on a line of its own."""
    return "".join(
        f"{' ' * _INDENT}{key}={python_text(value, _INDENT, len(key) + 2)},\n" for key, value in arguments.items()
    )


def _on_one_line(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_on_one_line(key)}: {_on_one_line(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_on_one_line, value)) + "]"
    is_plain_text = isinstance(value, str) and value.isprintable()
    return json.dumps(value, ensure_ascii=False) if is_plain_text else repr(value)
