"""One instance in memory, for core tests: calls to it, and the events that it publishes."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, TypeVar

from comfyfarm.config.fault_tables import read_fault
from comfyfarm.config.recorded import recorded
from comfyfarm.events import Event, snake_case
from comfyfarm.faults.armed_fault import ArmedFault
from comfyfarm.faults.fault import Firing
from comfyfarm.faults.registry import FaultRegistry, InstanceFaults
from comfyfarm.seeds import Seeds
from comfyfarm.sim.cache import ResultCache
from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.files import MemoryFiles, Place
from comfyfarm.sim.instance import Instance
from comfyfarm.sim.machine import Machine
from comfyfarm.sim.memory import Memory
from comfyfarm.sim.naming import Namer
from comfyfarm.sim.prompt.submission import PromptSource
from comfyfarm.sim.settings import Settings

__all__ = ["STARTED_UNIX_MS", "Story", "catalogue", "chain", "finished", "picture", "tell"]

STARTED_UNIX_MS = 1_700_000_000_000     # Tuesday, 14 November 2023, 22:13:20 UTC
E = TypeVar("E", bound=Event)
T = TypeVar("T")
Prompt = dict[str, Any]


@dataclass(eq=False)
class Story:
    """An instance and the simulated time of its clients.

    :ivar fire_faults: the firings that concerned its process.
    """

    instance: Instance
    files: MemoryFiles
    events: list[Event]
    registry: FaultRegistry
    fire_faults: list[Firing]
    now_ms: int = 0
    _ids: list[str] = field(default_factory=list)

    def post(self, prompt: Prompt, sender: PromptSource = PromptSource(), **body: Any) -> str:  # noqa: B008 (frozen)
        """Submit a copy of a prompt and return its id."""
        self.instance.advance(self.now_ms)
        whole = deepcopy({"prompt": prompt, **body})
        return self.instance.submit(whole, sender, self.now_ms).prompt_id

    def wait(self, ms: int) -> None:
        """Advance the time in one jump."""
        self.now_ms += ms
        self.instance.advance(self.now_ms)

    def creep(self, ms: int, step_ms: int = 1) -> None:
        """Advance the time in small steps."""
        for _ in range(0, ms, step_ms):
            self.wait(step_ms)

    def run(self) -> int:
        """Run until all jobs have ended, and return the time of the last end."""
        while self.instance.due_ms is not None:
            self.now_ms = self.instance.due_ms
            self.instance.advance(self.now_ms)
        return self.now_ms

    def interrupt(self, prompt_id: str | None = None) -> None:
        self.instance.interrupt(prompt_id, self.now_ms)

    def arm(self, do: str, at: str | dict[str, Any], **rest: Any) -> ArmedFault:
        """Arm a fault, written as in a configuration."""
        return self.registry.arm(read_fault({"do": do, "at": at, **rest}), self.now_ms)

    def wake(self) -> None:
        """Wake paused jobs, as after a change of a fault."""
        self.instance.wake(self.now_ms)
        self.instance.advance(self.now_ms)

    def remove(self, fault_id: str) -> None:
        self.registry.remove(fault_id, self.now_ms)
        self.wake()

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def kinds(self) -> list[str]:
        """Return the kinds of all events, in order."""
        return [snake_case(type(event).__name__) for event in self.events]

    def entry(self, prompt_id: str) -> dict[str, Any]:
        return self.instance.history.entries[prompt_id].content()

    def names(self) -> list[str]:
        """Return the files written, in order, as ``folder/subfolder/name``."""
        return ["/".join(filter(None, (place.folder, place.subfolder, place.name))) for place in self.files.written]


def catalogue(
    files: MemoryFiles | None = None,
    *,
    models: Mapping[str, Sequence[str]] | None = None,
    open_models: bool = True,
    settings: Settings = Settings(),
) -> Catalogue:
    """Return a catalogue with all core nodes."""
    return Catalogue(recorded(), files or MemoryFiles(), models or {}, open_models, settings.validation)


def tell(settings: Settings | None = None, *, seed: int = 0, pictures: Sequence[str] = (), **has: Any) -> Story:
    """Start a dynamic instance, or one with other settings.

    :param pictures: the names of what stands in ``input``, each 32 pixels wide and 16 high.
    :param has: for :func:`catalogue`.
    """
    settings = settings or Settings(mode="dynamic")
    events: list[Event] = []
    files = MemoryFiles({Place("input", "", name): (32, 16) for name in pictures})
    fire_faults: list[Firing] = []
    seeds = Seeds(seed).of("gpu")
    registry = FaultRegistry(("gpu",), Seeds(seed).of("faults"), events.append)
    machine = Machine(
        name="gpu",
        epoch=1,
        settings=settings,
        catalogue=catalogue(files, settings=settings, **has),
        namer=Namer(files, settings.naming, seeds.stream("temp_letters")),
        cache=ResultCache(settings.cache),
        publish=events.append,
        unix_ms=STARTED_UNIX_MS,
        size=(512, 768),
        static_name="../input/cat.jpg",
        memory=Memory(settings.vram),
        seeds=seeds,
        faults=InstanceFaults(registry, "gpu", events.append),
    )
    instance = Instance(machine=machine, ids=seeds.stream("prompt_id"), fire_process=fire_faults.append)
    return Story(instance, files, events, registry, fire_faults)


def picture(prefix: str = "barn", *, width: int = 64, height: int = 64, batch_size: int = 1, colour: int = 0) -> Prompt:
    """Return the smallest job that writes a file: node ``2`` saves the picture of node ``1``."""
    size = {"width": width, "height": height, "batch_size": batch_size, "color": colour}
    return {
        "1": {"class_type": "EmptyImage", "inputs": size},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


def chain(length: int) -> Prompt:
    """Return a chain of nodes, each fed by the one before; the last one saves."""
    prompt = picture()
    for number in range(3, length + 1):
        source = "1" if number == 3 else str(number - 1)
        prompt[str(number)] = {"class_type": "ImageInvert", "inputs": {"image": [source, 0]}}
    prompt["2"]["inputs"]["images"] = [str(length), 0]
    return prompt


def finished(steps: Generator[object, None, T]) -> tuple[T, int]:
    """Run all steps; return their result, and how often they paused."""
    pauses = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value, pauses
        pauses += 1
