"""Differences between two JSON values, as small JSON values themselves."""

from collections.abc import Mapping
from typing import Any

Patch = dict[str, Any]
"""What changes an object or a list: ``-`` the keys that go, ``+`` the keys that come or get another value, ``~`` the
patches of values, ``order`` the order of the keys, if that is another.  The keys of a list are its indices, as text.
"""


def difference(old: Any, new: Any) -> Patch | None:
    """Return the patch that makes ``new`` of ``old``; ``None`` if no patch can, because they differ in kind."""
    before, after = _as_table(old), _as_table(new)
    if before is None or after is None or type(old) is not type(new):
        return None
    if isinstance(old, list) and len(old) != len(new):
        return None
    patch: Patch = {"-": [key for key in before if key not in after], "+": {}, "~": {}}
    for key, value in after.items():
        inner = difference(before[key], value) if key in before else None
        if inner is None and (key not in before or not _is_same(before[key], value)):
            patch["+"][key] = value
        elif inner:
            patch["~"][key] = inner
    patch = {name: part for name, part in patch.items() if part}
    if isinstance(new, dict) and list(patched(old, patch)) != list(new):
        patch["order"] = list(new)
    return patch


def patched(old: Any, patch: Mapping[str, Any]) -> Any:
    """Return a changed copy; what does not change is shared."""
    if isinstance(old, list):
        items = list(old)
        for index, value in patch.get("+", {}).items():
            items[int(index)] = value
        for index, inner in patch.get("~", {}).items():
            items[int(index)] = patched(items[int(index)], inner)
        return items
    table = {key: value for key, value in old.items() if key not in patch.get("-", ())} | patch.get("+", {})
    table |= {key: patched(old[key], inner) for key, inner in patch.get("~", {}).items()}
    return {key: table[key] for key in patch.get("order", table)}


def _as_table(value: Any) -> dict[str, Any] | None:
    if isinstance(value, list):
        return {str(index): item for index, item in enumerate(value)}
    return value if isinstance(value, dict) else None


def _is_same(one: Any, other: Any) -> bool:
    """Return whether two plain values are the same in JSON, in which 1, 1.0 and true are not."""
    return type(one) is type(other) and bool(one == other)
