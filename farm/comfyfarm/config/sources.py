"""Configurations as a path, a dictionary or TOML text: their tables, and a file of them for a child process."""

import errno
import json
import re
import stat
import tomllib
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeGuard

ConfigSource = Path | str | Mapping[str, Any]

_FIRST_PORT = 8188
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_PATHS = {"captured", "data_dir", "input", "log", "object_info", "output_dir"}     # the keys that name a file or folder


def config_file(config: ConfigSource, folder: Path) -> Path:
    """Return the path of a configuration file, after writing one into ``folder`` unless ``config`` is a path.

    In a dictionary or TOML text, an instance without a port gets any free one, and relative paths are relative to the
    working directory.  A string is a path if it is one line that ends in ``.toml``.

    :raises tomllib.TOMLDecodeError: if the text is not TOML.
    """
    if is_path(config):
        return Path(config)
    path = folder / "config.toml"
    path.write_text(toml_document(tables_of(config)), encoding="utf-8")
    return path


def is_path(config: ConfigSource) -> TypeGuard[str | Path]:
    """Return whether it names a file: a path, or one line that ends in ``.toml``."""
    return isinstance(config, Path) or (isinstance(config, str) and config.endswith(".toml") and "\n" not in config)


def tables_of(config: ConfigSource) -> dict[str, Any]:
    """Return a copy of a configuration's tables with ports and absolute paths; nothing else is checked.

    The tables of a file have the default port, and paths relative to the file.

    :raises OSError: if a file cannot be read.
    :raises tomllib.TOMLDecodeError: if a text is not TOML.
    """
    if is_path(config):
        return _filled_in(tomllib.loads(Path(config).read_text("utf-8")), _FIRST_PORT, Path(config).parent)
    tables = tomllib.loads(config) if isinstance(config, str) else config
    assert isinstance(tables, Mapping), "paths are handled above"
    return _filled_in(tables, 0, Path())


def read_regular(path: Path) -> bytes:
    """Read a file.

    :raises OSError: if it cannot be read, or is a device or a pipe, whose end may never come.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "it is a device, a pipe or a socket, and no file", str(path))
    return path.read_bytes()


def _filled_in(config: Mapping[str, Any], port: int, folder: Path) -> dict[str, Any]:
    tables = deepcopy(dict(config))
    instances = _only_tables(tables.setdefault("instance", [{}]))
    for instance in instances:
        instance.setdefault("port", port)
    for table in (*_only_tables([tables.get("farm")]), *_only_tables(tables.get("profile")), *instances):
        for key in _PATHS & table.keys():
            if isinstance(table[key], str | Path):
                table[key] = str(folder.absolute() / table[key])
    return tables


def _only_tables(value: Any) -> list[dict[str, Any]]:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [item for item in items if isinstance(item, dict)]


def toml_tables(name: str, tables: Iterable[Mapping[str, Any]]) -> str:
    """Return TOML text of ``[[name]]`` tables, a line for each key."""
    return "\n".join(f"[[{name}]]\n{toml_document(table)}" for table in tables)


def toml_document(tables: Mapping[str, Any]) -> str:
    """Return TOML text of a table, a line for each key."""
    return "".join(f"{_key(key)} = {_toml(value)}\n" for key, value in tables.items())


def _key(key: Any) -> str:
    return key if isinstance(key, str) and _BARE_KEY.fullmatch(key) else _toml(key)


def _toml(value: Any) -> str:
    # One line for each value; strings, numbers and booleans are the same in TOML and JSON.
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False, default=str)       # str for a Path
