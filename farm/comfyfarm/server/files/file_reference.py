"""Files as clients and history refer to them: by ``filename``, ``type`` and ``subfolder``."""

from pathlib import Path, PurePosixPath

from comfyfarm.events.base import Folder
from comfyfarm.server.files.disk import Disk, Outside
from comfyfarm.server.stat_cache import regular_file

FOLDERS: dict[str, Folder] = {"input": "input", "output": "output", "temp": "temp"}     # by name


class NotServed(Exception):
    """ComfyUI does not serve this file.

    :ivar status: 400 for a forbidden name, 403 for a path out of the folder, 404 for a missing file.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def locate(disk: Disk, filename: str, type_name: str, subfolder: str, static_name: str | None = None) -> Path:
    """Return the path of an existing file.

    :param filename: may end in `` [input]``, `` [output]`` or `` [temp]``, which then overrides ``type_name``.
    :param static_name: the one name with ``..`` that is allowed: the output of a static instance.
    :raises NotServed: if ComfyUI refuses.
    """
    name, folder = _annotated(filename)
    folder = folder or FOLDERS.get(type_name)
    if static_name is not None and (name, folder, subfolder) == (static_name, "output", ""):
        return _existing(disk.path("input", "", PurePosixPath(static_name).name))
    if not name or name.startswith("/") or ".." in name or folder is None:
        raise NotServed(400)
    if "\0" in name or "\0" in subfolder:
        raise NotServed(404)    # no file system has such a file
    try:
        directory = disk.path(folder, subfolder, "")
    except Outside:
        raise NotServed(403) from None
    # ComfyUI uses the last part of the name only: "sub/x.png" means "x.png".
    return _existing(directory / name.rpartition("/")[2])


def _annotated(filename: str) -> tuple[str, Folder | None]:
    for folder in FOLDERS.values():
        if filename.endswith(f"[{folder}]"):
            # ComfyUI also cuts off the character before the bracket, whatever it is.
            return filename[: -len(folder) - 3], folder
    return filename, None


def _existing(path: Path) -> Path:
    if regular_file(path) is None:
        raise NotServed(404)
    return path
