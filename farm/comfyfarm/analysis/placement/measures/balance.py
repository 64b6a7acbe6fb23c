"""Did every instance bear its share: fairness, utilisation, and idling while work waited elsewhere."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from comfyfarm.analysis.placement.availability import AvailabilityChange, AvailabilityPeriods
from comfyfarm.analysis.placement.choices import Choice
from comfyfarm.analysis.placement.dispatch_events import DispatchEvent, Window, marks_of
from comfyfarm.analysis.placement.dispatches import Dispatch
from comfyfarm.analysis.placement.statistics import ENOUGH, ENOUGH_PER_INSTANCE


class Utilisation(msgspec.Struct, frozen=True, kw_only=True):
    """Which share of its time each instance worked.

    :ivar n: runs.
    :ivar by_instance: busy time / time that it was up, in the time in which there was work; ``None``: it never was.
    """

    n: int
    is_small: bool
    by_instance: dict[str, float | None]


class Fairness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the instances bore equal shares, each according to what it could do.

    :ivar n: runs.
    :ivar jain: 1 / (number of instances) .. 1, where 1 is perfectly even; ``None`` where nobody did anything.
    """

    n: int
    is_small: bool
    jain: float | None


class IdleWhileWaiting(msgspec.Struct, frozen=True, kw_only=True):
    """Time in which an instance had nothing to do although a job waited elsewhere that it could have run.

    :ivar n: jobs that were taken on.
    :ivar ms: that time.
    :ivar share: of the time in which there was work; ``None`` where there was none.
    """

    n: int
    is_small: bool
    ms: int
    share: float | None


def utilisation(
    dispatches: Iterable[Dispatch], names: Iterable[str], spells: AvailabilityPeriods, window: Window | None, at_ms: int
) -> Utilisation:
    """Measure the time that each instance worked.

    :param names: of all instances, in the order of the configuration.
    :param at_ms: the moment of the judgement.
    """
    busy_ms: Counter[str] = Counter()
    runs = 0
    for each in dispatches:
        busy_ms[each.chosen.instance] += each.spent_ms + each.served_ms(at_ms)
        runs += each.taken_ms is not None
    up_ms = {name: spells.up_ms(name, window.from_ms, window.to_ms) if window else 0 for name in names}
    shares = {name: busy_ms[name] / up if up else None for name, up in up_ms.items()}
    return Utilisation(n=runs, is_small=runs < ENOUGH_PER_INSTANCE * len(shares), by_instance=shares)


def fairness(used: Utilisation) -> Fairness:
    """Measure how even the instances' shares are."""
    known = [each for each in used.by_instance.values() if each is not None]
    return Fairness(n=used.n, is_small=used.is_small, jain=jain(known))


def jain(shares: Sequence[float]) -> float | None:
    """Jain's index of these; ``None`` where they are all nothing."""
    squares = sum(each * each for each in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else None


def idle_while_waiting(
    choices: Sequence[Choice], spells: Iterable[AvailabilityChange], window: Window | None
) -> IdleWhileWaiting:
    """Measure the time that was wasted."""
    accepted = [each for each in choices if each.is_accepted]
    wasted_ms = _wasted_ms(accepted, spells, window) if window else 0
    return IdleWhileWaiting(
        n=len(accepted),
        is_small=len(accepted) < ENOUGH,
        ms=wasted_ms,
        share=wasted_ms / window.length_ms if window and window.length_ms else None,
    )


def _wasted_ms(accepted: Sequence[Choice], spells: Iterable[AvailabilityChange], window: Window) -> int:
    floor = _Floor({each.dispatch: _eligible(each) for each in accepted})
    steps: list[DispatchEvent | AvailabilityChange] = [*spells, *marks_of(each.dispatch for each in accepted)]
    steps.sort(key=lambda each: each.seq)
    wasted_ms, since_ms = 0, window.from_ms
    for step in steps:
        if step.at_ms > since_ms:
            wasted_ms += (step.at_ms - since_ms) * floor.wastes
            since_ms = step.at_ms
        floor.take_in(step)
    return wasted_ms + (window.to_ms - since_ms) * floor.wastes


def _eligible(choice: Choice) -> frozenset[str]:
    return frozenset(each.sight.instance for each in choice.options if each.is_eligible)


@dataclass(eq=False)
class _Floor:
    """Who works, who could, and what waits, while time goes on.

    :ivar eligible: by dispatch, the instances that could run the job.
    """

    eligible: dict[Dispatch, frozenset[str]]
    _usable: dict[str, None] = field(default_factory=dict)
    _waiting: Counter[tuple[str, frozenset[str]]] = field(default_factory=Counter)
    _taken: dict[str, set[Dispatch]] = field(default_factory=lambda: defaultdict(set))

    @property
    def wastes(self) -> bool:
        """Whether some instance does nothing that could do what waits elsewhere."""
        idle = [name for name in self._usable if not self._taken[name]]
        return any(name in eligible and name != place for name in idle for place, eligible in self._waiting)

    def take_in(self, step: DispatchEvent | AvailabilityChange) -> None:
        """Go on by one step."""
        if isinstance(step, AvailabilityChange):
            self._usable.pop(step.instance, None)
            if step.is_usable:
                self._usable[step.instance] = None
            return
        place = step.dispatch.chosen.instance
        if step.step == "taken":
            self._taken[place].add(step.dispatch)
        if step.step == "ended" and step.dispatch in self._taken[place]:
            self._taken[place].discard(step.dispatch)
        else:
            self._wait(step, (place, self.eligible[step.dispatch]))

    def _wait(self, step: DispatchEvent, kind: tuple[str, frozenset[str]]) -> None:
        """One more of a kind waits, or one less."""
        self._waiting[kind] += 1 if step.step == "sent" else -1
        if not self._waiting[kind]:
            del self._waiting[kind]
