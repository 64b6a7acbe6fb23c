"""The names and globs in a fault's rule: how long they may be, and which names they match."""

from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase

from comfyfarm.units import shortened

MOST_CHARACTERS = 200
_MOST_GLOBS = 1000
_WILDCARDS = frozenset("*?[")


def check_globs(key: str, globs: Collection[str]) -> None:
    """Check that globs can be compared quickly.

    :raises ValueError: beginning with the key, if there are too many or one is too long.
    """
    if len(globs) > _MOST_GLOBS:
        raise ValueError(f"{key}: expected at most {_MOST_GLOBS} names or globs, got {len(globs)}")
    for glob in globs:
        if len(glob) > MOST_CHARACTERS:
            what = f"got {len(glob)}: {shortened(repr(glob))}"
            raise ValueError(f"{key}: expected a name or glob of at most {MOST_CHARACTERS} characters, {what}")


def check_id(fault_id: str) -> None:
    """Check that an id can stand in a path of the control API.

    :raises ValueError: if it cannot.
    """
    is_path = fault_id in ("", ".", "..") or "/" in fault_id or not fault_id.isprintable()
    if is_path or len(fault_id) > MOST_CHARACTERS:
        what = f"a name of at most {MOST_CHARACTERS} printable characters without /"
        raise ValueError(f"id: expected {what}, got {shortened(repr(fault_id))}")


def matched(names: Collection[str], globs: Collection[str]) -> Iterator[str]:
    """Yield the names that any of the globs matches, in their order."""
    plain = {glob for glob in globs if _WILDCARDS.isdisjoint(glob)}
    wild = [glob for glob in globs if glob not in plain]
    return (name for name in names if name in plain or any(fnmatchcase(name, glob) for glob in wild))
