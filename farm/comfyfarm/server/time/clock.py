"""Simulated time, and a virtual clock to run it on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

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
