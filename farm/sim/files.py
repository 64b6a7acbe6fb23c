"""Files as the simulation sees them: names, digests, sizes and a way to put a new one.

The running farm keeps them on disk (``farm.comfy.disk``); core tests keep them here, in memory.  Pixels and
bytes are made above the simulation: it only says what a picture shall show.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from .values import Picture

__all__ = ["Files", "Folder", "MemoryFiles", "Place", "Written"]

Folder = Literal["input", "output", "temp"]


@dataclass(frozen=True)
class Place:
    """Where a file is, in ComfyUI's three words.

    :ivar subfolder: relative, with ``/`` between its parts; empty for none.
    """

    folder: Folder
    subfolder: str
    name: str


@dataclass(frozen=True)
class Written:
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
        """The names in one directory; empty where there is none."""

    def exists(self, place: Place) -> bool:
        """Whether there is such a file."""

    def digest(self, place: Place) -> str | None:
        """The SHA-256 of a file, in hex, or ``None`` where there is none."""

    def size(self, place: Place) -> tuple[int, int] | None:
        """Width and height in pixels, or ``None`` where there is no such picture."""

    def put(self, place: Place, written: Written) -> None:
        """Write a new file, whole or not at all.

        :raises FileExistsError: where the name is taken; nothing is overwritten.
        """


@dataclass
class MemoryFiles:
    """Files that are only remembered.

    :ivar pictures: the sizes of what stands in ``input``, for a test to fill.
    """

    pictures: dict[Place, tuple[int, int]] = field(default_factory=dict)
    written: dict[Place, Written] = field(default_factory=dict)

    def names(self, folder: Folder, subfolder: str) -> Collection[str]:
        """See :class:`Files`."""
        return {
            place.name
            for place in (*self.pictures, *self.written)
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

    def put(self, place: Place, written: Written) -> None:
        """See :class:`Files`."""
        if self.exists(place):
            raise FileExistsError(place)
        self.written[place] = written
