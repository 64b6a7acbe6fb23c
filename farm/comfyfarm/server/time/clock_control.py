"""Moves the farm's clock: a virtual one by steps or by itself, a real one by its speed.

A virtual clock goes from one due call to the next.  It does not wait for clients, but every 20 real milliseconds the
reactor gets a few turns, so that clients that read can do so, however long the way is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater

from comfyfarm.events import ClockChanged, ClockMoved
from comfyfarm.events.log import Log
from comfyfarm.server.time.clock import SimulatedTime, VirtualClock

_BUSY_S = 0.02
_MAX_TURNS = 16


class WrongClock(Exception):
    """The farm's clock cannot do this; the message says what it can do."""


@dataclass(eq=False)
class ClockControl:
    """Moves the farm's time, or changes how it passes.

    :ivar reactor: real time.
    :ivar clock: the source of simulated time.
    :ivar catch_up: runs everything that is due, on all instances.
    :ivar has_backlog: whether a socket has bytes that its client has not taken yet.
    :ivar auto: moves a virtual clock by itself; None if it is off.
    """

    reactor: Any
    clock: IReactorTime
    time: SimulatedTime
    log: Log
    catch_up: Callable[[], None]
    has_backlog: Callable[[], bool]
    auto: "AutoAdvance | None" = None
    _moving: DeferredLock = field(default_factory=DeferredLock)

    @property
    def is_virtual(self) -> bool:
        return isinstance(self.clock, VirtualClock)

    @property
    def next_ms(self) -> int | None:
        """The simulated time of the next call on a virtual clock; None if there is none, or the clock is real."""
        due_at = self.clock.due_at() if isinstance(self.clock, VirtualClock) else None
        return None if due_at is None else int(due_at * 1000 + 1e-3)

    # A virtual clock.

    async def advance(self, by_s: float) -> None:
        """Let simulated seconds pass, and return when everything due has happened.

        :raises WrongClock: if the clock is real.
        :raises ValueError: if ``by_s`` is negative.
        """
        await self._move(by_s, lambda _: False, "advance")

    async def run_until_idle(self, limit_s: float) -> bool:
        """Let time pass until nothing is due any more or the limit is reached; return whether nothing is due.

        :raises WrongClock: if the clock is real.
        """
        clock = self._virtual("it becomes idle by itself; POST /api/wait waits for that")
        await self._move(limit_s, lambda clock: clock.due_at() is None, "run_until_idle")
        return clock.due_at() is None

    def set_auto(self, quiet_ms: int | None) -> None:
        """Jump to the next due call whenever the sockets were quiet for this real time; None: stop doing so.

        :raises WrongClock: if the clock is real.
        """
        clock = self._virtual("it moves by itself")
        self.stop()
        if quiet_ms is not None:
            self.auto = AutoAdvance(self.reactor, clock, quiet_ms, lambda: not self._moving.locked)
            clock.on_call = self.auto.nudge
        self._publish_change()
        self.nudge()

    def on_traffic(self) -> None:
        """Restart the quiet time of ``auto``: a client has sent bytes."""
        if self.auto is not None:
            self.auto.wait()

    def nudge(self) -> None:
        """Wake ``auto``: a call may be due that was not before."""
        if self.auto is not None:
            self.auto.nudge()

    def stop(self) -> None:
        """Turn ``auto`` off."""
        if self.auto is not None:
            self.auto.stop()
            self.auto.clock.on_call = None
            self.auto = None

    # A real clock.

    def change(self, *, speed: float | None = None, is_frozen: bool | None = None) -> None:
        """Let time pass faster or slower, or not at all.

        :raises WrongClock: if the clock is virtual.
        """
        if self.is_virtual:
            raise WrongClock('this farm\'s clock is virtual: it has no speed and stands still until it is moved '
                             '(with "advance", "run_until_idle" or "auto")')
        self.catch_up()
        self.time.change(speed=speed, is_frozen=is_frozen)
        self._publish_change()

    # Helpers.

    def _virtual(self, instead: str) -> VirtualClock:
        if not isinstance(self.clock, VirtualClock):
            raise WrongClock(f'this farm\'s clock is real: {instead} ([farm] clock = "virtual" is one that is moved)')
        return self.clock

    async def _move(
        self, by_s: float, enough: Callable[[VirtualClock], bool], action: Literal["advance", "run_until_idle"]
    ) -> None:
        clock = self._virtual("only a virtual one can be moved; this one takes a speed")
        if by_s < 0:
            raise ValueError(f"time does not go back: {by_s:g} s")
        async with self._moving:
            from_ms = self.time.now_ms()
            await self._walk(clock, clock.seconds_in(by_s), enough)
        if by_s:
            self.log.publish(ClockMoved(at_ms=self.time.now_ms(), from_ms=from_ms, asked=action))

    async def _walk(self, clock: VirtualClock, until_s: float, enough: Callable[[VirtualClock], bool]) -> None:
        yielded_s = self.reactor.seconds()
        while not enough(clock) and clock.step(until_s):
            if self.reactor.seconds() - yielded_s > _BUSY_S:
                await self._yield_to_reactor()
                yielded_s = self.reactor.seconds()

    async def _yield_to_reactor(self) -> None:
        """Give the reactor a turn, and more turns while a client has a backlog."""
        for _ in range(_MAX_TURNS):
            await deferLater(self.reactor, 0)
            if not self.has_backlog():
                return

    def _publish_change(self) -> None:
        time, auto = self.time, self.auto is not None
        self.log.publish(ClockChanged(at_ms=time.now_ms(), speed=time.speed, is_frozen=time.is_frozen, auto=auto))


_QUIET_TURNS = 8


@dataclass(eq=False)
class AutoAdvance:
    """Jumps to the next due call whenever the sockets were quiet for a while in real time.

    They must also be quiet for some turns of the reactor: a client in this process needs turns, not time, and on a
    busy machine the while may pass without any.  Nothing is scheduled on the reactor while nothing is due.

    :ivar quiet_ms: how long the sockets must be quiet.
    :ivar may_jump: whether nothing else is moving the clock now.
    """

    reactor: Any
    clock: VirtualClock
    quiet_ms: int
    may_jump: Callable[[], bool]
    _waiting: IDelayedCall | None = field(default=None, init=False)
    _turns: int = field(default=0, init=False)

    def wait(self) -> None:
        """Start the quiet time again."""
        self.stop()
        self._turns = _QUIET_TURNS
        self._waiting = self.reactor.callLater(self.quiet_ms / 1000, self._turn)

    def nudge(self) -> None:
        """Start the quiet time, unless it has started."""
        if self._waiting is None:
            self.wait()

    def stop(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _turn(self) -> None:
        self._turns -= 1
        self._waiting = self.reactor.callLater(0, self._turn) if self._turns else None
        if not self._turns:
            self._jump()

    def _jump(self) -> None:
        due_at = self.clock.due_at()
        if due_at is None:
            return
        self.wait()
        while self.may_jump() and self.clock.step(due_at):
            pass
        if self._waiting is not None:   # not stopped by a call on the way
            self.wait()                 # the calls may have taken long
