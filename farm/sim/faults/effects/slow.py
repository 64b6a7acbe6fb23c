"""A job takes longer than it should."""

from __future__ import annotations

from typing import Annotated

import msgspec

from farm.sim.faults.job import Run
from farm.sim.faults.strikes import Story, Strike

from .base import Effect, effect

__all__ = ["Slow"]


@effect("slow", "start", "node", "step", "save", lasts=True)
class Slow(Effect, frozen=True, kw_only=True):
    """Let everything that the job does from here to its end take longer, while the fault is there.

    :ivar factor: how many times as long; of several the greatest counts.
    """

    factor: Annotated[float, msgspec.Meta(ge=1, le=1_000_000)]

    def on_job(self, run: Run, strike: Strike) -> Story:
        """Slow down, which takes no time itself."""
        run.slow_down(strike, self.factor)
        yield from ()
