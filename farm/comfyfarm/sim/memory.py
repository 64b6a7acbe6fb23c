"""The models in a machine's memory: those that a node needs, and those that are unloaded to make room."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.prompt.workflow import is_link


@dataclass(frozen=True)
class ModelFile:
    """A model file of one instance; its fields are those of events about it."""

    folder: str
    name: str
    size_bytes: int


@dataclass(frozen=True)
class ModelMove:
    """The load or unload of one model."""

    file: ModelFile
    is_load: bool


class TooLarge(Exception):
    """The models that a node needs together exceed the memory.

    :ivar file: the model that did not fit.
    """

    def __init__(self, file: ModelFile) -> None:
        super().__init__(file)
        self.file = file


@dataclass(eq=False)
class Memory:
    """A machine's memory.

    :ivar capacity_bytes: ``None`` for no limit.
    :ivar loaded: the models in memory, least recently used first.
    """

    capacity_bytes: int | None = None
    loaded: OrderedDict[ModelFile, None] = field(default_factory=OrderedDict)

    @property
    def used_bytes(self) -> int:
        return sum(file.size_bytes for file in self.loaded)

    def moves_for(self, files: Iterable[ModelFile]) -> Iterator[ModelMove]:
        """Load these models, unloading others if necessary; each move is made when the iterator is advanced to it.

        A needed model is never unloaded for another needed one.

        :raises TooLarge: if they do not fit together.
        """
        needed = list(dict.fromkeys(files))
        for file in needed:
            if file in self.loaded:
                self.loaded.move_to_end(file)
        for file in needed:
            if file not in self.loaded:
                yield from self._make_room(file, needed)
                self.loaded[file] = None
                yield ModelMove(file, is_load=True)

    def unload_all(self) -> list[ModelFile]:
        """Empty the memory and return what was in it."""
        unloaded = list(self.loaded)
        self.loaded.clear()
        return unloaded

    def _make_room(self, file: ModelFile, needed: list[ModelFile]) -> Iterator[ModelMove]:
        if self.capacity_bytes is None:
            return
        while self.used_bytes + file.size_bytes > self.capacity_bytes:
            oldest = next((loaded for loaded in self.loaded if loaded not in needed), None)
            if oldest is None:
                raise TooLarge(file)
            del self.loaded[oldest]
            yield ModelMove(oldest, is_load=False)


@dataclass(frozen=True)
class ModelRequirements:
    """The models that each node of one prompt needs in memory while it runs.

    A loader needs the files it names.  Its outputs of the types ``MODEL``, ``CLIP``, ``VAE`` and the like carry them
    along the links to the nodes that use them.  A text encoder's output is a conditioning, which needs no model.
    """

    prompt: Mapping[str, Any]
    catalogue: Catalogue
    _by_node: dict[str, tuple[ModelFile, ...]] = field(default_factory=dict)

    def of(self, node: str) -> tuple[ModelFile, ...]:
        """Return the models that this node needs, in the order of its inputs."""
        ahead = [node]
        while ahead:
            missing = [source for source in self._carriers(ahead[-1]) if source not in self._by_node]
            missing = [source for source in missing if source not in ahead]     # a cycle is reported elsewhere
            if missing:
                ahead.extend(missing)
            else:
                done = ahead.pop()
                self._by_node[done] = tuple(dict.fromkeys(self._files(done)))
        return self._by_node[node]

    def _files(self, node: str) -> Iterator[ModelFile]:
        class_type = self.prompt[node].get("class_type")
        for name, value in self.prompt[node].get("inputs", {}).items():
            choice = self.catalogue.recorded.model_choices.get((class_type, name))
            if choice is not None and isinstance(value, str) and value not in (*choice.before, *choice.after):
                yield ModelFile(choice.folder, value, self.catalogue.size_bytes(choice.folder, value))
        for source in self._carriers(node):
            yield from self._by_node.get(source, ())

    def _carriers(self, node: str) -> list[str]:
        """Return the nodes from which a model comes along a link."""
        links = [value for value in self.prompt[node].get("inputs", {}).values() if is_link(value)]
        return [source for source, slot in links if source in self.prompt and self._carries(source, slot)]

    def _carries(self, source: str, slot: int) -> bool:
        node_type = self.catalogue.node_type(self.prompt[source].get("class_type"))
        if node_type is None or not -len(node_type.outputs) <= slot < len(node_type.outputs):
            return False
        return node_type.outputs[slot] in self.catalogue.recorded.model_types
