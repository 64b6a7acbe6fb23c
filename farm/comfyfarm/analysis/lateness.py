"""The times at which the farm itself was late: what a client did, or did not do, then may be the farm's doing."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from comfyfarm.events import FarmLate
from comfyfarm.events.handler import EventHandler, on

_GAP_MS = 50    # a farm that is always late publishes one time after another


@dataclass(eq=False)
class Lateness(EventHandler):
    """The times at which the farm was late.

    :ivar _spans: from when until when, and by how much at most; in order; those that (nearly) touch are one.
    """

    _spans: list[tuple[int, int, int]] = field(default_factory=list)

    @on(FarmLate)
    def _on_farm_late(self, event: FarmLate) -> None:
        since_ms, late_ms = event.since_ms, event.late_ms
        while self._spans and self._spans[-1][1] + _GAP_MS >= since_ms:
            before = self._spans.pop()
            since_ms, late_ms = min(since_ms, before[0]), max(late_ms, before[2])
        self._spans.append((since_ms, event.at_ms, late_ms))

    def within_ms(self, since_ms: int, until_ms: int, *, above_ms: int = 0) -> int:
        """Return how much of a time the farm was late by more than ``above_ms``."""
        return sum(
            min(until_ms, end_ms) - max(since_ms, begin_ms)
            for begin_ms, end_ms, late_ms in self._overlapping(since_ms, until_ms)
            if late_ms > above_ms
        )

    def _overlapping(self, since_ms: int, until_ms: int) -> Iterator[tuple[int, int, int]]:
        first = bisect_right(self._spans, since_ms, key=lambda span: span[1])
        for span in self._spans[first:]:
            if span[0] >= until_ms:
                return
            yield span
