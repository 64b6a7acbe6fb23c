"""The lines of a TOML text at which its tables and keys stand."""

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str | int, ...]
"""The keys and indexes that lead to a value."""


def line_of(path: Path, lines: Mapping[Path, int]) -> int | None:
    """Return the line of a value, else that of the innermost table around it; ``None`` if there is none.

    :param lines: from :func:`lines_of`.
    """
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


def lines_of(text: str) -> dict[Path, int]:
    """Return the line, from 1, of each table and key; a value of several lines has that of its first.

    :param text: valid TOML.
    """
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}        # of the tables in each array of tables
    table: Path = ()
    for number, statement in _statements(text):
        tables = tomllib.loads(statement)
        if statement.lstrip().startswith("["):
            table = _header(tables, counts, is_array=statement.lstrip().startswith("[["))
            for end in range(1, len(table) + 1):
                lines.setdefault(table[:end], number)
        else:
            for path in _paths(tables, table):
                lines.setdefault(path, number)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield each header and each key with its value, and its line; a statement ends where it is valid TOML."""
    began, statement = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if not statement:
            began = number
        statement += f"{line}\n"
        try:
            is_empty = not tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        if not is_empty:
            yield began, statement
        statement = ""


def _header(tables: Mapping[str, Any], counts: dict[Path, int], *, is_array: bool) -> Path:
    """Return the path of a table from its header alone, parsed; one in an array of tables is in the latest of it."""
    path: Path = ()
    value: Any = tables
    while value:
        key, value = next(iter(value.items()))
        value = value[0] if isinstance(value, list) else value
        path = (*path, key)
        if is_array and not value:
            counts[path] = counts.get(path, 0) + 1
        if path in counts:
            path = (*path, counts[path] - 1)
    return path


def _paths(value: Any, path: Path) -> Iterator[Path]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from _paths(item, (*path, key))
