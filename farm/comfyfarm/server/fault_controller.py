"""Arms faults, runs their effects on processes in simulated time, and heals the farm.

It is what Jepsen calls a nemesis.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Protocol

from comfyfarm.events import Healed
from comfyfarm.events.log import Log
from comfyfarm.faults.armed_fault import ArmedFault
from comfyfarm.faults.effects.process import Crash
from comfyfarm.faults.fault import Fault, Firing, Rule
from comfyfarm.faults.phases import At, PhaseFacts
from comfyfarm.faults.registry import FaultRegistry, InstanceFaults, UnknownFault
from comfyfarm.faults.targets import Kept, ProcessControl
from comfyfarm.server.time.clock import Alarm, SimulatedTime
from comfyfarm.server.time.task import SimTask
from comfyfarm.units import Duration


class FaultTarget(ProcessControl, Protocol):
    """An instance, as far as faults affect its process."""

    @property
    def faults(self) -> InstanceFaults:
        """The faults of the process that runs."""

    def restore(self) -> None:
        """Start, thaw, accept and resume: undo whatever was done to the process."""

    def wake(self) -> None:
        """Resume everything that waits for a change."""


@dataclass(eq=False)
class FaultController:
    """Arms faults, fires those on processes when they are due, and removes, expires and heals them.

    :ivar targets: the instances, by name.
    """

    time: SimulatedTime
    registry: FaultRegistry
    log: Log
    targets: Mapping[str, FaultTarget]
    _tasks: dict[Firing, SimTask] = field(default_factory=dict)
    _due: dict[tuple[str, str], Alarm] = field(default_factory=dict)    # by fault id and instance

    def __post_init__(self) -> None:
        self._expiry = Alarm(self.time, self._expire)

    # Arming and firing.

    def arm(self, fault: Fault) -> ArmedFault:
        """Arm a fault from now on.

        :raises UnknownFault: if it matches no instance, or its id is taken; nothing has changed then.
        """
        armed = self._arm(fault)
        self._expiry.set(self.registry.due_ms)
        return armed

    def _arm(self, fault: Fault) -> ArmedFault:
        armed = self.registry.arm(fault, self.time.now_ms())
        if fault.rule.at.phase == "process":
            for name, progress in armed.counts.items():
                # An alarm also if it is due now: a process is not changed within a turn that works on it.
                alarm = Alarm(self.time, partial(self._fire_due, armed.fault.id, name))
                self._due[armed.fault.id, name] = alarm
                alarm.set(progress.from_ms)
        return armed

    def arm_all(self, faults: Collection[Fault]) -> list[ArmedFault]:
        """Arm several faults from now on, or none if one of them cannot be armed.

        :raises UnknownFault: if one matches no instance, or an id is taken or given twice.
        """
        ids = set[str]()
        for fault in faults:
            self.registry.check(fault)
            if fault.id in ids:
                raise UnknownFault(f"id: {fault.id!r} is given twice")
            if fault.id:
                ids.add(fault.id)
        armed = [self._arm(fault) for fault in self.registry.named(faults)]
        self._expiry.set(self.registry.due_ms)
        return armed

    def _fire_due(self, fault_id: str, name: str) -> None:
        self._due.pop((fault_id, name), None)
        for firing in self.targets[name].faults.fire("process", PhaseFacts(), self.time.now_ms(), only=fault_id):
            self.fire(firing)

    def fire(self, firing: Firing) -> None:
        """Run the effect of a firing on the process of its instance."""
        steps = firing.fault.effect.on_process(self.targets[firing.instance], firing)
        task = SimTask(self.time, steps, lambda: self._done(firing), lambda _: None)
        self._tasks[firing] = task
        task.resume()

    def crash(self, name: str, keep: Collection[Kept] = (), restart_after: Duration | None = None) -> None:
        """Crash an instance by hand: no fault is armed, and the next :meth:`heal` starts it again."""
        rule = Rule(on=name, at=At(phase="process"))
        fault = Fault(rule, Crash(keep=tuple(keep), restart_after=restart_after))
        now_ms = self.time.now_ms()
        self.fire(Firing(fault, name, now_ms, PhaseFacts(), Random(0), now_ms, {}))

    def _done(self, firing: Firing) -> None:
        self._tasks.pop(firing, None)
        firing.active = False

    # Ending.

    def _expire(self) -> None:
        self.registry.expire(self.time.now_ms())
        self._clean_up()

    def remove_all(self) -> None:
        for fault_id in tuple(self.registry.armed):
            self.registry.remove(fault_id, self.time.now_ms())
        self._clean_up()

    def remove(self, fault_id: str) -> None:
        """Remove one fault: everything that it holds is released, and what it did to processes is undone.

        :raises UnknownFault: if there is no fault of that id.
        """
        self.registry.remove(fault_id, self.time.now_ms())
        self._clean_up()

    def release(self, firings: Collection[Firing]) -> None:
        """Release everything that these firings hold; their faults stay armed."""
        for firing in firings:
            firing.active = False
        self._clean_up()

    def heal(self) -> None:
        """Remove all faults, open all gates, and restore every instance."""
        self.registry.heal(self.time.now_ms())
        self.release(tuple(self._tasks))      # crashes by hand, too
        for target in self.targets.values():
            target.restore()
        self.log.publish(Healed(at_ms=self.time.now_ms()))

    def _clean_up(self) -> None:
        """Let the tasks of ended firings undo what they did, drop alarms of ended faults, and wake everything."""
        for firing in [firing for firing in self._tasks if not firing.active]:
            self._tasks[firing].cut_short()
        for fault_id, name in [key for key in self._due if self.registry.find(key[0]).state != "armed"]:
            self._due.pop((fault_id, name)).set(None)
        for target in self.targets.values():
            target.wake()
        self._expiry.set(self.registry.due_ms)

    def stop(self) -> None:
        """Stop all tasks and alarms: the farm ends."""
        for task in self._tasks.values():
            task.stop()
        for alarm in (self._expiry, *self._due.values()):
            alarm.set(None)
        self._tasks.clear()
        self._due.clear()
