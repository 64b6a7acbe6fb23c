"""What is known about a file on the disk, as long as it stays as it is?"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

_FACTS_COUNT = 4096

_Fact = TypeVar("_Fact")


def draft_name(number: int) -> str:
    """The name of a file that is not finished yet: nobody shall see it."""
    return f".comfyfarm-{os.getpid()}-{number}.draft"


def is_draft(name: str) -> bool:
    """Whether a file has such a name; a job's never has, for it ends in its format."""
    return name.startswith(".comfyfarm-") and name.endswith(".draft")


def regular_file(path: Path) -> os.stat_result | None:
    """What the system says of a file, or ``None`` where there is none to be read (or the name is impossible)."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found if stat.S_ISREG(found.st_mode) and not is_draft(path.name) else None


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(eq=False)
class FileFactCache(Generic[_Fact]):
    """What was once found out about files, to be found out again only where they change."""

    find_out: Callable[[Path], _Fact]
    _facts: dict[Path, tuple[tuple[int, int, int], _Fact]] = field(default_factory=dict, init=False, repr=False)

    def of(self, path: Path) -> _Fact | None:
        """The fact about a file, or ``None`` where there is no file."""
        found = regular_file(path)
        if found is None:
            return None
        look = (found.st_mtime_ns, found.st_size, found.st_ino)
        known = self._facts.get(path)
        if known is None or known[0] != look:
            known = self._facts[path] = (look, self.find_out(path))
            if len(self._facts) > _FACTS_COUNT:
                del self._facts[next(iter(self._facts))]
        return known[1]

    def having(self, fact: _Fact) -> Path | None:
        """A file of which this was found out and is still true, or ``None``."""
        seen = [path for path, (_, known) in self._facts.items() if known == fact]
        return next((path for path in seen if self.of(path) == fact), None)
