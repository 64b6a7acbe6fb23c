"""Makes folders, and looks at what is in them, however deep they are."""

import errno
import os
from pathlib import Path

from comfyfarm.server.files.atomic import system_error
from comfyfarm.sim.errors import TOO_DEEP

_MOST_NEW = 950     # one inside the other: ComfyUI makes them by ``os.makedirs``, which calls itself for each


def make_folders(folder: Path) -> list[Path]:
    """Make a folder with those around it, and return the ones that are new, the outermost first.

    :raises OSError: if the system refuses, or a file is in the way.
    :raises RecursionError: as on a real server, if too many would be new; none is made then.
    """
    missing: list[str] = []
    path = str(folder)
    while not os.path.isdir(path):  # noqa: PTH112 (Path.parent takes longer the deeper it is)
        if os.path.lexists(path):
            raise system_error(errno.ENOTDIR, Path(path))   # mkdir would say EEXIST, as if the *name* were taken
        missing.append(path)
        path = os.path.dirname(path)  # noqa: PTH120
    if len(missing) > _MOST_NEW:
        raise RecursionError(TOO_DEEP)
    new = [Path(path) for path in reversed(missing)]
    for made in new:
        made.mkdir()
    return new
