"""Facts about files on disk, cached for as long as the files do not change; and the names of unfinished files."""

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

_MAX_FACTS = 4096

_Fact = TypeVar("_Fact")


def is_draft(name: str) -> bool:
    """Return whether a name is that of a file that is still being written; no client may see such a file.

    A job's file never has such a name, because it ends in its format.
    """
    return name.startswith(".comfyfarm-") and name.endswith(".draft")


def regular_file(path: Path) -> os.stat_result | None:
    """Return the stat of a regular file, or ``None`` if there is none (or if the name is impossible)."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found if stat.S_ISREG(found.st_mode) and not is_draft(path.name) else None


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(eq=False)
class FileFactCache(Generic[_Fact]):
    """A cache of one fact about each file, which is computed again if the file's stat changes."""

    compute: Callable[[Path], _Fact]
    _facts: dict[Path, tuple[tuple[int, int, int], _Fact]] = field(default_factory=dict, init=False, repr=False)

    def of(self, path: Path) -> _Fact | None:
        """Return the fact about a file, or ``None`` if there is no such file."""
        found = regular_file(path)
        if found is None:
            return None
        key = (found.st_mtime_ns, found.st_size, found.st_ino)
        cached = self._facts.get(path)
        if cached is None or cached[0] != key:
            cached = self._facts[path] = (key, self.compute(path))
            if len(self._facts) > _MAX_FACTS:
                del self._facts[next(iter(self._facts))]
        return cached[1]

    def path_with(self, fact: _Fact) -> Path | None:
        """Return a file for which this fact is cached and still true, or ``None``."""
        candidates = [path for path, (_, cached) in self._facts.items() if cached == fact]
        return next((path for path in candidates if self.of(path) == fact), None)
