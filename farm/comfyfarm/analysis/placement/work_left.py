"""The work that each instance still had before it at each dispatch, in milliseconds.

After the fact it is known exactly: the lengths of the runs in the queue, less the time that the running one had run.
A run that has not ended by itself (it is open, was lost, or was taken out) counts with the median length of the runs
on that instance.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from comfyfarm.analysis.placement.dispatch_events import DispatchEvent, dispatch_events
from comfyfarm.analysis.placement.dispatches import Dispatch
from comfyfarm.analysis.placement.statistics import percentile


class WorkLeft(msgspec.Struct, frozen=True, gc=False):
    """The work left on one instance.

    :ivar is_exact: every run in it has ended by itself, so that its length is known.
    """

    ms: int
    is_exact: bool


NO_WORK = WorkLeft(0, is_exact=True)


def work_left(dispatches: Sequence[Dispatch], at_ms: int) -> dict[Dispatch, dict[str, WorkLeft]]:
    """Return for each dispatch the work left on each instance just before it; those without work are not in it.

    :param at_ms: the time of the latest event.
    """
    queues = _Queues(_run_lengths(dispatches, at_ms))
    lefts = {}
    for event in dispatch_events(dispatches):
        if event.step in ("sent", "refused"):
            lefts[event.dispatch] = queues.left(event.at_ms)
        queues.apply(event)
    return lefts


def _run_lengths(dispatches: Sequence[Dispatch], at_ms: int) -> dict[Dispatch, int]:
    """Return the length of each run; if it is not known, the median of its instance, else that of the farm."""
    known: dict[str, list[int]] = defaultdict(list)
    for dispatch in dispatches:
        if dispatch.has_run_out:
            known[dispatch.instance].append(dispatch.served_ms(at_ms))
    farm_ms = percentile([ms for lengths in known.values() for ms in lengths], 50) or 0
    median_ms = {name: percentile(lengths, 50) or 0 for name, lengths in known.items()}
    lengths_ms = {}
    for dispatch in dispatches:
        estimated_ms = 0 if dispatch.has_run_out else median_ms.get(dispatch.instance, farm_ms)
        lengths_ms[dispatch] = max(dispatch.served_ms(at_ms), estimated_ms)
    return lengths_ms


@dataclass(eq=False)
class _Queues:
    """The work in every instance's queue, updated by one event after another."""

    lengths_ms: dict[Dispatch, int]
    _left_ms: Counter[str] = field(default_factory=Counter)
    _estimated: Counter[str] = field(default_factory=Counter)
    _running: dict[str, DispatchEvent] = field(default_factory=dict)
    _busy: dict[str, None] = field(default_factory=dict)

    def left(self, at_ms: int) -> dict[str, WorkLeft]:
        return {name: self._left(name, at_ms) for name in self._busy}

    def _left(self, instance: str, at_ms: int) -> WorkLeft:
        left_ms, running = self._left_ms[instance], self._running.get(instance)
        if running is not None:
            left_ms -= min(at_ms - running.at_ms, self.lengths_ms[running.dispatch])
        return WorkLeft(left_ms, self._estimated[instance] == 0)

    def apply(self, event: DispatchEvent) -> None:
        instance = event.dispatch.instance
        if event.step == "taken":
            self._running[instance] = event
        elif event.step != "refused":
            sign = 1 if event.step == "sent" else -1
            self._left_ms[instance] += sign * self.lengths_ms[event.dispatch]
            self._estimated[instance] += 0 if event.dispatch.has_run_out else sign
            if self._left_ms[instance] or self._estimated[instance]:
                self._busy[instance] = None
            else:
                self._busy.pop(instance, None)
        running = self._running.get(instance)
        if event.step == "ended" and running is not None and running.dispatch is event.dispatch:
            del self._running[instance]
