"""How many jobs wait at once, and in which row each is drawn."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

__all__ = ["Waiting", "depths", "rows"]

Waiting = tuple[int, int]
"""From when to when one job waited, in simulated milliseconds."""


def rows(waits: Iterable[Waiting]) -> list[int]:
    """A row for each, so that none lies over another: the first that is free, as a queue moves up.

    :param waits: in the order of their beginning.
    """
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    given = []
    for from_ms, to_ms in waits:
        while busy and busy[0][0] <= from_ms:
            heapq.heappush(free, heapq.heappop(busy)[1])
        row = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (to_ms, row))
        given.append(row)
    return given


def depths(waits: Iterable[Waiting]) -> list[tuple[int, int]]:
    """How many wait from each moment on at which that changes."""
    changes: dict[int, int] = {}
    for from_ms, to_ms in waits:
        if from_ms < to_ms:
            changes[from_ms] = changes.get(from_ms, 0) + 1
            changes[to_ms] = changes.get(to_ms, 0) - 1
    depth, steps = 0, []
    for at_ms in sorted(changes):
        depth += changes[at_ms]
        steps.append((at_ms, depth))
    return steps
