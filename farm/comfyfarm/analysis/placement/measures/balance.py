"""Balance: utilisation, fairness, and instances that were idle while work waited elsewhere."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

from comfyfarm.analysis.placement.arrival import JobArrival
from comfyfarm.analysis.placement.availability import AvailabilityChange, AvailabilityPeriods
from comfyfarm.analysis.placement.choices import Choice
from comfyfarm.analysis.placement.costs import Costs
from comfyfarm.analysis.placement.dispatch_events import DispatchEvent, Window, dispatch_events
from comfyfarm.analysis.placement.dispatches import Dispatch
from comfyfarm.analysis.placement.statistics import ENOUGH, ENOUGH_PER_INSTANCE, Measure


class Utilisation(Measure, frozen=True, kw_only=True):
    """The share of its time that each instance worked.

    :ivar n: runs.
    :ivar by_instance: busy time / time up within the window; ``None`` if the instance was never up.
    """

    by_instance: dict[str, float | None]


class Fairness(Measure, frozen=True, kw_only=True):
    """The evenness of what the instances did, each measured against what it could have done.

    :ivar n: runs.
    :ivar jain: from 1 / (number of instances) to 1, which is perfectly even; ``None`` if no instance worked.
    :ivar jobs: by instance, its share of all runs.
    :ivar work: by instance, its share of all work; empty if no instance worked.
    :ivar capacity: by instance, its share of all work that could have been done: its speed times its time up.
    """

    jain: float | None
    jobs: dict[str, float]
    work: dict[str, float]
    capacity: dict[str, float]


class IdleWhileWaiting(Measure, frozen=True, kw_only=True):
    """The time in which an instance was idle while a job that it could have run waited elsewhere.

    :ivar n: jobs that were accepted.
    :ivar share: of the window; ``None`` if there was no work.
    """

    ms: int
    share: float | None


@dataclass(eq=False, slots=True)
class InstanceUse:
    """What one instance did.

    :ivar speed: how many times as fast as the slowest instance it does the work of this log, by its settings.
    """

    speed: float
    up_ms: int
    busy_ms: int = 0
    runs: int = 0


def instance_uses(
    dispatches: Sequence[Dispatch],
    settings: Mapping[str, Mapping[str, Any]],
    availability: AvailabilityPeriods,
    window: Window | None,
    at_ms: int,
) -> dict[str, InstanceUse]:
    """Return what each instance did.

    :param settings: of all instances, in configuration order.
    :param at_ms: the time of the latest event.
    """
    uses = {
        name: InstanceUse(speed, availability.up_ms(name, window.from_ms, window.to_ms) if window else 0)
        for name, speed in _speeds(dispatches, settings).items()
    }
    for dispatch in dispatches:
        use = uses[dispatch.instance]
        use.busy_ms += dispatch.spent_ms + dispatch.served_ms(at_ms)
        use.runs += dispatch.taken_ms is not None
    return uses


def _speeds(dispatches: Iterable[Dispatch], settings: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return the speed of each instance; loading models is not work."""
    works = [dispatch.work for dispatch in dispatches if dispatch.work is not None]
    counts, by_id = Counter(map(id, works)), {id(work): work for work in works}     # equal works share one object
    needed_ms = {
        name: sum(count * costs.service_ms(by_id[key]) for key, count in counts.items())
        for name, costs in ((name, Costs.of(own)) for name, own in settings.items())
    }
    slowest_ms = max(needed_ms.values(), default=0)
    return {name: slowest_ms / ms if ms else 1.0 for name, ms in needed_ms.items()}


def utilisation(uses: Mapping[str, InstanceUse]) -> Utilisation:
    shares = {name: use.busy_ms / use.up_ms if use.up_ms else None for name, use in uses.items()}
    runs = sum(use.runs for use in uses.values())
    return Utilisation(n=runs, is_small=runs < ENOUGH_PER_INSTANCE * len(shares), by_instance=shares)


def fairness(uses: Mapping[str, InstanceUse]) -> Fairness:
    """Compute Jain's index of work / capacity of each instance, which is its utilisation, and the shares."""
    used = utilisation(uses)
    shares = [share for share in used.by_instance.values() if share is not None]
    squares = sum(share * share for share in shares)
    return Fairness(
        n=used.n,
        is_small=used.is_small,
        jain=sum(shares) ** 2 / (len(shares) * squares) if squares else None,
        jobs=_shares({name: use.runs for name, use in uses.items()}),
        work=_shares({name: use.busy_ms * use.speed for name, use in uses.items()}),
        capacity=_shares({name: use.up_ms * use.speed for name, use in uses.items()}),
    )


def _shares(amounts: Mapping[str, float]) -> dict[str, float]:
    """Return what share of the whole each amount is; nothing if the whole is 0."""
    whole = sum(amounts.values())
    return {name: amount / whole for name, amount in amounts.items()} if whole else {}


