"""A set of paths, for the many files that jobs write."""

import os
import re
from bisect import bisect_right
from collections.abc import Iterator, MutableSet
from itertools import chain
from pathlib import Path

_NUMBERED = re.compile(r"(.*_)(\d{5,})(_.*)", re.DOTALL)     # docs/fidelity.md, "Output names"


class PathSet(MutableSet[Path]):
    """A set of paths.  Names that are numbered one after the other, as those of jobs are, take no memory each."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}       # by directory
        self._numbers: dict[tuple[str, str, str], _Numbers] = {}    # by directory and what stands around the number

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, Path):
            return False
        directory, name = os.path.split(path)
        if (found := _numbered(name)) is not None:
            before, number, after = found
            numbers = self._numbers.get((directory, before, after))
            return numbers is not None and number in numbers
        return name in self._names.get(directory, ())

    def __iter__(self) -> Iterator[Path]:
        named = (Path(directory, name) for directory, names in self._names.items() for name in names)
        numbered = (
            Path(directory, f"{before}{number:05}{after}")
            for (directory, before, after), numbers in self._numbers.items()
            for number in numbers
        )
        return chain(named, numbered)

    def __len__(self) -> int:
        return sum(map(len, self._names.values())) + sum(map(len, self._numbers.values()))

    def add(self, value: Path) -> None:
        directory, name = os.path.split(value)
        if (found := _numbered(name)) is not None:
            before, number, after = found
            self._numbers.setdefault((directory, before, after), _Numbers()).add(number)
        else:
            self._names.setdefault(directory, set()).add(name)

    def discard(self, value: Path) -> None:
        directory, name = os.path.split(value)
        if (found := _numbered(name)) is not None:
            before, number, after = found
            self._numbers.get((directory, before, after), _Numbers()).discard(number)
        else:
            self._names.get(directory, set()).discard(name)

    def clear(self) -> None:
        self._names.clear()
        self._numbers.clear()


def _numbered(name: str) -> tuple[str, int, str] | None:
    """Return the number in a name and what stands around it.

    ``None`` if the name does not follow from them, or is the first one, which may be the only one.
    """
    found = _NUMBERED.fullmatch(name)
    if found is None or int(found[2]) == 1 or found[2] != f"{int(found[2]):05}":
        return None
    return found[1], int(found[2]), found[3]


class _Numbers:
    """A set of whole numbers, kept as ranges.

    :ivar _bounds: ascending: the first number of a range, the first behind it, the first of the next range and so on.
    """

    def __init__(self) -> None:
        self._bounds: list[int] = []

    def __contains__(self, number: int) -> bool:
        return bisect_right(self._bounds, number) % 2 == 1

    def __iter__(self) -> Iterator[int]:
        for start, end in zip(self._bounds[::2], self._bounds[1::2], strict=True):
            yield from range(start, end)

    def __len__(self) -> int:
        return sum(self._bounds[1::2]) - sum(self._bounds[::2])

    def add(self, number: int) -> None:
        if number not in self:
            self._toggle(number)

    def discard(self, number: int) -> None:
        if number in self:
            self._toggle(number)

    def _toggle(self, number: int) -> None:
        """Add two bounds around a number; a bound that is there already and the new one cancel each other."""
        for bound in (number, number + 1):
            index = bisect_right(self._bounds, bound)
            if index and self._bounds[index - 1] == bound:
                del self._bounds[index - 1]
            else:
                self._bounds.insert(index, bound)
