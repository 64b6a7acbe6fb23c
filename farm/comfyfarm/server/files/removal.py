"""Removes files: a few at once, many in a process of their own, which goes on after the farm's end.

No instance, and nobody who waits for the end, shall wait for the system to remove tens of thousands of files.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable
from itertools import islice
from pathlib import Path

from comfyfarm.server.files import detached

AT_ONCE = 1000      # files: about 25 ms


def remove_files(paths: Collection[Path], directories: Iterable[Path] = ()) -> None:
    """Remove files, and then those directories that are empty by then, the deepest first.

    Many files are removed later, the ones with the highest numbers last: a farm that writes to the same folder by then
    uses higher numbers.
    """
    # The paths and not their parts, which take long to find for deep directories: what is inside is longer.
    files = [*sorted(map(str, paths)), *sorted(map(str, directories), key=len, reverse=True)]
    if len(files) <= AT_ONCE or not _detach(files=files):
        detached.remove(files)


def remove_tree(folder: Path) -> None:
    """Remove a folder with everything in it."""
    is_small = len(list(islice(detached.walk(str(folder)), AT_ONCE + 1))) <= AT_ONCE
    if is_small or not _detach(trees=[str(folder)]):
        detached.remove_folder(str(folder))


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
