"""Removes files: a few at once, many in a process of their own, which goes on after the farm's end.

No instance, and nobody who waits for the end, shall wait for the system to remove tens of thousands of files.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path

from comfyfarm.server.files import detached

AT_ONCE = 2000      # files: about 50 ms


def remove_files(paths: Collection[Path], directories: Iterable[Path] = ()) -> None:
    """Remove files, and then those directories that are empty by then, in their order.

    Many files are removed later, the ones with the highest numbers last: a farm that writes to the same folder by then
    uses higher numbers.
    """
    if len(paths) <= AT_ONCE or not _detach(files=[*sorted(map(str, paths)), *map(str, directories)]):
        for path in paths:
            with suppress(OSError):
                path.unlink()
        for directory in directories:
            with suppress(OSError):     # not empty: somebody else uses it
                directory.rmdir()


def remove_tree(folder: Path) -> None:
    """Remove a folder with everything in it."""
    entries = (name for _, folders, files in os.walk(folder) for name in (*folders, *files))
    is_small = len(list(islice(entries, AT_ONCE + 1))) <= AT_ONCE
    if is_small or not _detach(trees=[str(folder)]):
        shutil.rmtree(folder, ignore_errors=True)


def _detach(*, files: Collection[str] = (), trees: Collection[str] = ()) -> bool:
    """Start a process that removes them, and return whether it could be started."""
    command = [sys.executable, "-I", "-S", detached.__file__, *trees]
    try:
        with tempfile.TemporaryFile() as list_file:
            list_file.write(b"\0".join(map(os.fsencode, files)))
            list_file.seek(0)
            # The process that is started here forks and ends; nothing of ours is open in the one that goes on.
            null = subprocess.DEVNULL
            subprocess.run(command, stdin=list_file, stdout=null, stderr=null, cwd="/", check=True)  # noqa: S603  (ours)
    except (OSError, subprocess.SubprocessError):
        return False
    return True
