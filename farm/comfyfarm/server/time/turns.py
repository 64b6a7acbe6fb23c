"""Long work in short turns of the reactor, so that no other instance has to wait for all of it."""

from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


def at_once(steps: Iterable[None]) -> None:
    """Run all the steps, or all that are left, in this turn."""
    for _ in steps:
        pass


def in_turns(
    reactor: Any,
    steps: Generator[None, None, T],
    run_or_defer: Callable[[Callable[[], None]], None] = lambda act: act(),
) -> Deferred[T]:
    """Run the first step now, and each further one in a turn of its own, also if nobody waits for the end any more.

    The work is cut by numbers, never by a clock, so that equal runs are equal.

    :param run_or_defer: calls a function now, or later, such as after the freeze of a process.
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
