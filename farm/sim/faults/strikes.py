"""One time that a fault strikes, and how what it does is told without a clock: as a story that pauses."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from .moments import Facts

if TYPE_CHECKING:
    from .fault import Fault

__all__ = ["UNTIL_WOKEN", "Pause", "Rest", "Story", "Strike", "in_turn"]


@dataclass(eq=False)
class Strike:
    """A fault at work, at one moment of one instance.

    :ivar at_ms: when it struck.
    :ivar chance: for what the effect draws; a stream of the fault's own.
    :ivar since_ms: when the fault began on this instance.
    :ivar memory: what the effect remembers from one strike to the next, on this instance.
    :ivar is_on: the fault has been neither healed nor removed since, and nobody has let this one go.
    """

    fault: Fault
    instance: str
    at_ms: int
    facts: Facts
    chance: Random
    since_ms: int = 0
    memory: dict[str, Any] = field(default_factory=dict)
    is_on: bool = True


@contextmanager
def in_turn(strikes: Iterable[Strike]) -> Iterator[Iterator[Strike]]:
    """Give strikes one after another; where that ends early, those whose turn has not come hold nothing."""
    waiting = deque(strikes)
    try:
        yield (waiting.popleft() for _ in range(len(waiting)))
    finally:
        for strike in waiting:
            strike.is_on = False


@dataclass(frozen=True)
class Rest:
    """A pause that ends before its time where its strike is let go."""

    ms: int
    strike: Strike


UNTIL_WOKEN = None
"""A pause that ends whenever something may have changed: look again, and pause again where it has not."""

Pause: TypeAlias = Union[int, Rest, Strike, None]  # noqa: UP007 (evaluated)
"""So many milliseconds, or at most so many; or ``UNTIL_WOKEN``; or a strike that is for the process alone."""

Story: TypeAlias = Iterator[Pause]
"""What happens, pausing wherever time passes; whoever runs it resumes it then."""
