"""How long would an instance take over a job, by its settings alone, and what would that move in its memory?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from comfyfarm.events import Work
from comfyfarm.sim.distributions import Distribution
from comfyfarm.sim.memory import Memory, ModelFile, TooLarge
from comfyfarm.sim.settings import Timing

_GB = 1024**3
_USUAL = Timing()


@dataclass(frozen=True, slots=True)
class Moves:
    """The models that go in and out of memory for one job.

    :ivar loads_bytes: the size of each that comes in.
    :ivar unloads: how many go out to make room.
    """

    loads_bytes: tuple[int, ...] = ()
    unloads: int = 0


NO_MOVES = Moves()


def move_models(memory: Memory, work: Work) -> Moves:
    """Bring the models of a job into a memory, as its nodes need them one after another."""
    loads: list[int] = []
    unloads = 0
    try:
        for needed in needed_together(work):
            for move in memory.moves_for(needed):
                loads += [move.file.size_bytes] if move.is_load else []
                unloads += not move.is_load
    except TooLarge:
        memory.unload_all()     # as an instance does, whose job fails then
    return Moves(tuple(loads), unloads)


def needed_together(work: Work) -> Iterator[Sequence[ModelFile]]:
    """The models of a job that must be in memory at one time, node after node."""
    files = [ModelFile(*each) for each in work.models]
    for together in work.needs or [(place,) for place in range(len(files))]:
        yield [files[place] for place in together if 0 <= place < len(files)]


@dataclass(frozen=True)
class Costs:
    """How long an instance takes over things, without chance: the mean of each duration, in milliseconds.

    :ivar nodes_ms: by node type, instead of ``node_ms``.
    :ivar under_load: by how much each waiting job slows the running one, as a share.
    """

    step_ms: float
    node_ms: float
    save_ms: float
    load_per_gb_ms: float
    unload_ms: float
    nodes_ms: Mapping[str, float]
    under_load: float = 0.0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Costs:
        """Those of an ``[[instance]]`` as a log has it; what is not there or cannot be read is as usual."""
        timing = _table(settings.get("timing"))
        keys = ("step", "node", "save", "load_per_gb", "unload")
        means = {f"{key}_ms": _mean_ms(timing.get(key), getattr(_USUAL, key)) for key in keys}
        nodes = {name: _mean_ms(written, _USUAL.node) for name, written in _table(timing.get("nodes")).items()}
        load = timing.get("under_load")
        return cls(**means, nodes_ms=nodes, under_load=float(load) if isinstance(load, int | float) else 0.0)

    def service_ms(self, work: Work, moves: Moves = NO_MOVES, waiting: int = 0) -> int:
        """How long a job runs, each of its parts in whole milliseconds as on an instance.

        :param waiting: how many jobs wait all the while.
        """
        slowed = 1 + self.under_load * waiting
        total = sum(count * round(self.nodes_ms.get(kind, self.node_ms) * slowed) for kind, count in work.nodes.items())
        total += sum(count * round(self.step_ms * (weight * slowed)) for weight, count in work.steps)
        total += work.saves * round(self.save_ms * slowed)
        total += sum(round(self.load_per_gb_ms * (size / _GB * slowed)) for size in moves.loads_bytes)
        return total + moves.unloads * round(self.unload_ms * slowed)


def _mean_ms(written: object, usual: Distribution) -> float:
    """Of a span as the first event has it (a text), or a change of settings (a text or a table)."""
    try:
        if isinstance(written, str) and written.lstrip().startswith("{"):
            written = msgspec.toml.decode(f"span = {written}")["span"]
        return Distribution.parse(written).mean_ms
    except (ValueError, msgspec.DecodeError):
        return usual.mean_ms


def _table(given: object) -> Mapping[str, Any]:
    return given if isinstance(given, Mapping) else {}
