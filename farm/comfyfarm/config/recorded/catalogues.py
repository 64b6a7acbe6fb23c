"""The node types of each recorded version: those of the reference, and differences from neighbour to neighbour.

Only what a farm uses is read.  A version between two recorded ones has the node types of the older one, and those that
are known to have come since.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from comfyfarm.config.recorded.patches import patched
from comfyfarm.versions import RECORDED, REFERENCE, is_since, neighbour, newest_recorded

Entries = Mapping[str, Mapping[str, Any]]
"""By node type, its entry in ``/object_info``, without texts for people."""


@cache
def entries_of(version: str) -> Entries:
    """Return the node types of a version."""
    base = newest_recorded(version)
    return _recorded_entries(base) if base == version else _between(version, base)


@cache
def _recorded_entries(version: str) -> Entries:
    if version == REFERENCE:
        return read_table("object_info.json")
    changed: Entries = patched(_recorded_entries(neighbour(version)), read_table(f"versions/{version}.json"))
    return changed


def _between(version: str, base: str) -> Entries:
    """Add the node types that came after ``base``, as the next recorded version has them."""
    later = RECORDED[RECORDED.index(base) + 1 :]
    came = {since: names for since, names in read_table("versions/between.json").items() if is_since(version, since)}
    new = [name for since, names in came.items() if is_since(since, base) for name in names]
    if not later or not new:
        return _recorded_entries(base)
    return {**_recorded_entries(base), **_picked(_recorded_entries(later[0]), new)}


def _picked(entries: Entries, names: Iterable[str]) -> Entries:
    return {name: entries[name] for name in names}


def read_table(name: str) -> dict[str, Any]:
    """Return the JSON object in a file of this package."""
    return msgspec.json.decode(files("comfyfarm.config.recorded").joinpath(name).read_bytes(), type=dict[str, Any])
