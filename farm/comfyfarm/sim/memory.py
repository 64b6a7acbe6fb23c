"""The models in a machine's memory: those that a node needs, and those that are unloaded to make room."""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.catalogue.type_facts import TypeFacts
from comfyfarm.sim.prompt.workflow import Links


class ModelFile(msgspec.Struct, frozen=True):
    """A model file of one instance; its fields are those of events about it."""

    folder: str
    name: str
    size_bytes: int


class ModelMove(msgspec.Struct, frozen=True):
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
        needed = dict.fromkeys(files)
        self.use(needed)
        for file in needed:
            if file not in self.loaded:
                yield from self._make_room(file, needed)
                self.loaded[file] = None
                yield ModelMove(file, is_load=True)

    def use(self, files: Collection[ModelFile]) -> bool:
        """Mark these models as the most recently used, as far as they are loaded; return whether all of them are."""
        loaded, missing = self.loaded, False
        for file in files:
            if file in loaded:
                loaded.move_to_end(file)
            else:
                missing = True
        return not missing

    def unload_all(self) -> list[ModelFile]:
        """Empty the memory and return what was in it."""
        unloaded = list(self.loaded)
        self.loaded.clear()
        return unloaded

    def _make_room(self, file: ModelFile, needed: Collection[ModelFile]) -> Iterator[ModelMove]:
        if self.capacity_bytes is None:
            return
        while self.used_bytes + file.size_bytes > self.capacity_bytes:
            oldest = next((loaded for loaded in self.loaded if loaded not in needed), None)
            if oldest is None:
                raise TooLarge(file)
            del self.loaded[oldest]
            yield ModelMove(oldest, is_load=False)


@dataclass(eq=False)
class ModelRequirements:
    """The models that each node of one job needs in memory while it runs.

    A loader needs the files it names.  Its outputs of the types ``MODEL``, ``CLIP``, ``VAE`` and the like carry them
    along the links to the nodes that use them.  A text encoder's output is a conditioning, which needs no model.
    """

    nodes: Mapping[str, Any]
    links: Mapping[str, Links]
    types: Mapping[str, TypeFacts]
    catalogue: Catalogue
    _by_node: dict[str, tuple[ModelFile, ...]] = field(default_factory=dict)

    def of(self, node: str) -> tuple[ModelFile, ...]:
        """Return the models that this node needs, in the order of its inputs."""
        carriers = self._carriers(node)
        if not self._by_node.keys() >= set(carriers):
            self._look_at(node)
            return self._by_node[node]
        needed = self._by_node[node] = self._needed(node, carriers)
        return needed

    def _look_at(self, node: str) -> None:
        """Look up what a node needs, and all nodes from which models come to it and which have not run."""
        ahead = [node]
        while ahead:
            carriers = self._carriers(ahead[-1])
            missing = [source for source in carriers if source not in self._by_node]
            missing = [source for source in missing if source not in ahead]     # a cycle is reported elsewhere
            if missing:
                ahead.extend(missing)
            else:
                done = ahead.pop()
                self._by_node[done] = self._needed(done, carriers)

    def _needed(self, node: str, carriers: Sequence[str]) -> tuple[ModelFile, ...]:
        if not self.types[node].model_inputs and len(carriers) <= 1:
            return self._by_node.get(carriers[0], ()) if carriers else ()
        needed = dict.fromkeys(self._own_files(node))
        for source in carriers:
            for file in self._by_node.get(source, ()):
                needed[file] = None
        return tuple(needed)

    def _own_files(self, node: str) -> list[ModelFile]:
        """Return the models that a node's own constants name."""
        choices = self.types[node].model_inputs
        files: list[ModelFile] = []
        for name, value in self.nodes[node].get("inputs", {}).items() if choices else ():
            choice = choices.get(name)
            if choice is not None and isinstance(value, str) and value not in (*choice.before, *choice.after):
                files.append(ModelFile(choice.folder, value, self.catalogue.size_bytes(choice.folder, value)))
        return files

    def _carriers(self, node: str) -> list[str]:
        """Return the nodes from which a model comes along a link."""
        types = self.types
        links = self.links[node].values()
        return [source for source, slot in links if source in types and slot in types[source].model_slots]
