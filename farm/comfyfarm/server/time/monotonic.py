"""A reactor whose timers do not depend on the wall clock."""

import time
from collections.abc import Callable
from typing import Any


def use_monotonic_clock(reactor: Any, monotonic_s: Callable[[], float] = time.monotonic) -> None:
    """Make a reactor follow a clock that never goes back; what is scheduled stays due at the same time.

    Twisted reads the wall clock.  If that is set back by an hour (NTP, a machine that wakes), every timer, also those
    of connections, would wait an hour longer.
    """
    ahead_s = reactor.seconds() - monotonic_s()
    reactor.seconds = lambda: monotonic_s() + ahead_s
