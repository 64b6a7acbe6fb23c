"""Who moves the farm's clock: one that stands until it is moved, or one that passes by itself.

A virtual clock is walked from one due moment to the next.  Nothing waits for a client that does not read; but every
20 real milliseconds the reactor gets a few turns, so that those who read can, however long the way is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater

from comfyfarm.events import ClockChanged, ClockMoved
from comfyfarm.events.log import Log
from comfyfarm.server.time.clock import SimulatedTime, VirtualClock

LONGEST_MS = 366 * 24 * 60 * 60 * 1000
"""The farthest jump: whoever asks for more has mistaken a unit."""

_BREATH_S = 0.02
_TURNS_TO_SETTLE = 16


class WrongClock(Exception):
    """This cannot be asked of a clock of this kind; the message says what can."""


@dataclass(eq=False)
class ClockControl:
    """Moves the farm's time, or changes how it passes.

    :ivar reactor: real time.
    :ivar clock: what simulated time is read from.
    :ivar catch_up: lets happen, everywhere, what is due.
    :ivar is_owing: whether a socket holds what its client has not taken yet.
    :ivar auto: moves a virtual clock by itself; ``None`` while nobody asked for that.
    """

    reactor: Any
    clock: IReactorTime
    time: SimulatedTime
    log: Log
    catch_up: Callable[[], None]
    is_owing: Callable[[], bool]
    auto: AutoAdvance | None = None
    _walking: DeferredLock = field(default_factory=DeferredLock)

    @property
    def is_virtual(self) -> bool:
        """Whether time stands until it is moved."""
        return isinstance(self.clock, VirtualClock)

    @property
    def next_ms(self) -> int | None:
        """When the next thing is due on a virtual clock, in simulated milliseconds, or ``None``."""
        due_at = self.clock.due_at() if isinstance(self.clock, VirtualClock) else None
        return None if due_at is None else int(due_at * 1000 + 1e-3)

    # A virtual clock.

    async def advance(self, by_s: float) -> None:
        """Let so many simulated seconds pass; when this ends, all that was due has happened.

        :raises WrongClock: where the clock passes by itself.
        :raises ValueError: where that is less than nothing.
        """
        await self._move(by_s, lambda _: False, "advance")

    async def run_until_idle(self, limit_s: float) -> bool:
        """Let time pass until nothing is due any more, but not longer than that, and say whether it came to that.

        :raises WrongClock: where the clock passes by itself.
        """
        clock = self._virtual("it becomes idle by itself; POST /api/wait waits for that")
        await self._move(limit_s, lambda clock: clock.due_at() is None, "run_until_idle")
        return clock.due_at() is None

    def set_auto(self, quiet_ms: int | None) -> None:
        """Jump to the next due moment whenever the sockets were quiet for so long in real time; ``None``: no more.

        :raises WrongClock: where the clock passes by itself.
        """
        clock = self._virtual("it moves by itself")
        if self.auto is not None:
            self.auto.stop()
        self.auto = None if quiet_ms is None else AutoAdvance(self.reactor, clock, quiet_ms, self._may_jump)
        clock.on_call = None if self.auto is None else self.auto.nudge
        self._changed()
        self.nudge()

    def on_traffic(self) -> None:
        """A client said something."""
        if self.auto is not None:
            self.auto.wait()

    def nudge(self) -> None:
        """Something may be due now that was not."""
        if self.auto is not None:
            self.auto.nudge()

    def stop(self) -> None:
        """Move nothing any more by itself."""
        if self.auto is not None:
            self.auto.stop()
            self.auto.clock.on_call = None
            self.auto = None

    # A real clock.

    def change(self, *, speed: float | None = None, is_frozen: bool | None = None) -> None:
        """Let time pass faster, slower or not at all.

        :raises WrongClock: where the clock is virtual.
        """
        if self.is_virtual:
            raise WrongClock('this farm\'s clock is virtual: it has no speed and stands still until it is moved '
                             '(with "advance", "run_until_idle" or "auto")')
        self.catch_up()
        self.time.change(speed=speed, is_frozen=is_frozen)
        self._changed()

    # What they share.

    def _virtual(self, instead: str) -> VirtualClock:
        if not isinstance(self.clock, VirtualClock):
            raise WrongClock(f'this farm\'s clock is real: {instead} ([farm] clock = "virtual" is one that is moved)')
        return self.clock

    async def _move(
        self, by_s: float, enough: Callable[[VirtualClock], bool], asked: Literal["advance", "run_until_idle"]
    ) -> None:
        clock = self._virtual("only a virtual one can be moved; this one takes a speed")
        if by_s < 0:
            raise ValueError(f"time does not go back: {by_s:g} s")
        async with self._walking:
            from_ms = self.time.now_ms()
            await self._walk(clock, clock.moment_in(by_s), enough)
        if by_s:
            self.log.publish(ClockMoved(at_ms=self.time.now_ms(), from_ms=from_ms, asked=asked))

    async def _walk(self, clock: VirtualClock, until_s: float, enough: Callable[[VirtualClock], bool]) -> None:
        breathed_s = self.reactor.seconds()
        while not enough(clock) and clock.step(until_s):
            if self.reactor.seconds() - breathed_s > _BREATH_S:
                await self._breathe()
                breathed_s = self.reactor.seconds()

    async def _breathe(self) -> None:
        """Give the reactor a turn, and a few more where that helps a client to keep up."""
        for _ in range(_TURNS_TO_SETTLE):
            await deferLater(self.reactor, 0)
            if not self.is_owing():
                return

    def _may_jump(self) -> bool:
        return not self._walking.locked

    def _changed(self) -> None:
        state = ClockChanged(
            at_ms=self.time.now_ms(),
            speed=self.time.speed,
            is_frozen=self.time.is_frozen,
            auto=self.auto is not None,
        )
        self.log.publish(state)


_QUIET_TURNS = 8


@dataclass(eq=False)
class AutoAdvance:
    """Jumps to the next due moment whenever the sockets were quiet for a while in real time.

    And for some turns of the reactor: what a client in this process has under way needs turns, not time, and on a busy
    machine a while may pass without any.  It sleeps while nothing is due.

    :ivar quiet_ms: how long they must be quiet.
    :ivar may_jump: whether nobody else moves the clock just now.
    """

    reactor: Any
    clock: VirtualClock
    quiet_ms: int
    may_jump: Callable[[], bool]
    _waiting: IDelayedCall | None = field(default=None, init=False)
    _turns: int = field(default=0, init=False)

    def wait(self) -> None:
        """Begin the quiet anew."""
        self.stop()
        self._turns = _QUIET_TURNS
        self._waiting = self.reactor.callLater(self.quiet_ms / 1000, self._turn)

    def nudge(self) -> None:
        """Wake up, if asleep."""
        if self._waiting is None:
            self.wait()

    def stop(self) -> None:
        """Jump no more."""
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
        if self._waiting is not None:   # nobody stopped it on the way
            self.wait()                 # what was due may have taken long
