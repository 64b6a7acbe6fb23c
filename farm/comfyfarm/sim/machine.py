"""What a job runs on: everything of its instance that an execution needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from random import Random

from comfyfarm.events import Event, ModelLoaded, ModelUnloaded
from comfyfarm.faults.registry import InstanceFaults
from comfyfarm.seeds import Seeds
from comfyfarm.sim.cache import ResultCache
from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.memory import Memory, ModelFile
from comfyfarm.sim.naming import Namer
from comfyfarm.sim.settings import Settings


@dataclass(eq=False)
class Machine:
    """One instance's equipment, and the simulated moment on it.

    :ivar at_ms: the simulated moment; set by the instance before each step.
    :ivar unix_ms: what a client's clock says at the simulated moment 0.
    :ivar size: of the instance's input picture.
    :ivar static_name: how a static instance's outputs name that picture.
    :ivar waiting: how many jobs wait; set by the instance before each step.
    :ivar interrupt: whether somebody asked to stop; looked at where ComfyUI looks.
    """

    name: str
    epoch: int
    settings: Settings
    catalogue: Catalogue
    namer: Namer
    cache: ResultCache
    publish: Callable[[Event], None]
    unix_ms: int
    size: tuple[int, int]
    static_name: str
    memory: Memory
    seeds: Seeds
    faults: InstanceFaults
    at_ms: int = 0
    waiting: int = 0
    interrupt: bool = False

    def warm_up(self, kept: Iterable[ModelFile] | None = None) -> None:
        """Have the models in memory that are there from the start, and no others.

        :param kept: those that an older process has left there; ``None``: those that the settings name.
        """
        self.memory.unload_all()
        for file in self._warm() if kept is None else kept:
            for move in self.memory.moves_for([file]):
                if move.is_load:
                    self.publish(ModelLoaded(at_ms=self.at_ms, **file.facts))

    def _warm(self) -> Iterable[ModelFile]:
        for name in self.settings.warm:
            for folder in self.catalogue.folders_of(name) or ["checkpoints"]:
                yield ModelFile(folder, name, self.catalogue.size_bytes(folder, name))

    def unload_models(self, reason: str) -> None:
        """Empty the memory, and say so."""
        for file in self.memory.unload_all():
            self.publish(ModelUnloaded(at_ms=self.at_ms, reason=reason, **file.facts))

    @cached_property
    def upload_chance(self) -> Random:
        """What the times of uploads are drawn from."""
        return self.seeds.of("timing").stream("uploads")

    @property
    def now_unix_ms(self) -> int:
        """The simulated moment as clients see it."""
        return self.unix_ms + self.at_ms
