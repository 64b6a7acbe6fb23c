"""One armed fault: its progress on each of its instances, and the firings whose effect lasts."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from comfyfarm.faults.fault import Fault, Firing, Rule
from comfyfarm.faults.phases import PhaseFacts
from comfyfarm.seeds import Seeds

State = Literal["armed", "expired", "healed", "removed"]


@dataclass(eq=False)
class FaultProgress:
    """The progress of a fault on one instance.

    :ivar from_ms: when it begins there.
    :ivar until_ms: when it ends there; ``None``: never by itself.
    :ivar is_over: ``until_ms`` has been reached.
    :ivar is_stuck: a sticky fault has fired, so it fires at every match until the process ends.
    :ivar memory: what its effect keeps there from one firing to the next.
    """

    from_ms: int
    until_ms: int | None
    is_over: bool = False
    matched: int = 0
    fired: int = 0
    is_stuck: bool = False
    memory: dict[str, Any] = field(default_factory=dict)

    def is_within(self, now_ms: int) -> bool:
        return self.from_ms <= now_ms and (self.until_ms is None or now_ms < self.until_ms)


@dataclass(eq=False)
class ArmedFault:
    """A fault with its state.

    :ivar counts: the progress on each of its instances, by name.
    :ivar ends_by: the key of its rule that ends it, ``until`` or ``ttl``; empty if neither does.
    :ivar state: ``expired``: it is spent, its time is over, or its request is.
    :ivar firings: those whose effect lasts, until the fault is taken off or its time is over.
    :ivar is_private: it is for one request alone, and fires for no other.
    """

    fault: Fault
    counts: dict[str, FaultProgress]
    seeds: Seeds
    ends_by: str
    state: State = "armed"
    firings: list[Firing] = field(default_factory=list)
    is_private: bool = False

    @property
    def fired(self) -> dict[str, int]:
        return {name: progress.fired for name, progress in self.counts.items()}

    @property
    def matched(self) -> int:
        """The number of matches on all instances, with and without a firing."""
        return sum(progress.matched for progress in self.counts.values())

    @property
    def lasts(self) -> bool:
        return any(firing.active for firing in self.firings)

    @property
    def due_ms(self) -> int | None:
        """The time at which it ends next on one of its instances; ``None``: it does not end by itself."""
        if self.state != "armed" and not self.lasts:
            return None
        ends = (progress.until_ms for progress in self.counts.values() if not progress.is_over)
        return min((end_ms for end_ms in ends if end_ms is not None), default=None)

    def fire(self, name: str, facts: PhaseFacts, now_ms: int) -> Firing | None:
        """Return a firing on an instance if the rule says so; count the match in any case."""
        progress, rule = self.counts[name], self.fault.rule
        if not progress.is_within(now_ms) or self.state != "armed" or self.is_spent_on(name):
            return None
        if not rule.at.matches(facts):
            return None
        progress.matched += 1
        chance = self.seeds.of(name).stream(f"match {progress.matched}")
        if not progress.is_stuck:
            nth = progress.matched - rule.skip
            if nth < 1 or (nth - 1) % rule.every or chance.random() >= rule.chance:
                return None
        progress.fired += 1
        progress.is_stuck = rule.sticky
        firing = Firing(self.fault, name, now_ms, facts, chance, progress.from_ms, progress.memory)
        if self.fault.effect.lasts:
            self.firings = [*(earlier for earlier in self.firings if earlier.active), firing]
        return firing

    def expire(self, now_ms: int) -> None:
        """Make the firings inactive on the instances on which its time is over."""
        for progress in self.counts.values():
            progress.is_over = progress.is_over or (progress.until_ms is not None and progress.until_ms <= now_ms)
        for firing in self.firings:
            firing.active = firing.active and not self.counts[firing.instance].is_over

    def restart(self, name: str) -> None:
        """Forget what belonged to the process of an instance that has ended."""
        self.counts[name].is_stuck = False
        if not self.fault.effect.is_for_process:
            for firing in self.firings:
                firing.active = firing.active and firing.instance != name

    def release(self) -> None:
        """Make all firings inactive."""
        for firing in self.firings:
            firing.active = False

    def is_spent_on(self, name: str) -> bool:
        progress, rule = self.counts[name], self.fault.rule
        if rule.at.phase == "process":
            return progress.fired >= 1
        if rule.times is None or progress.is_stuck:
            return False
        counted = self.counts.values() if rule.on is None else (progress,)
        return sum(progress.fired for progress in counted) >= rule.times

    @property
    def is_spent(self) -> bool:
        """True if it has fired on all its instances as often as it may."""
        return all(self.is_spent_on(name) for name in self.counts)


def start_progress(rule: Rule, names: Iterable[str], now_ms: int) -> tuple[dict[str, FaultProgress], str]:
    """Return the progress of a new fault, by instance, and the key that ends it (``until``, ``ttl`` or nothing)."""
    ttl = None if rule.ttl is None else now_ms + rule.ttl
    ends = {key: end for key, end in (("until", rule.until), ("ttl", ttl)) if end is not None}
    ends_by = min(ends, key=lambda key: ends[key], default="")
    counts = {}
    for index, name in enumerate(names):
        shift_ms = index * (rule.stagger or 0)
        until_ms = ends[ends_by] + shift_ms if ends else None
        counts[name] = FaultProgress(max(rule.after or 0, now_ms) + shift_ms, until_ms)
    return counts, ends_by
