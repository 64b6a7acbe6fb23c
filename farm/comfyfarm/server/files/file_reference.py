"""Which file does a client mean that names it as history does: ``filename``, ``type``, ``subfolder``?"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from comfyfarm.events.base import Folder
from comfyfarm.server.files.disk import Disk, Outside
from comfyfarm.server.stat_cache import regular_file

_FOLDERS: dict[str, Folder] = {"input": "input", "output": "output", "temp": "temp"}


class NotServed(Exception):
    """ComfyUI would not touch this file.

    :ivar status: 400 for a name it forbids, 403 for a way out of the folder, 404 for nothing there.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def folder_named(name: str) -> Folder | None:
    """One of ComfyUI's three folders, or ``None`` for any other word."""
    return _FOLDERS.get(name)


def locate(disk: Disk, filename: str, type_name: str, subfolder: str, static_name: str | None = None) -> Path:
    """The file itself, sure to be there.

    :param filename: may end in `` [input]``, `` [output]`` or `` [temp]``, which then counts more than ``type_name``.
    :param static_name: the one name with ``..`` in it that a static instance shows in its history.
    :raises NotServed: where ComfyUI says no.
    """
    name, folder = _annotated(filename)
    folder = folder or folder_named(type_name)
    if static_name is not None and (name, folder, subfolder) == (static_name, "output", ""):
        return _sure(disk.place("input", "", PurePosixPath(static_name).name))
    if not name or name.startswith("/") or ".." in name or folder is None:
        raise NotServed(400)
    if "\0" in name or "\0" in subfolder:
        raise NotServed(404)    # no file system has such a file
    try:
        directory = disk.place(folder, subfolder, "")
    except Outside:
        raise NotServed(403) from None
    # ComfyUI looks at the last part of the name only: "sub/x.png" means "x.png".
    return _sure(directory / name.rpartition("/")[2])


def _annotated(filename: str) -> tuple[str, Folder | None]:
    for folder in _FOLDERS.values():
        if filename.endswith(f"[{folder}]"):
            # ComfyUI cuts off the space before the bracket too, whatever stands there.
            return filename[: -len(folder) - 3], folder
    return filename, None


def _sure(path: Path) -> Path:
    if regular_file(path) is None:
        raise NotServed(404)
    return path
