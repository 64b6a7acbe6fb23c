"""All faults of a farm: which are armed, how often each has struck, and which never did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import msgspec

from comfyfarm.events import Event, FaultArmed, FaultExpired, FaultFired, FaultHealed
from comfyfarm.faults.armed_fault import ArmedFault, State, windows
from comfyfarm.faults.fault import Fault, Firing
from comfyfarm.faults.phases import Phase, PhaseFacts
from comfyfarm.seeds import Seeds


class UnknownFault(Exception):
    """No fault has this id, or one has it already, or none of the instances is meant; the message says which."""


@dataclass(eq=False)
class FaultRegistry:
    """The faults of a farm, in the order in which they were armed.

    :ivar instances: the names of all there are.
    :ivar publish: takes what is about a fault and not about one instance.
    """

    instances: tuple[str, ...]
    seeds: Seeds
    publish: Callable[[Event], None]
    armed: dict[str, ArmedFault] = field(default_factory=dict)
    _given: Counter[str] = field(default_factory=Counter)
    _watched: dict[str, dict[Phase, list[ArmedFault]]] = field(default_factory=dict)

    # Arming, and an end of it.

    def arm(self, fault: Fault, now_ms: int, *, is_private: bool = False) -> ArmedFault:
        """Let a fault strike from now on.

        :param is_private: it strikes nobody but who asks about it by name.
        :raises UnknownFault: where its glob means no instance, or its id is taken; nothing has changed then.
        """
        self.check(fault)
        names = fault.rule.instances(self.instances)
        (fault,) = self.named([fault])
        counts, ends_by = windows(fault.rule, names, now_ms)
        self.armed.pop(fault.id, None)  # one that is over may have had its id; this one stands last
        armed = self.armed[fault.id] = ArmedFault(
            fault, counts, self.seeds.of(fault.id), ends_by, is_private=is_private
        )
        self._watch()
        self.publish(FaultArmed(at_ms=now_ms, id=fault.id, fault=fault.as_written(), on=names))
        return armed

    def arm_once(self, fault: Fault, name: str, now_ms: int) -> ArmedFault:
        """Let a fault strike one request to one instance: ``header-1``, ``header-2`` and so on."""
        for each in [each for each in self.armed.values() if each.is_private and each.state != "armed"]:
            if not each.lasts:
                del self.armed[each.fault.id]
        rule = msgspec.structs.replace(fault.rule, on=name, id=self._free_id("header"), times=1)
        return self.arm(Fault(rule, fault.effect), now_ms, is_private=True)

    def end_once(self, armed: ArmedFault, now_ms: int) -> None:
        """The request that a fault was for is over; what the fault has done to the process lasts."""
        if armed.state == "armed":
            armed.state = "expired"
            self.publish(FaultExpired(at_ms=now_ms, id=armed.fault.id, reason="over"))
        if not armed.fault.effect.is_for_process:
            for firing in armed.firings:
                firing.active = False
        if not armed.lasts:
            self.armed.pop(armed.fault.id, None)

    def check(self, fault: Fault) -> None:
        """Look whether a fault could be armed now.

        :raises UnknownFault: where its glob means no instance, or its id is taken.
        """
        for glob in fault.rule.globs:
            if not any(fnmatchcase(name, glob) for name in self.instances):
                raise UnknownFault(f"on: {glob!r} matches no instance (there are: {', '.join(self.instances)})")
        known = self.armed.get(fault.id)
        if known is not None and (known.state == "armed" or known.lasts):
            raise UnknownFault(f"id: {fault.id!r} is armed already")

    def named(self, faults: Collection[Fault]) -> list[Fault]:
        """Give each of these an id of its own, where it has none."""
        taken = {fault.id for fault in faults}
        named = []
        for each in faults:
            given = each.id or self._free_id(each.effect.do, taken)
            named.append(Fault(msgspec.structs.replace(each.rule, id=given), each.effect))
        return named

    def _free_id(self, do: str, taken: Collection[str] = ()) -> str:
        """``crash-1``, ``crash-2`` and so on: a fault more of another kind shifts no name, and so no draw."""
        while True:
            self._given[do] += 1
            if (given := f"{do}-{self._given[do]}") not in self.armed and given not in taken:
                return given

    def remove(self, fault_id: str, now_ms: int) -> None:
        """Take one fault off; what it holds goes on.

        :raises UnknownFault: where none of that id is known.
        """
        self._end(self.find(fault_id), "removed", now_ms)

    def find(self, fault_id: str) -> ArmedFault:
        """A fault, whatever has become of it.

        :raises UnknownFault: where none of that id is known.
        """
        if fault_id not in self.armed:
            raise UnknownFault(f"no fault is called {fault_id!r} (there are: {', '.join(self.armed) or 'none'})")
        return self.armed[fault_id]

    def heal(self, now_ms: int) -> None:
        """Take all faults off; what they hold goes on."""
        for armed in self.armed.values():
            self._end(armed, "healed", now_ms)

    def _end(self, armed: ArmedFault, state: State, now_ms: int) -> None:
        lasts = armed.lasts
        for firing in armed.firings:
            firing.active = False
        armed.firings.clear()
        was_armed = armed.state == "armed"
        if was_armed:
            armed.state = state
            self._watch()
        if was_armed or lasts:
            self.publish(FaultHealed(at_ms=now_ms, id=armed.fault.id, reason=state))

    def _watch(self) -> None:
        """Remember who has to be asked about what, so that a moment without a fault costs nothing."""
        self._watched.clear()
        for armed in self.armed.values():
            if armed.state == "armed" and not armed.is_private:
                for name in armed.counts:
                    self._watched.setdefault(name, {}).setdefault(armed.fault.rule.at.phase, []).append(armed)

    # Time.

    @property
    def due_ms(self) -> int | None:
        """When the next fault ends by itself, or ``None``."""
        ends = [armed.due_ms for armed in self.armed.values()]
        return min((end for end in ends if end is not None), default=None)

    def expire(self, now_ms: int) -> None:
        """End the faults whose time is over, each on its own instances: a rolling one ends as it came."""
        for armed in self.armed.values():
            due_ms = armed.due_ms
            if due_ms is None or due_ms > now_ms:
                continue
            armed.expire(now_ms)
            if armed.due_ms is None:
                armed.state = "expired"
                self._watch()
                self.publish(FaultExpired(at_ms=now_ms, id=armed.fault.id, reason=armed.ends_by))

    # Questions.

    def fire(self, armed: ArmedFault, name: str, facts: PhaseFacts, now_ms: int) -> Firing | None:
        """Count a moment that a fault is about, and say whether it strikes."""
        count, rule = armed.counts[name], armed.fault.rule
        if now_ms < count.from_ms or (count.until_ms is not None and now_ms >= count.until_ms):
            return None
        if armed.state != "armed" or armed.is_spent_on(name) or not rule.at.matches(facts):
            return None
        count.matched += 1
        chance = armed.seeds.of(name).stream(f"match {count.matched}")
        if not count.is_stuck:
            nth = count.matched - rule.skip
            if nth < 1 or (nth - 1) % rule.every or chance.random() >= rule.chance:
                return None
        count.fired += 1
        count.is_stuck = rule.sticky
        firing = Firing(armed.fault, name, now_ms, facts, chance, count.from_ms, count.memory)
        if armed.fault.effect.lasts:
            armed.firings = [*(each for each in armed.firings if each.active), firing]
        return firing

    def watching(self, name: str, phase: Phase) -> Iterable[ArmedFault]:
        """The faults that are about a phase of an instance."""
        return self._watched[name].get(phase, ()) if name in self._watched else ()

    def is_quiet(self, name: str) -> bool:
        """Whether no fault at all is about an instance."""
        return name not in self._watched

    def expire_spent(self, armed: ArmedFault, now_ms: int) -> None:
        """End a fault that has struck as often as it may; what it holds stays held."""
        if armed.state == "armed" and armed.is_spent:
            armed.state = "expired"
            self._watch()
            self.publish(FaultExpired(at_ms=now_ms, id=armed.fault.id, reason="spent"))

    def restarted(self, name: str, now_ms: int) -> None:
        """A process began anew: what was stuck to the one before, or held in it, is gone."""
        for armed in self.armed.values():
            if name in armed.counts:
                armed.counts[name].is_stuck = False
                for firing in armed.firings:
                    if firing.instance == name and not armed.fault.effect.is_for_process:
                        firing.active = False
                self.expire_spent(armed, now_ms)

    @property
    def never_fired(self) -> tuple[str, ...]:
        """The ids of the faults that have not struck."""
        return tuple(fault_id for fault_id, armed in self.armed.items() if not any(armed.fired.values()))


@dataclass(eq=False)
class InstanceFaults:
    """The faults of one instance's process.

    :ivar publish: takes what happens to this instance.
    """

    registry: FaultRegistry
    name: str
    publish: Callable[[Event], None]

    @property
    def is_quiet(self) -> bool:
        """Whether no fault at all is armed here."""
        return self.registry.is_quiet(self.name)

    def watches(self, phase: Phase) -> bool:
        """Whether any fault may strike at this phase: where none does, nobody need gather facts."""
        return bool(self.registry.watching(self.name, phase))

    def arm_once(self, fault: Fault, now_ms: int) -> ArmedFault:
        """Let a fault strike one request to this instance."""
        return self.registry.arm_once(fault, self.name, now_ms)

    def end_once(self, armed: ArmedFault, now_ms: int) -> None:
        """That request is over."""
        self.registry.end_once(armed, now_ms)

    def fire(
        self,
        phase: Phase,
        facts: PhaseFacts,
        now_ms: int,
        *,
        only: str | None = None,
        private: ArmedFault | None = None,
    ) -> list[Firing]:
        """What strikes at this moment, in the order in which the faults were armed; mostly nothing.

        :param only: ask about the fault of this id alone.
        :param private: one that is for this request alone, and is asked about last.
        """
        firings = []
        own = (private,) if private is not None and private.fault.rule.at.phase == phase else ()
        for armed in (*self.registry.watching(self.name, phase), *own):
            if only not in (None, armed.fault.id):
                continue
            firing = self.registry.fire(armed, self.name, facts, now_ms)
            if firing is not None:
                firings.append(firing)
                self.publish(_fired(firing))
                self.registry.expire_spent(armed, now_ms)
        return firings


def _fired(firing: Firing) -> FaultFired:
    facts = firing.facts
    client = facts.client if isinstance(facts.client, str) else None
    return FaultFired(
        at_ms=firing.at_ms,
        id=firing.fault.id,
        do=firing.fault.effect.do,
        phase=firing.fault.rule.at.phase,
        prompt_id=facts.prompt_id,
        job=facts.job_name,
        client_id=client,
        node=facts.node,
        route=facts.route,
        type=facts.type,
    )
