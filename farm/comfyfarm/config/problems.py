"""Find all errors of a configuration, not only the first one.

A check of a configuration ends at its first error.  To find the others, the value at the place of the error is taken
out of the tables, or replaced by one that is surely right, and the rest is checked again, until there is no error.
"""

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import msgspec

from comfyfarm.config.decoding import ConfigError
from comfyfarm.config.reading import read
from comfyfarm.config.toml_lines import Path, line_of, lines_of
from comfyfarm.config.values import FarmConfig

_MOST_ERRORS = 1000
_SYNTAX_PLACE = re.compile(r" ?\(at line (\d+), column \d+\)")
_NO_INSTANCE = "matches no instance"


@dataclass(frozen=True)
class FileProblem:
    """One error of a configuration.

    :ivar error: the place in the file, and what is wrong there.
    :ivar line: from 1; ``None`` if it has no line.
    """

    line: int | None
    error: str


def find_problems(path: FilePath, check: Callable[[FarmConfig], object]) -> list[FileProblem]:
    """Return every error of a file, in the order of the lines.

    :param check: checks what can be checked once the file is read; raises :class:`ConfigError`.
    :raises OSError: if the file cannot be read.
    """
    content = path.read_bytes()
    try:
        tables = msgspec.toml.decode(content)
        lines = lines_of(content.decode())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        place = _SYNTAX_PLACE.search(str(error))
        return [FileProblem(int(place[1]) if place else None, _SYNTAX_PLACE.sub("", str(error)))]
    errors = _Repairs(tables).errors(lambda: check(read(deepcopy(tables), path.parent)))
    problems = [FileProblem(line_of(place, lines), message) for place, message in errors]
    return sorted(problems, key=lambda problem: problem.line or 0)


class _Repairs:
    """The tables of a configuration, from which wrong values are taken."""

    def __init__(self, tables: dict[str, Any]) -> None:
        self._tables = tables
        # By the id of a list: the original indexes of the items that are left.
        self._indexes: dict[int, list[int]] = {}
        self._found: list[str] = []

    def errors(self, check: Callable[[], object]) -> Iterator[tuple[Path, str]]:
        """Yield each error as its place and its message.

        :param check: raises :class:`ConfigError` for the first error that is left.
        """
        for _ in range(_MOST_ERRORS):
            try:
                check()
            except ConfigError as error:
                message = str(error)
            else:
                return
            path, rest = self._locate(message)
            original = self._original(path)
            place = _as_text(original) + rest.partition(": ")[0]
            if not self._follows_from_others(place, message):
                self._found.append(place)
                yield original, _as_text(original) + rest
            if not self._repair(path):
                return

    def _follows_from_others(self, place: str, message: str) -> bool:
        """Return whether an error is there only because of what was taken out for another."""
        renamed = any(found.endswith((".name", ".count")) for found in self._found)
        return (renamed and _NO_INSTANCE in message) or any(
            found == place or found.startswith((f"{place}.", f"{place}[")) for found in self._found
        )

    def _locate(self, message: str) -> tuple[Path, str]:
        """Return the path of the value that a message begins with, and the rest of the message."""
        path: list[str | int] = []
        rest, value = message, self._tables
        while step := _step(value, rest, is_first=not path):
            key, rest = step
            path.append(key)
            value = value[key]
        return tuple(path), rest

    def _original(self, path: Path) -> Path:
        """Return the path in the file, in which nothing was taken out."""
        original: list[str | int] = []
        value: Any = self._tables
        for key in path:
            indexes = self._indexes.get(id(value))
            original.append(key if indexes is None or isinstance(key, str) else indexes[key])
            value = value[key]
        return tuple(original)

    def _repair(self, path: Path) -> bool:
        """Change the tables so that the value at a path is no longer wrong; return False if that cannot be done."""
        if not path:
            return False
        parent: Any = self._tables
        for key in path[:-1]:
            parent = parent[key]
        key, value = path[-1], parent[path[-1]]
        match path:
            case ("instance", index, "port") if value != 0:
                parent["port"] = 0
            case ("instance", index, "name") if not str(value).startswith("unnamed-"):
                parent["name"] = f"unnamed-{index}-{{n}}"
            case ("instance", index) if value != (sound := {"name": f"unnamed-{index}-{{n}}", "port": 0}):
                parent[index] = sound
            case ("profile", _) if value != {}:
                parent[key] = {}
            case _ if isinstance(parent, list):
                assert isinstance(key, int), "an index of the list"
                del self._indexes.setdefault(id(parent), list(range(len(parent))))[key]
                del parent[key]
            case _:
                del parent[key]
        return True


def _step(value: Any, rest: str, *, is_first: bool) -> tuple[Any, str] | None:
    """Return the key or index of a value that the rest of a message begins with, and what follows it."""
    if isinstance(value, list):
        index = re.match(r"\[(\d+)\]", rest)
        return (int(index[1]), rest[index.end():]) if index and int(index[1]) < len(value) else None
    text = rest if is_first else rest[1:] if rest.startswith(".") else None
    if text is None or not isinstance(value, dict):
        return None
    # A key may have any letters: the longest that fits is the one.
    fitting = [key for key in value if text.startswith(key) and text[len(key):][:1] in {":", ".", "["}]
    key = max(fitting, key=len, default=None)
    return None if key is None else (key, text[len(key):])


def _as_text(path: Path) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")
