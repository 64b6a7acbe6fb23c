"""One armed fault: how it stands with each of its instances, and what it holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from comfyfarm.faults.fault import Fault, Firing, Rule
from comfyfarm.seeds import Seeds

State = Literal["armed", "expired", "healed", "removed"]


@dataclass(eq=False)
class FaultProgress:
    """How a fault stands with one instance.

    :ivar from_ms: when it begins there.
    :ivar until_ms: when it ends there, or ``None``.
    :ivar is_over: that moment has come.
    :ivar is_stuck: it strikes at every match, until the process is started anew.
    :ivar memory: what its effect remembers there from one strike to the next.
    """

    from_ms: int
    until_ms: int | None
    is_over: bool = False
    matched: int = 0
    fired: int = 0
    is_stuck: bool = False
    memory: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class ArmedFault:
    """A fault, and what has become of it.

    :ivar ends_by: which key of it says when it ends.
    :ivar state: ``expired``: it has struck as often as it may, or its time is over.
    :ivar firings: those whose effect lasts, until it is taken off or its time is over.
    :ivar is_private: it is for one request alone, and nobody else is asked about it.
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
        """How often it has struck, by instance."""
        return {name: count.fired for name, count in self.counts.items()}

    @property
    def begins(self) -> dict[str, int]:
        """When it begins, in simulated milliseconds, by instance."""
        return {name: count.from_ms for name, count in self.counts.items()}

    @property
    def matched(self) -> int:
        """How often its moment came, whether it struck or not."""
        return sum(count.matched for count in self.counts.values())

    @property
    def lasts(self) -> bool:
        """What it has struck is still in its hands."""
        return any(firing.active for firing in self.firings)

    @property
    def due_ms(self) -> int | None:
        """When it ends next on one of its instances, or ``None``."""
        if self.state != "armed" and not self.lasts:
            return None
        ends = [each.until_ms for each in self.counts.values() if not each.is_over and each.until_ms is not None]
        return min(ends, default=None)

    def expire(self, now_ms: int) -> None:
        """Where its time is over by now, what it holds goes on."""
        for count in self.counts.values():
            count.is_over = count.is_over or (count.until_ms is not None and count.until_ms <= now_ms)
        for firing in self.firings:
            firing.active = firing.active and not self.counts[firing.instance].is_over

    def is_spent_on(self, name: str) -> bool:
        """It has struck an instance as often as it may."""
        count = self.counts[name]
        times = 1 if self.fault.rule.at.phase == "process" else self.fault.rule.times
        return times is not None and count.fired >= times and not count.is_stuck

    @property
    def is_spent(self) -> bool:
        """It has struck all its instances as often as it may."""
        return all(self.is_spent_on(name) for name in self.counts)


def windows(rule: Rule, names: Iterable[str], now_ms: int) -> tuple[dict[str, FaultProgress], str]:
    """From when to when a fault may strike each instance, and which key says when that ends."""
    ttl = None if rule.ttl is None else now_ms + rule.ttl
    ends = {key: end for key, end in (("until", rule.until), ("ttl", ttl)) if end is not None}
    ends_by = min(ends, key=lambda key: ends[key], default="")
    counts = {}
    for index, name in enumerate(names):
        shift_ms = index * (rule.stagger or 0)
        until_ms = ends[ends_by] + shift_ms if ends else None
        counts[name] = FaultProgress(max(rule.after or 0, now_ms) + shift_ms, until_ms)
    return counts, ends_by
