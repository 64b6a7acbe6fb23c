"""A set of paths, for the many files that jobs write."""

import os
import re
from bisect import bisect_right
from collections.abc import Iterator, MutableSet
from pathlib import Path
from typing import Any

_NUMBERED = re.compile(r"(.*_)(\d{5,})(_.*)", re.DOTALL)     # docs/fidelity.md, "Output names"
_Part = tuple[str, str, str]     # the directory, and what stands around the number; of other names only the first


class PathSet(MutableSet[Path]):
    """A set of paths.  Names that are numbered one after the other, as those of jobs are, take no memory each."""

    def __init__(self) -> None:
        self._parts: dict[_Part, MutableSet[Any]] = {}

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, Path):
            return False
        part, item = _place(path)
        return item in self._parts.get(part, ())

    def __iter__(self) -> Iterator[Path]:
        for (directory, before, after), items in self._parts.items():
            for item in items:
                yield Path(directory, item if isinstance(item, str) else f"{before}{item:05}{after}")

    def __len__(self) -> int:
        return sum(map(len, self._parts.values()))

    def add(self, value: Path) -> None:
        part, item = _place(value)
        if part not in self._parts:
            self._parts[part] = set() if isinstance(item, str) else _Numbers()
        self._parts[part].add(item)

    def discard(self, value: Path) -> None:
        part, item = _place(value)
        if part in self._parts:
            self._parts[part].discard(item)

    def clear(self) -> None:
        self._parts.clear()


def _place(path: Path) -> tuple[_Part, str | int]:
    """Return the part of the set to which a path belongs, and what stands for it there: the name, or its number.

    A name counts as numbered if it follows from its number, and is not the first one, which may be the only one.
    """
    directory, name = os.path.split(path)
    found = _NUMBERED.fullmatch(name)
    if found is None or int(found[2]) == 1 or found[2] != f"{int(found[2]):05}":
        return (directory, "", ""), name
    return (directory, found[1], found[3]), int(found[2])


class _Numbers(MutableSet[int]):
    """A set of whole numbers, kept as ranges.

    :ivar _bounds: ascending: the first number of a range, the first behind it, the first of the next range and so on.
    """

    def __init__(self) -> None:
        self._bounds: list[int] = []

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and bisect_right(self._bounds, number) % 2 == 1

    def __iter__(self) -> Iterator[int]:
        for start, end in zip(self._bounds[::2], self._bounds[1::2], strict=True):
            yield from range(start, end)

    def __len__(self) -> int:
        return sum(self._bounds[1::2]) - sum(self._bounds[::2])

    def add(self, value: int) -> None:
        if value not in self:
            self._toggle(value)

    def discard(self, value: int) -> None:
        if value in self:
            self._toggle(value)

    def _toggle(self, number: int) -> None:
        """Add two bounds around a number; a bound that is there already and the new one cancel each other."""
        for bound in (number, number + 1):
            index = bisect_right(self._bounds, bound)
            if index and self._bounds[index - 1] == bound:
                del self._bounds[index - 1]
            else:
                self._bounds.insert(index, bound)
