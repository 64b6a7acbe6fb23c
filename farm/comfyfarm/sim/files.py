"""Files as the simulation sees them: names, digests, sizes and a way to put a new one.

The running farm keeps them on disk (``comfyfarm.server.files.disk``); core tests keep them here, in memory.  Pixels and
bytes are made above the simulation: it only says what a picture shall show.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from comfyfarm.events.base import Folder
from comfyfarm.sim.values import Picture


@dataclass(frozen=True)
class Place:
    """Where a file is, in ComfyUI's three words.

    :ivar subfolder: relative, with ``/`` between its parts; empty for none.
    """

    folder: Folder
    subfolder: str
    name: str


@dataclass(frozen=True)
class FileContent:
    """What a new file holds.

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
        """The names in one directory, those that are hidden too; empty where there is none."""

    def exists(self, place: Place) -> bool:
        """Whether there is such a file."""

    def digest(self, place: Place) -> str | None:
        """The SHA-256 of a file, in hex, or ``None`` where there is none."""

    def size(self, place: Place) -> tuple[int, int] | None:
        """Width and height in pixels, or ``None`` where there is no such picture."""

    def put(self, place: Place, written: FileContent) -> None:
        """Write a new file, whole or not at all.

        :raises FileExistsError: where the name is taken; nothing is overwritten.
        """

    # What faults do to files that were put here; each says whether there was one.

    def replace(self, place: Place, written: FileContent) -> None:
        """Write over a file that was put here, by this instance or by another that shares the folder.

        :raises FileExistsError: where it is somebody else's.
        """

    def remove(self, place: Place) -> bool:
        """Take a file away."""

    def hide(self, place: Place) -> bool:
        """Keep a file back; its name stays taken."""

    def reveal(self, place: Place) -> bool:
        """Put back what was hidden, unless the name has been taken after all."""

    def length(self, place: Place) -> int | None:
        """How many bytes a file has, or ``None`` where there is none."""

    def cut(self, place: Place, size_bytes: int) -> bool:
        """Leave only so many bytes of a file, from its beginning."""


@dataclass
class MemoryFiles:
    """Files that are only remembered.

    :ivar pictures: the sizes of what stands in ``input``, for a test to fill.
    :ivar lengths: how many bytes are left of those that were cut.
    """

    pictures: dict[Place, tuple[int, int]] = field(default_factory=dict)
    written: dict[Place, FileContent] = field(default_factory=dict)
    hidden: dict[Place, FileContent] = field(default_factory=dict)
    lengths: dict[Place, int] = field(default_factory=dict)

    def names(self, folder: Folder, subfolder: str) -> Collection[str]:
        """See :class:`Files`."""
        return {
            place.name
            for place in (*self.pictures, *self.written, *self.hidden)
            if (place.folder, place.subfolder) == (folder, subfolder)
        }

    def exists(self, place: Place) -> bool:
        """See :class:`Files`."""
        return place in self.pictures or place in self.written

    def digest(self, place: Place) -> str | None:
        """See :class:`Files`; here any text that differs with the content will do."""
        return repr((place, self.pictures.get(place), self.written.get(place))) if self.exists(place) else None

    def size(self, place: Place) -> tuple[int, int] | None:
        """See :class:`Files`."""
        if place in self.written:
            picture = self.written[place].picture
            return picture.width, picture.height
        return self.pictures.get(place)

    def put(self, place: Place, written: FileContent) -> None:
        """See :class:`Files`."""
        if self.exists(place) or place in self.hidden:
            raise FileExistsError(place)
        self.written[place] = written

    def replace(self, place: Place, written: FileContent) -> None:
        """See :class:`Files`."""
        if place not in self.written:
            raise FileExistsError(place)
        self.written[place] = written
        self.lengths.pop(place, None)

    def remove(self, place: Place) -> bool:
        """See :class:`Files`."""
        return self.written.pop(place, None) is not None

    def hide(self, place: Place) -> bool:
        """See :class:`Files`."""
        if place in self.written:
            self.hidden[place] = self.written.pop(place)
        return place in self.hidden

    def reveal(self, place: Place) -> bool:
        """See :class:`Files`."""
        written = self.hidden.pop(place, None)
        if written is None or self.exists(place):
            return False
        self.written[place] = written
        return True

    def length(self, place: Place) -> int | None:
        """See :class:`Files`; here a byte for each pixel."""
        size = self.size(place)
        return None if size is None else self.lengths.get(place, size[0] * size[1])

    def cut(self, place: Place, size_bytes: int) -> bool:
        """See :class:`Files`."""
        if place in self.written:
            self.lengths[place] = size_bytes
        return place in self.written
