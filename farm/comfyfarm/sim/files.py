"""The files of an instance as the simulation sees them: names, digests, sizes, and new files.

The running farm keeps them on disk (``comfyfarm.server.files.disk``); core tests keep them in memory.  The simulation
only describes what a picture shows; the server makes its pixels and bytes.
"""

import posixpath
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Protocol, get_args

from comfyfarm.events.base import Folder
from comfyfarm.sim.values import Picture

ROOT = "/srv/comfyui"
"""The folder of the server in error texts, so that the logs of equal runs are equal."""


@dataclass(frozen=True)
class Place:
    """The location of a file, in ComfyUI's three words.

    :ivar subfolder: relative, with ``/`` between its parts; empty for none.
    """

    folder: Folder
    subfolder: str
    name: str

    @property
    def path(self) -> str:
        """The path in the folder; empty for the folder itself."""
        return posixpath.join(self.subfolder, self.name)


def find_place(folders: Mapping[Folder, str], folder: Folder, name: str) -> Place | None:
    """Return the place that a name leads to; ``None`` if it leads out of all folders.

    The name may be absolute, contain ``..``, or lead to a folder.  The texts of the paths are compared.

    :param folders: the absolute path of each folder.
    :param folder: the name is relative to this one.
    """
    path = PurePosixPath(posixpath.normpath(posixpath.join(folders[folder], name)))
    for home in (folder, *folders):
        if path.is_relative_to(folders[home]):
            subfolder, last = posixpath.split(path.relative_to(folders[home]).as_posix())
            return Place(home, subfolder, "" if last == "." else last)
    return None


@dataclass(frozen=True)
class FileContent:
    """The content of a new file.

    :ivar picture: its size and look; several pictures make an animation.
    :ivar text: the text chunks that ComfyUI writes: the prompt and each ``extra_pnginfo`` key, as JSON.
    :ivar stamp: the proof of origin, as one JSON text: instance, epoch, prompt id, logical job, node, index.
    """

    picture: Picture
    text: Mapping[str, str]
    stamp: str


class Files(Protocol):
    """The folders of one instance."""

    def names(self, folder: Folder, subfolder: str) -> Collection[str]:
        """Return the names in a directory, also those of hidden files; empty if there is no such directory."""

    def find(self, folder: Folder, name: str, *, confined: bool = False) -> Place | None:
        """Return the place of the file or folder that a name leads to (see :func:`find_place`), or ``None``.

        :param confined: ``None`` also for a name that leads out of this one folder, by its text or by a symlink.
        """

    def exists(self, place: Place) -> bool:
        """Return whether there is such a file."""

    def is_folder(self, place: Place) -> bool:
        """Return whether there is such a folder."""

    def digest(self, place: Place) -> str | None:
        """Return the SHA-256 of a file in hex, or ``None`` if there is no such file."""

    def size(self, place: Place) -> tuple[int, int] | None:
        """Return width and height in pixels, or ``None`` if there is no such picture."""

    def put(self, place: Place, content: FileContent) -> None:
        """Write a new file, whole or not at all.

        :raises FileExistsError: if the name is taken; nothing is overwritten.
        """

    # Faults change files that jobs have written.  The methods that return a bool return whether there was such a file.

    def replace(self, place: Place, content: FileContent) -> None:
        """Overwrite a file that was written by this instance or by another that shares the folder.

        :raises FileExistsError: if it was not.
        """

    def remove(self, place: Place) -> bool:
        """Delete a file."""

    def hide(self, place: Place) -> bool:
        """Remove a file until :meth:`reveal`; its name stays taken."""

    def reveal(self, place: Place) -> bool:
        """Put back a hidden file, unless its name has been taken after all."""

    def length(self, place: Place) -> int | None:
        """Return the size of a file in bytes, or ``None`` if there is no such file."""

    def cut(self, place: Place, size_bytes: int) -> bool:
        """Shorten a file to its first ``size_bytes``."""


@dataclass
class MemoryFiles:
    """:class:`Files` in memory, without their bytes.

    :ivar pictures: the sizes of the pictures in ``input``; tests fill it.
    :ivar lengths: the sizes in bytes of files that were cut.
    """

    pictures: dict[Place, tuple[int, int]] = field(default_factory=dict)
    written: dict[Place, FileContent] = field(default_factory=dict)
    hidden: dict[Place, FileContent] = field(default_factory=dict)
    lengths: dict[Place, int] = field(default_factory=dict)

    def names(self, folder: Folder, subfolder: str) -> Collection[str]:
        return {
            place.name
            for place in (*self.pictures, *self.written, *self.hidden)
            if (place.folder, place.subfolder) == (folder, subfolder)
        }

    def find(self, folder: Folder, name: str, *, confined: bool = False) -> Place | None:
        place = find_place({home: f"{ROOT}/{home}" for home in get_args(Folder)}, folder, name)
        if place is None or (confined and place.folder != folder):
            return None
        is_there = self.is_folder(place) or (self.exists(place) and not name.endswith("/"))
        return place if is_there else None

    def exists(self, place: Place) -> bool:
        return place in self.pictures or place in self.written

    def is_folder(self, place: Place) -> bool:
        inside = f"{place.path}/"
        files = (*self.pictures, *self.written)
        return not place.path or any(file.path.startswith(inside) for file in files if file.folder == place.folder)

    def digest(self, place: Place) -> str | None:
        """Return a text that differs with the content."""
        return repr((place, self.pictures.get(place), self.written.get(place))) if self.exists(place) else None

    def size(self, place: Place) -> tuple[int, int] | None:
        if place in self.written:
            picture = self.written[place].picture
            return picture.width, picture.height
        return self.pictures.get(place)

    def put(self, place: Place, content: FileContent) -> None:
        if self.exists(place) or place in self.hidden:
            raise FileExistsError(place)
        self.written[place] = content

    def replace(self, place: Place, content: FileContent) -> None:
        if place not in self.written:
            raise FileExistsError(place)
        self.written[place] = content
        self.lengths.pop(place, None)

    def remove(self, place: Place) -> bool:
        return self.written.pop(place, None) is not None

    def hide(self, place: Place) -> bool:
        if place in self.written:
            self.hidden[place] = self.written.pop(place)
        return place in self.hidden

    def reveal(self, place: Place) -> bool:
        content = self.hidden.pop(place, None)
        if content is None or self.exists(place):
            return False
        self.written[place] = content
        return True

    def length(self, place: Place) -> int | None:
        """Return a byte for each pixel, unless the file was cut."""
        size = self.size(place)
        return None if size is None else self.lengths.get(place, size[0] * size[1])

    def cut(self, place: Place, size_bytes: int) -> bool:
        if place in self.written:
            self.lengths[place] = size_bytes
        return place in self.written
