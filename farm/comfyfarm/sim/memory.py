"""Which models are in a machine's memory, and which have to go for another."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class ModelFile:
    """A model file of one instance."""

    folder: str
    name: str
    size_bytes: int

    @property
    def facts(self) -> dict[str, Any]:
        """What an event says of it."""
        return asdict(self)


@dataclass(frozen=True)
class ModelMove:
    """A model on its way into memory, or out of it."""

    file: ModelFile
    is_load: bool


class TooLarge(Exception):
    """What a node needs at once is larger than the memory.

    :ivar file: the model that did not fit.
    """

    def __init__(self, file: ModelFile) -> None:
        super().__init__(file)
        self.file = file


@dataclass(eq=False)
class Memory:
    """A machine's memory.

    :ivar capacity_bytes: ``None`` for more than anybody needs.
    :ivar loaded: the models in it, the one used longest ago first.
    """

    capacity_bytes: int | None = None
    loaded: OrderedDict[ModelFile, None] = field(default_factory=OrderedDict)

    @property
    def used_bytes(self) -> int:
        """How much the loaded models take."""
        return sum(file.size_bytes for file in self.loaded)

    def moves_for(self, needed: Iterable[ModelFile]) -> Iterator[ModelMove]:
        """What has to move, in order, so that these models are there; each move is made when it is asked for.

        A model that is needed now never goes for another that is needed now.

        :raises TooLarge: where they do not fit together.
        """
        wanted = list(dict.fromkeys(needed))
        for file in wanted:
            if file in self.loaded:
                self.loaded.move_to_end(file)
        for file in wanted:
            if file not in self.loaded:
                yield from self._make_room(file, wanted)
                self.loaded[file] = None
                yield ModelMove(file, is_load=True)

    def unload_all(self) -> list[ModelFile]:
        """Empty the memory, and say what was in it."""
        gone = list(self.loaded)
        self.loaded.clear()
        return gone

    def _make_room(self, file: ModelFile, wanted: list[ModelFile]) -> Iterator[ModelMove]:
        if self.capacity_bytes is None:
            return
        while self.used_bytes + file.size_bytes > self.capacity_bytes:
            victim = next((each for each in self.loaded if each not in wanted), None)
            if victim is None:
                raise TooLarge(file)
            del self.loaded[victim]
            yield ModelMove(victim, is_load=False)
