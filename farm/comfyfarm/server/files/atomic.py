"""How does a file come to be, so that nobody ever sees half of it?"""

from __future__ import annotations

import errno
import os
from itertools import count
from pathlib import Path

from comfyfarm.server.stat_cache import draft_name

_drafts = count()


def write_new(path: Path, content: bytes) -> None:
    """Write a new file, whole or not at all.

    :raises FileExistsError: where the name is taken; nothing is overwritten.
    """
    draft = _draft(path.parent, content)
    try:
        _name(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_over(path: Path, content: bytes) -> None:
    """Write a file over whatever stands there, whole or not at all."""
    draft = _draft(path.parent, content)
    try:
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def system_error(number: int, path: Path) -> OSError:
    """What the system would say; Python makes it a ``FileExistsError`` and so on."""
    return OSError(number, os.strerror(number), str(path))


def _draft(directory: Path, content: bytes) -> Path:
    draft = directory / draft_name(next(_drafts))
    try:
        draft.write_bytes(content)
    except OSError:
        draft.unlink(missing_ok=True)   # a full disk must not keep half a file
        raise
    return draft


def _name(draft: Path, path: Path) -> None:
    """Give a finished file its name, which must be free."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        raise
    except OSError:                     # a file system without hard links
        if os.path.lexists(path):
            raise system_error(errno.EEXIST, path) from None
        draft.rename(path)
