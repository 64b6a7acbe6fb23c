"""Wakes an instance when its next event is due."""

from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.logger import Logger

from comfyfarm.server.time.clock import Alarm, SimulatedTime
from comfyfarm.sim.instance import Instance

_logger = Logger()     # not in the class: Twisted keeps recent log events, and with them the objects that logged


@dataclass(eq=False)
class InstanceDriver:
    """Advances an instance to the present simulated time, on an alarm or before it is used.

    :ivar is_running: it was started and not stopped since; only then is the alarm set.
    :ivar on_turn_end: called when the work of a turn is done, before the answer to the request that it was for.
    """

    time: SimulatedTime
    instance: Instance
    is_running: bool = field(default=False, init=False)
    on_turn_end: Callable[[], None] = field(default_factory=lambda: lambda: None, init=False, repr=False)
    _is_catching_up: bool = field(default=False, init=False)
    _is_behind: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._alarm = Alarm(self.time, self._wake)

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
        if self.instance.due_ms is None and not self._is_catching_up:
            self._is_behind = False
            return self.time.now_ms()
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
            self._run(now_ms)
        finally:
            self._is_catching_up = False
            self._is_behind = not self.time.is_virtual and self.instance.is_due(now_ms)
        return now_ms

    def _run(self, now_ms: int) -> None:
        """Run what is due.  What fails of it concerns its job only, never the request that comes at this moment."""
        has_time, fails = self.time.turn(), True
        while fails:
            try:
                self.instance.advance(now_ms, has_time)
                fails = False
            except Exception:  # noqa: BLE001 (whatever it is, the other jobs go on)
                _logger.failure("{name}: comfyfarm itself failed", name=self.instance.machine.name)

    def set_alarm(self) -> None:
        """Set the alarm for the next event that is due: the work of this turn is done."""
        due_ms = self.instance.due_ms if self.is_running else None
        if due_ms is not None or self._alarm.due_ms is not None:
            self._alarm.set(due_ms)
        self.on_turn_end()

    def _wake(self) -> None:
        try:
            self._advance(is_turn=True)
        finally:
            self.set_alarm()
