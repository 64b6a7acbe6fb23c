"""The replay of a workload: the times at which the same jobs would have run under another placement."""

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from comfyfarm.analysis.placement.availability import AvailabilityChange
from comfyfarm.analysis.placement.costs import needed_together
from comfyfarm.analysis.placement.eligibility import InstanceEquipment, JobNeeds
from comfyfarm.analysis.placement.replay.queue_model import QueueModel
from comfyfarm.analysis.placement.replay.workload import Arrival, Assignment, SettingsChange, Workload
from comfyfarm.events import Work

Policy = Callable[[Work, Sequence[QueueModel], int], QueueModel]
"""Chooses a queue for a job at a time in milliseconds. The candidates are all that can take it, at least one, in
configuration order; policies only read them."""

_Input = AvailabilityChange | SettingsChange | Assignment | Arrival


@dataclass(frozen=True)
class ReplayResult:
    """The placement and the times of every job. Jobs are known by their index in the arrivals.

    :ivar assignments: also those after a crash.
    :ivar began_ms: by job, the beginning of the run that went to its end.
    :ivar ended_ms: by job.
    :ivar makespan_ms: from the first arrival to the last end; 0 if there is no job.
    :ivar waited_ms: the sum over all jobs, each from its arrival to the beginning of that run.
    :ivar total_ms: the sum over all jobs, each from its arrival to the end of that run.
    """

    assignments: tuple[Assignment, ...]
    began_ms: tuple[int, ...]
    ended_ms: tuple[int, ...]
    makespan_ms: int
    waited_ms: int
    total_ms: int


def replay(workload: Workload, by: Policy | tuple[Assignment, ...]) -> ReplayResult:
    """Run the jobs of a workload again, one at a time on each instance, first come, first served.

    :param by: the policy that places the jobs, or their recorded assignments.
    """
    run = _Replay(workload, None, by) if isinstance(by, tuple) else _Replay(workload, by)
    run.run()
    return run.result()


