"""A virtual clock that moves by itself, as soon as nobody has anything to say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from farm.clock import VirtualClock

__all__ = ["AutoMover"]

_TURNS = 8


@dataclass(eq=False)
class AutoMover:
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
        self._turns = _TURNS
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
