"""Ties an instance's due times to a Twisted clock."""

from __future__ import annotations

from dataclasses import dataclass, field

from twisted.internet.interfaces import IReactorTime

from comfyfarm.server.time.alarm import Alarm
from comfyfarm.server.time.clock import SimulatedTime
from comfyfarm.sim.instance import Instance


@dataclass(eq=False)
class InstanceDriver:
    """Wakes an instance when it is due.

    :ivar clock: the reactor, or a clock that a test moves.
    :ivar time: which simulated moment it is by that clock.
    :ivar is_running: it has been started and not stopped since.
    """

    clock: IReactorTime
    time: SimulatedTime
    instance: Instance
    is_running: bool = field(default=False, init=False)
    _is_catching_up: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        """Have an alarm; it is not set yet."""
        self._alarm = Alarm(self.clock, self.time, self._wake)

    def start(self) -> None:
        """From now on, wake the instance."""
        self.is_running = True
        self.set_alarm()

    def stop(self) -> None:
        """Forget the alarm, and set no other."""
        self.is_running = False
        self._alarm.set(None)

    def catch_up(self) -> int:
        """Let happen what is due, and give the simulated moment, in milliseconds.

        Whoever asks something of the instance calls this first, and :meth:`set_alarm` afterwards.  A fault that
        strikes while that happens asks, too: what is due is on its way then.
        """
        now_ms = self.time.now_ms()
        if not self._is_catching_up:
            self._is_catching_up = True
            try:
                self.instance.advance(now_ms)
            finally:
                self._is_catching_up = False
        return now_ms

    def set_alarm(self) -> None:
        """Be woken when the instance is due next."""
        self._alarm.set(self.instance.due_ms if self.is_running else None)

    def _wake(self) -> None:
        try:
            self.catch_up()
        finally:
            self.set_alarm()
