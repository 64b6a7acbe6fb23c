"""Rings at a simulated moment, whatever becomes of the speed meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from comfyfarm.server.time.clock import SimulatedTime


@dataclass(eq=False)
class Alarm:
    """One alarm, set again and again.

    :ivar clock: what it is really set on.
    :ivar ring: called at the moment, once for each time it is set.
    """

    clock: IReactorTime
    time: SimulatedTime
    ring: Callable[[], None]
    _due_ms: int | None = field(default=None, init=False)
    _call: IDelayedCall | None = field(default=None, init=False)

    def set(self, due_ms: int | None) -> None:
        """Ring at that moment, instead of at any other; ``None``: not at all."""
        if self._due_ms is None and due_ms is not None:
            self.time.on_change.append(self._set_again)
        elif self._due_ms is not None and due_ms is None:
            self.time.on_change.remove(self._set_again)
        self._due_ms = due_ms
        self._set_again()

    @property
    def is_set(self) -> bool:
        """Whether it will ring."""
        return self._due_ms is not None

    def _set_again(self) -> None:
        if self._call is not None and self._call.active():
            self._call.cancel()
        wait_s = None if self._due_ms is None else self.time.seconds_until(self._due_ms)
        self._call = None if wait_s is None else self.clock.callLater(wait_s, self._ring)

    def _ring(self) -> None:
        due_ms = self._due_ms
        assert due_ms is not None, "it is only called while it is set"
        if self.time.now_ms() < due_ms:     # a clock may be a hair early
            self._set_again()
            return
        self.set(None)
        self.ring()


def pass_ms(clock: IReactorTime, time: SimulatedTime, span_ms: int) -> Deferred[None]:
    """Wait so many simulated milliseconds; not at all for 0."""
    passed: Deferred[None] = Deferred(lambda _: alarm.set(None))
    alarm = Alarm(clock, time, lambda: passed.callback(None))
    if span_ms > 0:
        alarm.set(time.now_ms() + span_ms)
    else:
        passed.callback(None)
    return passed
