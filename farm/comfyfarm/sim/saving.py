"""A file that a job has just written, and what may become of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from comfyfarm.events import Event, FileAppeared, FileCut, FileRemoved, Written
from comfyfarm.sim.files import FileContent as Content
from comfyfarm.sim.files import Place
from comfyfarm.sim.jobs.queue import Job
from comfyfarm.sim.machine import Machine
from comfyfarm.sim.nodes import Save


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

    @property
    def exists(self) -> bool:
        """Whether a file was written."""
        return self.place is not None

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
        self.machine.publish(told)


@dataclass(frozen=True)
class Saver:
    """Writes what one node of one job saves."""

    machine: Machine
    job: Job
    node: str
    class_type: str

    def files(self, save: Save) -> int:
        """How many files it comes to; static mode takes as long, it differs in files only."""
        return 1 if save.animated else save.picture.count

    @property
    def is_static(self) -> bool:
        """Whether there is one picture for everything."""
        return self.machine.settings.mode == "static"

    def write(
        self, save: Save, changes: Iterable[Callable[[SavedFile], None]] = (), *, again: bool = False
    ) -> list[dict[str, Any]]:
        """Write the files, and say how the node shows them.

        :param changes: what a fault does to each file once it is written.
        :param again: the first one gets the name that was given last, and overwrites it.
        :raises NodeError: where they would lie outside their folder, or cannot be written.
        """
        now_ms = self.machine.now_unix_ms
        if self.is_static:
            if save.prefix is not None:
                self.machine.namer.check(save, save.prefix, now_ms)
            return [self._shown(None, self.machine.static_name, changes)]
        prefix = self.machine.namer.temp_prefix(self.node, self.class_type) if save.prefix is None else save.prefix
        shown = []
        contents = self._contents(save)
        for place in self.machine.namer.write(save, prefix, contents, self.job.prompt_id, now_ms, again=again):
            self.machine.publish(
                Written(
                    at_ms=self.machine.at_ms,
                    prompt_id=self.job.prompt_id,
                    node=self.node,
                    folder=place.folder,
                    subfolder=place.subfolder,
                    name=place.name,
                )
            )
            shown.append(self._shown(place, place.name, changes))
        return shown

    def _shown(
        self, place: Place | None, name: str, changes: Iterable[Callable[[SavedFile], None]]
    ) -> dict[str, Any]:
        """How history shows a file, after what a fault has made of both."""
        subfolder, folder = (place.subfolder, place.folder) if place else ("", "output")
        shown = {"filename": name, "subfolder": subfolder, "type": folder}
        file = SavedFile(self.machine, self.job.prompt_id, self.node, place, shown)
        for change in changes:
            change(file)
        return shown

    def _contents(self, save: Save) -> list[Content]:
        text = {"prompt": json.dumps(self.job.prompt)}
        pnginfo = self.job.extra_data.get("extra_pnginfo")
        if isinstance(pnginfo, dict):
            text |= {key: json.dumps(value) for key, value in pnginfo.items()}
        pictures = [save.picture] if save.animated else list(save.picture.each())
        return [Content(picture, text, self._stamp(index)) for index, picture in enumerate(pictures)]

    def _stamp(self, index: int) -> str:
        """The proof of origin that each picture carries."""
        origin = {"instance": self.machine.name, "epoch": self.machine.epoch, "prompt_id": self.job.prompt_id}
        return json.dumps(origin | {"job": self.job.name, "node": self.node, "index": index})
