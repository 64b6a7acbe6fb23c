"""Ties an instance's due times to a Twisted clock."""

from __future__ import annotations

from dataclasses import dataclass, field

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from .clock import SimulatedTime
from .sim.instance import Instance

__all__ = ["Driver"]


@dataclass(eq=False)
class Driver:
    """Wakes an instance when it is due.

    :ivar clock: the reactor, or a clock that a test moves.
    :ivar time: which simulated moment it is by that clock.
    """

    clock: IReactorTime
    time: SimulatedTime
    instance: Instance
    _alarm: IDelayedCall | None = field(default=None, init=False)
    _running: bool = field(default=False, init=False)

    def start(self) -> None:
        """From now on, wake the instance."""
        if not self._running:
            self._running = True
            self.time.on_change.append(self.set_alarm)
        self.set_alarm()

    def stop(self) -> None:
        """Forget the alarm, and set no other."""
        if self._running:
            self._running = False
            self.time.on_change.remove(self.set_alarm)
        self._cancel()

    def catch_up(self) -> int:
        """Let happen what is due, and give the simulated moment, in milliseconds.

        Whoever asks something of the instance calls this first, and :meth:`set_alarm` afterwards.
        """
        now_ms = self.time.now_ms()
        self.instance.advance(now_ms)
        return now_ms

    def set_alarm(self) -> None:
        """Be woken when the instance is due next."""
        self._cancel()
        due_ms = self.instance.due_ms
        wait_s = self.time.seconds_until(due_ms) if self._running and due_ms is not None else None
        if wait_s is not None:
            self._alarm = self.clock.callLater(wait_s, self._wake)

    def _wake(self) -> None:
        self._alarm = None
        try:
            self.catch_up()
        finally:
            self.set_alarm()

    def _cancel(self) -> None:
        if self._alarm is not None and self._alarm.active():
            self._alarm.cancel()
        self._alarm = None
