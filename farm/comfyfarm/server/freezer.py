"""While a process is frozen, what comes up waits; in which order does it go on?"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.logger import Logger


@dataclass(eq=False)
class FreezeQueue:
    """Whether one process is frozen, and what has come up since: bytes, connections that ended, messages to say.

    :ivar is_frozen: whether it is frozen now.
    """

    is_frozen: bool = False
    logger = Logger()
    _waiting: deque[Callable[[], None]] = field(default_factory=deque)

    def run_or_defer(self, act: Callable[[], None]) -> None:
        """Let something happen now, or, while the process is frozen, behind all that waits already."""
        if self.is_frozen or self._waiting:
            self._waiting.append(act)
        else:
            act()

    def release(self) -> None:
        """Let everything happen that has come up, in its order; what freezes it anew stops that."""
        self.is_frozen = False
        while self._waiting and not self.is_frozen:
            act = self._waiting.popleft()
            try:
                act()
            except Exception:  # noqa: BLE001 (whatever it is)
                self.logger.failure("what waited for a thaw failed")    # the rest must not wait for ever

    def forget(self) -> None:
        """The process is dead: nothing of it happens any more."""
        self.is_frozen = False
        self._waiting.clear()
