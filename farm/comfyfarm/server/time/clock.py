"""Simulated time, as seen on a Twisted clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Clock

EPOCH_UNIX_MS = 1_700_000_000_000
"""What clients' clocks say at the simulated moment 0 of a virtual clock: 14 November 2023, 22:13:20 UTC."""

_DIGITS = 6     # of a second, on a virtual clock: what is due at the same moment is due at the same number


@dataclass(eq=False)
class SimulatedTime:
    """The farm's time: it begins at 0 and passes ``speed`` times as fast as its clock, until somebody changes that.

    :ivar speed: simulated seconds for one of the clock's.
    :ivar is_frozen: it stands still, whatever the clock does.
    :ivar on_change: called after each change: alarms that were set by the old speed ring at the wrong moment.
    """

    clock: IReactorTime
    speed: float = 1.0
    is_frozen: bool = False
    on_change: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin now."""
        self._since_s = self.clock.seconds()
        self._base_ms = 0.0

    def now_ms(self) -> int:
        """The simulated moment, in whole milliseconds."""
        # A hair is added so that an alarm that rings exactly when something is due finds it due: sums of seconds
        # are not exact.
        return int(self._exact_ms() + 1e-3)

    def seconds_until(self, due_ms: int) -> float | None:
        """How long the clock runs until that simulated moment: 0 when it has passed, ``None`` for ever."""
        left_ms = due_ms - self._exact_ms()
        if self.is_frozen:
            return 0.0 if left_ms <= 1e-3 else None
        return max(0.0, left_ms / 1000 / self.speed)

    def change(self, *, speed: float | None = None, is_frozen: bool | None = None) -> None:
        """Pass faster, slower or not at all from now on; ``None`` leaves a thing as it is."""
        self._base_ms, self._since_s = self._exact_ms(), self.clock.seconds()
        self.speed = self.speed if speed is None else speed
        self.is_frozen = self.is_frozen if is_frozen is None else is_frozen
        for changed in tuple(self.on_change):
            changed()

    def _exact_ms(self) -> float:
        if self.is_frozen:
            return self._base_ms
        return self._base_ms + (self.clock.seconds() - self._since_s) * self.speed * 1000


class VirtualClock(Clock):
    """A clock that somebody moves, from call to call, so that chained waits add up.

    ``Clock.advance`` sets its time to the end of the jump before it calls anybody; a wait begun by one of those
    calls would then begin too late.

    :ivar on_call: told of each new call, where whoever moves the clock sleeps while none is waiting.
    """

    on_call: Callable[[], None] | None = None

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kw: object  # noqa: A002 (Twisted's)
    ) -> IDelayedCall:
        """Twisted's, at a rounded moment, so that of calls for the same moment the first one made comes first."""
        call: Any = super().callLater(delay, callable, *args, **kw)
        call.time = round(call.time, _DIGITS)
        if self.on_call is not None:
            self.on_call()
        return call     # type: ignore[no-any-return]

    def due_at(self) -> float | None:
        """When the next call is due, in seconds, or ``None`` where none is waiting."""
        self._sortCalls()
        return float(self.calls[0].getTime()) if self.calls else None

    def advance(self, amount: float) -> None:
        """Let ``amount`` seconds pass, stopping at each call on the way."""
        until = self.moment_in(amount)
        while self.step(until):
            pass

    def moment_in(self, amount: float) -> float:
        """The moment ``amount`` seconds from now; rounded as those of calls are, so that what is due then is due."""
        return round(self.rightNow + amount, _DIGITS)

    def step(self, until: float) -> bool:
        """Go to the next call that is due by then and make it, or say ``False`` and be there."""
        due_at = self.due_at()
        if due_at is None or due_at > until:
            self.rightNow = max(self.rightNow, until)
            return False
        call = self.calls.pop(0)
        self.rightNow = max(self.rightNow, due_at)
        call.called = 1
        call.func(*call.args, **call.kw)
        return True
