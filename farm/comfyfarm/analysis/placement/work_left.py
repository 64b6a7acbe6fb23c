"""The work that each instance still had before it at each dispatch, in milliseconds.

After the fact it is known exactly: the lengths of the runs in the queue, less the time that the running one had run.
A run that has not ended by itself (it is open, was lost, or was taken out) counts with the median length of the runs
on that instance.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from comfyfarm.analysis.placement.dispatch_events import DispatchEvent, dispatch_events
from comfyfarm.analysis.placement.dispatches import Dispatch
from comfyfarm.analysis.placement.statistics import percentile


@dataclass(frozen=True, slots=True)
class WorkLeft:
    """The work left on one instance.

    :ivar is_exact: every run in it has ended by itself, so that its length is known.
    """

    ms: int
    is_exact: bool


_NONE = WorkLeft(0, is_exact=True)


def work_left(dispatches: Sequence[Dispatch], at_ms: int) -> dict[Dispatch, tuple[WorkLeft, ...]]:
    """Return for each dispatch the work left on each instance just before it, in the order of its snapshots.

    :param at_ms: the time of the latest event.
    """
    queues = _Queues(_RunLengths(dispatches, at_ms))
    lefts = {}
    for event in dispatch_events(dispatches):
        if event.step in ("sent", "refused"):
            snapshots = event.dispatch.snapshots
            lefts[event.dispatch] = tuple(queues.left(snapshot.instance, event.at_ms) for snapshot in snapshots)
        queues.apply(event)
    return lefts


@dataclass(eq=False)
class _RunLengths:
    """The length of each run, known or estimated."""

    dispatches: Iterable[Dispatch]
    at_ms: int

    def __post_init__(self) -> None:
        by_instance: dict[str, list[int]] = defaultdict(list)
        for dispatch in self.dispatches:
            if dispatch.has_run_out:
                by_instance[dispatch.chosen.instance].append(dispatch.served_ms(self.at_ms))
        self._median_ms = {name: percentile(lengths, 50) for name, lengths in by_instance.items()}
        self._farm_median_ms = percentile([ms for lengths in by_instance.values() for ms in lengths], 50) or 0

    def of(self, dispatch: Dispatch) -> int:
        """Return the run's length; if it is not known, the median of its instance, else that of the farm."""
        served_ms = dispatch.served_ms(self.at_ms)
        if dispatch.has_run_out:
            return served_ms
        median_ms = self._median_ms.get(dispatch.chosen.instance)
        return max(served_ms, self._farm_median_ms if median_ms is None else median_ms)


@dataclass(eq=False)
class _Queues:
    """The work in every instance's queue, updated by one event after another."""

    lengths: _RunLengths
    _left_ms: Counter[str] = field(default_factory=Counter)
    _estimated: Counter[str] = field(default_factory=Counter)
    _running: dict[str, DispatchEvent] = field(default_factory=dict)

    def left(self, instance: str, at_ms: int) -> WorkLeft:
        left_ms = self._left_ms[instance]
        running = self._running.get(instance)
        if running is not None:
            left_ms -= min(at_ms - running.at_ms, self.lengths.of(running.dispatch))
        return WorkLeft(left_ms, self._estimated[instance] == 0) if left_ms or self._estimated[instance] else _NONE

    def apply(self, event: DispatchEvent) -> None:
        instance = event.dispatch.chosen.instance
        if event.step == "taken":
            self._running[instance] = event
        elif event.step != "refused":
            sign = 1 if event.step == "sent" else -1
            self._left_ms[instance] += sign * self.lengths.of(event.dispatch)
            self._estimated[instance] += 0 if event.dispatch.has_run_out else sign
        running = self._running.get(instance)
        if event.step == "ended" and running is not None and running.dispatch is event.dispatch:
            del self._running[instance]
