"""Who breaks a farm on purpose, and who heals it: faults in simulated time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from comfyfarm.events import Healed
from comfyfarm.events.log import Log
from comfyfarm.faults.armed_fault import ArmedFault
from comfyfarm.faults.effects.process import Crash
from comfyfarm.faults.fault import Fault, Firing, Rule
from comfyfarm.faults.phases import At, PhaseFacts
from comfyfarm.faults.registry import FaultRegistry, InstanceFaults, UnknownFault
from comfyfarm.faults.targets import Kept, ProcessControl
from comfyfarm.server.time.alarm import Alarm
from comfyfarm.server.time.clock import SimulatedTime
from comfyfarm.server.time.task import SimTask
from comfyfarm.units import Duration


class FaultTarget(ProcessControl, Protocol):
    """An instance, as far as faults befall its process."""

    @property
    def faults(self) -> InstanceFaults:
        """Those of the process that runs."""

    def restore(self) -> None:
        """Be up again, whatever was done to it: started, thawed, accepting, its worker at work."""

    def wake(self) -> None:
        """Look again at everything that pauses until something has changed."""


@dataclass(eq=False)
class FaultController:
    """Arms faults, lets them befall processes, ends them when their time is over, and heals.

    :ivar victims: the instances, by name.
    """

    clock: IReactorTime
    time: SimulatedTime
    registry: FaultRegistry
    log: Log
    victims: Mapping[str, FaultTarget]
    _tasks: dict[Firing, SimTask] = field(default_factory=dict)
    _beginnings: dict[tuple[str, str], Alarm] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Have an alarm for the next fault that ends by itself."""
        self._expiry = Alarm(self.clock, self.time, self._expire)

    # Arming, and an end of it.

    def arm(self, fault: Fault) -> ArmedFault:
        """Let a fault strike from now on.

        :raises UnknownFault: where it means no instance, or its id is taken; nothing has changed then.
        """
        armed = self.registry.arm(fault, self.time.now_ms())
        if fault.rule.at.phase == "process":
            for name, from_ms in armed.begins.items():
                self._begin_at(armed.fault.id, name, from_ms)
        self._expiry.set(self.registry.due_ms)
        return armed

    def arm_all(self, faults: Collection[Fault]) -> list[ArmedFault]:
        """Let several faults strike from now on; none, where one of them cannot be armed.

        :raises UnknownFault: where one means no instance, or an id is taken or given twice.
        """
        for index, each in enumerate(faults):
            self.registry.check(each)
            if each.id and each.id in [other.id for other in tuple(faults)[:index]]:
                raise UnknownFault(f"id: {each.id!r} is given twice")
        return [self.arm(each) for each in self.registry.named(faults)]

    def _begin_at(self, fault_id: str, name: str, from_ms: int) -> None:
        """Ask at that moment what befalls the process: in a turn of its own, never within another's."""
        alarm = Alarm(self.clock, self.time, lambda: self._begin(fault_id, name))
        self._beginnings[fault_id, name] = alarm
        alarm.set(from_ms)

    def _begin(self, fault_id: str, name: str) -> None:
        self._beginnings.pop((fault_id, name), None)
        for firing in self.victims[name].faults.fire("process", PhaseFacts(), self.time.now_ms(), only=fault_id):
            self.fire(firing)

    def fire(self, firing: Firing) -> None:
        """Let a fault befall the process of its instance, now."""
        story = firing.fault.effect.on_process(self.victims[firing.instance], firing)
        telling = SimTask(self.clock, self.time, story, lambda: self._told(firing), lambda _: None)
        self._tasks[firing] = telling
        telling.resume()

    def crash(self, name: str, keep: Collection[Kept] = (), restart_after: Duration | None = None) -> None:
        """Let an instance crash by hand; that is no fault, and the next :meth:`heal` brings it up again."""
        rule = Rule(on=name, at=At(phase="process"))
        fault = Fault(rule, Crash(keep=tuple(keep), restart_after=restart_after))
        now_ms = self.time.now_ms()
        self.fire(Firing(fault, name, now_ms, PhaseFacts(), Random(0), now_ms, {}))

    def _told(self, firing: Firing) -> None:
        self._tasks.pop(firing, None)
        firing.active = False

    def _expire(self) -> None:
        self.registry.expire(self.time.now_ms())
        self._clean_up()

    def remove_all(self) -> None:
        """Take every fault off."""
        for fault_id in tuple(self.registry.armed):
            self.registry.remove(fault_id, self.time.now_ms())
        self._clean_up()

    def remove(self, fault_id: str) -> None:
        """Take one fault off: what it holds goes on, and the instance that it keeps down comes up.

        :raises UnknownFault: where none of that id is known.
        """
        self.registry.remove(fault_id, self.time.now_ms())
        self._clean_up()

    def release(self, firings: Collection[Firing]) -> None:
        """Let what these hold go on; their faults stay armed."""
        for firing in firings:
            firing.active = False
        self._clean_up()

    def heal(self) -> None:
        """Take all faults off, open all gates, and have every instance up and at work."""
        self.registry.heal(self.time.now_ms())
        self.release(tuple(self._tasks))      # what was done by hand, too
        for victim in self.victims.values():
            victim.restore()
        self.log.publish(Healed(at_ms=self.time.now_ms()))

    def _clean_up(self) -> None:
        """What is off by now has no effect any more: its story undoes what it has done, and nothing else."""
        for firing in [each for each in self._tasks if not each.active]:
            self._tasks[firing].cut_short()
        for fault_id, name in [key for key in self._beginnings if self.registry.find(key[0]).state != "armed"]:
            self._beginnings.pop((fault_id, name)).set(None)
        for victim in self.victims.values():
            victim.wake()
        self._expiry.set(self.registry.due_ms)

    def stop(self) -> None:
        """The farm ends: nothing more befalls anybody."""
        for telling in self._tasks.values():
            telling.stop()
        for alarm in (self._expiry, *self._beginnings.values()):
            alarm.set(None)
        self._tasks.clear()
        self._beginnings.clear()