@dataclass(eq=False)
class _Replay:
    """The state of a replay. Jobs are known by their index in the arrivals.

    :ivar policy: ``None`` if jobs are placed by ``recorded``.
    :ivar _queue_of: by job, the queue in which it waits or runs.
    :ivar _ends: a heap of (time, order of the queue); outdated entries are skipped.
    :ivar _due_ms: by order of the queue, the latest entry for it in ``_ends``.
    """

    workload: Workload
    policy: Policy | None
    recorded: tuple[Assignment, ...] = ()
    _seq: int = 0
    _queue_of: dict[int, QueueModel] = field(default_factory=dict)
    _ends: list[tuple[int, int]] = field(default_factory=list)
    _due_ms: dict[int, int] = field(default_factory=dict)
    _unplaced: list[int] = field(default_factory=list)
    _assignments: list[Assignment] = field(default_factory=list)
    _began_ms: dict[int, int] = field(default_factory=dict)
    _ended_ms: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        settings, warm = self.workload.settings, self.workload.warm
        self._queues = [
            QueueModel(name, order, own, warm.get(name, ())) for order, (name, own) in enumerate(settings.items())
        ]
        self._by_name = {queue.name: queue for queue in self._queues}
        self._declared = frozenset(node for queue in self._queues for node in queue.equipment.own_nodes)
        self._recorded_left = Counter(assignment.job for assignment in self.recorded)
        self._needs = _needs_of_all(self.workload.arrivals) if self.policy is not None else []
        self._fits: dict[tuple[int, InstanceEquipment], bool] = {}
        self._usual: dict[int, list[QueueModel]] = {}     # by the needs' id, until a queue opens, shuts or changes

    def run(self) -> None:
        """Apply all inputs; after the last one every instance is up until all jobs are done."""
        at_ms = 0
        for source, job in self._inputs():
            at_ms, self._seq = source.at_ms, source.seq
            self._finish_until(at_ms)
            self._apply(source, job)
        for queue in self._queues:
            self._set_availability(queue, at_ms, is_up=True, is_open=True)
        self._place_waiting(at_ms)
        self._finish_until(None)

    def result(self) -> ReplayResult:
        arrivals = self.workload.arrivals
        jobs = range(len(arrivals))
        last_ms = max(self._ended_ms.values(), default=0)
        return ReplayResult(
            assignments=tuple(self._assignments),
            began_ms=tuple(self._began_ms[job] for job in jobs),
            ended_ms=tuple(self._ended_ms[job] for job in jobs),
            makespan_ms=last_ms - arrivals[0].at_ms if arrivals else 0,
            waited_ms=sum(self._began_ms[job] - arrivals[job].at_ms for job in jobs),
            total_ms=sum(self._ended_ms[job] - arrivals[job].at_ms for job in jobs),
        )

    def _inputs(self) -> list[tuple[_Input, int]]:
        """Return all inputs, each with its job, in the order of the log; of one event a change comes before a job."""
        jobs: list[tuple[Assignment | Arrival, int]] = [(assignment, assignment.job) for assignment in self.recorded]
        if self.policy is not None:
            jobs = [(arrival, job) for job, arrival in enumerate(self.workload.arrivals)]
        changes: list[tuple[AvailabilityChange | SettingsChange, int]] = [
            (change, -1) for change in self.workload.changes
        ]
        return sorted([*changes, *jobs], key=lambda pair: (pair[0].at_ms, pair[0].seq))

    def _apply(self, source: _Input, job: int) -> None:
        if isinstance(source, Arrival):
            self._place(job, source.at_ms)
        elif isinstance(source, Assignment):
            self._move(source)
        elif (queue := self._by_name.get(source.instance)) is not None:
            if isinstance(source, SettingsChange):
                queue.change(source.settings)
                self._usual.clear()
            else:
                self._set_availability(queue, source.at_ms, is_up=source.is_up, is_open=source.is_usable)
            self._place_waiting(source.at_ms)

    def _set_availability(self, queue: QueueModel, at_ms: int, *, is_up: bool, is_open: bool) -> None:
        stops = queue.is_up and not is_up
        queue.is_up, queue.is_open = is_up, is_open
        self._usual.clear()
        if stops:
            for job in queue.stop():
                self._place_again(job, queue, at_ms)
        self._begin(queue, at_ms)

    def _place_again(self, job: int, queue: QueueModel, at_ms: int) -> None:
        """Place a job whose process has stopped; a job with a later recorded assignment waits for that."""
        del self._queue_of[job]
        if self.policy is not None:
            self._place(job, at_ms)
        elif not self._recorded_left[job]:
            self._add(job, queue, at_ms)

    def _finish_until(self, at_ms: int | None) -> None:
        """End every job that is due until then, and begin the next ones; ``None``: until all jobs are done."""
        while self._ends and (at_ms is None or self._ends[0][0] <= at_ms):
            ended_ms, order = heapq.heappop(self._ends)
            queue = self._queues[order]
            if self._due_ms.get(order) == ended_ms:
                del self._due_ms[order]
            if queue.ends_ms == ended_ms:       # the job may have been slowed, moved or lost since
                job = queue.end()
                del self._queue_of[job]
                self._ended_ms[job] = ended_ms
                self._begin(queue, ended_ms)

    def _move(self, assignment: Assignment) -> None:
        """Place a job as recorded; it leaves the queue in which it waits or runs."""
        job, at_ms = assignment.job, assignment.at_ms
        self._recorded_left[job] -= 1
        if job in self._ended_ms:
            return
        before = self._queue_of.pop(job, None)
        if before is not None:
            before.remove(job, at_ms)
            self._begin(before, at_ms)
        self._add(job, self._by_name[assignment.instance], at_ms)

    def _place(self, job: int, at_ms: int) -> None:
        """Place a job by the policy; if no instance can take it, it waits until one can."""
        assert self.policy is not None, "only policies place jobs here"
        candidates = self._candidates(job)
        if candidates:
            self._add(job, self.policy(self.workload.arrivals[job].work, candidates, at_ms), at_ms)
        else:
            self._unplaced.append(job)

    def _candidates(self, job: int) -> Sequence[QueueModel]:
        arrival, needs = self.workload.arrivals[job], self._needs[job]
        usual = self._usual.get(id(needs))
        if usual is None:
            usual = [queue for queue in self._queues if _is_open(queue) and self._fits_in(queue, needs)]
            self._usual[id(needs)] = usual
        own = self._by_name[arrival.ran_on]     # the log proves that it can run there
        if not arrival.refused_by and (self._fits_in(own, needs) or not _is_open(own)):
            return usual
        return [
            queue
            for queue in self._queues
            if _is_open(queue)
            and (queue is own or (queue.name not in arrival.refused_by and self._fits_in(queue, needs)))
        ]

    def _fits_in(self, queue: QueueModel, needs: JobNeeds) -> bool:
        key = id(needs), queue.equipment
        if key not in self._fits:
            self._fits[key] = queue.equipment.has(needs, self._declared)
        return self._fits[key]

    def _place_waiting(self, at_ms: int) -> None:
        waiting, self._unplaced = self._unplaced, []
        for job in waiting:
            self._place(job, at_ms)

    def _add(self, job: int, queue: QueueModel, at_ms: int) -> None:
        self._assignments.append(Assignment(at_ms, self._seq, job, queue.name))
        self._queue_of[job] = queue
        queue.add(job, self.workload.arrivals[job].work, at_ms)
        self._begin(queue, at_ms)

    def _begin(self, queue: QueueModel, at_ms: int) -> None:
        began = queue.begin(at_ms)
        if began is not None:
            self._began_ms[began] = at_ms
        if queue.ends_ms is not None and self._due_ms.get(queue.order) != queue.ends_ms:
            self._due_ms[queue.order] = queue.ends_ms
            heapq.heappush(self._ends, (queue.ends_ms, queue.order))


def _is_open(queue: QueueModel) -> bool:
    return queue.is_up and queue.is_open


def _needs_of_all(arrivals: Sequence[Arrival]) -> list[JobNeeds]:
    """Return the needs of each job; jobs with the same work share one object, and most do."""
    by_work: dict[int, JobNeeds] = {}
    for arrival in arrivals:
        if id(arrival.work) not in by_work:
            by_work[id(arrival.work)] = _needs(arrival.work)
    return [by_work[id(arrival.work)] for arrival in arrivals]


def _needs(work: Work) -> JobNeeds:
    """Return a job's needs; here the models that one of its nodes needs together must fit into memory."""
    largest = max((sum(file.size_bytes for file in files) for files in needed_together(work)), default=0)
    return JobNeeds(frozenset((folder, name) for folder, name, _ in work.models), largest, frozenset(work.nodes))
