"""A file that a job has just written, and what may become of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .events import Event, FileAppeared, FileCut, FileRemoved
from .files import Place
from .machine import Machine

__all__ = ["SavedFile"]


@dataclass(eq=False)
class SavedFile:
    """A file, and how history will show it; what is done to it is told.

    :ivar place: ``None`` where nothing was written: a static instance's one picture belongs to all its jobs.
    :ivar shown: ``filename``, ``subfolder`` and ``type``, which a fault may change.
    """

    machine: Machine
    prompt_id: str
    node: str
    place: Place | None
    shown: dict[str, Any]

    def remove(self) -> None:
        """Take it away."""
        if self.place is not None and self.machine.catalogue.files.remove(self.place):
            self._tell(FileRemoved, self.place)

    def hide(self) -> None:
        """Keep it back, to be revealed later."""
        if self.place is not None and self.machine.catalogue.files.hide(self.place):
            self._tell(FileRemoved, self.place)

    def reveal(self) -> None:
        """Let it be there after all."""
        if self.place is not None and self.machine.catalogue.files.reveal(self.place):
            self._tell(FileAppeared, self.place)

    def cut(self, left: Callable[[int], int]) -> None:
        """Leave only its beginning.

        :param left: of so many bytes, how many.
        """
        files = self.machine.catalogue.files
        length = None if self.place is None else files.length(self.place)
        if self.place is None or length is None:
            return
        size_bytes = min(length, left(length))
        if files.cut(self.place, size_bytes):
            self._tell(FileCut, self.place, size_bytes=size_bytes)

    def _tell(self, kind: Callable[..., Event], place: Place, **facts: Any) -> None:
        where = {"folder": place.folder, "subfolder": place.subfolder, "name": place.name}
        told = kind(at_ms=self.machine.at_ms, prompt_id=self.prompt_id, node=self.node, **where, **facts)
        self.machine.tell(told)
