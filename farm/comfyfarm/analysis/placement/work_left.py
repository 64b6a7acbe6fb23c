"""How much work had each instance before it, in milliseconds, whenever a job was sent somewhere?

Afterwards that is known exactly: the lengths of the runs that were to come, less what the running one had done.  What
has not come to an end of its own (it is open, or was lost, or taken out) counts as long as a run there usually took.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from comfyfarm.analysis.placement.dispatch_events import DispatchEvent, marks_of
from comfyfarm.analysis.placement.dispatches import Dispatch
from comfyfarm.analysis.placement.statistics import median_ms


@dataclass(frozen=True, slots=True)
class WorkLeft:
    """What was left to do on one instance.

    :ivar is_exact: every run in it came to an end of its own.
    """

    ms: int
    is_exact: bool


_NONE = WorkLeft(0, is_exact=True)


def work_left(dispatches: Sequence[Dispatch], at_ms: int) -> dict[Dispatch, tuple[WorkLeft, ...]]:
    """For each dispatch what was left on each instance just before it, in the order of its sights.

    :param at_ms: the moment of the judgement.
    """
    queues = _Queues(_Lengths(dispatches, at_ms))
    found = {}
    for mark in marks_of(dispatches):
        if mark.step in ("sent", "refused"):
            found[mark.dispatch] = tuple(queues.left(each.instance, mark.at_ms) for each in mark.dispatch.sights)
        queues.take_in(mark)
    return found


@dataclass(eq=False)
class _Lengths:
    """How long each run takes, or may take."""

    dispatches: Iterable[Dispatch]
    at_ms: int

    def __post_init__(self) -> None:
        known: dict[str, list[int]] = defaultdict(list)
        for each in self.dispatches:
            if each.has_run_out:
                known[each.chosen.instance].append(each.served_ms(self.at_ms))
        self._usual_ms = {name: median_ms(lengths) for name, lengths in known.items()}
        self._everywhere_ms = median_ms([length for lengths in known.values() for length in lengths]) or 0

    def of(self, dispatch: Dispatch) -> int:
        """Its own length; where it has none yet, the median of its instance, or else of the farm."""
        served_ms = dispatch.served_ms(self.at_ms)
        if dispatch.has_run_out:
            return served_ms
        usual_ms = self._usual_ms.get(dispatch.chosen.instance)
        return max(served_ms, self._everywhere_ms if usual_ms is None else usual_ms)


@dataclass(eq=False)
class _Queues:
    """What is left everywhere, while time goes on."""

    lengths: _Lengths
    _left_ms: Counter[str] = field(default_factory=Counter)
    _guessed: Counter[str] = field(default_factory=Counter)
    _running: dict[str, DispatchEvent] = field(default_factory=dict)

    def left(self, instance: str, at_ms: int) -> WorkLeft:
        """What is left on one instance now."""
        left_ms = self._left_ms[instance]
        running = self._running.get(instance)
        if running is not None:
            left_ms -= min(at_ms - running.at_ms, self.lengths.of(running.dispatch))
        return WorkLeft(left_ms, self._guessed[instance] == 0) if left_ms or self._guessed[instance] else _NONE

    def take_in(self, mark: DispatchEvent) -> None:
        """Go on by one step."""
        instance = mark.dispatch.chosen.instance
        if mark.step == "taken":
            self._running[instance] = mark
        elif mark.step != "refused":
            sign = 1 if mark.step == "sent" else -1
            self._left_ms[instance] += sign * self.lengths.of(mark.dispatch)
            self._guessed[instance] += 0 if mark.dispatch.has_run_out else sign
        running = self._running.get(instance)
        if mark.step == "ended" and running is not None and running.dispatch is mark.dispatch:
            del self._running[instance]
