"""One instance of a replay: what waits there, what runs, and how long it still has to do."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from comfyfarm.analysis.placement.eligibility import InstanceEquipment
from comfyfarm.analysis.placement.replay.costs import NO_MOVES, Costs, Moves, move_models
from comfyfarm.events import Work
from comfyfarm.sim.memory import Memory, ModelFile


@dataclass(eq=False, slots=True)
class _Entry:
    """A job that is there.

    :ivar before: what is in memory when its turn comes, the model used longest ago first.
    :ivar alone_ms: how long it runs if nothing waits behind it.
    """

    place: int
    work: Work
    before: tuple[ModelFile, ...] = ()
    moves: Moves = NO_MOVES
    alone_ms: int = 0


@dataclass(eq=False)
class QueueModel:
    """One instance.

    First come, first served: which models a job will find in memory is known as soon as it is there.

    :ivar order: its place in the configuration.
    :ivar warm: the models that are in memory when it starts.
    :ivar is_up: its process runs; jobs that are there while it does not wait.
    :ivar is_open: it takes new work.
    :ivar ends_ms: when the running job will end, as things are; ``None`` while none runs.
    """

    name: str
    order: int
    settings: dict[str, Any]
    warm: tuple[ModelFile, ...] = ()
    is_up: bool = False
    is_open: bool = False
    ends_ms: int | None = None
    costs: Costs = field(init=False)
    equipment: InstanceEquipment = field(init=False)
    _memory: Memory = field(default_factory=Memory)     # as it will be behind all jobs that are there
    _line: deque[_Entry] = field(default_factory=deque)
    _line_ms: int = 0
    _running: _Entry | None = None
    _running_costs: Costs = field(init=False)       # ends_ms is reckoned by these,
    _waiting: int = 0                               # and by so many that wait

    def __post_init__(self) -> None:
        """Read the settings, and have the warm models in memory."""
        self._read()
        self._warm_up()

    # As policies see it.

    @property
    def depth(self) -> int:
        """How many jobs wait and run there."""
        return len(self._line) + (self._running is not None)

    def work_left_ms(self, now_ms: int) -> int:
        """How long it is still busy if nothing else comes, and if nothing waits behind those that wait."""
        return self._line_ms + (0 if self.ends_ms is None else self.ends_ms - now_ms)

    def absent_bytes(self, work: Work) -> int:
        """Of the job's models, how much will not be in memory behind the jobs that are there."""
        files = [ModelFile(*each) for each in work.models]
        return sum(file.size_bytes for file in files if file not in self._memory.loaded)

    # Jobs.

    def add(self, place: int, work: Work, now_ms: int) -> None:
        """A job comes; :meth:`begin` lets it run."""
        entry = _Entry(place, work)
        self._plan(entry)
        self._line.append(entry)
        self._reckon(now_ms)

    def begin(self, now_ms: int) -> int | None:
        """Let the next job run, where none does; the answer says which began."""
        if not self.is_up or self._running is not None or not self._line:
            return None
        entry = self._running = self._line.popleft()
        self._line_ms -= entry.alone_ms
        self._running_costs, self._waiting = self.costs, len(self._line)
        self.ends_ms = now_ms + self.costs.service_ms(entry.work, entry.moves, self._waiting)
        return entry.place

    def end(self) -> int:
        """The running job is done; the answer says which it was."""
        assert self._running is not None, "somebody saw ends_ms"
        place = self._running.place
        self._running = self.ends_ms = None
        return place

    def remove(self, place: int, now_ms: int) -> None:
        """A job goes, whether it waits or runs; what it has loaded stays."""
        if self._running is not None and self._running.place == place:
            self.end()
            return
        index = next(index for index, each in enumerate(self._line) if each.place == place)
        self._plan_anew(index, drop=1)
        self._reckon(now_ms)

    def stop(self) -> list[int]:
        """The process ends: nothing is there any more but warm models; the answer says which jobs were."""
        running = [] if self._running is None else [self._running]
        gone = [each.place for each in (*running, *self._line)]
        self._running = self.ends_ms = None
        self._line.clear()
        self._line_ms = 0
        self._warm_up()
        return gone

    def change(self, settings: dict[str, Any]) -> None:
        """It is set to something else, for jobs that have not begun."""
        self.settings = self.settings | settings
        self._read()
        if self._line:
            self._plan_anew(0, drop=0)

    # How long they take.

    def _plan(self, entry: _Entry) -> None:
        entry.before = tuple(self._memory.loaded) if entry.work.models else ()
        entry.moves = move_models(self._memory, entry.work) if entry.work.models else NO_MOVES
        entry.alone_ms = self.costs.service_ms(entry.work, entry.moves)
        self._line_ms += entry.alone_ms

    def _plan_anew(self, index: int, *, drop: int) -> None:
        """From this place in the line on, less as many jobs as go."""
        later = list(islice(self._line, index, None))
        loading = next((each for each in later if each.work.models), None)
        if loading is not None:
            self._memory.loaded = OrderedDict.fromkeys(loading.before)
        self._line_ms -= sum(each.alone_ms for each in later)
        for _ in later:
            self._line.pop()
        for entry in later[drop:]:
            self._plan(entry)
            self._line.append(entry)

    def _reckon(self, now_ms: int) -> None:
        """The more jobs wait, the slower the running one: what it has left takes longer in proportion."""
        if self._running is None or self.ends_ms is None or not self._running_costs.under_load:
            return
        before_ms, after_ms = self._service_ms(self._waiting), self._service_ms(len(self._line))
        if before_ms:
            left_ms = self.ends_ms - now_ms
            self.ends_ms = now_ms + (2 * left_ms * after_ms + before_ms) // (2 * before_ms)     # rounded
        self._waiting = len(self._line)

    def _service_ms(self, waiting: int) -> int:
        assert self._running is not None, "nothing else is slowed"
        return self._running_costs.service_ms(self._running.work, self._running.moves, waiting)

    def _read(self) -> None:
        self.costs, self.equipment = Costs.of(self.settings), InstanceEquipment.of(self.settings)
        self._memory.capacity_bytes = self.equipment.vram_bytes

    def _warm_up(self) -> None:
        files: Iterable[tuple[str, str, int]] = ((each.folder, each.name, each.size_bytes) for each in self.warm)
        self._memory.unload_all()
        move_models(self._memory, Work(models=tuple(files)))
