"""Where a moment stands in a picture, how it is written, and what colour a job has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Scale", "colour", "written"]

_MINUTE_MS, _HOUR_MS = 60_000, 3_600_000
_STEPS_MS = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000),
    *(_MINUTE_MS * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR_MS * n for n in (1, 2, 3, 6, 12, 24, 48, 96, 168, 720)),
)
_GOLDEN_ANGLE = 137.508     # of two jobs that follow each other none looks like the other
_SHADES = ((62, 56), (48, 64), (70, 46))


@dataclass(frozen=True)
class Scale:
    """A stretch of time on a stretch of paper.

    :ivar end_ms: it begins at 0.
    :ivar left: where 0 stands.
    """

    end_ms: int
    left: float
    width: float

    def x(self, at_ms: int) -> float:
        """Where a moment stands."""
        return self.left + self.width * at_ms / max(1, self.end_ms)

    def ticks(self, apart: float = 90.0) -> Iterator[int]:
        """Round moments that stand at least so far apart."""
        least_ms = self.end_ms * apart / self.width
        step_ms = next((each for each in _STEPS_MS if each >= least_ms), _STEPS_MS[-1])
        return iter(range(0, self.end_ms + 1, step_ms))


def written(ms: int) -> str:
    """A moment or a span in the largest unit that fits: ``350 ms``, ``12.5 s``, ``3:20 min``, ``1:05 h``."""
    if ms < 1000:
        return f"{ms} ms"
    if ms < _MINUTE_MS:
        return f"{ms / 1000:.3f}".rstrip("0").rstrip(".") + " s"
    if ms < _HOUR_MS:
        return f"{ms // _MINUTE_MS}:{ms % _MINUTE_MS // 1000:02} min"
    return f"{ms // _HOUR_MS}:{ms % _HOUR_MS // _MINUTE_MS:02} h"


def colour(index: int) -> str:
    """The colour of the n-th logical job, for CSS; red is left to what goes wrong."""
    hue = 25 + index * _GOLDEN_ANGLE % 310
    saturation, lightness = _SHADES[index % len(_SHADES)]
    return f"hsl({hue:.0f} {saturation}% {lightness}%)"
