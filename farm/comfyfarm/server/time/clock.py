"""Simulated time, alarms in it, and a virtual clock to run it on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Clock

EPOCH_UNIX_MS = 1_700_000_000_000
"""The wall-clock time of simulated time 0 on a virtual clock: 14 November 2023, 22:13:20 UTC."""

_DIGITS = 6     # of a second, on a virtual clock: calls for the same time get exactly the same number


@dataclass(eq=False)
class SimulatedTime:
    """The farm's time in milliseconds: it begins at 0 and passes ``speed`` times as fast as its clock.

    :ivar speed: simulated seconds for one second of the clock.
    :ivar is_frozen: whether it stands still.
    :ivar on_change: called after each change, so that alarms are set again for the new speed.
    """

    clock: IReactorTime
    speed: float = 1.0
    is_frozen: bool = False
    on_change: list[Callable[[], None]] = field(default_factory=list)
    _base_ms: float = field(default=0.0, init=False)     # at the last change, in simulated time

    def __post_init__(self) -> None:
        self._since_s = self.clock.seconds()    # at the last change, by the clock

    def now_ms(self) -> int:
        # Sums of seconds are not exact. A hair is added, so that whatever an alarm rings for is due when it rings.
        return int(self._exact_ms() + 1e-3)

    def seconds_until(self, due_ms: int) -> float | None:
        """Return the clock's seconds until a simulated time: 0 if it has passed, None if time stands still."""
        left_ms = due_ms - self._exact_ms()
        if self.is_frozen:
            return 0.0 if left_ms <= 1e-3 else None
        return max(0.0, left_ms / 1000 / self.speed)

    def change(self, *, speed: float | None = None, is_frozen: bool | None = None) -> None:
        """Change the speed, or freeze or unfreeze time, from now on; None changes nothing."""
        self._base_ms, self._since_s = self._exact_ms(), self.clock.seconds()
        self.speed = self.speed if speed is None else speed
        self.is_frozen = self.is_frozen if is_frozen is None else is_frozen
        for callback in tuple(self.on_change):
            callback()

    def _exact_ms(self) -> float:
        if self.is_frozen:
            return self._base_ms
        return self._base_ms + (self.clock.seconds() - self._since_s) * self.speed * 1000


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


class VirtualClock(Clock):
    """A clock that is moved by hand, from call to call, so that chained waits add up.

    ``Clock.advance`` sets its time to the end of the jump before it makes any call; a wait that begins in one of those
    calls would then begin too late.

    :ivar on_call: called whenever a call is scheduled; None: nothing.
    """

    on_call: Callable[[], None] | None = None

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kw: object  # noqa: A002 (Twisted's)
    ) -> IDelayedCall:
        # The time is rounded, so that calls for the same time are made in the order in which they were scheduled.
        call: Any = super().callLater(delay, callable, *args, **kw)
        call.time = round(call.time, _DIGITS)
        if self.on_call is not None:
            self.on_call()
        return call     # type: ignore[no-any-return]

    def due_at(self) -> float | None:
        """Return the time of the next call in seconds; None if there is none."""
        self._sortCalls()
        return float(self.calls[0].getTime()) if self.calls else None

    def advance(self, amount: float) -> None:
        """Let ``amount`` seconds pass, stopping at each call on the way."""
        until = self.seconds_in(amount)
        while self.step(until):
            pass

    def seconds_in(self, amount: float) -> float:
        """Return the clock's time ``amount`` seconds from now, rounded like the times of calls."""
        return round(self.rightNow + amount, _DIGITS)

    def step(self, until: float) -> bool:
        """Go to the next call due by then and make it; if there is none, go to ``until`` and return False."""
        due_at = self.due_at()
        if due_at is None or due_at > until:
            self.rightNow = max(self.rightNow, until)
            return False
        call = self.calls.pop(0)
        self.rightNow = max(self.rightNow, due_at)
        call.called = 1
        call.func(*call.args, **call.kw)
        return True
