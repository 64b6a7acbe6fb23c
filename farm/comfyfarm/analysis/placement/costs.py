"""The time that an instance takes for a job, by its settings alone, and the models that the job moves in memory."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import msgspec

from comfyfarm.events import Work
from comfyfarm.sim.distributions import Distribution
from comfyfarm.sim.memory import Memory, ModelFile, TooLarge
from comfyfarm.sim.settings import Timing

_GB = 1024**3
_DEFAULTS = Timing()


@dataclass(frozen=True, slots=True)
class Moves:
    """The models that are loaded and unloaded for one job.

    :ivar loads_bytes: the size of each model that is loaded.
    :ivar unloads: the number of models that are unloaded to make room.
    """

    loads_bytes: tuple[int, ...] = ()
    unloads: int = 0


NO_MOVES = Moves()


def move_models(memory: Memory, work: Work) -> Moves:
    """Load the models of a job into a memory, node after node, and return what moved."""
    return move_together(memory, needed_together(work))


def move_together(memory: Memory, by_node: Iterable[Sequence[ModelFile]]) -> Moves:
    """Do the same with the models that each node needs."""
    loads: list[int] = []
    unloads = 0
    try:
        for needed in by_node:
            for move in memory.moves_for(needed):
                loads += [move.file.size_bytes] if move.is_load else []
                unloads += not move.is_load
    except TooLarge:
        memory.unload_all()     # as on an instance, whose job then fails
    return Moves(tuple(loads), unloads) if loads or unloads else NO_MOVES


def needed_together(work: Work) -> Iterator[Sequence[ModelFile]]:
    """Yield the models that must be in memory at the same time, node after node."""
    files = [ModelFile(*model) for model in work.models]
    for indices in work.needs or [(index,) for index in range(len(files))]:
        yield [files[index] for index in indices if 0 <= index < len(files)]


@dataclass(frozen=True)
class Costs:
    """The mean of each duration of an instance, in milliseconds.

    :ivar nodes_ms: by node type, instead of ``node_ms``.
    :ivar under_load: the share by which each waiting job slows the running one.
    """

    step_ms: float
    node_ms: float
    megapixel_ms: float
    save_ms: float
    load_per_gb_ms: float
    unload_ms: float
    nodes_ms: Mapping[str, float]
    under_load: float = 0.0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Read an ``[[instance]]`` as the log has it; absent and unreadable values get their defaults."""
        timing = table_of(settings.get("timing"))
        keys = ("step", "node", "megapixel", "save", "load_per_gb", "unload")
        means = {f"{key}_ms": _mean_ms(timing.get(key), getattr(_DEFAULTS, key)) for key in keys}
        nodes = {name: _mean_ms(value, _DEFAULTS.node) for name, value in table_of(timing.get("nodes")).items()}
        load = timing.get("under_load")
        return cls(**means, nodes_ms=nodes, under_load=float(load) if isinstance(load, int | float) else 0.0)

    def service_ms(self, work: Work, moves: Moves = NO_MOVES, waiting: int = 0) -> int:
        """Return how long a job runs; as on an instance each part is rounded to whole milliseconds.

        :param waiting: the number of jobs that wait all the time.
        """
        slowed = 1 + self.under_load * waiting
        total = sum(count * round(self.nodes_ms.get(kind, self.node_ms) * slowed) for kind, count in work.nodes.items())
        total += sum(count * round(self.step_ms * (weight * slowed)) for weight, count in work.steps)
        total += sum(
            count * round(self.megapixel_ms * (megapixels * slowed))
            for kind, megapixels, count in work.pixels
            if kind not in self.nodes_ms
        )
        total += work.saves * round(self.save_ms * slowed)
        total += sum(round(self.load_per_gb_ms * (size / _GB * slowed)) for size in moves.loads_bytes)
        return total + moves.unloads * round(self.unload_ms * slowed)


def table_of(value: object) -> Mapping[str, Any]:
    """Return a value of a log's settings if it is a table, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def _mean_ms(value: object, default: Distribution) -> float:
    """Return the mean of a distribution: a text in the log's first event, a text or a table in a changed setting."""
    try:
        if isinstance(value, str) and value.lstrip().startswith("{"):
            value = msgspec.toml.decode(f"distribution = {value}")["distribution"]
        return Distribution.parse(value).mean_ms
    except (ValueError, msgspec.DecodeError):
        return default.mean_ms
