"""A timer in simulated time."""

from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from comfyfarm.server.time.clock import SimulatedTime


@dataclass(eq=False)
class Alarm:
    """A timer that can be set again and again, and that follows changes of the speed.

    :ivar clock: the clock that the timer is set on.
    :ivar ring: called when it is due, once for each time it is set.
    """

    clock: IReactorTime
    time: SimulatedTime
    ring: Callable[[], None]
    _due_ms: int | None = field(default=None, init=False)
    _call: IDelayedCall | None = field(default=None, init=False)

    def set(self, due_ms: int | None) -> None:
        """Ring at that time, instead of at any other; None: do not ring."""
        if self._due_ms is None and due_ms is not None:
            self.time.on_change.append(self._schedule)
        elif self._due_ms is not None and due_ms is None:
            self.time.on_change.remove(self._schedule)
        self._due_ms = due_ms
        self._schedule()

    @property
    def is_set(self) -> bool:
        return self._due_ms is not None

    def _schedule(self) -> None:
        if self._call is not None and self._call.active():
            self._call.cancel()
        wait_s = None if self._due_ms is None else self.time.seconds_until(self._due_ms)
        self._call = None if wait_s is None else self.clock.callLater(wait_s, self._ring)

    def _ring(self) -> None:
        due_ms = self._due_ms
        assert due_ms is not None, "it is only called while it is set"
        if self.time.now_ms() < due_ms:     # a clock may be a hair early
            self._schedule()
            return
        self.set(None)
        self.ring()


def pass_ms(clock: IReactorTime, time: SimulatedTime, span_ms: int) -> Deferred[None]:
    """Wait for a number of simulated milliseconds; 0 does not wait."""
    passed: Deferred[None] = Deferred(lambda _: alarm.set(None))
    alarm = Alarm(clock, time, lambda: passed.callback(None))
    if span_ms > 0:
        alarm.set(time.now_ms() + span_ms)
    else:
        passed.callback(None)
    return passed
