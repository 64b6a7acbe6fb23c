"""The registry of all faults of a farm, and its view for one instance."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from comfyfarm.events import Event, FaultArmed, FaultExpired, FaultFired, FaultHealed
from comfyfarm.faults.armed_fault import ArmedFault, State, start_progress
from comfyfarm.faults.fault import Fault, Firing
from comfyfarm.faults.globs import matched
from comfyfarm.faults.phases import Phase, PhaseFacts
from comfyfarm.seeds import Seeds

KEPT_OVER = 1000        # at least, of the faults that are over
_NO_PHASES: Mapping[Phase, object] = {}


class UnknownFault(Exception):
    """An id is unknown or taken, or a glob matches no instance; the message says which."""


@dataclass(eq=False)
class FaultRegistry:
    """The faults of a farm.

    :ivar instances: the names of all instances, in the order of the farm.
    :ivar publish: takes the events that belong to a fault and not to one instance.
    :ivar armed: every known fault by id, in the order of arming; those that are over stay until their id is reused
        or :data:`KEPT_OVER` others are over.
    """

    instances: tuple[str, ...]
    seeds: Seeds
    publish: Callable[[Event], None]
    armed: dict[str, ArmedFault] = field(default_factory=dict)
    _most: int = 2 * KEPT_OVER      # faults, until the oldest are forgotten
    _last_numbers: Counter[str] = field(default_factory=Counter)

    # Arming and removal.

    def arm(self, fault: Fault, now_ms: int, *, is_private: bool = False) -> ArmedFault:
        """Arm a fault.

        :param is_private: it fires only if it is passed to :meth:`InstanceFaults.fire`.
        :raises UnknownFault: if a glob matches no instance or the id is taken; nothing has changed then.
        """
        self.check(fault)
        names = fault.rule.instances(self.instances)
        (fault,) = self.named([fault])
        counts, ends_by = start_progress(fault.rule, names, now_ms)
        self.armed.pop(fault.id, None)      # one that is over may have had this id; the new one is the last in order
        if len(self.armed) >= self._most:
            self._forget_oldest()
        armed = self.armed[fault.id] = ArmedFault(
            fault, counts, self.seeds.of(fault.id), ends_by, is_private=is_private
        )
        self._forget_watched()
        self.publish(FaultArmed(at_ms=now_ms, id=fault.id, fault=fault.as_written(), on=names))
        return armed

    def _forget_oldest(self) -> None:
        over = [fault_id for fault_id, armed in self.armed.items() if armed.state != "armed" and not armed.lasts]
        for fault_id in over[:-KEPT_OVER]:
            del self.armed[fault_id]
        self._most = len(self.armed) + KEPT_OVER

    def arm_once(self, fault: Fault, name: str, now_ms: int) -> ArmedFault:
        """Arm a fault for one request to one instance, under the id ``header-1``, ``header-2`` and so on."""
        for armed in tuple(self.armed.values()):
            if armed.is_private and armed.state != "armed" and not armed.lasts:
                del self.armed[armed.fault.id]
        rule = msgspec.structs.replace(fault.rule, on=name, id=self._free_id("header"), times=1)
        return self.arm(Fault(rule, fault.effect), now_ms, is_private=True)

    def end_once(self, armed: ArmedFault, now_ms: int) -> None:
        """End a fault whose request is over; what it has done to the process lasts."""
        if armed.state == "armed":
            armed.state = "expired"
            self.publish(FaultExpired(at_ms=now_ms, id=armed.fault.id, reason="over"))
        if not armed.fault.effect.is_for_process:
            armed.release()
        if not armed.lasts:
            self.armed.pop(armed.fault.id, None)

    def check(self, fault: Fault) -> None:
        """Check that a fault can be armed now.

        :raises UnknownFault: if a glob matches no instance or the id is taken.
        """
        for glob in fault.rule.globs:
            if next(matched(self.instances, [glob]), None) is None:
                raise UnknownFault(f"on: {glob!r} matches no instance (there are: {', '.join(self.instances)})")
        known = self.armed.get(fault.id)
        if known is not None and (known.state == "armed" or known.lasts):
            raise UnknownFault(f"id: {fault.id!r} is armed already")

    def named(self, faults: Collection[Fault]) -> list[Fault]:
        """Return the faults, with a new id for each that has none."""
        taken = {fault.id for fault in faults}
        named = []
        for fault in faults:
            fault_id = fault.id or self._free_id(fault.effect.do, taken)
            named.append(Fault(msgspec.structs.replace(fault.rule, id=fault_id), fault.effect))
        return named

    def _free_id(self, do: str, taken: Collection[str] = ()) -> str:
        # Numbers are counted for each effect: a further fault of another effect changes no id, and so no random draw.
        while True:
            self._last_numbers[do] += 1
            fault_id = f"{do}-{self._last_numbers[do]}"
            if fault_id not in self.armed and fault_id not in taken:
                return fault_id

    def remove(self, fault_id: str, now_ms: int) -> None:
        """Take one fault off and make its firings inactive.

        :raises UnknownFault: if the id is unknown.
        """
        self._end(self.find(fault_id), "removed", now_ms)

    def find(self, fault_id: str) -> ArmedFault:
        """Return a fault by its id, also if it is over.

        :raises UnknownFault: if the id is unknown.
        """
        if fault_id not in self.armed:
            raise UnknownFault(f"no fault is called {fault_id!r} (there are: {', '.join(self.armed) or 'none'})")
        return self.armed[fault_id]

    def heal(self, now_ms: int) -> None:
        """Take all faults off and make their firings inactive."""
        for armed in self.armed.values():
            self._end(armed, "healed", now_ms)

    def _end(self, armed: ArmedFault, state: State, now_ms: int) -> None:
        lasts, was_armed = armed.lasts, armed.state == "armed"
        armed.release()
        armed.firings.clear()
        if was_armed:
            armed.state = state
            self._forget_watched()
        if was_armed or lasts:
            self.publish(FaultHealed(at_ms=now_ms, id=armed.fault.id, reason=state))

    # Expiry.

    @property
    def due_ms(self) -> int | None:
        """The time at which the next fault ends by itself on one of its instances, or ``None``."""
        ends = [armed.due_ms for armed in self.armed.values()]
        return min((end_ms for end_ms in ends if end_ms is not None), default=None)

    def expire(self, now_ms: int) -> None:
        """End the faults whose time is over, on each instance at its own time."""
        for armed in self.armed.values():
            due_ms = armed.due_ms
            if due_ms is None or due_ms > now_ms:
                continue
            armed.expire(now_ms)
            if armed.due_ms is None:
                self._expire(armed, armed.ends_by, now_ms)

    def expire_spent(self, armed: ArmedFault, now_ms: int) -> None:
        """End a fault that has fired as often as it may; its firings stay active."""
        if armed.state == "armed" and armed.is_spent:
            self._expire(armed, "spent", now_ms)

    def _expire(self, armed: ArmedFault, reason: str, now_ms: int) -> None:
        armed.state = "expired"
        self._forget_watched()
        self.publish(FaultExpired(at_ms=now_ms, id=armed.fault.id, reason=reason))

    def restarted(self, name: str, now_ms: int) -> None:
        """Forget what belonged to the process of an instance that a new one has replaced."""
        for armed in self.armed.values():
            if name in armed.counts:
                armed.restart(name)
                self.expire_spent(armed, now_ms)

    # Queries.

    @cached_property
    def watched(self) -> dict[str, dict[Phase, list[ArmedFault]]]:
        """The faults that can fire, by instance and phase, so that a phase without faults costs nothing."""
        watched: dict[str, dict[Phase, list[ArmedFault]]] = {}
        for armed in self.armed.values():
            if armed.state == "armed" and not armed.is_private:
                for name in armed.counts:
                    watched.setdefault(name, {}).setdefault(armed.fault.rule.at.phase, []).append(armed)
        return watched

    def _forget_watched(self) -> None:
        """Forget it after a change; it is made when it is read, so that many changes together cost little."""
        self.__dict__.pop("watched", None)

    def watching(self, name: str, phase: Phase) -> Iterable[ArmedFault]:
        watched = self.watched
        return watched[name].get(phase, ()) if name in watched else ()

    @property
    def never_fired(self) -> tuple[str, ...]:
        return tuple(fault_id for fault_id, armed in self.armed.items() if not any(armed.fired.values()))


@dataclass(eq=False)
class InstanceFaults:
    """The faults of one instance's process.

    :ivar publish: takes the events of this instance.
    """

    registry: FaultRegistry
    name: str
    publish: Callable[[Event], None]

    @property
    def is_quiet(self) -> bool:
        """True if no fault can fire on this instance."""
        return self.name not in self.registry.watched

    def watches(self, phase: Phase) -> bool:
        """Return whether a fault may fire at this phase; if none may, the caller need not collect facts."""
        return phase in self.registry.watched.get(self.name, _NO_PHASES)

    def arm_once(self, fault: Fault, now_ms: int) -> ArmedFault:
        return self.registry.arm_once(fault, self.name, now_ms)

    def end_once(self, armed: ArmedFault, now_ms: int) -> None:
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
        """Fire the faults that match here, and return their firings in the order in which the faults were armed.

        :param only: the id of the one fault to consider; ``None``: all.
        :param private: the fault of this request alone; it is the last one.
        """
        firings = []
        own = (private,) if private is not None and private.fault.rule.at.phase == phase else ()
        for armed in (*self.registry.watching(self.name, phase), *own):
            if only not in (None, armed.fault.id):
                continue
            firing = armed.fire(self.name, facts, now_ms)
            if firing is not None:
                firings.append(firing)
                self.publish(_fault_fired(firing))
                self.registry.expire_spent(armed, now_ms)
        return firings


def _fault_fired(firing: Firing) -> FaultFired:
    facts = firing.facts
    return FaultFired(
        at_ms=firing.at_ms,
        id=firing.fault.id,
        do=firing.fault.effect.do,
        phase=firing.fault.rule.at.phase,
        prompt_id=facts.prompt_id,
        job=facts.job_name,
        client_id=facts.client if isinstance(facts.client, str) else None,
        node=facts.node,
        route=facts.route,
        type=facts.type,
    )
