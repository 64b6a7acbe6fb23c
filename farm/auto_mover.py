"""A virtual clock that moves by itself, as soon as nobody has anything to say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from farm.clock import VirtualClock

__all__ = ["AutoMover"]


@dataclass(eq=False)
class AutoMover:
    """Jumps to the next due moment whenever the sockets were quiet for a while in real time.

    It sleeps while nothing is due.

    :ivar quiet_ms: how long they must be quiet.
    :ivar may_jump: whether nobody else moves the clock just now.
    """

    reactor: Any
    clock: VirtualClock
    quiet_ms: int
    may_jump: Callable[[], bool]
    _waiting: IDelayedCall | None = field(default=None, init=False)

    def wait(self) -> None:
        """Begin the quiet anew."""
        self.stop()
        self._waiting = self.reactor.callLater(self.quiet_ms / 1000, self._jump)

    def nudge(self) -> None:
        """Wake up, if asleep."""
        if self._waiting is None:
            self.wait()

    def stop(self) -> None:
        """Jump no more."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _jump(self) -> None:
        self._waiting = None
        due_at = self.clock.due_at()
        if due_at is None:
            return
        self.nudge()
        if self.may_jump():
            while self.clock.step(due_at):
                pass
