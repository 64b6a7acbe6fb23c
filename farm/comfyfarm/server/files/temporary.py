"""The temporary folder of a farm, which the next farm removes if this one is killed."""

from __future__ import annotations

import fcntl
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from comfyfarm.server.files.removal import remove_tree

_PREFIX = "comfyfarm-"
_LOCK = ".lock"


@dataclass(eq=False)
class TemporaryFolder:
    """A folder with a lock file that the system releases when this process ends, however it ends."""

    path: Path
    _lock: BinaryIO = field(repr=False)

    @classmethod
    def make(cls) -> TemporaryFolder:
        """Make a folder, after removing those of farms that were killed.

        :raises OSError: if it cannot be made.
        """
        _sweep()
        path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        draft = path / f"{_LOCK}.draft"     # another farm may sweep between these lines
        lock = draft.open("wb")
        fcntl.flock(lock, fcntl.LOCK_EX)
        draft.rename(path / _LOCK)
        return cls(path, lock)

    def keep(self) -> None:
        """Make sure that no later farm removes the folder."""
        (self.path / _LOCK).unlink(missing_ok=True)

    def close(self, *, keep: bool) -> None:
        """Remove the folder, or leave it for ever; a second call does nothing."""
        if self._lock.closed:
            return
        if keep:
            self.keep()
        else:
            remove_tree(self.path)
        self._lock.close()


def _sweep() -> None:
    """Remove the folders whose lock nobody holds any more; a folder without a lock is not a farm's, or is kept."""
    for path in sorted(Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}")):
        with suppress(OSError), path.open("rb") as lock:     # another user's, or gone by now, or held
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_tree(path.parent)
