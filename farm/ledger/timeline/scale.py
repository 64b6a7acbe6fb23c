"""Where a moment stands in a picture, and how it is written."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Scale", "written"]

_MINUTE_MS, _HOUR_MS = 60_000, 3_600_000
_STEPS_MS = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000),
    *(_MINUTE_MS * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR_MS * n for n in (1, 2, 3, 6, 12, 24)),
)


@dataclass(frozen=True)
class Scale:
    """A stretch of time on a stretch of paper.

    :ivar left: where ``from_ms`` stands.
    """

    from_ms: int
    end_ms: int
    left: float
    width: float

    def x(self, at_ms: int) -> float:
        """Where a moment stands; what lies outside stands at the edge."""
        share = (at_ms - self.from_ms) / max(1, self.end_ms - self.from_ms)
        return self.left + self.width * min(1.0, max(0.0, share))

    def ticks(self, apart: float = 90.0) -> range:
        """Round moments that stand at least so far apart."""
        least_ms = (self.end_ms - self.from_ms) * apart / self.width
        step_ms = next((each for each in _STEPS_MS if each >= least_ms), _STEPS_MS[-1])
        while step_ms < least_ms:
            step_ms *= 2
        return range(-(-self.from_ms // step_ms) * step_ms, self.end_ms + 1, step_ms)


def written(ms: int) -> str:
    """A moment or a span in the largest unit that fits: ``350 ms``, ``12.5 s``, ``3:20 min``, ``1:05:00 h``."""
    if ms < 1000:
        return f"{ms} ms"
    if ms < _MINUTE_MS:
        return f"{ms / 1000:.3f}".rstrip("0").rstrip(".") + " s"
    if ms < _HOUR_MS:
        return f"{ms // _MINUTE_MS}:{ms % _MINUTE_MS // 1000:02} min"
    return f"{ms // _HOUR_MS}:{ms % _HOUR_MS // _MINUTE_MS:02}:{ms % _MINUTE_MS // 1000:02} h"
