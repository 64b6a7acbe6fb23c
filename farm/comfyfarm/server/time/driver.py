"""Wakes an instance when its next event is due."""

from dataclasses import dataclass, field

from twisted.internet.interfaces import IReactorTime

from comfyfarm.server.time.clock import Alarm, SimulatedTime
from comfyfarm.sim.instance import Instance


@dataclass(eq=False)
class InstanceDriver:
    """Advances an instance to the present simulated time, on an alarm or before it is used.

    :ivar is_running: it was started and not stopped since; only then is the alarm set.
    """

    clock: IReactorTime
    time: SimulatedTime
    instance: Instance
    is_running: bool = field(default=False, init=False)
    _is_catching_up: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._alarm = Alarm(self.clock, self.time, self._wake)

    def start(self) -> None:
        self.is_running = True
        self.set_alarm()

    def stop(self) -> None:
        self.is_running = False
        self._alarm.set(None)

    def catch_up(self) -> int:
        """Run everything that is due on the instance, and return the present simulated time in milliseconds.

        Call this before using the instance, and :meth:`set_alarm` afterwards.
        """
        now_ms = self.time.now_ms()
        if not self._is_catching_up:    # a fault that fires within advance may use the instance, too
            self._is_catching_up = True
            try:
                self.instance.advance(now_ms)
            finally:
                self._is_catching_up = False
        return now_ms

    def set_alarm(self) -> None:
        """Set the alarm for the next event that is due."""
        self._alarm.set(self.instance.due_ms if self.is_running else None)

    def _wake(self) -> None:
        try:
            self.catch_up()
        finally:
            self.set_alarm()
