"""Long work in short turns of the reactor, so that no other instance has to wait for all of it."""

from collections.abc import Callable, Generator
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


def in_turns(
    reactor: Any, run_or_defer: Callable[[Callable[[], None]], None], steps: Generator[None, None, T]
) -> Deferred[T]:
    """Run the first step now, and each further one in a turn of its own, also if nobody waits for the end any more.

    The work is cut by numbers, never by a clock, so that equal runs are equal.

    :param run_or_defer: calls a function now, or after the freeze if the process is frozen.
    :returns: it fires with what the generator returns, or fails with the exception of a step.
    """
    done: Deferred[T] = Deferred()

    def turn() -> None:
        try:
            next(steps)
        except StopIteration as end:
            done.callback(end.value)
        except Exception:  # noqa: BLE001 (whoever waits handles it)
            done.errback()
        else:
            reactor.callLater(0, run_or_defer, turn)

    turn()
    return done
