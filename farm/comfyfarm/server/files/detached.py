"""A script that removes files and folders after its parent has ended: :mod:`comfyfarm.server.files.removal` starts it.

The standard input holds the paths of files and empty directories, with a NUL between two; the arguments are folders
that are removed with everything in them.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path


def main() -> None:
    paths = [os.fsdecode(path) for path in sys.stdin.buffer.read().split(b"\0") if path]
    if os.fork():
        os._exit(0)     # whoever has started this waits no longer
    os.setsid()
    remove(paths)
    for folder in sys.argv[1:]:
        remove_folder(folder)


def remove(paths: Iterable[str]) -> None:
    """Remove files, and those directories that are empty by then, in this order."""
    for path in map(Path, paths):
        with suppress(OSError):     # gone, or not empty: somebody else uses it
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()


def remove_folder(folder: str) -> None:
    """Remove a folder with everything in it."""
    entries = list(walk(folder))
    remove(path for path, is_folder in entries if not is_folder)
    remove(path for path, is_folder in reversed(entries) if is_folder)


def walk(folder: str) -> Iterator[tuple[str, bool]]:
    """Yield a folder and everything in it, and whether it is a folder; each folder before its contents.

    No call for each level: the folders may be deeper than Python's recursion limit.
    """
    left = [folder]
    while left:
        inside = left.pop()
        yield inside, True
        with suppress(OSError), os.scandir(inside) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
                else:
                    yield entry.path, False


if __name__ == "__main__":
    main()
