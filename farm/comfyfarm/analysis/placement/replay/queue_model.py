"""The queue of one instance in a replay: the waiting jobs, the running job, and the work left.

This is a second simulator of an instance's queue, beside ``sim/``: it uses no random numbers, publishes no events, and
computes the end of a run in one step. ``tests/unit/analysis/placement/replay/test_replay.py`` compares the two to the
millisecond, so a change of timing or memory in ``sim/`` needs the same change here and in ``../costs.py``.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from comfyfarm.analysis.placement.costs import (
    NO_MOVES,
    Costs,
    Moves,
    move_models,
    move_together,
    needed_together,
)
from comfyfarm.analysis.placement.eligibility import InstanceEquipment
from comfyfarm.events import Work
from comfyfarm.sim.memory import Memory, ModelFile


class _Entry(msgspec.Struct, eq=False, gc=False):
    """A job in the queue.

    :ivar job: its index in the arrivals.
    :ivar memory_before: the models in memory when it begins, least recently used first.
    :ivar alone_ms: how long it runs if no job waits behind it.
    """

    job: int
    work: Work
    memory_before: tuple[ModelFile, ...] = ()
    moves: Moves = NO_MOVES
    alone_ms: int = 0


class _Outlook(NamedTuple):
    """What a job would find after the jobs in the queue.

    :ivar absent_bytes: the size of its models that will not be in memory.
    :ivar service_ms: how long it would run, if no job waits behind it.
    """

    absent_bytes: int
    service_ms: int


@dataclass(eq=False)
class QueueModel:
    """The queue of one instance, first come, first served. Jobs are known by their index in the arrivals.

    :ivar order: its position in the configuration.
    :ivar warm: the models that are in memory when the process starts.
    :ivar is_up: the process runs; while it does not, the jobs in the queue wait.
    :ivar is_open: it takes new jobs.
    :ivar depth: the number of jobs that wait and run.
    :ivar ends_ms: when the running job will end, as things are; ``None`` while none runs.
    :ivar _memory: as it will be after all jobs in the queue. The order of the jobs is fixed, so it is known at once.
    :ivar _waiting: the number of waiting jobs for which ``ends_ms`` was computed.
    """

    name: str
    order: int
    settings: dict[str, Any]
    warm: tuple[ModelFile, ...] = ()
    is_up: bool = False
    is_open: bool = False
    depth: int = 0
    ends_ms: int | None = None
    costs: Costs = field(init=False)
    equipment: InstanceEquipment = field(init=False)
    _memory: Memory = field(default_factory=Memory)
    _queue: deque[_Entry] = field(default_factory=deque)
    _queue_ms: int = 0
    _running: _Entry | None = None
    _running_costs: Costs = field(init=False)
    _waiting: int = 0
    _needed: dict[int, list[list[ModelFile]]] = field(default_factory=dict)     # by the work's id: few are distinct
    _service_ms: dict[tuple[int, tuple[int, ...], int, int], int] = field(default_factory=dict)
    _outlooks: dict[int, _Outlook] = field(default_factory=dict)    # by the work's id, until memory or costs change

    def __post_init__(self) -> None:
        self._read_settings()
        self._load_warm_models()

    def work_left_ms(self, now_ms: int) -> int:
        """Return how long it is still busy if no other job comes and no waiting job is slowed by others."""
        return self._queue_ms + (0 if self.ends_ms is None else self.ends_ms - now_ms)

    def total_ms(self, work: Work, now_ms: int) -> int:
        """Return how long a job that is added now takes to its end, as far as :meth:`work_left_ms` tells."""
        left_ms = self._queue_ms + (0 if self.ends_ms is None else self.ends_ms - now_ms)
        return left_ms + self._outlook_of(work).service_ms

    def absent_bytes(self, work: Work) -> int:
        """Return the size of the job's models that will not be in memory after the jobs in the queue."""
        return self._outlook_of(work).absent_bytes

    def _outlook_of(self, work: Work) -> _Outlook:
        outlook = self._outlooks.get(id(work))
        if outlook is None:
            loaded, moves = self._memory.loaded, NO_MOVES
            files = [ModelFile(*model) for model in work.models]
            absent_bytes = sum(file.size_bytes for file in files if file not in loaded)
            if absent_bytes:
                moves = move_models(Memory(self._memory.capacity_bytes, loaded.copy()), work)
            outlook = self._outlooks[id(work)] = _Outlook(absent_bytes, self.costs.service_ms(work, moves))
        return outlook

    def add(self, job: int, work: Work, now_ms: int) -> None:
        """Append a job; :meth:`begin` runs it."""
        self._append(_Entry(job, work))
        self._stretch_running(now_ms)

    def begin(self, now_ms: int) -> int | None:
        """Run the next job if none runs and one waits; return the job that began."""
        if not self.is_up or self._running is not None or not self._queue:
            return None
        entry = self._running = self._queue.popleft()
        self._queue_ms -= entry.alone_ms
        self._running_costs, self._waiting = self.costs, len(self._queue)
        self.ends_ms = now_ms + self._service_of(entry, self._waiting)
        return entry.job

    def end(self) -> int:
        """End the running job and return it."""
        assert self._running is not None, "ends_ms was set"
        job = self._running.job
        self._running = self.ends_ms = None
        self.depth -= 1
        return job

    def remove(self, job: int, now_ms: int) -> None:
        """Remove a waiting or running job; models that it has loaded stay in memory."""
        if self._running is not None and self._running.job == job:
            self.end()
            return
        index = next(index for index, entry in enumerate(self._queue) if entry.job == job)
        self._plan_from(index, drop=1)
        self._stretch_running(now_ms)

    def stop(self) -> list[int]:
        """End the process: empty queue and memory, and return the jobs that were in the queue, running job first."""
        running = [] if self._running is None else [self._running]
        jobs = [entry.job for entry in (*running, *self._queue)]
        self._running = self.ends_ms = None
        self._queue.clear()
        self._queue_ms = self.depth = 0
        self._load_warm_models()
        return jobs

    def change(self, settings: dict[str, Any]) -> None:
        """Change settings for the jobs that have not begun."""
        self.settings = self.settings | settings
        self._read_settings()
        if self._queue:
            self._plan_from(0, drop=0)

    def _append(self, entry: _Entry) -> None:
        entry.memory_before = tuple(self._memory.loaded) if entry.work.models else ()
        entry.moves = self._move_models(entry.work) if entry.work.models else NO_MOVES
        entry.alone_ms = self._service_of(entry, 0)
        self._queue_ms += entry.alone_ms
        self._queue.append(entry)
        self.depth += 1

    def _move_models(self, work: Work) -> Moves:
        if id(work) not in self._needed:
            self._needed[id(work)] = [list(files) for files in needed_together(work)]
        needed, loaded = self._needed[id(work)], self._memory.loaded
        if loaded and len(needed) == 1 and needed[0] == [next(reversed(loaded))]:
            return NO_MOVES     # the usual case: the model of the job before
        self._outlooks.clear()
        return move_together(self._memory, needed)

    def _service_of(self, entry: _Entry, waiting: int) -> int:
        """Return how long a job runs at the present costs; equal ones are computed once."""
        moves, waiting = entry.moves, waiting if self.costs.under_load else 0
        key = id(entry.work), moves.loads_bytes, moves.unloads, waiting
        if key not in self._service_ms:
            self._service_ms[key] = self.costs.service_ms(entry.work, entry.moves, waiting)
        return self._service_ms[key]

    def _plan_from(self, index: int, *, drop: int) -> None:
        """Remove ``drop`` jobs at this position, and compute moves and lengths of the later ones again."""
        later = list(islice(self._queue, index, None))
        loading = next((entry for entry in later if entry.work.models), None)
        if loading is not None:
            self._memory.loaded = OrderedDict.fromkeys(loading.memory_before)
            self._outlooks.clear()
        self._queue_ms -= sum(entry.alone_ms for entry in later)
        for _ in later:
            self._queue.pop()
        self.depth -= len(later)
        for entry in later[drop:]:
            self._append(entry)

    def _stretch_running(self, now_ms: int) -> None:
        """Scale what the running job has left: the more jobs wait, the slower it is."""
        if self._running is None or self.ends_ms is None or not self._running_costs.under_load:
            return
        entry, costs, waiting = self._running, self._running_costs, len(self._queue)
        before_ms = costs.service_ms(entry.work, entry.moves, self._waiting)
        after_ms = costs.service_ms(entry.work, entry.moves, waiting)
        if before_ms:
            left_ms = self.ends_ms - now_ms
            self.ends_ms = now_ms + (2 * left_ms * after_ms + before_ms) // (2 * before_ms)     # rounded
        self._waiting = waiting

    def _read_settings(self) -> None:
        self.equipment = InstanceEquipment.of(self.settings)
        self.costs = self.equipment.costs
        self._service_ms.clear()
        self._outlooks.clear()
        self._memory.capacity_bytes = self.equipment.vram_bytes

    def _load_warm_models(self) -> None:
        self._memory.unload_all()
        self._outlooks.clear()
        move_models(self._memory, Work(models=tuple((file.folder, file.name, file.size_bytes) for file in self.warm)))
