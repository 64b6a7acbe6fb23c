"""Which of many things are enough to make something fail?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def ddmin(things: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """A selection that fails, and of which none can be left out; in their order.

    Zeller's delta debugging: halves first, then smaller and smaller parts.  All of them together fail: that is known.

    :param fails: asked about each selection once at most.
    """
    known: dict[tuple[int, ...], bool] = {}

    def still_fails(left: Sequence[int]) -> bool:
        key = tuple(left)
        if key not in known:
            known[key] = fails([things[index] for index in key])
        return known[key]

    left = list(range(len(things)))
    if not left or still_fails([]):
        return []
    parts = 2
    while len(left) > 1:
        fewer = next((each for each in _selections(left, parts) if len(each) < len(left) and still_fails(each)), None)
        if fewer is not None:
            parts = 2 if len(fewer) <= len(left) // 2 else max(2, parts - 1)
            left = fewer
        elif parts == len(left):
            break
        else:
            parts = min(len(left), parts * 2)
    return [things[index] for index in left]


def _selections(left: Sequence[int], parts: int) -> Iterator[list[int]]:
    """Each of so many parts alone, then all but each."""
    edges = [len(left) * number // parts for number in range(parts + 1)]
    pieces = [(edges[number], edges[number + 1]) for number in range(parts)]
    yield from (list(left[first:last]) for first, last in pieces)
    yield from ([*left[:first], *left[last:]] for first, last in pieces)
