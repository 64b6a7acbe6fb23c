"""The files that a job saves, and what faults do to them."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from comfyfarm.events import Event, FileAppeared, FileCut, FileRemoved, Written
from comfyfarm.json_text import encode_text
from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.catalogue.staging import filled
from comfyfarm.sim.files import ROOT, FileContent, Place
from comfyfarm.sim.jobs import Job
from comfyfarm.sim.machine import Machine
from comfyfarm.sim.naming import split_prefix
from comfyfarm.sim.nodes import Save


@dataclass(eq=False)
class SavedFile:
    """A file that a job has just written; for faults, a :class:`~comfyfarm.faults.targets.WrittenFile`.

    :ivar place: ``None`` if nothing was written: a static instance's one picture belongs to all its jobs.
    :ivar shown: ``filename``, ``subfolder`` and ``type`` in history; may be changed.
    """

    machine: Machine
    prompt_id: str
    node: str
    place: Place | None
    shown: dict[str, Any]

    @property
    def exists(self) -> bool:
        return self.place is not None

    def remove(self) -> None:
        self._apply(self.machine.catalogue.files.remove, FileRemoved)

    def hide(self) -> None:
        self._apply(self.machine.catalogue.files.hide, FileRemoved)

    def reveal(self) -> None:
        self._apply(self.machine.catalogue.files.reveal, FileAppeared)

    def cut(self, left: Callable[[int], int]) -> None:
        """Shorten the file.

        :param left: maps the size in bytes to the size that is left.
        """
        files = self.machine.catalogue.files
        length = None if self.place is None else files.length(self.place)
        if self.place is None or length is None:
            return
        size_bytes = min(length, left(length))
        if files.cut(self.place, size_bytes):
            self.publish(FileCut, self.place, size_bytes=size_bytes)

    def _apply(self, operation: Callable[[Place], bool], kind: Callable[..., Event]) -> None:
        if self.place is not None and operation(self.place):
            self.publish(kind, self.place)

    def publish(self, kind: Callable[..., Event], place: Place, **facts: Any) -> None:
        ids = {"at_ms": self.machine.at_ms, "prompt_id": self.prompt_id, "node": self.node}
        self.machine.publish(kind(**ids, **vars(place), **facts))


def described(ui: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """Return what a node shows, with kind and size of each picture that is there, as ComfyUI since 0.39 sends it."""
    return {key: [_described(item, catalogue) for item in items] for key, items in ui.items()}


def _described(item: Any, catalogue: Catalogue) -> Any:
    if not isinstance(item, dict) or "filename" not in item or "metadata" in item:
        return item
    name, folder = str(item["filename"]), item.get("type")
    is_picture = name.lower().endswith(catalogue.recorded.folders.kinds["image"])
    if not is_picture or "/" in name or folder not in ("input", "output", "temp"):
        return item
    size = catalogue.files.size(Place(folder, item.get("subfolder", ""), name))
    if size is None:
        return item
    return {**item, "metadata": {"kind": "image", "width": size[0], "height": size[1]}}


@dataclass(eq=False)
class Saver:
    """Writes the files of one node of one job."""

    machine: Machine
    job: Job
    node: str
    class_type: str

    def files(self, save: Save) -> int:
        """Return the number of files; also in static mode, which takes as long but writes none."""
        return 1 if save.animated else save.picture.count

    @property
    def is_static(self) -> bool:
        return self.machine.settings.mode == "static"

    def write(
        self, save: Save, changes: Sequence[Callable[[SavedFile], None]] = (), *, again: bool = False
    ) -> Generator[int, None, list[dict[str, Any]]]:
        """Write the files and return them as the node shows them.

        It pauses after each file, for no time: so much may take more than one turn of the reactor.

        :param changes: what faults do to each file once all are written.
        :param again: the first file overwrites the last one, under its name.
        :raises NodeError: if they would lie outside their folder, or cannot be written.
        """
        now_ms = self.machine.now_unix_ms
        if self.is_static:
            if save.prefix is not None:
                split_prefix(save.prefix, save, now_ms, self.machine.behaviour)     # raises an error for a bad prefix
            return [self._shown(save, None, self.machine.static_name, changes)]
        prefix = save.prefix
        if prefix is None:
            prefix = self.machine.namer.temp_prefix(self.node, self.class_type, save.temp)
        written, shown = [], []
        contents, namer = self._contents(save), self.machine.namer
        for place in namer.write(save, prefix, contents, self.job.prompt_id, now_ms, again=again):
            written.append(place)
            yield 0
        for place in written:
            shown.append(self._shown(save, place, place.name, changes))
            yield 0
        return shown

    def _shown(
        self, save: Save, place: Place | None, name: str, changes: Sequence[Callable[[SavedFile], None]]
    ) -> dict[str, Any]:
        subfolder, folder = (place.subfolder, place.folder) if place else ("", "output")
        shown: dict[str, Any] = {"filename": name, "subfolder": subfolder, "type": folder}
        if save.fields:
            path = PurePosixPath(ROOT, folder, subfolder, name)
            shown |= filled(dict(save.fields), {**shown, "stem": path.stem, "path": str(path)})
        if place is None and not changes:
            return shown
        file = SavedFile(self.machine, self.job.prompt_id, self.node, place, shown)
        if place is not None:
            file.publish(Written, place, size_bytes=self.machine.catalogue.files.length(place) or 0)
        for change in changes:
            change(file)
        return shown

    def _contents(self, save: Save) -> Iterator[FileContent]:
        text = {"prompt": self.job.prompt_json}
        pnginfo = self.job.extra_data.get("extra_pnginfo")
        if isinstance(pnginfo, dict):
            text |= {key: encode_text(value) for key, value in pnginfo.items()}
        pictures = [save.picture] if save.animated else save.picture.each()
        return (FileContent(picture, text, self._stamp(index)) for index, picture in enumerate(pictures))

    def _stamp(self, index: int) -> str:
        origin = {"instance": self.machine.name, "epoch": self.machine.epoch, "prompt_id": self.job.prompt_id}
        return encode_text(origin | {"job": self.job.name, "node": self.node, "index": index})
