"""How does a command, which is not Twisted's, wait for something that is?"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.python.failure import Failure

__all__ = ["in_reactor"]


def in_reactor(begin: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    """Run the reactor until the work is done, and raise what it raises; once in a process.

    :param begin: given the reactor.
    :raises KeyboardInterrupt: where somebody stopped it before.
    """
    ended: list[Failure | None] = []
    with suppress(SystemExit):
        react(lambda reactor: Deferred.fromCoroutine(begin(reactor)).addBoth(ended.append))
    if not ended:
        raise KeyboardInterrupt
    if ended[0] is not None:
        ended[0].raiseException()
