"""Simulated time, as seen on a Twisted clock."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock

__all__ = ["SimulatedTime", "VirtualClock"]


@dataclass(eq=False)
class SimulatedTime:
    """The farm's time: it begins at 0 and passes ``speed`` times as fast as its clock.

    :ivar speed: simulated seconds for one of the clock's.
    """

    clock: IReactorTime
    speed: float = 1.0

    def __post_init__(self) -> None:
        """Begin now."""
        self._start = self.clock.seconds()

    def now_ms(self) -> int:
        """The simulated moment, in whole milliseconds."""
        # A hair is added so that an alarm that rings exactly when something is due finds it due: sums of seconds
        # are not exact.
        return int((self.clock.seconds() - self._start) * self.speed * 1000 + 1e-3)

    def seconds_until(self, due_ms: int) -> float:
        """How long the clock runs until that simulated moment; 0 when it has passed."""
        elapsed = self.clock.seconds() - self._start
        return max(0.0, due_ms / 1000 / self.speed - elapsed)


class VirtualClock(Clock):
    """A clock that a test moves, from call to call, so that chained waits add up.

    ``Clock.advance`` sets its time to the end of the jump before it calls anybody; a wait begun by one of those
    calls would then begin too late.
    """

    def advance(self, amount: float) -> None:
        """Let ``amount`` seconds pass, stopping at each call on the way."""
        until = self.rightNow + amount
        self._sortCalls()
        while self.calls and self.calls[0].getTime() <= until:
            call = self.calls.pop(0)
            self.rightNow = max(self.rightNow, call.getTime())
            call.called = 1
            call.func(*call.args, **call.kw)
            self._sortCalls()
        self.rightNow = until
