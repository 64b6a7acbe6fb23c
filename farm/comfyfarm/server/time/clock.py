"""Simulated time, alarms in it, and a virtual clock to run it on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Clock

EPOCH_UNIX_MS = 1_700_000_000_000
"""The wall-clock time of simulated time 0 on a virtual clock: 14 November 2023, 22:13:20 UTC."""

TURN_S = 0.005
"""How long work that is due may hold a turn of the reactor on a real clock."""

_MOST_STALE = 64    # entries of alarms that were set again, beside as many as are valid
_DIGITS = 6     # of a second, on a virtual clock: calls for the same time get exactly the same number


@dataclass(eq=False)
class SimulatedTime:
    """The farm's time in milliseconds: it begins at 0 and passes ``speed`` times as fast as its clock.

    :ivar clock: it must never go back.
    :ivar speed: simulated seconds for one second of the clock.
    :ivar is_frozen: whether it stands still.
    :ivar alarms: all that are set in this time.
    """

    clock: IReactorTime
    speed: float = 1.0
    is_frozen: bool = False
    alarms: "AlarmHeap | AlarmCalls" = field(init=False, repr=False)
    _rate: float = field(init=False, repr=False)        # simulated milliseconds for one second of the clock
    _base_ms: float = field(default=0.0, init=False)     # at the last change, in simulated time

    def __post_init__(self) -> None:
        self._since_s = self.clock.seconds()    # at the last change, by the clock
        self._rate = 0.0 if self.is_frozen else self.speed * 1000
        self.alarms = AlarmCalls(self) if self.is_virtual else AlarmHeap(self)

    @property
    def is_virtual(self) -> bool:
        return isinstance(self.clock, VirtualClock)

    def now_ms(self) -> int:
        # Sums of seconds are not exact. A hair is added, so that whatever an alarm rings for is due when it rings.
        return int(self._base_ms + (self.clock.seconds() - self._since_s) * self._rate + 1e-3)

    def seconds_until(self, due_ms: int) -> float | None:
        """Return the clock's seconds until a simulated time: 0 if it has passed, None if time stands still."""
        left_ms = due_ms - self._exact_ms()
        if self.is_frozen:
            return 0.0 if left_ms <= 1e-3 else None
        return max(0.0, left_ms / 1000 / self.speed)

    def turn(self) -> Callable[[], bool]:
        """Return what says whether a turn of the reactor that begins now has time left.

        On a virtual clock it always has, so that equal runs are equal.
        """
        if self.is_virtual:
            return lambda: True
        until_s = self.clock.seconds() + TURN_S
        return lambda: self.clock.seconds() < until_s

    def change(self, *, speed: float | None = None, is_frozen: bool | None = None) -> None:
        """Change the speed, or freeze or unfreeze time, from now on; None changes nothing."""
        self._base_ms, self._since_s = self._exact_ms(), self.clock.seconds()
        self.speed = self.speed if speed is None else speed
        self.is_frozen = self.is_frozen if is_frozen is None else is_frozen
        self._rate = 0.0 if self.is_frozen else self.speed * 1000
        self.alarms.reschedule()

    def _exact_ms(self) -> float:
        return self._base_ms + (self.clock.seconds() - self._since_s) * self._rate


@dataclass(eq=False)
class Alarm:
    """A timer that can be set again and again, and that follows changes of the speed.

    :ivar ring: called when it is due, once for each time it is set.
    :ivar due_ms: when it rings; None if it is not set.
    :ivar order: the number of its entry in an :class:`AlarmHeap`.
    :ivar call: its call on a virtual clock.
    """

    time: SimulatedTime
    ring: Callable[[], None]
    due_ms: int | None = field(default=None, init=False)
    order: int = field(default=0, init=False)
    call: IDelayedCall | None = field(default=None, init=False)

    def set(self, due_ms: int | None) -> None:
        """Ring at that time, instead of at any other; None: do not ring."""
        self.time.alarms.set(self, due_ms)

    @property
    def is_set(self) -> bool:
        return self.due_ms is not None


