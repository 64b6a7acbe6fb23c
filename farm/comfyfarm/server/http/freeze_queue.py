"""The state of freezing of a process, and the calls that wait until it thaws."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.logger import Logger

_logger = Logger()     # not in the class: Twisted keeps recent log events, and with them the objects that logged


@dataclass(eq=False)
class FreezeQueue:
    """The state of freezing of one process, and the calls that wait until it thaws."""

    is_frozen: bool = False
    _waiting: deque[Callable[[], None]] = field(default_factory=deque)

    @property
    def is_clear(self) -> bool:
        """True if :meth:`run_or_defer` would call a function now."""
        return not (self.is_frozen or self._waiting)

    def run_or_defer(self, act: Callable[[], None]) -> None:
        """Call a function now, or, if the process is frozen, after all that wait already."""
        if self.is_clear:
            act()
        else:
            self._waiting.append(act)

    def release(self) -> None:
        """Call all functions that wait, in order; if one of them freezes the process again, the rest wait on."""
        self.is_frozen = False
        while self._waiting and not self.is_frozen:
            act = self._waiting.popleft()
            try:
                act()
            except Exception:  # noqa: BLE001 (whatever it is)
                _logger.failure("what waited for a thaw failed")    # the rest must not wait for ever

    def forget(self) -> None:
        """Drop all functions that wait: the process has ended."""
        self.is_frozen = False
        self._waiting.clear()
