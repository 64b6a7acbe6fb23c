"""Wakes an instance when its next event is due."""

from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.interfaces import IReactorTime

from comfyfarm.server.time.clock import Alarm, SimulatedTime, VirtualClock
from comfyfarm.sim.instance import Instance

TURN_S = 0.005      # of work on one instance in one turn of the reactor


@dataclass(eq=False)
class InstanceDriver:
    """Advances an instance to the present simulated time, on an alarm or before it is used.

    :ivar is_running: it was started and not stopped since; only then is the alarm set.
    :ivar on_turn_end: called when the work of a turn is done, before the answer to the request that it was for.
    """

    clock: IReactorTime
    time: SimulatedTime
    instance: Instance
    is_running: bool = field(default=False, init=False)
    on_turn_end: Callable[[], None] = field(default_factory=lambda: lambda: None, init=False, repr=False)
    _is_catching_up: bool = field(default=False, init=False)
    _is_behind: bool = field(default=False, init=False)

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

        Call this before using the instance, and :meth:`set_alarm` afterwards.  On a real clock, what takes longer than
        a turn of the reactor may go on in the next ones, as a real server's worker is another thread.
        """
        return self._advance(is_turn=False)     # an instance that is behind goes on when its alarm rings

    def _advance(self, *, is_turn: bool) -> int:
        now_ms = self.time.now_ms()
        if self._is_catching_up:    # a fault that fires within advance may use the instance, too
            return now_ms
        if self._is_behind and not is_turn:
            self.instance.put_off(now_ms)
            return now_ms
        self._is_catching_up = True
        try:
            self.instance.advance(now_ms, self._limit())
        finally:
            self._is_catching_up = False
            self._is_behind = not isinstance(self.clock, VirtualClock) and self.instance.is_due(now_ms)
        return now_ms

    def _limit(self) -> Callable[[], bool]:
        """Return what says whether the turn has time left; on a virtual clock all is done at once, for equal logs."""
        if isinstance(self.clock, VirtualClock):
            return lambda: True
        until_s = self.clock.seconds() + TURN_S
        return lambda: self.clock.seconds() < until_s

    def set_alarm(self) -> None:
        """Set the alarm for the next event that is due: the work of this turn is done."""
        self._alarm.set(self.instance.due_ms if self.is_running else None)
        self.on_turn_end()

    def _wake(self) -> None:
        try:
            self._advance(is_turn=True)
        finally:
            self.set_alarm()
