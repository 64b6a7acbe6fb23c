"""The geometry of a timeline: positions and labels of times, rows of waiting jobs, and queue depths."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

_MINUTE_MS, _HOUR_MS = 60_000, 3_600_000
_STEPS_MS = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000),
    *(_MINUTE_MS * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR_MS * n for n in (1, 2, 3, 6, 12, 24)),
)


@dataclass(frozen=True)
class Scale:
    """The mapping of a time interval to a horizontal range.

    :ivar left: the position of ``from_ms``.
    """

    from_ms: int
    end_ms: int
    left: float
    width: float

    def x(self, at_ms: int) -> float:
        """Return the position of a time; times outside the interval are at its edges."""
        share = (at_ms - self.from_ms) / max(1, self.end_ms - self.from_ms)
        return self.left + self.width * min(1.0, max(0.0, share))

    def ticks(self, apart: float = 90.0) -> range:
        """Return round times that are at least ``apart`` from each other."""
        least_ms = (self.end_ms - self.from_ms) * apart / self.width
        step_ms = next((step for step in _STEPS_MS if step >= least_ms), _STEPS_MS[-1])
        while step_ms < least_ms:
            step_ms *= 2
        return range(-(-self.from_ms // step_ms) * step_ms, self.end_ms + 1, step_ms)


def as_duration(ms: int) -> str:
    """Format a time or duration in the largest unit that fits: ``350 ms``, ``12.5 s``, ``3:20 min``, ``1:05:00 h``."""
    if ms < 1000:
        return f"{ms} ms"
    if ms < _MINUTE_MS:
        return f"{ms / 1000:.3f}".rstrip("0").rstrip(".") + " s"
    if ms < _HOUR_MS:
        return f"{ms // _MINUTE_MS}:{ms % _MINUTE_MS // 1000:02} min"
    return f"{ms // _HOUR_MS}:{ms % _HOUR_MS // _MINUTE_MS:02}:{ms % _MINUTE_MS // 1000:02} h"


def rows(waits: Iterable[tuple[int, int]]) -> list[int]:
    """Assign each wait to the first free row, so that no two overlap.

    :param waits: start and end of each, in the order of their start.
    """
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    assigned = []
    for from_ms, to_ms in waits:
        while busy and busy[0][0] <= from_ms:
            heapq.heappush(free, heapq.heappop(busy)[1])
        row = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (to_ms, row))
        assigned.append(row)
    return assigned


def depths(waits: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the times at which the number of waiting jobs changes, each with the new number."""
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
