"""The environment in which an instance's jobs run: settings, catalogue, cache, memory and the simulated time."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from random import Random

from msgspec.structs import asdict

from comfyfarm.events import Event, ModelLoaded, ModelUnloaded
from comfyfarm.faults.registry import InstanceFaults
from comfyfarm.seeds import Seeds
from comfyfarm.sim.cache import ResultCache
from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.memory import Memory, ModelFile
from comfyfarm.sim.naming import Namer
from comfyfarm.sim.settings import Settings
from comfyfarm.versions import Behaviour


@dataclass(eq=False)
class Machine:
    """Everything of an instance that the execution of a job needs.

    :ivar at_ms: the simulated time; set by the instance before each step.
    :ivar unix_ms: the clients' wall clock at simulated time 0.
    :ivar size: width and height of the instance's input picture.
    :ivar static_name: the name of that picture in the outputs of a static instance.
    :ivar count_waiting: returns the number of waiting jobs; set by the worker.
    :ivar interrupt: an interrupt was requested; checked at the same points as in ComfyUI.
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
    count_waiting: Callable[[], int] = lambda: 0
    interrupt: bool = False

    def warm_up(self, kept: Iterable[ModelFile] | None = None) -> None:
        """Load the models that are in memory from the start, and no others.

        :param kept: those that an earlier process has left in memory; ``None``: those that the settings name.
        """
        self.memory.unload_all()
        for file in self._warm_files() if kept is None else kept:
            for move in self.memory.moves_for([file]):
                if move.is_load:
                    self.publish(ModelLoaded(at_ms=self.at_ms, **asdict(file)))

    def _warm_files(self) -> Iterable[ModelFile]:
        for name in self.settings.warm:
            for folder in self.catalogue.folders_of(name) or ["checkpoints"]:
                yield ModelFile(folder, name, self.catalogue.size_bytes(folder, name))

    def unload_models(self, reason: str) -> None:
        for file in self.memory.unload_all():
            self.publish(ModelUnloaded(at_ms=self.at_ms, reason=reason, **asdict(file)))

    @cached_property
    def upload_chance(self) -> Random:
        return self.seeds.of("timing").stream("uploads")

    @property
    def behaviour(self) -> Behaviour:
        """What the instance's version does."""
        return self.catalogue.behaviour

    @property
    def now_unix_ms(self) -> int:
        """The simulated time as clients see it."""
        return self.unix_ms + self.at_ms
