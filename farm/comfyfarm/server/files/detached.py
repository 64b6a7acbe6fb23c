"""A script that removes files and folders after its parent has ended: :mod:`comfyfarm.server.files.removal` starts it.

The standard input holds the paths of files and empty directories, with a NUL between two; the arguments are folders
that are removed with everything in them.
"""

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path


def main() -> None:
    paths = [Path(os.fsdecode(path)) for path in sys.stdin.buffer.read().split(b"\0") if path]
    if os.fork():
        os._exit(0)     # whoever has started this waits no longer
    os.setsid()
    for path in paths:
        with suppress(OSError):     # gone, or not empty: somebody else uses it
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
    for folder in sys.argv[1:]:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
