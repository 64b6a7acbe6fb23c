"""The files of an instance as the simulation sees them: names, digests, sizes, and new files.

The running farm keeps them on disk (``comfyfarm.server.files.disk``); core tests keep them in memory.  The simulation
only describes what a picture shows; the server makes its pixels and bytes.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from comfyfarm.events.base import Folder
from comfyfarm.sim.values import Picture


@dataclass(frozen=True)
class Place:
    """The location of a file, in ComfyUI's three words.

    :ivar subfolder: relative, with ``/`` between its parts; empty for none.
    """

    folder: Folder
    subfolder: str
    name: str


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

    def exists(self, place: Place) -> bool:
        """Return whether there is such a file."""

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

    def exists(self, place: Place) -> bool:
        return place in self.pictures or place in self.written

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
