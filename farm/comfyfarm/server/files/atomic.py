"""Atomic file writes: nobody ever sees half of a file."""

import errno
import os
from contextlib import suppress
from itertools import count
from pathlib import Path

_draft_numbers = count()


def write_new(path: Path, content: bytes) -> None:
    """Write a new file, whole or not at all.

    :raises FileExistsError: if the name is taken; nothing is overwritten.
    """
    draft = _write_draft(path.parent, content)
    try:
        _link(draft, path)
    finally:
        _remove(draft)


def write_over(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all, over any file of that name."""
    draft = _write_draft(path.parent, content)
    try:
        draft.replace(path)
    finally:
        _remove(draft)


def is_taken(path: Path) -> bool:
    """Return whether something has this path.

    :raises OSError: if nothing can, as it is too long.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def system_error(number: int, path: Path) -> OSError:
    """Return the error that the system would raise (Python makes it a ``FileExistsError`` and so on)."""
    return OSError(number, os.strerror(number), str(path))


def _write_draft(directory: Path, content: bytes) -> Path:
    draft = directory / f".comfyfarm-{os.getpid()}-{next(_draft_numbers)}.draft"   # no client sees it: see is_draft
    try:
        _write(draft, content)
    except OSError:
        _remove(draft)      # a full disk must not keep half a file
        raise
    return draft


def _remove(draft: Path) -> None:
    with suppress(FileNotFoundError):
        os.unlink(draft)    # noqa: PTH108 (Path.unlink takes longer)


def _write(path: Path, content: bytes) -> None:
    # With the system's own calls: a file object first asks for the file's size, position and kind.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        written = os.write(descriptor, content)
        while written < len(content):
            written += os.write(descriptor, memoryview(content)[written:])
    finally:
        os.close(descriptor)


def _link(draft: Path, path: Path) -> None:
    """Give a draft its final name, which must be free."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        raise
    except OSError:                     # a file system without hard links
        if os.path.lexists(path):
            raise system_error(errno.EEXIST, path) from None
        draft.rename(path)