def idle_while_waiting(
    choices: Sequence[Choice],
    changes: Iterable[AvailabilityChange],
    arrivals: Mapping[str, JobArrival],
    window: Window | None,
) -> IdleWhileWaiting:
    """Measure the time that idle instances wasted; time wasted by two at once counts once.

    :param arrivals: by logical job.
    """
    accepted = [choice for choice in choices if choice.is_accepted]
    wasted_ms = _wasted_ms(accepted, [*changes, *_held(accepted, arrivals)], window) if window else 0
    return IdleWhileWaiting(
        n=len(accepted),
        is_small=len(accepted) < ENOUGH,
        ms=wasted_ms,
        share=wasted_ms / window.length_ms if window and window.length_ms else None,
    )


class _HeldChange(NamedTuple):
    """A job begins (1) or ceases (-1) to wait in the system under test, before it is first accepted."""

    seq: int
    at_ms: int
    eligible: frozenset[str]
    change: int


def _held(accepted: Iterable[Choice], arrivals: Mapping[str, JobArrival]) -> Iterator[_HeldChange]:
    first = {choice.dispatch.attempt.job: choice for choice in reversed(list(accepted))}
    for job, choice in first.items():
        attempt, arrival = choice.dispatch.attempt, arrivals[job]
        if arrival.at_ms < attempt.sent_ms:
            eligible = _eligible(choice)
            yield _HeldChange(arrival.seq, arrival.at_ms, eligible, 1)
            yield _HeldChange(attempt.seq, attempt.sent_ms, eligible, -1)


def _wasted_ms(
    accepted: Sequence[Choice], changes: Iterable[AvailabilityChange | _HeldChange], window: Window
) -> int:
    shared: dict[frozenset[str], frozenset[str]] = {}       # equal sets that are one object are compared at once
    eligible = ((choice.dispatch, _eligible(choice)) for choice in accepted)
    state = _FleetWork({dispatch: shared.setdefault(names, names) for dispatch, names in eligible})
    events: list[DispatchEvent | AvailabilityChange | _HeldChange] = [
        *changes,
        *dispatch_events(choice.dispatch for choice in accepted),
    ]
    # An order may be reported later than it was made, so the order of the log is not enough.
    events.sort(key=attrgetter("at_ms", "seq"))
    wasted_ms, since_ms = 0, window.from_ms
    for event in events:
        if event.at_ms > since_ms:
            wasted_ms += (event.at_ms - since_ms) * state.is_wasteful
            since_ms = event.at_ms
        state.apply(event)
    return wasted_ms + (window.to_ms - since_ms) * state.is_wasteful


def _eligible(choice: Choice) -> frozenset[str]:
    return frozenset(option.snapshot.instance for option in choice.options if option.is_eligible)


@dataclass(eq=False)
class _FleetWork:
    """The usable instances, the waiting jobs and the running jobs, updated by one event after another.

    :ivar eligible: by dispatch, the instances that could run the job.
    :ivar _waiting: the number of waiting jobs, by their instance (empty if it is none yet) and the instances that could
        run them.
    """

    eligible: dict[Dispatch, frozenset[str]]
    _usable: dict[str, None] = field(default_factory=dict)
    _waiting: Counter[tuple[str, frozenset[str]]] = field(default_factory=Counter)
    _taken: dict[str, set[Dispatch]] = field(default_factory=lambda: defaultdict(set))

    @property
    def is_wasteful(self) -> bool:
        """Some idle instance could run a job that waits at another."""
        if not self._waiting:
            return False
        idle = [name for name in self._usable if not self._taken[name]]
        return any(name in eligible and name != instance for name in idle for instance, eligible in self._waiting)

    def apply(self, event: DispatchEvent | AvailabilityChange | _HeldChange) -> None:
        if isinstance(event, AvailabilityChange):
            self._usable.pop(event.instance, None)
            if event.is_usable:
                self._usable[event.instance] = None
        elif isinstance(event, _HeldChange):
            self._count("", event.eligible, event.change)
        else:
            self._apply_step(event)

    def _apply_step(self, event: DispatchEvent) -> None:
        instance = event.dispatch.instance
        if event.step == "taken":
            self._taken[instance].add(event.dispatch)
        if event.step == "ended" and event.dispatch in self._taken[instance]:
            self._taken[instance].discard(event.dispatch)
        else:
            self._count(instance, self.eligible[event.dispatch], 1 if event.step == "sent" else -1)

    def _count(self, instance: str, eligible: frozenset[str], change: int) -> None:
        self._waiting[instance, eligible] += change
        if not self._waiting[instance, eligible]:
            del self._waiting[instance, eligible]
