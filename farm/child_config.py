"""Which file does a child process read, when the caller gave a path, a dictionary or TOML text?"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

__all__ = ["ConfigSource", "config_file"]

ConfigSource = Path | str | Mapping[str, Any]

_PATHS = {"captured", "data_dir", "input", "log", "object_info", "output_dir"}     # the keys that name a file or folder


def config_file(config: ConfigSource, folder: Path) -> Path:
    """Give the path of a configuration file, writing one into ``folder`` unless ``config`` is a path already.

    A path is taken as it is.  In a dictionary or TOML text, an instance without a port gets any free one, and
    relative paths count from the working directory.  A string is a path if it is one line that ends in ``.toml``.

    :raises tomllib.TOMLDecodeError: where the text is no TOML.
    """
    if isinstance(config, str) and not _is_path(config):
        config = tomllib.loads(config)
    if not isinstance(config, Mapping):
        return Path(config)
    path = folder / "config.toml"
    path.write_text(_toml_document(_ready_for_a_child(config)), encoding="utf-8")
    return path


def _is_path(text: str) -> bool:
    return text.endswith(".toml") and "\n" not in text


def _ready_for_a_child(config: Mapping[str, Any]) -> dict[str, Any]:
    """Copy the tables and fill in ports and paths; whatever is wrong with them is the farm's to say."""
    tables = deepcopy(dict(config))
    instances = _only_tables(tables.setdefault("instance", [{}]))
    for instance in instances:
        instance.setdefault("port", 0)
    for table in (*_only_tables([tables.get("farm")]), *_only_tables(tables.get("profile")), *instances):
        for key in _PATHS & table.keys():
            if isinstance(table[key], str | Path):
                table[key] = str(Path(table[key]).absolute())
    return tables


def _only_tables(value: Any) -> list[dict[str, Any]]:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [item for item in items if isinstance(item, dict)]


def _toml_document(tables: Mapping[str, Any]) -> str:
    return "".join(f"{_toml(key)} = {_toml(value)}\n" for key, value in tables.items())


def _toml(value: Any) -> str:
    """Write a value on one line; strings, numbers and booleans are TOML as JSON writes them."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False, default=str)       # a Path is its text
