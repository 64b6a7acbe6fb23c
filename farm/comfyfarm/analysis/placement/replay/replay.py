"""How would the same jobs have fared, had they been placed in another way?"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from comfyfarm.analysis.placement.availability import AvailabilityChange
from comfyfarm.analysis.placement.eligibility import JobNeeds
from comfyfarm.analysis.placement.replay.costs import needed_together
from comfyfarm.analysis.placement.replay.policies import Policy
from comfyfarm.analysis.placement.replay.queue_model import QueueModel
from comfyfarm.analysis.placement.replay.workload import Arrival, Assignment, SettingsChange, Workload

_Happening = AvailabilityChange | SettingsChange | Assignment | Arrival


@dataclass(frozen=True)
class ReplayResult:
    """What came of it.

    :ivar given: where each job was put, and where it was put again after a crash.
    :ivar began_ms: by place among the arrivals, when the run began that went to its end.
    :ivar ended_ms: by place, when it ended.
    :ivar makespan_ms: from the first arrival to the last end; 0 where there is no job.
    :ivar waited_ms: by all jobs together, each from its arrival to that run.
    """

    given: tuple[Assignment, ...]
    began_ms: tuple[int, ...]
    ended_ms: tuple[int, ...]
    makespan_ms: int
    waited_ms: int


def replay(traffic: Workload, by: Policy | tuple[Assignment, ...]) -> ReplayResult:
    """Let the jobs of a log run again, one at a time on each instance, first come, first served.

    :param by: the policy that places them; or how they were placed.
    """
    run = _Replay(traffic, None, by) if isinstance(by, tuple) else _Replay(traffic, by)
    run.play()
    return run.result()


@dataclass(eq=False)
class _Replay:
    """The farm, and the moment.

    :ivar policy: ``None``: each job goes where ``given`` says.
    """

    traffic: Workload
    policy: Policy | None
    given: tuple[Assignment, ...] = ()
    _seq: int = 0
    _at: dict[int, QueueModel] = field(default_factory=dict)
    _ends: list[tuple[int, int]] = field(default_factory=list)      # a heap; what is out of date is passed over
    _due_ms: dict[int, int] = field(default_factory=dict)           # by station, what stands there for it
    _unplaced: list[int] = field(default_factory=list)
    _put: list[Assignment] = field(default_factory=list)
    _began_ms: dict[int, int] = field(default_factory=dict)
    _ended_ms: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Build the farm."""
        settings, warm = self.traffic.settings, self.traffic.warm
        self._stations = [
            QueueModel(name, order, own, warm.get(name, ())) for order, (name, own) in enumerate(settings.items())
        ]
        self._named = {each.name: each for each in self._stations}
        self._declared = frozenset(node for each in self._stations for node in each.equipment.own_nodes)
        self._to_come = Counter(each.place for each in self.given)
        self._needs = [_need(each) for each in self.traffic.arrivals] if self.policy is not None else []

    def play(self) -> None:
        """Let all happen that is in the log; then every instance is there, until all jobs are done."""
        at_ms = 0
        for each, place in self._happenings():
            at_ms, self._seq = each.at_ms, each.seq
            self._finish_until(at_ms)
            self._happen(each, place)
        for station in self._stations:
            self._stand(station, at_ms, is_up=True, is_open=True)
        self._place_waiting(at_ms)
        self._finish_until(None)

    def result(self) -> ReplayResult:
        """What came of it."""
        arrivals = self.traffic.arrivals
        places = range(len(arrivals))
        last_ms = max(self._ended_ms.values(), default=0)
        return ReplayResult(
            given=tuple(self._put),
            began_ms=tuple(self._began_ms[place] for place in places),
            ended_ms=tuple(self._ended_ms[place] for place in places),
            makespan_ms=last_ms - arrivals[0].at_ms if arrivals else 0,
            waited_ms=sum(self._began_ms[place] - arrivals[place].at_ms for place in places),
        )

    # What happens.

    def _happenings(self) -> Iterator[tuple[_Happening, int]]:
        """All in the order of the log, a change before a job of the same event; each job with its place."""
        jobs: list[tuple[Assignment | Arrival, int]] = [(each, each.place) for each in self.given]
        if self.policy is not None:
            jobs = [(each, place) for place, each in enumerate(self.traffic.arrivals)]
        changes: list[tuple[AvailabilityChange | SettingsChange, int]] = [(each, -1) for each in self.traffic.changes]
        return heapq.merge(changes, jobs, key=lambda each: (each[0].at_ms, each[0].seq))

    def _happen(self, what: _Happening, place: int) -> None:
        if isinstance(what, Arrival):
            self._place(place, what.at_ms)
        elif isinstance(what, Assignment):
            self._move(what)
        elif (station := self._named.get(what.instance)) is not None:
            if isinstance(what, SettingsChange):
                station.change(what.settings)
            else:
                self._stand(station, what.at_ms, is_up=what.is_up, is_open=what.is_usable)
            self._place_waiting(what.at_ms)

    def _stand(self, station: QueueModel, at_ms: int, *, is_up: bool, is_open: bool) -> None:
        stops = station.is_up and not is_up
        station.is_up, station.is_open = is_up, is_open
        if stops:
            for place in station.stop():
                self._lose(place, station, at_ms)
        self._begin(station, at_ms)

    def _lose(self, place: int, station: QueueModel, at_ms: int) -> None:
        """A job's process is gone: it is placed anew at once, or it waits for what the log says came of it."""
        del self._at[place]
        if self.policy is not None:
            self._place(place, at_ms)
        elif not self._to_come[place]:
            self._add(place, station, at_ms)

    def _finish_until(self, at_ms: int | None) -> None:
        """Let every job end that does so by then, and the next one begin."""
        while self._ends and (at_ms is None or self._ends[0][0] <= at_ms):
            ended_ms, order = heapq.heappop(self._ends)
            station = self._stations[order]
            if self._due_ms.get(order) == ended_ms:
                del self._due_ms[order]
            if station.ends_ms == ended_ms:     # it may have been slowed, moved or lost since
                place = station.end()
                del self._at[place]
                self._ended_ms[place] = ended_ms
                self._begin(station, ended_ms)

    # Where a job goes.

    def _move(self, given: Assignment) -> None:
        """The tested system sent a job here, whatever it had done with it before."""
        self._to_come[given.place] -= 1
        if given.place in self._ended_ms:
            return
        before = self._at.pop(given.place, None)
        if before is not None:
            before.remove(given.place, given.at_ms)
            self._begin(before, given.at_ms)
        self._add(given.place, self._named[given.instance], given.at_ms)

    def _place(self, place: int, at_ms: int) -> None:
        """The policy chooses; where no instance takes the job, it waits until one does."""
        assert self.policy is not None, "or nobody would come here"
        candidates = [each for each in self._stations if self._takes(each, place)]
        if candidates:
            order = self.policy(self.traffic.arrivals[place].work, candidates, at_ms).order
            self._add(place, self._stations[order], at_ms)
        else:
            self._unplaced.append(place)

    def _takes(self, station: QueueModel, place: int) -> bool:
        arrival = self.traffic.arrivals[place]
        if not (station.is_up and station.is_open):
            return False
        if station.name == arrival.ran_on:
            return True     # the log proves it
        return station.name not in arrival.refused_by and station.equipment.has(self._needs[place], self._declared)

    def _place_waiting(self, at_ms: int) -> None:
        waiting, self._unplaced = self._unplaced, []
        for place in waiting:
            self._place(place, at_ms)

    def _add(self, place: int, station: QueueModel, at_ms: int) -> None:
        self._put.append(Assignment(at_ms, self._seq, place, station.name))
        self._at[place] = station
        station.add(place, self.traffic.arrivals[place].work, at_ms)
        self._begin(station, at_ms)

    def _begin(self, station: QueueModel, at_ms: int) -> None:
        began = station.begin(at_ms)
        if began is not None:
            self._began_ms[began] = at_ms
        if station.ends_ms is not None and self._due_ms.get(station.order) != station.ends_ms:
            self._due_ms[station.order] = station.ends_ms
            heapq.heappush(self._ends, (station.ends_ms, station.order))


def _need(arrival: Arrival) -> JobNeeds:
    """What the job cannot do without; of its models those that are needed together must fit."""
    work = arrival.work
    largest = max((sum(file.size_bytes for file in files) for files in needed_together(work)), default=0)
    return JobNeeds(frozenset((folder, name) for folder, name, _ in work.models), largest, frozenset(work.nodes))