@dataclass(eq=False)
class AlarmHeap:
    """The alarms of a farm on a real clock: one timer of the reactor for all, set for the first that is due.

    An entry whose alarm was set again stays in the heap until its time, or until such entries are the most.

    :ivar on_ring: called after alarms have rung, with the simulated milliseconds by which the first was late.
    """

    time: SimulatedTime
    on_ring: Callable[[int], None] = lambda _: None
    _heap: list[tuple[int, int, Alarm]] = field(default_factory=list, init=False)
    _orders: Iterator[int] = field(default_factory=lambda: count(1), init=False)
    _set: int = field(default=0, init=False)     # how many alarms are set
    _call: IDelayedCall | None = field(default=None, init=False)
    _call_ms: int | None = field(default=None, init=False)     # the simulated time that the call is for
    _is_ringing: bool = field(default=False, init=False)

    def set(self, alarm: Alarm, due_ms: int | None) -> None:
        if due_ms == alarm.due_ms:
            return
        self._set += (due_ms is not None) - (alarm.due_ms is not None)
        alarm.due_ms, alarm.order = due_ms, next(self._orders)
        if due_ms is not None:
            # What was due before it was set is not late, and waits behind what is due for longer.
            heappush(self._heap, (max(due_ms, self.time.now_ms()), alarm.order, alarm))
        if len(self._heap) > 2 * self._set + _MOST_STALE:
            self._heap = [entry for entry in self._heap if _is_valid(entry)]
            heapify(self._heap)
        if not self._is_ringing:
            self._set_call()

    def reschedule(self) -> None:
        """Set the timer again: the speed has changed."""
        self._call_ms = None
        self._set_call()

    def _set_call(self) -> None:
        while self._heap and not _is_valid(self._heap[0]):
            heappop(self._heap)
        due_ms = self._heap[0][0] if self._heap else None
        if due_ms == self._call_ms and due_ms is not None:
            return
        if self._call is not None and self._call.active():
            self._call.cancel()
        wait_s = None if due_ms is None else self.time.seconds_until(due_ms)
        self._call_ms = None if wait_s is None else due_ms
        self._call = None if wait_s is None else self.time.clock.callLater(wait_s, self._ring)

    def _ring(self) -> None:
        """Ring what is due, for the time of a turn; what is set meanwhile has to wait for the next turn."""
        self._call, self._call_ms, self._is_ringing = None, None, True
        began_ms, next_order, has_time = self.time.now_ms(), next(self._orders), self.time.turn()
        late_ms = None
        try:
            while self._heap and self._heap[0][0] <= began_ms and self._heap[0][1] < next_order:
                due_ms, _, alarm = entry = heappop(self._heap)
                if not _is_valid(entry):
                    continue
                late_ms = began_ms - due_ms if late_ms is None else late_ms
                self._set -= 1
                alarm.due_ms = None
                alarm.ring()
                if not has_time():
                    break
        finally:
            self._is_ringing = False
            self._set_call()
        if late_ms is not None:
            self.on_ring(late_ms)


def _is_valid(entry: tuple[int, int, Alarm]) -> bool:
    _, order, alarm = entry
    return alarm.due_ms is not None and alarm.order == order


@dataclass(eq=False)
class AlarmCalls:
    """The alarms of a farm on a virtual clock: each is a call of its own.

    So they ring in the order in which they were set, also between the calls of others that share the clock.
    """

    time: SimulatedTime

    def set(self, alarm: Alarm, due_ms: int | None) -> None:
        if alarm.call is not None and alarm.call.active():
            alarm.call.cancel()
        alarm.due_ms = due_ms
        wait_s = None if due_ms is None else self.time.seconds_until(due_ms)
        alarm.call = None if wait_s is None else self.time.clock.callLater(wait_s, self._ring, alarm)

    def reschedule(self) -> None:
        """Do nothing: a virtual clock has no speed."""

    def _ring(self, alarm: Alarm) -> None:
        alarm.due_ms = alarm.call = None
        alarm.ring()


def pass_ms(time: SimulatedTime, span_ms: int) -> Deferred[None]:
    """Wait for a number of simulated milliseconds; 0 does not wait."""
    passed: Deferred[None] = Deferred(lambda _: alarm.set(None))
    alarm = Alarm(time, lambda: passed.callback(None))
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
